"""A map is learnt from outcomes that were known on its morning, and does no harm."""

from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.monitoring.recalibrate import LEAST, Learnt, learn
from evergreen.registry.recalibration import Recalibration, Tally, tally

FIRST = date(2013, 2, 1)
LAG = 2
Floats = npt.NDArray[np.float64]


def chances(logit: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logit)))


def life(
    days: int, intercept: float, slope: float, *, rows: int = 1_000, seed: int = 0
) -> list[Tally]:
    """Return tallies of scores whose true logit is a line of their own."""
    random = np.random.default_rng(seed)
    found = []
    for day in range(days):
        logit = random.normal(-1.3, 1.0, rows)
        true = random.random(rows) < chances(intercept + slope * logit)
        found.append(tally(FIRST + timedelta(days=day), chances(logit), true))
    return found


def on(learnt: Learnt, day: int) -> Recalibration:
    found = learnt.map("flight-delay", "v", day)
    assert found
    return found


@pytest.mark.parametrize(("intercept", "slope"), [(-0.7, 1.0), (0.8, 0.5), (-0.3, 1.6)])
def test_the_line_that_outcomes_follow_is_found(intercept: float, slope: float) -> None:
    learnt = learn(life(60, intercept, slope), LAG)

    found = on(learnt, -1)

    assert found.lines[-1] == pytest.approx((intercept, slope), abs=0.15)
    late = np.arange(len(learnt.days)) >= 30
    assert np.mean(learnt.served[late]) < np.mean(learnt.raw[late]) - 0.02


def test_scores_that_are_right_are_left_alone() -> None:
    learnt = learn(life(120, 0.0, 1.0), LAG)

    assert np.nanmean(learnt.served - learnt.raw) < 0.0005
    assert on(learnt, -1).line == pytest.approx((0.0, 1.0), abs=0.1)


def test_a_day_is_served_by_what_was_known_on_its_morning() -> None:
    known, other = life(40, -0.7, 1.0), life(40, 2.0, 0.3, seed=1)

    as_known = learn(known[: 30 - LAG + 1], LAG, FIRST + timedelta(days=30))
    with_later = learn([*known[: 30 - LAG + 1], *other[30 - LAG + 1 :]], LAG)

    assert as_known.lines[-1] == pytest.approx(with_later.lines[30], abs=1e-6)
    assert as_known.weights[-1] == pytest.approx(with_later.weights[30], abs=1e-6)


def test_what_is_said_to_have_been_lost_is_what_the_map_would_have_lost() -> None:
    random = np.random.default_rng(3)
    logit = random.normal(-1.0, 1.5, 5_000)
    true = random.random(5_000) < chances(logit)
    last = tally(FIRST + timedelta(days=40), chances(logit), true)
    learnt = learn([*life(39, -0.7, 0.8), last], LAG)

    served = on(learnt, -1).of(chances(logit))

    lost = -np.log(np.where(true, served, 1 - served)).mean()
    assert learnt.served[-1] == pytest.approx(lost, abs=0.001)


def test_a_morning_after_too_few_outcomes_has_no_map() -> None:
    few = life(3, -2.0, 1.0, rows=LEAST // 3 - 1)

    assert learn(few, LAG).map("flight-delay", "v") is None
    assert learn([], LAG, FIRST).map("flight-delay", "v") is None
    assert learn([], LAG).map("flight-delay", "v") is None


def test_outcomes_that_turn_over_are_followed_to_the_end() -> None:
    """All of 100,000 rows a day turn out true that were hardly thought possible."""
    tallies = [
        tally(FIRST + timedelta(days=day), np.full(100_000, 4e-5), np.ones(100_000, dtype=bool))
        for day in range(9)
    ]

    learnt = learn(tallies, LAG)

    assert learnt.raw[-1] > 10
    assert learnt.served[-1] < 0.1


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=300), min_size=1, max_size=20
    ),
    st.integers(1, 20),
)
def test_whatever_came_a_map_is_of_chances(days: list[list[tuple[float, bool]]], lag: int) -> None:
    tallies = [
        tally(
            FIRST + timedelta(days=day),
            np.array([score for score, _ in rows]),
            np.array([true for _, true in rows], dtype=bool),
        )
        for day, rows in enumerate(days)
    ]

    learnt = learn(tallies, lag, FIRST + timedelta(days=len(days) + lag))

    assert np.isfinite(learnt.lines).all()
    assert learnt.weights.sum(axis=1) == pytest.approx(1.0)
    if found := learnt.map("e", "v"):
        served = found.of(np.array([0.0, 1e-9, 0.5, 1.0]))
        assert ((served >= 0) & (served <= 1)).all()


@given(st.permutations(range(12)))
def test_the_order_of_days_does_not_matter(order: list[int]) -> None:
    tallies = life(12, -0.7, 1.0, rows=200)

    assert on(learn([tallies[place] for place in order], LAG), -1) == on(learn(tallies, LAG), -1)
