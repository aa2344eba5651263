"""A promotion that is expected to lose little is worth it, and a refusal likewise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from evergreen.rollout.expected_regret import ALIKE, GAIN, SPREAD, SPREAD_DAYS, regret

MARGIN = 0.01
gains = st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=30)


def test_it_is_what_the_prior_and_the_days_say_by_integration() -> None:
    days = np.random.default_rng(1).normal(0.01, 0.04, 12)
    pooled = ((days - days.mean()) ** 2).sum() + SPREAD_DAYS * (SPREAD * MARGIN) ** 2
    noise = ALIKE * pooled / (11 + SPREAD_DAYS)

    def density(gain: float) -> float:
        prior = norm.pdf(gain, 0, GAIN * MARGIN)
        return float(prior * np.exp(-((days - gain) ** 2).sum() / (2 * noise)) * 1e10)

    whole = quad(density, -0.2, 0.2, points=[0.0])[0]
    found = regret(days, MARGIN)

    mean = quad(lambda g: g * density(g), -0.2, 0.2, points=[0.0])[0] / whole
    lost = quad(lambda g: -g * density(g), -0.2, 0)[0] / whole
    assert float(found.gain) == pytest.approx(mean, rel=1e-4)
    assert float(found.promoted) == pytest.approx(lost, rel=1e-4)


@given(gains)
def test_what_is_lost_by_one_choice_is_what_the_other_would_have_gained(days: list[float]) -> None:
    found, mirrored = regret(days, MARGIN), regret([-gain for gain in days], MARGIN)

    assert found.refused - found.promoted == pytest.approx(found.gain, abs=1e-9)
    assert found.promoted == pytest.approx(float(mirrored.refused), abs=1e-9)


@given(gains, st.floats(0.01, 100))
def test_the_unit_of_the_metric_does_not_matter(days: list[float], unit: float) -> None:
    found, scaled = regret(days, MARGIN), regret([unit * gain for gain in days], unit * MARGIN)

    assert scaled.promoted == pytest.approx(unit * float(found.promoted), rel=1e-6, abs=1e-12)
    assert scaled.gain == pytest.approx(unit * float(found.gain), rel=1e-6, abs=1e-12)


def test_many_runs_at_once_are_each_of_them() -> None:
    runs = np.random.default_rng(2).normal(0, 0.04, (5, 10))

    together = regret(runs, MARGIN)

    alone = [float(regret(run, MARGIN).promoted) for run in runs]
    assert together.promoted == pytest.approx(alone)
