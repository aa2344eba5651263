"""A rule as a candidate and as a version: what it learns, what it is written as, what it scores."""

import json
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from evergreen.contract.errors import CandidateError, ModelUnavailableError
from evergreen.contract.rule import Rule, When
from evergreen.contract.schema import JsonSchema, columns_of
from evergreen.registry.manifest import Manifest
from evergreen.serving import model, runtime_rule
from evergreen.training.train_version import Trained
from tests.support import given

FRAME = pd.DataFrame(
    {
        "hour": np.array([6, 9, 18, 19, 20, np.nan], dtype=np.float32),
        "carrier": np.array(["EV", "UA", "EV", "UA", "", "EV"], dtype=object),
    }
)
LATE = np.array([False, False, True, True, False, True])
MINUTES = np.array([10.0, 20.0, 90.0, 30.0, 40.0, 80.0])
KIND = np.array(["a", "a", "b", "c", "b", "a"], dtype=object)


def scores(rule: Rule, frame: pd.DataFrame = FRAME) -> Any:
    """Return what the version that the rule becomes scores."""
    score = runtime_rule.scorer(rule.artifact(), list(frame.columns))
    return score({name: frame[name].to_numpy() for name in frame.columns})


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        (("hour", "<", 9), [0]),
        (("hour", "<=", 9), [0, 1]),
        (("hour", ">", 18), [3, 4]),
        (("hour", ">=", 18), [2, 3, 4]),
        (("hour", "==", 9), [1]),
        (("hour", "!=", 9), [0, 2, 3, 4]),
        (("hour", "in", [6, 20]), [0, 4]),
        (("hour", "missing"), [5]),
        (("carrier", "==", "EV"), [0, 2, 5]),
        (("carrier", "!=", "EV"), [1, 3]),
        (("carrier", "in", ["UA", "DL"]), [1, 3]),
        (("carrier", "missing"), [4]),
    ],
    ids=str,
)
def test_a_condition_holds_for_these_rows_and_never_where_the_value_is_missing(
    condition: tuple[Any, ...], rows: list[int]
) -> None:
    rule = Rule(When(condition, score=0.9), otherwise=0.1).fit(FRAME, LATE)

    assert np.flatnonzero(scores(rule) == 0.9).tolist() == rows


def test_a_number_is_compared_as_a_model_reads_it() -> None:
    frame = pd.DataFrame({"x": np.array([0.1, 0.2], dtype=np.float32)})

    rule = Rule(When(("x", "==", 0.1), score=1.0), otherwise=0.0).fit(frame, LATE[:2])

    assert scores(rule, frame).tolist() == [1.0, 0.0]


def test_the_first_branch_of_which_all_conditions_hold_has_the_score() -> None:
    rule = Rule(
        When(("hour", ">=", 18), ("carrier", "==", "EV"), score=0.9),
        When(("hour", ">=", 18), score=0.6),
        When(("carrier", "==", "EV"), score=0.3),
        otherwise=0.0,
    ).fit(FRAME, LATE)

    assert scores(rule).tolist() == [0.3, 0.0, 0.9, 0.6, 0.6, 0.3]


def test_without_conditions_a_rule_is_the_constant_that_is_best() -> None:
    assert scores(Rule().fit(FRAME, LATE)).tolist() == [0.5] * 6
    assert scores(Rule().fit(FRAME, MINUTES)).tolist() == [35.0] * 6
    assert scores(Rule().fit(FRAME, KIND)) == pytest.approx(np.tile([3 / 6, 2 / 6, 1 / 6], (6, 1)))


def test_a_branch_without_a_score_has_that_of_its_rows_and_of_one_that_is_like_all() -> None:
    evening = When(("hour", ">=", 18))

    assert scores(Rule(evening).fit(FRAME, LATE))[2] == (2 + 0.5) / 4
    assert scores(Rule(evening).fit(FRAME, MINUTES))[2] == 40.0
    assert scores(Rule(evening).fit(FRAME, KIND))[2] == pytest.approx(
        [(0 + 3 / 6) / 4, (2 + 2 / 6) / 4, (1 + 1 / 6) / 4]
    )


def test_a_branch_that_no_row_is_in_has_what_is_true_of_all() -> None:
    rule = Rule(When(("carrier", "==", "XX"))).fit(FRAME, LATE)
    unseen = FRAME.assign(carrier="XX")

    assert scores(rule, unseen).tolist() == [0.5] * 6


