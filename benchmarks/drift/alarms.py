"""How often drift is announced where nothing drifts, and how soon where something does."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.drift import counts
from benchmarks.drift.counts import KINDS, NORMAL, Bools, Drawn, Judged, references
from evergreen.monitoring.two_sample_tests import Counts

WINDOW_ROWS = (200, 1_000, 5_000, 20_000, 100_000, 1_000_000)
FEATURES = (1, 20, 100)
BATCH = 10_000  # features at once
AUDITS = 5  # checks of each cell that the product decides too
WINDOW_DAYS = 7
BEFORE = 14  # quiet days before a step
AFTER = 60  # days that an alarm may take


@dataclass(frozen=True)
class Cell:
    """Checks of steady traffic, by what they found; a schema check is exact and has no levels."""

    kind: str
    rows: int
    features: int
    checks: int
    significant: int
    warning: int
    flagged: int
    schema: int


def cells(checks: dict[int, int]) -> Iterator[Cell]:
    """Yield every cell; checks: how many of so many features."""
    for kind in KINDS:
        for features in FEATURES:
            yield from _cells(kind, features, checks[features])


def _cells(kind: str, features: int, checks: int) -> Iterator[Cell]:
    """Yield the cells of windows of every size, which share their references and nothing else."""
    random = np.random.default_rng((KINDS.index(kind), features))
    totals = {rows: np.zeros(4, dtype=int) for rows in WINDOW_ROWS}
    at_once = max(1, BATCH // features)
    for begin in range(0, checks, at_once):
        count = min(at_once, checks - begin)
        drawn = references(kind, count * features, random)
        for rows in WINDOW_ROWS:
            totals[rows] += _found(drawn, (count, features), rows, random, audit=begin == 0)
    for rows in WINDOW_ROWS:
        yield Cell(kind, rows, features, checks, *totals[rows].tolist())


def _found(
    drawn: Drawn, shape: tuple[int, int], rows: int, random: np.random.Generator, *, audit: bool
) -> list[int]:
    """Return in how many checks each level was found; shape: checks, features."""
    reference = drawn.reference.reshape(*shape, -1)
    window = drawn.window(rows, random).reshape(*shape, -1)
    for one in range(min(AUDITS, shape[0]) if audit else 0):
        counts.audited(drawn.kind, reference[one], window[one])
    levels = counts.warned(counts.judged(reference, window))
    schema = counts.violated(drawn.kind, reference, window)
    return [int(level.any(-1).sum()) for level in levels] + [int(schema.sum())]


@dataclass(frozen=True)
class Year:
    """Daily checks of steady traffic; alarms: that began, and of years with any."""

    rows_a_day: int
    years: int
    significant_days: float  # a year
    significant_twice: float  # begun a year, were severity no condition
    flagged_days: float
    alarms: float
    schema_days: float
    worst_year: int


def year(rows_a_day: int, years: int, features: int = 20, days: int = 365) -> Year:
    """Check every day of so many years, each with references of its own."""
    random = np.random.default_rng((1, rows_a_day))
    kinds = _mixed(features)
    finds, majors = np.zeros((2, years, days), dtype=bool)
    schema = np.zeros((years, days), dtype=bool)
    for one in range(years):
        found, broken = _daily(kinds, rows_a_day, days, random)
        significant, _, major = counts.warned(found)
        finds[one], majors[one] = _twice(significant), _twice(major)
        schema[one] = broken
        if one == 0:
            totals = np.zeros(2)
        totals += [significant.any(-1).sum(), major.any(-1).sum()]
    begun = _begun(majors).sum(axis=1)
    return Year(
        rows_a_day,
        years,
        significant_days=float(totals[0] / years),
        significant_twice=float(_begun(finds).sum() / years),
        flagged_days=float(totals[1] / years),
        alarms=float(begun.mean()),
        schema_days=float(schema.sum() / years),
        worst_year=int(begun.max()),
    )


def _mixed(count: int) -> list[str]:
    """Return so many kinds, each in its turn."""
    return [KINDS[n % len(KINDS)] for n in range(count)]


def _daily(
    kinds: list[str], rows: int, days: int, random: np.random.Generator
) -> tuple[Judged, Bools]:
    """Judge the last seven days on each day: p and PSI of shape (days, features)."""
    found: dict[int, Judged] = {}
    broken = np.zeros(days, dtype=bool)
    for kind in dict.fromkeys(kinds):
        places = [place for place, one in enumerate(kinds) if one == kind]
        drawn = references(kind, len(places), random)
        shape = (days + WINDOW_DAYS - 1, *drawn.chances.shape)
        daily = random.multinomial(rows, np.broadcast_to(drawn.chances, shape)).astype(np.float64)
        windows = slid(daily)
        reference = np.broadcast_to(drawn.reference, windows.shape)
        judged = counts.judged(reference, windows)
        broken |= counts.violated(kind, reference, windows)
        for n, place in enumerate(places):
            found[place] = Judged(judged.p[:, n], judged.psi[:, n])
    order = range(len(kinds))
    ps, indices = [found[n].p for n in order], [found[n].psi for n in order]
    return Judged(np.stack(ps, -1), np.stack(indices, -1)), broken


def slid(daily: Counts) -> Counts:
    """Return the sums of seven days, for each day that has so many, along the first axis."""
    sums = np.cumsum(np.concatenate([np.zeros_like(daily[:1]), daily]), axis=0)
    return sums[WINDOW_DAYS:] - sums[:-WINDOW_DAYS]


def _twice(found: Bools) -> Bools:
    """Say on which days, the first axis, any feature was found on the day before, too."""
    again = found[1:] & found[:-1]
    return np.concatenate([[False], again.any(-1)])


def _begun(alarms: Bools) -> Bools:
    """Say on which days, the last axis, an alarm begins."""
    before = np.concatenate([np.zeros_like(alarms[..., :1]), alarms[..., :-1]], axis=-1)
    return np.asarray(alarms & ~before)


@dataclass(frozen=True)
class Delay:
    """A step in one of 20 features; days of it until what was asked, or None for most never."""

    step: float
    repetitions: int
    warning_days: float | None
    alarm_days: float | None
    slowest: float | None  # 95 % of the alarms are not later
    missed: float  # share without an alarm in 60 days


def delay(step: float, repetitions: int, rows: int = 2_000, features: int = 20) -> Delay:
    """Measure the days from a step in one feature to an alarm."""
    random = np.random.default_rng((2, int(100 * step)))
    warnings, alarms = np.full((2, repetitions), np.inf)
    for one in range(repetitions):
        quiet = np.random.default_rng((3, int(100 * step), one))
        found, _ = _daily(_mixed(features), rows, BEFORE + AFTER - WINDOW_DAYS + 1, quiet)
        moved = _stepped(step, rows, random)
        found.p[:, 0], found.psi[:, 0] = moved.p, moved.psi
        _, warned, major = counts.warned(found)
        warnings[one] = _first(warned[:, :1].any(-1))
        alarms[one] = _first(_twice(major[:, :1]))
    return Delay(
        step,
        repetitions,
        _known(np.quantile(warnings, 0.5, method="higher")),
        _known(np.quantile(alarms, 0.5, method="higher")),
        _known(np.quantile(alarms, 0.95, method="higher")),
        float(np.isinf(alarms).mean()),
    )


def _known(days: float) -> float | None:
    return float(days) if np.isfinite(days) else None


def _stepped(step: float, rows: int, random: np.random.Generator) -> Judged:
    seed = int(random.integers(2**32))
    before = references(NORMAL, 1, np.random.default_rng(seed))
    after = references(NORMAL, 1, np.random.default_rng(seed), moved=step)  # the same reference
    chances = np.repeat([before.chances[0], after.chances[0]], [BEFORE, AFTER], axis=0)
    windows = slid(random.multinomial(rows, chances).astype(np.float64))
    return counts.judged(np.broadcast_to(before.reference, windows.shape), windows)


def _first(found: Bools) -> float:
    """Return how many days after the step something was found first; infinity for never."""
    checks = np.arange(len(found)) + WINDOW_DAYS - BEFORE  # days of the step in each window
    late = found & (checks > 0)
    return float(checks[late.argmax()]) if late.any() else np.inf
