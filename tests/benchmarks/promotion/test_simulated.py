"""`make bench-promotion` draws days in place of rows."""

import numpy as np
import pytest

from benchmarks.promotion import simulated
from benchmarks.promotion.simulated import POLICY, PROCESSES, bounds, gains
from evergreen.rollout import confidence_sequence

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_days_are_drawn_with_the_mean_and_the_spread_that_the_process_says(
    process: simulated.Process,
) -> None:
    days = gains(process, 0.02, (4_000, 20), np.random.default_rng(0))

    spread = process.day_sd or simulated.ROW_SD / simulated.ROWS_A_DAY**0.5
    assert days.mean() == pytest.approx(0.02, abs=5 * spread / 80_000**0.5 * 2)
    assert days.std() == pytest.approx(spread, rel=0.05)
    together = np.corrcoef(days[:, 5], days[:, 6])[0, 1]
    assert together == pytest.approx(process.memory, abs=0.1)


def test_many_sequences_at_once_are_those_of_the_product() -> None:
    values = np.random.default_rng(3).normal(0.01, 0.05, (30, 60))

    lower, upper = bounds(values)

    for run in range(30):
        for day in (1, 5, 30, 59):
            found = confidence_sequence.bound(values[run, : day + 1], POLICY.alpha)
            assert found is not None
            assert (lower[run, day], upper[run, day]) == pytest.approx((found.lower, found.upper))
