"""What days bet, what that comes to, and how the champion stands beside a constant and a line."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.contract.problem import Problem
from evergreen.monitoring.ecusum import days as by_day
from evergreen.monitoring.ecusum.comparisons import (
    LINE,
    SKILL,
    compared,
    constant_loss,
    outcomes_of,
    watched,
)
from evergreen.monitoring.performance import Rows, expected, summarize
from evergreen.monitoring.recalibrate import learn
from evergreen.monitoring.report import DayPerformance
from evergreen.registry.manifest import Expected

FIRST = date(2013, 2, 1)
DAY = timedelta(days=1)
bets = st.lists(st.floats(-1, 1), max_size=80)


@hypothesis_given(found=bets, threshold=st.sampled_from([100.0, 1_000.0]))
def test_an_alarm_begins_at_its_threshold_and_goes_on_until_all_is_lost(
    found: list[float], threshold: float
) -> None:
    before = False
    for number in range(1, len(found) + 1):
        evidence, on = by_day.follow(found[:number], threshold)

        assert on == (evidence >= threshold or (before and evidence >= 1))
        before = on


@hypothesis_given(scale=st.floats(0.01, 10), sign=st.sampled_from([-1, 1]))
def test_a_bet_does_not_depend_on_the_unit_of_the_loss(scale: float, sign: int) -> None:
    days = np.random.default_rng(1).normal(0, 1, 20)
    days[-1] *= sign

    assert by_day.bet(scale * days) == pytest.approx(by_day.bet(days))


def test_a_day_is_scaled_by_days_that_end_two_days_before_it() -> None:
    days = np.array([9.0, *[1.0] * 60, 7.0, 7.0, 1.0])

    assert by_day.bet(days) == 0.5
    assert by_day.bet(days[-7:]) is None
    assert by_day.bet(np.array([0.0] * 7 + [0.004])) == 0.5


def test_ten_bad_days_after_calm_ones_are_an_alarm_that_thirty_good_ones_end() -> None:
    assert by_day.follow([1.0] * 10, 100)[1]
    assert not by_day.follow([1.0] * 8, 100)[1]
    assert not by_day.follow([1.0] * 40 + [-1.0] * 30, 100)[1]


@pytest.mark.parametrize(
    ("problem", "labels", "known", "loss"),
    [
        (Problem(), [True, False, False, False], [(True, 25.0), (False, 75.0)], 0.5623),
        (
            Problem(kind="multiclass", classes=["a", "b"]),
            ["a", "c"],
            [("a", 50.0), ("b", 50.0)],
            (-np.log(50.5 / 101.5) - np.log(0.5 / 101.5)) / 2,
        ),
        (Problem(kind="regression", scale=2.0), [*range(101)], [(20.0, 5.0), (50.0, 9.0)], 12.6),
    ],
)
def test_a_constant_loses_what_it_would_have_lost(
    problem: Problem, labels: list[Any], known: Any, loss: float
) -> None:
    seen = np.array(labels, dtype=object if problem.kind == "multiclass" else None)

    found = constant_loss(problem, known, outcomes_of(problem, seen))

    assert found == pytest.approx(loss, rel=0.012)


def scored(day: date, rows: int, random: np.random.Generator, *, noise: float, rate: float) -> Any:
    """Return scores and labels of a day; noise: the share of scores that are of other rows."""
    logit = random.normal(0, 1, rows) + np.log(rate / (1 - rate))
    labels = random.random(rows) < 1 / (1 + np.exp(-logit))
    told = np.where(random.random(rows) < noise, random.permutation(logit), logit)
    return 1 / (1 + np.exp(-told)), labels


def lived(
    noise: Sequence[float], *, raised: float = 0.0, raw: bool = False
) -> list[DayPerformance]:
    """Return closed days, after a holdout of 14, with what a check says of them.

    noise: of each day. raised: by how much the model's logits are too high. raw: whether that is
    mended before it is served.
    """
    random, version, lag = np.random.default_rng(3), "v1", 2
    held = [scored(FIRST + n * DAY, 900, random, noise=0.0, rate=0.2) for n in range(14)]
    at = np.repeat(np.arange(14), 900) + np.datetime64(FIRST - 14 * DAY)
    whole, told = (np.concatenate(parts) for parts in zip(*held, strict=True))
    promise: Expected = expected(told, whole, at)
    days: list[DayPerformance] = []
    for number, share in enumerate(noise):
        scores, labels = scored(FIRST, 900, random, noise=share, rate=0.2)
        off = scores / (scores + (1 - scores) * np.exp(-raised))
        seen = Rows(scores if raw else off, labels, scores, {}, off if raw else None)
        days.append(
            summarize(FIRST + number * DAY, version, Problem(), seen, expected=promise, closed=True)
        )
    tallies = [*promise.days, *(day.tally for day in days if day.tally)]
    learnt = learn(tallies, lag, FIRST + len(days) * DAY)
    return compared(days, version, Problem(), promise, learnt, skill=0.08, lag=lag)


def rung(days: list[DayPerformance]) -> set[str]:
    return {watch.about for watch in watched(days, "v1") if watch.on}


def test_a_model_that_keeps_its_skill_raises_nothing() -> None:
    days = lived([0.0] * 60)

    assert rung(days) == set()
    assert all(len(day.bets) == 2 for day in days)


def test_half_of_the_skill_is_gone_where_scores_tell_rows_no_longer_apart() -> None:
    assert SKILL in rung(lived([0.0] * 20 + [1.0] * 14))


def test_scores_that_are_all_too_high_need_recalibration_and_not_where_it_is_served() -> None:
    off = lived([0.0] * 60, raised=0.7)
    mended = lived([0.0] * 60, raised=0.7, raw=True)

    assert LINE in rung(off)
    assert rung(mended) == set()
    assert np.mean([day.raw - day.mixed for day in off[20:]]) > 0.02  # type: ignore[operator]
    assert off[-1].raw == pytest.approx(mended[-1].raw)


def test_what_stands_in_a_closed_day_is_kept_though_its_outcomes_are_gone() -> None:
    days = lived([0.0] * 30)
    bare = [msgspec.structs.replace(day, outcomes=[], tally=None) for day in days]

    again = compared(bare, "v1", Problem(), None, learn([], 2, FIRST), skill=0.08, lag=2)

    assert again == bare
    assert watched(again, "v1") == watched(days, "v1")


def test_days_of_an_older_report_bet_nothing() -> None:
    none = dict.fromkeys(("tally", "raw", "constant", "line", "mixed"))
    days = [msgspec.structs.replace(day, outcomes=[], bets=[], **none) for day in lived([1.0] * 30)]

    found = compared(days, "v1", Problem(), None, learn([], 2, FIRST), skill=0.08, lag=2)

    assert [watch.evidence for watch in watched(found, "v1")] == [1.0, 1.0]
