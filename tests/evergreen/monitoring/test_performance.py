"""What to expect of a version, how a day went, and the verdict over days."""

from datetime import date
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.contract.problem import Problem
from evergreen.monitoring.ecusum.rows import BETS, CAP, START, THRESHOLD
from evergreen.monitoring.performance import Rows, expected, judge, summarize
from evergreen.monitoring.report import DayPerformance
from evergreen.registry.manifest import Expected

EXPECTED = Expected(bounded=0.18, upper=0.2, similarity=0.0, calibration=[(0.0, 0.1), (1.0, 0.9)])
DAY = date(2013, 2, 1)

rows = st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.booleans()), max_size=40)


def summary(
    scores: npt.NDArray[np.float64],
    labels: npt.NDArray[Any],
    captured: npt.NDArray[np.float64] | None = None,
    slices: dict[str, npt.NDArray[Any]] | None = None,
    **changes: Any,
) -> DayPerformance:
    seen = Rows(scores, labels, scores if captured is None else captured, slices or {})
    given: dict[str, Any] = {"day": DAY, "version": "v1", "problem": Problem()}
    return summarize(**(given | {"rows": seen, "expected": EXPECTED, "closed": True} | changes))


def day_of_errors(rate: float, seed: int, rows: int = 900, **changes: Any) -> DayPerformance:
    """Return a day on which a model that always says "no" is wrong at this rate."""
    labels = np.random.default_rng(seed).random(rows) < rate
    return summary(np.zeros(rows), labels, **changes)


def test_independent_rows_are_not_alike_and_have_a_limit_near_their_mean() -> None:
    labels = np.random.default_rng(3).random(25_200) < 0.2
    days = np.repeat(np.arange(28), 900).astype("datetime64[D]")

    found = expected(labels, np.full(25_200, 0.2), days)

    assert found.similarity < 0.001
    assert found.bounded < found.upper < found.bounded + 0.01


def test_one_day_counts_as_one_row_as_it_does_not_show_how_days_differ() -> None:
    labels = np.arange(100) % 5 == 0

    found = expected(labels, np.full(100, 0.2), np.zeros(100, dtype="datetime64[D]"))

    assert found.similarity == 1
    assert 0.16 < found.upper < 0.22


def test_a_perfect_holdout_does_not_promise_perfection() -> None:
    labels = np.arange(300) % 2 == 0
    days = np.repeat(np.arange(3), 100).astype("datetime64[D]")

    found = expected(labels, labels.astype(float), days)

    assert found.bounded == 0
    assert found.upper == pytest.approx(0.01)


def test_the_calibration_map_is_short_ascends_and_says_what_scores_mean() -> None:
    random = np.random.default_rng(4)
    scores = random.random(20_000)
    labels = random.random(20_000) < scores**2
    days = np.repeat(np.arange(20), 1_000).astype("datetime64[D]")

    points = np.array(expected(labels, scores, days).calibration)

    assert len(points) <= 50
    assert (np.diff(points, axis=0) >= 0).all()
    assert np.interp([0.2, 0.5, 0.8], *points.T) == pytest.approx([0.04, 0.25, 0.64], abs=0.07)


@hypothesis_given(found=rows, days=st.integers(1, 4))
def test_every_holdout_gives_an_expectation_that_json_can_carry(
    found: list[tuple[float, bool]], days: int
) -> None:
    scores = np.array([score for score, _ in found])
    labels = np.array([label for _, label in found], dtype=bool)

    given = expected(labels, scores, (np.arange(len(found)) % days).astype("datetime64[D]"))

    assert 0 <= given.bounded <= given.upper <= 1
    assert 0 <= given.similarity <= 1
    assert msgspec.json.decode(msgspec.json.encode(given), type=Expected) == given