def test_scores_by_class_may_be_given() -> None:
    rule = Rule(When(("hour", "<", 9), score={"a": 0.9, "c": 0.1})).fit(FRAME, KIND)

    assert scores(rule)[0].tolist() == [0.9, 0.0, 0.1]


@pytest.mark.parametrize(
    ("labels", "score"),
    [
        (LATE, 1.5), (LATE, -0.1), (LATE, float("nan")), (LATE, {"a": 1.0}),
        (MINUTES, float("inf")), (MINUTES, {"a": 1.0}),
        (KIND, 0.5), (KIND, {"a": 0.5}), (KIND, {"a": 2.0, "b": -1.0}), (KIND, {"z": 1.0}),
        (KIND, {}),
    ],
    ids=str,
)  # fmt: skip
def test_a_score_that_the_problem_cannot_have_is_refused(labels: Any, score: Any) -> None:
    with pytest.raises(CandidateError, match="its score"):
        Rule(otherwise=score).fit(FRAME, labels)


@pytest.mark.parametrize(
    "condition",
    [("hour", "~", 9), ("hour",), ("hour", "<", {"a": 1}), ("hour", "<", 9, "more"), (7, "<", 9)],
    ids=str,
)
def test_what_is_no_condition_is_an_error_when_the_file_is_read(condition: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        When(condition)


@pytest.mark.parametrize(
    "condition",
    [
        ("no_such", "<", 9),
        ("hour", "<", "nine"),
        ("hour", "in", 9),
        ("hour", "<", [9]),
        ("hour", "in", ["nine"]),
        ("hour", "<"),
        ("hour", "missing", 9),
        ("carrier", "<", "UA"),
        ("carrier", "==", 9),
    ],
    ids=str,
)
def test_a_condition_that_no_row_could_be_tested_by_is_named(
    schema: JsonSchema, condition: tuple[Any, ...]
) -> None:
    with pytest.raises(ValueError, match=condition[0]):
        Rule(When(condition, score=0.1)).check(schema)


def test_sound_conditions_are_let_through(schema: JsonSchema) -> None:
    Rule(
        When(("hour", ">=", 17), ("carrier", "in", ["EV"])), When(("temp", "missing"))
    ).check(schema)  # fmt: skip


def test_a_rule_that_was_not_fitted_has_no_artifact() -> None:
    with pytest.raises(CandidateError, match="not been fitted"):
        Rule().artifact()


def test_the_artifact_can_be_read_by_people_and_is_the_same_each_time() -> None:
    rule = Rule(When(("hour", ">=", 17), score=0.4))

    text = rule.fit(FRAME, LATE).artifact()

    assert json.loads(text)["branches"] == [{"when": [["hour", ">=", 17.0]], "score": 0.4}]
    assert text.count(b"\n") > 5
    assert text == rule.fit(FRAME, LATE).artifact()


# As a version


def version_of(trained: Trained, rule: Rule) -> tuple[Manifest, bytes]:
    body = rule.fit(given.table(), np.array([True, False] * 450)).artifact()
    rows = [given.whole(hour=hour) for hour in (7, 18)]
    columns = columns_of(trained.manifest.schema, rows)
    golden = list(zip(rows, rule.scores(columns).tolist(), strict=True))
    return msgspec.structs.replace(trained.manifest, kind="rule", golden=golden), body


@pytest.mark.parametrize("runtime", ["onnx", "sklearn"])
def test_a_rule_is_loaded_under_each_runtime_and_repeats_its_golden_rows(
    trained: Trained, runtime: str
) -> None:
    manifest, body = version_of(trained, Rule(When(("hour", ">=", 17), score=0.4), otherwise=0.2))

    loaded = model.load(manifest, body, runtime)

    assert loaded.scores_of([given.whole(hour=17), given.whole(hour=7)]).tolist() == [0.4, 0.2]


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b"0.4", b"0.41"),
        lambda body: body.replace(b'"hour"', b'"no_such"'),
        lambda _: b"{",
        lambda _: b"{}",
    ],
    ids=["another score", "a field that is none", "cut off", "empty"],
)
def test_a_rule_that_does_not_answer_as_it_did_cannot_be_loaded(
    trained: Trained, change: Any
) -> None:
    manifest, body = version_of(trained, Rule(When(("hour", ">=", 17), score=0.4), otherwise=0.2))

    with pytest.raises(ModelUnavailableError):
        model.load(manifest, change(body))
