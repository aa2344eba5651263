"""How often a challenger that is no better is promoted, by our sequence and by the usual rules."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from benchmarks.promotion.draws import (
    DAY_SD,
    PROCESSES,
    ROW_SD,
    ROWS_A_DAY,
    YEAR_DAYS,
    Process,
    bounds,
    gains,
    radius,
)
from evergreen.contract.endpoint import Policy

ALPHA = 0.05
MIN_DAYS = (7, 10, 14, 21)
MARGIN = Policy().margin
PEEK_ROWS = 50
SHORT = 10_000  # rows, 200 looks
DISCORDANT = 0.1  # of the rows, one of two models alone is right
BATCH = 500


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


@dataclass(frozen=True)
class Usual:
    """Runs in which a usual rule found a challenger better that is not: by rows, and in a year."""

    rule: str
    runs: int
    short: int
    year: int


def usual(runs: int) -> list[Usual]:
    """Look at ordinary tests after every 50 rows, and at a sequence that takes rows for units."""
    found: dict[str, list[npt.NDArray[np.int_]]] = {}
    for begin in range(0, runs, BATCH):
        random = np.random.default_rng((11, begin))
        count = min(BATCH, runs - begin)
        for name, day_sd in (("no day effects", None), ("day effects", DAY_SD)):
            z, sequence = _by_rows(count, day_sd, random)
            found.setdefault(f"z-test, {name}", []).append(z)
            found.setdefault(f"the sequence by rows, {name}", []).append(sequence)
        found.setdefault("McNemar, no day effects", []).append(_mcnemar(count, random))
    totals = {name: np.sum(counts, axis=0).tolist() for name, counts in found.items()}
    return [Usual(name, runs, *totals[name]) for name in sorted(totals, reverse=True)]


def _by_rows(
    runs: int, day_sd: float | None, random: np.random.Generator
) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Draw sums and squares of every 50 normal rows, which is the same as drawing these."""
    looks = ROWS_A_DAY // PEEK_ROWS
    shape = (runs, YEAR_DAYS * looks)
    means = random.normal(0, ROW_SD / np.sqrt(PEEK_ROWS), shape)
    if day_sd is not None:
        effect = np.sqrt(day_sd**2 - ROW_SD**2 / ROWS_A_DAY)
        means += np.repeat(random.normal(0, effect, (runs, YEAR_DAYS)), looks, axis=1)
    squares = ROW_SD**2 * random.chisquare(PEEK_ROWS - 1, shape) + PEEK_ROWS * means**2
    n = np.arange(1, shape[1] + 1) * PEEK_ROWS
    mean = means.cumsum(axis=1) * PEEK_ROWS / n
    spread = np.sqrt((squares.cumsum(axis=1) - n * mean**2) / (n - 1))
    z = mean / spread * np.sqrt(n) > norm.isf(ALPHA)
    return _counted(z), _counted(mean > spread * radius(n, ALPHA))


def _mcnemar(runs: int, random: np.random.Generator) -> npt.NDArray[np.int_]:
    """Draw how many of every 50 rows one model alone had right, and test with the normal tail."""
    shape = (runs, YEAR_DAYS * ROWS_A_DAY // PEEK_ROWS)
    either = random.binomial(PEEK_ROWS, DISCORDANT, shape)
    wins = random.binomial(either, 0.5).cumsum(axis=1)
    both = either.cumsum(axis=1)
    return _counted(2 * wins - both > norm.isf(ALPHA) * np.sqrt(np.maximum(both, 1)))


def _counted(found: npt.NDArray[np.bool_]) -> npt.NDArray[np.int_]:
    short = found[:, : SHORT // PEEK_ROWS].any(axis=1).sum()
    return np.array([short, found.any(axis=1).sum()])
