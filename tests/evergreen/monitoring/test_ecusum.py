"""When worse is worse: the e-CUSUM on days of losses."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.monitoring.ecusum.rows import BETS, START, THRESHOLD, accumulate, e_value, evidence
from evergreen.monitoring.performance import expected

losses = st.lists(st.floats(0, 1), max_size=60).map(np.array)


def similar_days(mean: float, sd: float, days: int, seed: int) -> npt.NDArray[np.bool_]:
    """Return errors whose rate differs from day to day, shape (days, 900)."""
    random = np.random.default_rng(seed)
    size = mean * (1 - mean) / sd**2 - 1
    rates = random.beta(mean * size, (1 - mean) * size, days)
    return random.random((days, 900)) < rates[:, None]


def alarms(days: npt.NDArray[np.bool_], limit: float, design_effect: float) -> int:
    """Return the days that begin an alarm."""
    state, ringing, found = list(START), False, 0
    for errors in days:
        state = accumulate(state, evidence(errors.astype(float), limit, design_effect))
        found += e_value(state) >= THRESHOLD and not ringing
        ringing = e_value(state) >= THRESHOLD
    return found


def e_values(errors: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the e-value after each row by its definition, shape (streams, rows)."""
    wealth, found = np.ones((len(errors), len(BETS))), []
    for error in errors.T:
        ratio = 1 + np.array(BETS) * (error[:, None] / 0.2 - 1)
        wealth = ratio * np.maximum(wealth, 1)
        found.append(wealth.mean(axis=1))
    return np.array(found).T


@hypothesis_given(errors=losses, cut=st.integers(0, 60), effect=st.floats(1, 50))
def test_a_day_in_two_parts_is_as_good_as_the_whole_day(
    errors: npt.NDArray[np.float64], cut: int, effect: float
) -> None:
    whole = accumulate(START, evidence(errors, 0.5, effect))

    parts = accumulate(START, evidence(errors[:cut], 0.5, effect))
    parts = accumulate(parts, evidence(errors[cut:], 0.5, effect))

    assert parts == pytest.approx(whole, abs=1e-9)


def test_the_evidence_of_days_is_that_of_their_rows_one_by_one() -> None:
    errors = np.random.default_rng(0).random(90) < 0.25

    state = list(START)
    for day in errors.reshape(3, 30):
        state = accumulate(state, evidence(day.astype(float), 0.2, 1.0))

    assert e_value(state) == pytest.approx(e_values(errors[None])[0, -1])


@pytest.mark.parametrize("stake", BETS)
def test_a_bet_is_fair_at_the_limit_and_loses_below_it(stake: float) -> None:
    place = BETS.index(stake)
    won, lost = (np.exp(evidence(np.array([x]), 0.2, 1.0)[place][0]) for x in (1.0, 0.0))

    assert 0.2 * won + 0.8 * lost == pytest.approx(1)
    assert 0.19 * won + 0.81 * lost < 1


def test_a_limit_of_nothing_is_strict_but_not_infinitely() -> None:
    assert np.isfinite(evidence(np.array([0.0, 1.0]), 0.0, 1.0)).all()


def test_rows_that_repeat_each_other_count_as_one() -> None:
    one = evidence(np.array([1.0, 0.0]), 0.2, 1.0)

    assert evidence(np.repeat([1.0, 0.0], 30), 0.2, 30.0) == [pytest.approx(pair) for pair in one]


def test_half_of_the_rises_from_20_to_30_percent_errors_are_found_within_313_rows() -> None:
    errors = np.random.default_rng(7).random((4_000, 313)) < 0.3

    found = (e_values(errors) >= THRESHOLD).any(axis=1)

    assert found.mean() >= 0.5


def test_daily_looks_at_400_000_rows_of_the_expected_quality_raise_no_alarm() -> None:
    for seed in range(5):
        days = np.random.default_rng(seed).random((444, 900)) < 0.2

        assert alarms(days, 0.2, 1.0) == 0


def test_days_that_differ_raise_false_alarms_only_where_their_rows_are_taken_for_independent() -> (
    None
):
    holdout, live = similar_days(0.2, 0.05, 28, seed=1), similar_days(0.2, 0.05, 365, seed=2)
    days = np.repeat(np.arange(28), 900).astype("datetime64[D]")
    found = expected(holdout.ravel(), np.zeros(holdout.size), days)

    assert alarms(live, found.upper, 1.0) > 10
    assert alarms(live, found.upper, 1 + 899 * found.similarity) == 0


def test_the_similarity_is_that_of_the_spread_between_days() -> None:
    """0.05^2 / 0.16 = 0.0156, and up to 27/18 of that for the doubt that 28 days leave."""
    days = np.repeat(np.arange(28), 900).astype("datetime64[D]")
    found = [
        expected(similar_days(0.2, 0.05, 28, seed).ravel(), np.zeros(len(days)), days)
        for seed in range(20)
    ]

    assert 0.0156 < np.mean([one.similarity for one in found]) < 0.032
    assert np.mean([one.upper > 0.2 for one in found]) >= 0.8
