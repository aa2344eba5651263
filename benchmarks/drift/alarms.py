"""How often drift is announced where nothing drifts, and how soon where something does."""

import numpy as np
import numpy.typing as npt

from benchmarks.drift import counts
from benchmarks.drift.counts import KINDS, NORMAL, references
from benchmarks.shown import Goal, Part, Shown, first, median
from evergreen.contract.problem import Bools, Floats
from evergreen.monitoring.two_sample_tests import Counts, upper_bound

WINDOW_ROWS = (200, 1_000, 5_000, 20_000, 100_000, 1_000_000)
BATCH = 10_000  # features at once
MIXED = 20  # features of an endpoint, of each kind in its turn
WINDOW_DAYS = 7
BEFORE = 14  # quiet days before a step
AFTER = 60  # days that an alarm may take
STEP_ROWS = 2_000  # a day
LEVELS = {
    "significant": "Significant: more than chance and season",
    "warning": "Significant and at least moderate: shown as a warning",
    "flagged": "Significant and major: flagged, and an alarm if the next check flags it too",
    "schema": "Schema violated",
}


def false_alarms(checks: dict[int, int]) -> Part:
    """Count the checks of steady traffic that found anything; checks: how many, by features."""
    found = {kind: [_found(kind, *each) for each in checks.items()] for kind in KINDS}
    said = ", ".join(f"{number:,} of {features}" for features, number in checks.items())
    remark = (
        "Checks of steady traffic in which any feature was found, in %, of 1 / 20 / 100 features "
        f"of the kind ({said}). The reference has 20,000 rows, drawn anew for each feature and "
        "check, and no seasons, which would only widen the limits. "
        "Counts are drawn from their exact distribution given the reference's bins, which is the "
        "same as drawing rows and counting them."
    )
    heads = ["n =", *(f"{rows:,}" for rows in WINDOW_ROWS), "upper bound, worst"]
    tables: list[Shown] = []
    goals: list[Goal] = []
    for place, (level, title) in enumerate(LEVELS.items()):
        rows, bounds = [], []
        for kind in KINDS:
            counted = np.array(found[kind])[:, :, place]  # by features, and rows of the window
            shares = 100 * counted.T / list(checks.values())
            texts = [" / ".join(f"{share:.2f}" for share in some) for some in shares]
            bounds.append(max(map(upper_bound, counted.max(axis=1), checks.values())))
            shown = [text if text.strip("0./ ") else "0" for text in texts]
            rows.append([kind, *shown, f"{100 * bounds[-1]:.2f}"])
        tables.append((f"False alarms. {title}", "" if tables else remark, heads, rows))
        text, worst = f"false alarms, {level}: upper bound, worst cell", max(bounds)
        goals.append(Goal(text, f"{worst:.2%}", "≤ 1 %", worst <= 0.01))
    return Part(tables, goals)


