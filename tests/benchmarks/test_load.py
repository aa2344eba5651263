"""`make load` finds what a load loses, mixes up, tells too late or leaks."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.load import checks as checks
from benchmarks.load.checks import Decision, Memory, Times
from benchmarks.load.client import Answered, Client, Plan, Seen, Sent, answer, play
from benchmarks.load.report import tables
from benchmarks.load.requests import BARE, HARD, MIXED, PATH, Ask, Asks, asked_for
from benchmarks.load.results import Loaded, Measured, Phase, Played, claims
from tests.support.servers import Answered as Reply
from tests.support.servers import Asked, listening

ROWS: list[dict[str, Any]] = [{"distance": float(at)} for at in range(200)]
SCORES = {"v1": [0.1] * 200, "v2": [0.9] * 200}
APPROVED = Decision("approve", "v2", 10.0, 11.0)
ROLLED_BACK = Decision("rollback", "v1", 20.0, 21.0)
TTL = 1.0
PREDICTION = b'{"version": "v1", "variant": "champion", "predictions": [{"id": "a"}]}'


def answered(version: str, sent: float, received: float | None = None, score: float = 0.1) -> Any:
    prediction = {"id": f"{version}-{sent}", "score": score, "label": score > 0.5}
    return Answered(range(1), sent, received or sent + 0.1, version, "champion", [prediction])


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
    seen = Seen(answered=[answered("v1", 1.0)])
    capture = {"id": "v1-1.0", "version": "v1", "variant": "champion", "score": 0.1, "label": False}

    same, other = ([capture], [capture | {field: "another"}])

    assert checks.unfaithful("prediction", checks.told(seen), checks.captured(same)) == []
    assert len(checks.unfaithful("prediction", checks.told(seen), checks.captured(other))) == 1


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


# Time and memory


def test_times_are_percentiles_of_each_kind_and_of_all() -> None:
    sent = [Sent("predict", 0.0, at / 1000, 200) for at in range(1, 101)]
    sent.append(Sent("page", 0.0, 1.0, 500, "500 and not 200"))

    found = checks.times(sent)

    assert found["predict"].requests == 100
    assert found["predict"].p50 == pytest.approx(50.5)
    assert found["predict"].p99 == pytest.approx(99.01)
    assert (found["page"].requests, found["page"].errors, found["page"].p50) == (1, 1, 1000.0)
    assert (found["all"].requests, found["all"].errors, found["all"].most) == (101, 1, 1000.0)


def memory(*values: float) -> Memory:
    return [(float(at), {"process": value, "other": 1e6 * at}) for at, value in enumerate(values)]


def test_the_slope_is_that_of_the_second_half_and_of_one_process() -> None:
    assert checks.slope(memory(0, 50, 80, 90, 100, 100, 100, 100), "process") == pytest.approx(0)
    assert checks.slope(memory(0, 0, 0, 0, 3, 6, 9, 12), "process") == pytest.approx(3)


def test_a_few_samples_have_no_slope() -> None:
    assert checks.slope(memory(1, 2, 3, 4, 5), "process") is None
    assert checks.slope(memory(*range(9)), "of another name") is None


def played(rate: float | None = 100.0, requests: int = 10_000, **more: Any) -> Played:
    """Return a phase of 10,000 requests in 100 s."""
    times = {"all": Times(requests, 0, 1.0, 2.0, 3.0, 4.0)}
    return Played(Phase("soak", Plan(requests, 8, rate), BARE), 100.0, times, **more)


def growing(kilobytes: float) -> Memory:
    """Return the samples of a process that grows by so much at each of 100 requests a second."""
    return [
        (float(at), {"FunctionOne": 9.0, "OneFunction": at * 100 * kilobytes / 1024})
        for at in range(101)
    ]


@pytest.mark.parametrize(
    ("kilobytes", "rate", "leaks"), [(2.0, 100.0, True), (0.5, 100.0, False), (2.0, None, False)]
)
def test_a_process_that_goes_on_growing_with_each_request_leaks(
    kilobytes: float, rate: float | None, leaks: bool
) -> None:
    found = played(rate, memory=growing(kilobytes))

    assert found.growth_kb("OneFunction") == pytest.approx(kilobytes)
    assert found.leaks("OneFunction") is leaks
    assert not found.leaks("FunctionOne")


def test_growth_within_an_allocators_noise_is_no_leak() -> None:
    assert played(requests=200, memory=growing(0.05)).leaks("OneFunction") is False


# What must hold


def measured(**more: Any) -> Measured:
    loaded = Loaded("target", [played(memory=growing(0.0))], predictions=1)
    return Measured(
        [replace(loaded, **{key: value for key, value in more.items() if key != "errors"})],
        {},
        more.get("errors", []),
        1.0,
        (0.0, 0.0),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"errors": ["500 and not 200"]},
        {"unrecorded": ["prediction a was recorded 0 times"]},
        {"misanswered": ["v1 answered what was asked at 12.100"]},
        {"played": [played(memory=[], decision=APPROVED, shown=None)]},
        {"played": [played(memory=growing(2.0))]},
    ],
    ids=["errors", "unrecorded", "misanswered", "decision", "memory"],
)
def test_each_thing_that_is_wrong_ends_the_load_as_a_failure(wrong: dict[str, Any]) -> None:
    assert all(claim.holds for claim in claims(measured()))
    assert [claim.holds for claim in claims(measured(**wrong))].count(False) == 1


def test_memory_may_grow_where_records_are_kept_in_it() -> None:
    growth = [(at, {"make serve": found["OneFunction"]}) for at, found in growing(2.0)]
    held = [Loaded("make serve", [played(memory=growth)], bare=bare) for bare in (False, True)]

    against = [claims(Measured([one], {}, [], 1.0, (0, 0)))[-1].holds for one in held]

    assert against == [True, False]


def test_the_tables_have_a_row_for_each_of_it() -> None:
    decided = played(memory=growing(1.0), decision=APPROVED, shown=0.5)

    found = {title: rows for title, _, _, rows in tables(measured(played=[decided]))}

    assert found["Answers"] == [
        ["target, soak", "10,000", "100.0", "0", "1.0", "2.0", "3.0", "4.0"]
    ]
    assert found["Decisions in the middle of it"] == [
        ["target, soak", "approve", "0", "1.00", "0.50"]
    ]
    assert found["What was recorded"] == [["target", "1", "0", "0", "0.0", "0"]]
    assert found["Memory, MB"][1] == ["", "OneFunction", "0", "5", "10", "1.00"]


# Clients


@pytest.mark.parametrize("kinds", [MIXED, HARD, BARE])
def test_requests_come_in_the_order_of_a_seed_and_of_every_kind(kinds: dict[str, int]) -> None:
    one, other = Asks(ROWS, kinds), Asks(ROWS, kinds)

    asked = [one.next() for _ in range(500)]

    assert {ask.kind for ask in asked} == set(kinds)
    assert [ask.kind for ask in asked] == [other.next().kind for _ in range(500)]


def test_an_outcome_is_reported_once_and_a_flood_is_of_nobodys_predictions() -> None:
    asks = Asks(ROWS, MIXED)
    asks.answered.extend(["a", "b", "c"])

    labels = [asks.outcomes(kind, count).labels for kind, count in FLOOD_BETWEEN]

    assert [set(one) & {"a", "b", "c"} for one in labels] == [{"a", "b"}, set(), {"c"}, set()]
    assert [len(one) for one in labels] == [2, 1_000, 2, 1]


FLOOD_BETWEEN = [("feedback", 2), ("flood", 1_000), ("feedback", 2), ("feedback", 1)]


def ask_of(reply: Callable[[Asked], Reply | None], ask: Ask) -> Seen:
    """Return what a client sees of one request."""
    seen = Seen()
    with listening(reply) as address:
        own = Client(int(address.rpartition(":")[2]))
        answer(own, Asks(ROWS, MIXED), ask, seen, 0.0)
        own.close()
    return seen


def test_a_right_answer_is_kept_for_what_must_be_recorded() -> None:
    predicted = ask_of(lambda _: Reply(PREDICTION), asked_for("predict", PATH, ROWS, range(1)))
    labelled = ask_of(lambda _: Reply(b'{"accepted": 1}', 202), OUTCOME)

    assert [one.fault for one in [*predicted.sent, *labelled.sent]] == [None, None]
    assert [(one.version, one.predictions) for one in predicted.answered] == [("v1", [{"id": "a"}])]
    assert labelled.accepted == {"a": True}


OUTCOME = Ask("feedback", "POST", PATH, 202, b"{}", labels={"a": True})


@pytest.mark.parametrize(
    ("reply", "rows"),
    [
        (None, 1),
        (Reply(PREDICTION, 503), 1),
        (Reply(PREDICTION), 2),
        (Reply(b"<html>"), 1),
        (Reply(b"{}"), 1),
    ],
    ids=["no answer", "another status", "too few rows", "not JSON", "nothing in it"],
)
def test_an_answer_that_is_not_what_it_should_be_is_an_error(
    reply: Reply | None, rows: int
) -> None:
    seen = ask_of(lambda _: reply, asked_for("predict", PATH, ROWS, range(rows)))

    (sent,) = seen.sent
    assert sent.fault
    assert (seen.answered, seen.accepted) == ([], {})


def test_labels_that_were_not_all_accepted_are_an_error() -> None:
    (sent,) = ask_of(lambda _: Reply(b'{"accepted": 0}', 202), OUTCOME).sent

    assert sent.fault


@pytest.mark.parametrize("rate", [None, 1_000.0])
def test_every_request_of_a_plan_is_sent_and_the_middle_is_told_once(rate: float | None) -> None:
    seen, middle = Seen(), threading.Event()
    asks = Asks(ROWS, {"page": 1})

    with listening(lambda _: Reply(b"{}")) as address:
        play(int(address.rpartition(":")[2]), Plan(40, 4, rate), asks, seen, middle.set)

    assert len(seen.sent) == 40
    assert [one.fault for one in seen.sent] == [None] * 40
    assert middle.is_set()


def test_at_a_rate_a_request_counts_from_when_it_was_due_and_not_from_when_it_was_sent() -> None:
    seen = Seen()

    with listening(lambda _: Reply(b"{}")) as address:
        port = int(address.rpartition(":")[2])
        play(port, Plan(4, 1, 100_000.0), Asks(ROWS, {"page": 1}), seen, lambda: None)

    waited = [one.due - seen.sent[0].due for one in seen.sent]  # one client is not that fast
    assert waited == pytest.approx([0.0, 1e-5, 2e-5, 3e-5], abs=1e-7)


def test_a_decision_that_is_refused_ends_the_load() -> None:
    def refused() -> None:
        raise SystemExit("409")

    with listening(lambda _: Reply(b"{}")) as address:
        port = int(address.rpartition(":")[2])
        with pytest.raises(SystemExit, match="409"):
            play(port, Plan(4, 2), Asks(ROWS, {"page": 1}), Seen(), refused)
