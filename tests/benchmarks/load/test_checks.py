"""`make load` finds what a load loses, mixes up or tells too late."""

from typing import Any

import pytest

from benchmarks.load import checks
from benchmarks.load.checks import Decision
from benchmarks.load.client import PREDICT, Answer, Ask

SCORES = {"v1": [0.1] * 200, "v2": [0.9] * 200}
APPROVED = Decision("approve", "v2", 10.0, 11.0)
ROLLED_BACK = Decision("rollback", "v1", 20.0, 21.0)
TTL = 1.0
ASK = Ask("predict", PREDICT, rows=range(1))


def answered(version: str, sent: float, received: float | None = None, score: float = 0.1) -> Any:
    prediction = {"id": f"{version}-{sent}", "score": score, "label": score > 0.5}
    found = {"version": version, "variant": "champion", "predictions": [prediction]}
    return Answer(ASK, sent, sent, received or sent + 0.1, found)


# What was recorded


def test_what_is_recorded_once_and_as_it_was_told_is_right() -> None:
    assert checks.unfaithful("label", {"a": True, "b": False}, [("b", False), ("a", True)]) == []


@pytest.mark.parametrize(
    ("recorded", "fault"),
    [
        ([], "label a was recorded 0 times"),
        ([("a", True), ("a", True)], "label a was recorded 2 times"),
        ([("a", False)], "label a was recorded as False and told as True"),
        ([("a", True), ("b", True)], "label b was never told"),
    ],
)
def test_what_is_lost_twice_different_or_from_nowhere_is_found(
    recorded: list[tuple[str, Any]], fault: str
) -> None:
    assert checks.unfaithful("label", {"a": True}, recorded) == [fault]


@pytest.mark.parametrize("field", ["version", "variant", "score", "label"])
def test_a_capture_must_say_what_its_caller_was_told(field: str) -> None:
    told = checks.told([answered("v1", 1.0)])
    capture = {"id": "v1-1.0", "version": "v1", "variant": "champion", "score": 0.1, "label": False}

    same, other = ([capture], [capture | {field: "another"}])

    assert checks.unfaithful("prediction", told, checks.captured(same)) == []
    assert len(checks.unfaithful("prediction", told, checks.captured(other))) == 1


# Who answered


@pytest.mark.parametrize(
    ("version", "score", "faults"),
    [("v1", 0.1, 0), ("v2", 0.9, 0), ("v1", 0.9, 1), ("v1", 0.1001, 1), ("v3", 0.1, 1)],
)
def test_an_answer_that_names_one_version_and_scores_by_another_is_found(
    version: str, score: float, faults: int
) -> None:
    assert len(checks.mixed([answered(version, 1.0, score=score)], SCORES)) == faults


@pytest.mark.parametrize(
    ("version", "sent", "received", "right"),
    [
        ("v1", 5.0, 5.1, True),
        ("v2", 5.0, 5.1, False),  # before anybody asked for it
        ("v2", 9.9, 10.1, True),  # the decision was on its way
        ("v1", 11.9, 12.1, True),  # within the TTL
        ("v1", 12.1, 12.2, False),
        ("v2", 15.0, 15.1, True),
        ("v1", 15.0, 15.1, False),
        ("v1", 15.0, 20.5, True),  # it took until the rollback
        ("v2", 21.9, 22.0, True),
        ("v2", 22.1, 22.2, False),
        ("v1", 30.0, 30.1, True),
        ("v3", 5.0, 5.1, False),
    ],
)
def test_an_answer_by_a_version_that_was_not_champion_then_is_found(
    version: str, sent: float, received: float, right: bool
) -> None:
    found = checks.untimely([answered(version, sent, received)], "v1", [APPROVED, ROLLED_BACK], TTL)

    assert (found == []) is right


def test_without_a_decision_the_champion_alone_may_answer() -> None:
    assert checks.untimely([answered("v1", 5.0)], "v1", [], TTL) == []
    assert checks.untimely([answered("v2", 5.0)], "v1", [], TTL) != []


@pytest.mark.parametrize(
    ("versions", "seconds"),
    [
        ([("v1", 11.0), ("v2", 11.4), ("v2", 11.2)], 0.3),
        ([("v2", 10.5)], 0.0),
        ([("v2", 5.0), ("v1", 12.0)], None),
    ],
)
def test_a_decision_shows_with_the_first_answer_after_it_by_its_version(
    versions: list[tuple[str, float]], seconds: float | None
) -> None:
    found = checks.shown_within([answered(*one) for one in versions], APPROVED)

    assert found == (None if seconds is None else pytest.approx(seconds))
