"""Tests that may be looked at every day, beside their formulas and what they promise."""

from datetime import UTC, date, datetime
from math import comb, log, sqrt

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from scipy.stats import norm, t

from evergreen.rollout.confidence_sequence import bound, e_excess, mismatch
from evergreen.rollout.evidence import ArmDay, Evidence, standing

values = st.floats(-1, 1, allow_nan=False)
alphas = st.floats(0.001, 0.4)


@pytest.mark.parametrize(("count", "wider"), [(5, 2.0), (40, 1.1), (2_000, 1.01)])
def test_the_sequence_is_that_of_its_source_widened_for_few_days(count: int, wider: float) -> None:
    days = np.random.default_rng(1).normal(0.01, 0.05, count)
    n, alpha, spread = count, 0.05, float(np.std(days, ddof=1))
    r2 = (-2 * log(2 * alpha) + log(1 - 2 * log(2 * alpha))) / 30
    reach = sqrt(2 * (n * r2 + 1) / (n**2 * r2) * log(1 + sqrt(n * r2 + 1) / (2 * alpha)))
    exact = t.isf(norm.sf(reach * sqrt(n)), n - 1) / sqrt(n)

    found = bound(days, alpha)

    assert found is not None
    assert found.lower == pytest.approx(days.mean() - spread * exact)
    assert found.upper == pytest.approx(days.mean() + spread * exact)
    assert reach < exact
    assert (exact < wider * reach) == (count > 5)


@pytest.mark.parametrize("days", [[], [0.5]])
def test_fewer_than_two_days_have_no_interval(days: list[float]) -> None:
    assert bound(days, 0.05) is None


@hypothesis_given(days=st.lists(values, min_size=2, max_size=60), alpha=alphas)
def test_the_sequence_holds_its_mean_and_is_mirrored_with_its_days(
    days: list[float], alpha: float
) -> None:
    found, mirrored = bound(days, alpha), bound([-day for day in days], alpha)

    assert found is not None
    assert mirrored is not None
    assert found.lower <= found.mean <= found.upper
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower))


@hypothesis_given(
    days=st.lists(values, min_size=2, max_size=60),
    alphas=st.tuples(st.floats(0.001, 0.2), st.floats(0.001, 0.2)).map(sorted),
)
def test_who_may_be_wrong_more_often_may_say_more(days: list[float], alphas: list[float]) -> None:
    careful, bold = bound(days * 5, alphas[0]), bound(days * 5, alphas[1])

    assert careful is not None
    assert bold is not None
    assert careful.lower <= bold.lower + 1e-12
    assert careful.upper >= bold.upper - 1e-12


@hypothesis_given(days=st.lists(values, min_size=4, max_size=30, unique=True), alpha=alphas)
def test_more_days_of_the_same_kind_narrow_the_sequence(days: list[float], alpha: float) -> None:
    few, many = bound(days, alpha), bound(days * 4, alpha)

    assert few is not None
    assert many is not None
    assert many.upper - many.lower < few.upper - few.lower


def test_four_days_alike_are_not_certain_and_a_week_of_them_is() -> None:
    certain = {
        days: found.lower > 0
        for days in (2, 3, 4, 5, 7, 14)
        if (found := bound([0.01] * days, 0.05))
    }

    assert certain == {2: False, 3: False, 4: False, 5: True, 7: True, 14: True}


def test_days_that_differ_as_days_do_are_not_widened() -> None:
    days = np.random.default_rng(2).normal(0.05, 0.05, 14)

    found, moved = bound(days, 0.05), bound(days - days.mean(), 0.05)

    assert found is not None
    assert moved is not None
    assert found.upper - found.mean == pytest.approx(moved.upper)


def test_equal_models_have_no_gain_and_no_interval_beside_it() -> None:
    found = bound([0.0] * 60, 0.05)

    assert found is not None
    assert (found.mean, found.lower, found.upper) == (0, 0, 0)


@pytest.mark.slow
def test_looking_every_day_for_sixty_days_is_wrong_no_more_often_than_said() -> None:
    runs = np.random.default_rng(3).normal(0, 0.05, (1_000, 60))

    wrong = sum(
        any((found := bound(run[:days], 0.05)) and found.lower > 0 for days in range(14, 61))
        for run in runs
    )

    assert wrong / 1_000 <= 0.06


def test_a_gain_of_one_spread_is_found_within_a_month() -> None:
    runs = np.random.default_rng(4).normal(0.05, 0.05, (200, 30))

    found = sum((at := bound(run, 0.05)) is not None and at.lower > 0 for run in runs)

    assert found / 200 > 0.95


def arm(losses: "np.typing.NDArray[np.float64]") -> list[ArmDay]:
    days = (date(2013, 4, 1 + number) for number in range(len(losses)))
    return [
        ArmDay(day=day, rows=9, labelled=9, loss=float(loss))
        for day, loss in zip(days, losses, strict=True)
    ]


def test_what_moves_both_arms_on_a_day_cancels_out() -> None:
    weather = np.random.default_rng(5).normal(0, 1, 30)
    control = 0.5 + weather
    treatment = 0.4 + weather + np.tile([0.01, -0.01], 15)
    at = datetime(2013, 5, 1, tzinfo=UTC)

    evidence = Evidence(at, control=arm(control), treatment=arm(treatment))
    found = standing(evidence, (0.5, 0.5), 0.05).gain

    assert found is not None
    assert found.mean == pytest.approx(0.1)
    assert found.lower > 0


# Guardrails


@pytest.mark.parametrize("rate", [0.01, 0.005, 0.0])
@pytest.mark.parametrize("rows", [1, 20, 300])
def test_failures_within_the_limit_are_expected_to_show_no_evidence(rows: int, rate: float) -> None:
    expected = sum(
        comb(rows, events) * rate**events * (1 - rate) ** (rows - events)
        * e_excess(events, rows, 0.01)
        for events in range(rows + 1)
    )  # fmt: skip

    assert expected <= 1 + 1e-9
    assert expected == pytest.approx(1) or rate < 0.01


@hypothesis_given(events=st.integers(0, 50), rows=st.integers(50, 5_000))
def test_more_failures_are_more_evidence_and_more_good_answers_less(events: int, rows: int) -> None:
    now = e_excess(events, rows, 0.01)

    assert e_excess(events, rows + 100, 0.01) <= now
    assert e_excess(events + 1, rows + 1, 0.01) >= now


def test_a_third_of_all_failing_is_found_within_a_dozen_requests() -> None:
    first = next(rows for rows in range(3, 60, 3) if e_excess(rows // 3, rows, 0.01) >= 20)

    assert first <= 12


def test_nothing_asked_is_no_evidence() -> None:
    assert e_excess(0, 0, 0.01) == 1


# Splits


@pytest.mark.parametrize(
    ("found", "shares", "likely"),
    [
        ((0, 0), (0.5, 0.5), True),
        ((500, 500), (0.5, 0.5), True),
        ((9_480, 520), (0.95, 0.05), True),
        ((9_480, 520), (0.5, 0.5), False),
        ((100, 0), (0.5, 0.5), False),
        ((4, 0), (0.5, 0.5), True),
    ],
)
def test_a_split_is_a_mismatch_when_chance_does_not_make_it(
    found: tuple[int, int], shares: tuple[float, float], likely: bool
) -> None:
    assert (mismatch(found, shares) >= 0.001) == likely


def test_the_chance_of_a_split_is_that_of_the_normal_distribution() -> None:
    assert mismatch((540, 460), (0.5, 0.5)) == pytest.approx(2 * norm.sf(40 / sqrt(250)))
