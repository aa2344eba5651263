"""How often a challenger that is no better is promoted."""

from dataclasses import dataclass

import numpy as np

from benchmarks.promotion.draws import PROCESSES, YEAR_DAYS, Process, bounds, gains
from evergreen.contract.endpoint import Policy

ALPHA = 0.05
MIN_DAYS = (7, 10, 14, 21)
MARGIN = Policy().margin


@dataclass(frozen=True)
class Wrong:
    """Runs of a year in which a challenger was promoted wrongly, by the least days of a policy.

    in_time: of them, within max_shadow_days, when a comparison ends. margin: what was allowed for;
    the true gain is just that much below zero, so that any promotion is wrong.
    """

    process: str
    margin: float
    runs: int
    promoted: dict[int, int]
    in_time: dict[int, int]


def wrong(process: Process, margin: float, runs: int) -> Wrong:
    """Look every day for a year."""
    random = np.random.default_rng((10, PROCESSES.index(process)))
    lower, _ = bounds(gains(process, -margin, (runs, YEAR_DAYS), random), ALPHA)
    up, end = lower > -margin, Policy().max_shadow_days
    return Wrong(
        process.name,
        margin,
        runs,
        {days: int(up[:, days - 1 :].any(axis=1).sum()) for days in MIN_DAYS},
        {days: int(up[:, days - 1 : max(end, days)].any(axis=1).sum()) for days in MIN_DAYS},
    )