def _found(kind: str, features: int, checks: int) -> npt.NDArray[np.int_]:
    """Return in how many checks each level was found, shape (window rows, levels).

    Windows of every size share their references and nothing else.
    """
    random = np.random.default_rng((KINDS.index(kind), features))
    totals = np.zeros((len(WINDOW_ROWS), len(LEVELS)), dtype=int)
    at_once = max(1, BATCH // features)
    for begin in range(0, checks, at_once):
        count = min(at_once, checks - begin)
        drawn = references(kind, count * features, random)
        reference = drawn.reference.reshape(count, features, -1)
        for size, rows in enumerate(WINDOW_ROWS):
            window = drawn.window(rows, random).reshape(count, features, -1)
            levels = counts.warned(*counts.judged(reference, window))
            schema = counts.violated(kind, reference, window)
            totals[size] += [*(level.any(-1).sum() for level in levels), schema.sum()]
    return totals


def years(count: int, days: int = 365) -> Part:
    """Check every day of so many years of steady traffic, each with references of its own."""
    rows, goals = [], []
    for traffic in (200, 2_000):  # rows a day
        random = np.random.default_rng((1, traffic))
        finds, majors, twice, alarms, schema = np.zeros((5, count, days), dtype=bool)
        for year in range(count):
            *found, schema[year] = _daily(traffic, days, random)
            significant, _, major = counts.warned(*found)
            finds[year], majors[year] = significant.any(-1), major.any(-1)
            twice[year], alarms[year] = _twice(significant), _twice(major)
        begun = _begun(alarms).sum(axis=1)
        counted = [(finds, ".2f"), (majors, ".3f"), (_begun(twice), ".2f"), (begun, ".3f")]
        averages = [f"{what.sum() / count:{form}}" for what, form in counted]
        worst, broken = int(begun.max()), f"{schema.sum() / count:.2f}"
        rows.append([f"{traffic:,}", f"{count:,}", *averages, str(worst), broken])
        text = f"drift alarms a year at {traffic:,} rows a day, worst of {count} years"
        goals.append(Goal(text, str(worst), "≤ 1", worst <= 1))
    remark = (
        "20 features of all kinds, steady traffic, a window of seven days that slides by one. "
        "Counts are averages for a year. An alarm needs two checks in a row, a schema violation "
        "one."
    )
    heads = [
        "rows a day", "years", "days with a significant feature", "with a flagged one",
        "alarms, were significance enough", "alarms", "worst year", "schema violations",
    ]  # fmt: skip
    return Part([("A year of daily checks", remark, heads, rows)], goals)


def _daily(rows: int, days: int, random: np.random.Generator) -> tuple[Counts, Counts, Bools]:
    """Judge the last seven days on each day: p and PSI of shape (days, MIXED), and the schema."""
    (p, psi), broken = np.zeros((2, days, MIXED)), np.zeros(days, dtype=bool)
    for turn, kind in enumerate(KINDS):
        own = slice(turn, MIXED, len(KINDS))
        drawn = references(kind, len(range(MIXED)[own]), random)
        shape = (days + WINDOW_DAYS - 1, *drawn.chances.shape)
        windows = slid(random.multinomial(rows, np.broadcast_to(drawn.chances, shape)))
        reference = np.broadcast_to(drawn.reference, windows.shape)
        p[:, own], psi[:, own] = counts.judged(reference, windows)
        broken |= counts.violated(kind, reference, windows)
    return p, psi, broken


def slid(daily: npt.NDArray[np.number]) -> Counts:
    """Return the sums of seven days, for each day that has so many, along the first axis."""
    windows = np.lib.stride_tricks.sliding_window_view(daily, WINDOW_DAYS, axis=0)
    return windows.sum(axis=-1, dtype=np.float64)


def _twice(found: Bools) -> Bools:
    """Say on which days, the first axis, any feature was found on the day before, too."""
    again = found[1:] & found[:-1]
    return np.concatenate([[False], again.any(-1)])


def _begun(alarms: Bools) -> Bools:
    """Say on which days, the last axis, an alarm begins."""
    return np.diff(alarms.astype(np.int8), axis=-1, prepend=0) > 0


def steps(repetitions: int) -> Part:
    """Measure the days from a step in one of many features to a warning and to an alarm."""
    rows = []
    for step in (0.5, 1.0, 2.0):
        warnings, alarms = delays(step, repetitions)
        days = [median(warnings), median(alarms), median(alarms, 0.95)]
        rows.append([f"{step:g} σ", f"{repetitions:,}", *days, f"{np.isinf(alarms).mean():.1%}"])
    remark = (
        "A step in one of 20 features at 2,000 rows a day; a window of seven days, two checks in a "
        "row. Medians over all; the last column: no alarm in 60 days."
    )
    heads = ["step", "repetitions", "warning", "alarm", "95 % by", "none"]
    return Part([("Days until an alarm", remark, heads, rows)])


def delays(step: float, repetitions: int) -> tuple[Floats, Floats]:
    """Return the days from a step to the first warning and alarm, infinite where none comes."""
    random = np.random.default_rng((2, int(100 * step)))
    found = np.zeros((2, repetitions, AFTER), dtype=bool)
    for one in range(repetitions):
        quiet = np.random.default_rng((3, int(100 * step), one))
        p, psi, _ = _daily(STEP_ROWS, BEFORE + AFTER - WINDOW_DAYS + 1, quiet)
        p[:, 0], psi[:, 0] = _stepped(step, random)
        _, warned, major = counts.warned(p, psi)
        # the first of the windows that have a day of the step in them
        found[:, one] = warned[-AFTER:, 0], _twice(major[:, :1])[-AFTER:]
    return first(found[0]), first(found[1])


def _stepped(step: float, random: np.random.Generator) -> tuple[Counts, Counts]:
    seed = int(random.integers(2**32))
    before = references(NORMAL, 1, np.random.default_rng(seed))
    after = references(NORMAL, 1, np.random.default_rng(seed), moved=step)  # the same reference
    chances = np.repeat([before.chances[0], after.chances[0]], [BEFORE, AFTER], axis=0)
    windows = slid(random.multinomial(STEP_ROWS, chances))
    return counts.judged(np.broadcast_to(before.reference, windows.shape), windows)
