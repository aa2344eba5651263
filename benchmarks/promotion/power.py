"""How soon a better challenger is promoted, and a worse champion rolled back."""

from dataclasses import dataclass

import numpy as np

from benchmarks.promotion.chance import ALPHA
from benchmarks.promotion.draws import DAY_SD, Process, bounds, first, gains, median
from evergreen.contract.endpoint import Policy

GAINS = (0.01, 0.02, 0.05, 0.1)
SPREADS = (0.012, 0.032, DAY_SD)  # 5, 25 and 50 % of the pairs of flight models have less
ROLLBACKS = (0.0, 0.02, 0.05, 0.1)
DELAY_DAYS = 2  # a day is over, and its labels have had a day to come


@dataclass(frozen=True)
class Power:
    """Share of runs promoted within 30 and 60 labelled days, and the median of these days."""

    gain: float
    spread: float
    margin: float
    runs: int
    within: dict[int, float]
    median: float | None


def power(gain: float, spread: float, margin: float, runs: int) -> Power:
    """Look every day for 60 days, at a challenger that is truly better."""
    process = Process("", spread)
    random = np.random.default_rng((20, int(1e4 * gain), int(1e4 * spread)))
    lower, _ = bounds(gains(process, gain, (runs, 60), random), ALPHA)
    up = lower > -margin
    up[:, : Policy().shadow_days - 1] = False
    days = first(up)
    within = {end: float((days <= end).mean()) for end in (30, 60)}
    return Power(gain, spread, margin, runs, within, median(days))


@dataclass(frozen=True)
class Rollback:
    """A champion that is worse: share rolled back while watched, and the median days until then."""

    loss: float
    runs: int
    share: float
    median: float | None


def rollback(loss: float, runs: int) -> Rollback:
    """Watch for policy.watch_days; a day is known after two, and one was known before it began."""
    policy = Policy()
    process = Process("", DAY_SD)
    random = np.random.default_rng((21, int(1e4 * loss)))
    days = policy.watch_days
    lower, _ = bounds(gains(process, loss, (runs, days), random), ALPHA)
    up = lower > 0
    up[:, : policy.watch_min_days - 1] = False
    up[:, days - 1 :] = False  # too late: the days known at the end are one fewer
    at = first(up) + DELAY_DAYS - 1
    share = float(np.isfinite(at).mean())
    return Rollback(loss, runs, share, median(at))