@hypothesis_given(found=rows, known=st.booleans())
def test_every_day_gives_a_summary_that_json_can_carry(
    found: list[tuple[float, bool]], known: bool
) -> None:
    scores = np.array([score for score, _ in found])
    labels = np.array([label for _, label in found], dtype=bool)

    given = summary(
        scores,
        labels,
        slices={"carrier": labels.astype(str).astype(object)},
        expected=EXPECTED if known else None,
    )

    assert msgspec.json.decode(msgspec.json.encode(given), type=DayPerformance) == given
    assert sum(one.rows for one in given.calibration) == given.labelled == len(found)
    assert sum(one.rows for one in given.slices["carrier"].values()) == len(found)
    assert (given.loss is None) == (given.estimate is None if known else not found) == (not found)


@hypothesis_given(found=rows, seed=st.integers(0, 9))
def test_a_summary_does_not_depend_on_the_order_of_rows_but_for_its_evidence(
    found: list[tuple[float, bool]], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(found))
    scores = np.array([score for score, _ in found])
    labels = np.array([label for _, label in found], dtype=bool)
    carriers = np.array([f"{score}" for score, _ in found], dtype=object)

    first = summary(scores, labels, slices={"carrier": carriers})
    second = summary(scores[order], labels[order], slices={"carrier": carriers[order]})

    plain, shuffled = flat(msgspec.to_builtins(first)), flat(msgspec.to_builtins(second))
    assert plain.keys() == shuffled.keys()
    for name in plain:
        assert name.startswith(".evidence") or plain[name] == pytest.approx(shuffled[name]), name
    totals = [total for total, _ in first.evidence]
    assert totals == pytest.approx([total for total, _ in second.evidence])


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return the leaves of nested lists and dicts by their path."""
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {name: value}
    leaves = [flat(inner, f"{name}.{key}") for key, inner in value.items()]
    return {path: leaf for found in leaves for path, leaf in found.items()}


def test_a_day_is_summarized_by_its_loss_accuracy_and_the_accuracy_that_was_promised() -> None:
    scores, labels = np.array([0.5, 0.5, 0.0, 1.0]), np.array([True, False, False, True])

    found = summary(scores, labels, captured=np.array([0.0, 1.0, 0.75, 0.75, 0.25]))

    assert found.loss == pytest.approx(np.log(2) / 2)
    assert found.high == pytest.approx(found.loss + 1.96 * np.log(2) / np.sqrt(3) / 2)
    assert found.low == pytest.approx(found.loss - 1.96 * np.log(2) / np.sqrt(3) / 2)
    assert (found.bounded, found.accuracy) == (0.125, 0.75)
    assert found.estimate == pytest.approx((0.9 + 0.9 + 0.7 + 0.7 + 0.7) / 5)
    assert (found.captured, found.labelled) == (5, 4)


def test_the_estimate_judges_the_answer_that_was_given_and_not_the_better_one() -> None:
    inflated = msgspec.structs.replace(EXPECTED, calibration=[(0.0, 0.0), (1.0, 0.5)])

    found = summary(np.full(3, 0.6), np.full(3, True), expected=inflated)

    assert found.estimate == pytest.approx(0.3)


def test_one_labelled_row_has_no_interval_and_none_has_no_loss() -> None:
    one = summary(np.array([0.5]), np.array([True]))
    none = summary(np.array([]), np.array([], dtype=bool), captured=np.array([0.5]))

    assert one.low == one.high == one.loss == pytest.approx(np.log(2))
    assert (none.loss, none.low, none.high, none.bounded, none.accuracy) == (None,) * 5
    assert none.evidence == []
    assert none.estimate == pytest.approx(0.5)


def test_calibration_has_ten_bins_and_a_certain_score_is_in_the_last() -> None:
    found = summary(np.array([0.0, 0.05, 0.1, 1.0]), np.array([False, True, True, True]))

    assert [one.rows for one in found.calibration] == [2, 1, *[0] * 7, 1]
    assert found.calibration[0].score == pytest.approx(0.025)
    assert found.calibration[0].positive == 0.5
    assert found.calibration[9].score == 1.0


def test_rare_values_of_a_slice_are_told_together() -> None:
    carriers = np.array([f"c{i:02}" for i in range(25) for _ in range(50 - i)] + ["other"] * 99)
    scores = np.where(carriers == "c24", 0.5, 0.0)

    found = summary(scores, scores > 0, slices={"carrier": carriers}).slices["carrier"]

    assert [*found] == [f"c{i:02}" for i in range(20)] + ["other"]
    assert found["c00"].rows == 50
    assert found["other"].rows == 99 + 30 + 29 + 28 + 27 + 26
    assert found["other"].loss == pytest.approx(26 * np.log(2) / 239)


def test_which_of_equally_rare_values_are_told_apart_does_not_depend_on_their_order() -> None:
    carriers = np.array([f"c{i:02}" for i in range(25)])

    given = {"carrier": carriers[::-1]}
    found = summary(np.zeros(25), np.zeros(25, dtype=bool), slices=given).slices["carrier"]

    assert [*found] == [*carriers[:20], "other"]


def test_a_version_that_became_worse_is_degraded_and_the_same_as_ever_is_steady() -> None:
    good = [day_of_errors(0.18, seed) for seed in range(10)]
    bad = [day_of_errors(0.3, seed) for seed in range(2)]

    assert judge(good, "v1", EXPECTED)[0] == "steady"
    outcome, found = judge([*good, *bad], "v1", EXPECTED)
    assert outcome == "degraded"
    assert found >= THRESHOLD


def test_open_days_and_those_of_another_version_are_no_evidence() -> None:
    good = [day_of_errors(0.18, seed) for seed in range(3)]
    bad = [day_of_errors(0.5, 0, closed=False), day_of_errors(0.5, 1, version="v0")]

    assert judge([*good, *bad], "v1", EXPECTED) == judge(good, "v1", EXPECTED)


def test_without_labels_or_expectations_there_is_no_verdict() -> None:
    unlabelled = summary(np.array([]), np.array([], dtype=bool))

    assert judge([], "v1", EXPECTED) == ("no labels", 1.0)
    assert judge([unlabelled, day_of_errors(0.9, 0, version="v0")], "v1", EXPECTED) == (
        "no labels",
        1.0,
    )
    assert judge([day_of_errors(0.9, 0)], "v1", None) == ("steady", 1.0)


def test_a_long_bad_time_is_over_soon_after_it_is_over() -> None:
    bad = [day_of_errors(0.9, seed) for seed in range(60)]
    good = [day_of_errors(0.18, seed) for seed in range(5)]

    assert judge(bad, "v1", EXPECTED)[1] == pytest.approx(np.exp(CAP))
    assert judge([*bad, *good], "v1", EXPECTED)[0] == "steady"


def test_one_bet_alone_can_raise_the_alarm_below_the_cap() -> None:
    assert np.exp(CAP) / len(BETS) > THRESHOLD
    assert len(START) == len(BETS)


def test_several_classes_and_numbers_have_a_limit_like_probabilities() -> None:
    random, days = np.random.default_rng(5), np.repeat(np.arange(28), 100).astype("datetime64[D]")
    numbers = random.normal(100, 20, 2_800)
    minutes = Problem(kind="regression", scale=16.0)
    weather = Problem(kind="multiclass", classes=["a", "b", "c"])
    labels = random.choice(weather.classes, 2_800).astype(object)

    regression = expected(numbers, numbers + random.normal(0, 4, 2_800), days, minutes)
    several = expected(labels, np.full((2_800, 3), 1 / 3), days, weather)

    assert 0.18 < regression.bounded < regression.upper < 0.22
    assert regression.calibration == []
    assert several.bounded == pytest.approx(1 / 3)
    assert several.calibration[0] == pytest.approx((1 / 3, 1 / 3), abs=0.03)


def test_a_regression_that_is_twice_as_far_off_is_degraded() -> None:
    random, minutes = np.random.default_rng(6), Problem(kind="regression", scale=16.0)
    numbers = random.normal(100, 20, 900)
    days = [
        summary(numbers + random.normal(0, width, 900), numbers, problem=minutes)
        for width in (4, 8, 8)
    ]

    assert judge(days[:1], "v1", EXPECTED)[0] == "steady"
    assert judge(days, "v1", EXPECTED)[0] == "degraded"
