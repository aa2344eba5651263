"""Comparisons whose truth is known: how often promotion is wrong, how soon it and a rollback come.

Days are drawn in place of rows, and the product's sequence is computed of many runs at once.
"""

from typing import NamedTuple

import numpy as np

from benchmarks.shown import Goal, Part, first, median
from evergreen.contract.endpoint import Policy
from evergreen.contract.problem import Floats
from evergreen.rollout import confidence_sequence

ROWS_A_DAY = 900  # as the flights have
ROW_SD = 0.23  # of the paired difference of a row's loss: the median over pairs of their models
DAY_SD = 0.045  # of the mean of a day, of which rows by chance alone would give 0.008
YEAR_DAYS = 365
POLICY = Policy()
MIN_DAYS = (7, 10, 14, 21)
MOST = 0.06  # false promotions at 5 %
GAINS = (0.01, 0.02, 0.05, 0.1)
SPREADS = (0.012, 0.032, DAY_SD)  # 5, 25 and 50 % of the pairs of flight models have less
LOSSES = (0.0, 0.02, 0.05, 0.1)
DELAY_DAYS = 2  # a day is over, and its labels have had a day to come


class Process(NamedTuple):
    """How gains come about: gain of a row = mean + effect of its day + its own noise.

    day_sd: of the days' means, rows' noise included; None without any effect of days. tails: of the
    effects, or of the rows where days have none. memory: correlation of a day with the next.
    """

    name: str
    day_sd: float | None
    tails: str = "normal"
    memory: float = 0.0


NORMAL = Process("day effects, normal", DAY_SD)
PROCESSES = (
    Process("no day effects, normal rows", None),
    Process("no day effects, rows of Student's t, 3 df", None, "t3"),
    Process("no day effects, skewed rows (exponential)", None, "skewed"),
    NORMAL,
    Process("day effects, Student's t, 3 df", DAY_SD, "t3"),
    Process("day effects, skewed by -1.4 (gamma)", DAY_SD, "skewed"),
    Process("day effects that last, correlation 0.33", DAY_SD, "normal", 0.33),
)


def gains(
    process: Process, mean: float, shape: tuple[int, int], random: np.random.Generator
) -> Floats:
    """Return the means of days, shape (runs, days), each of 900 rows."""
    noise = ROW_SD / np.sqrt(ROWS_A_DAY)
    if process.day_sd is None:
        return np.asarray(mean + noise * _of_rows(process.tails, shape, random))
    days = _of_days(process.tails, shape, random)
    for day in range(1, shape[1] if process.memory else 0):
        fresh = np.sqrt(1 - process.memory**2) * days[:, day]
        days[:, day] = process.memory * days[:, day - 1] + fresh
    effect = np.sqrt(process.day_sd**2 - noise**2)
    return np.asarray(mean + effect * days + noise * random.normal(size=shape))


def _of_days(tails: str, shape: tuple[int, int], random: np.random.Generator) -> Floats:
    """Return draws of mean 0 and variance 1; the skewed ones lose much on few days."""
    if tails == "t3":
        return np.asarray(random.standard_t(3, shape) / np.sqrt(3))
    if tails == "skewed":
        return np.asarray((2 - random.gamma(2, size=shape)) / np.sqrt(2))
    return random.normal(size=shape)


def _of_rows(tails: str, shape: tuple[int, int], random: np.random.Generator) -> Floats:
    """Return means of 900 rows of mean 0 and variance 1, times the root of 900.

    A sum of exponentials is a gamma, exactly; of Student's t it has no name, so rows are drawn.
    """
    if tails == "skewed":
        sums = random.gamma(ROWS_A_DAY, size=shape)
        return np.asarray((ROWS_A_DAY - sums) / np.sqrt(ROWS_A_DAY))
    if tails == "t3":
        pool = random.standard_t(3, (20_000, ROWS_A_DAY)).sum(axis=1) / np.sqrt(3 * ROWS_A_DAY)
        return np.asarray(random.choice(pool, shape))
    return random.normal(size=shape)


def bounds(values: Floats) -> tuple[Floats, Floats]:
    """Return both ends of the sequence after each day; shape (runs, days), infinite on the first.

    The same as rollout.confidence_sequence.bound of the days so far, as tests show.
    """
    n = np.arange(1, values.shape[1] + 1)
    mean = values.cumsum(axis=1) / n
    squares = np.maximum((values**2).cumsum(axis=1) / n - mean**2, 0)
    spread = np.sqrt(squares * n / np.maximum(n - 1, 1))
    least = confidence_sequence.LEAST_SPREAD * abs(mean)
    width = np.maximum(spread, least) * confidence_sequence.radius(n, POLICY.alpha)
    width[:, 0] = np.inf
    return mean - width, mean + width


def wrong_promotions(runs: int) -> Part:
    """Let challengers that are no better be compared, by every process that makes the days."""
    rows, goals, usual = [], [], MIN_DAYS.index(POLICY.shadow_days)
    for process, margin in [*((one, 0.0) for one in PROCESSES), (NORMAL, POLICY.margin)]:
        shares = wrong(process, margin, runs)
        name = f"{process.name}; margin {margin:g}" if margin else process.name
        rows.append([name, *(f"{share:.1%}" for share in shares.ravel())])
        allowed = f", at the margin of {margin:g}" if margin else ""
        for span, share in zip(("a year", "a comparison"), shares[:, usual], strict=True):
            text = f"promoted wrongly, {process.name}{allowed}: looking daily for {span}"
            goals.append(Goal(text, f"{share:.1%}", "≤ 6 %", share <= MOST))
    end = POLICY.max_shadow_days
    remark = (
        f"Shares of {runs:,} simulated years in which a challenger that is no better was "
        f"promoted, with a look every day at alpha 5 %, by the policy's fewest days; and the part "
        f"of them within the {end} days of a comparison. The gain of a row is the effect of its "
        f"day plus noise of {ROW_SD} nats; a day has {ROWS_A_DAY} rows, and its mean a standard "
        f"deviation of {DAY_SD} with effects of days, {ROW_SD / ROWS_A_DAY**0.5:.4f} without. "
        "With a margin, the challenger is worse by exactly the margin."
    )
    heads = ["", *(f"{least} days" for least in MIN_DAYS)]
    heads += [f"{least}, in {end} days" for least in MIN_DAYS]
    return Part([("Promoted wrongly", remark, heads, rows)], goals)


def wrong(process: Process, margin: float, runs: int) -> Floats:
    """Return the shares of runs that promote in a year of daily looks, and in a comparison.

    margin: what is allowed for; the true gain is just that much below zero, so that any promotion
    is wrong. Returns shape (2, MIN_DAYS).
    """
    random = np.random.default_rng((10, PROCESSES.index(process)))
    up = bounds(gains(process, -margin, (runs, YEAR_DAYS), random))[0] > -margin
    spans = (YEAR_DAYS, POLICY.max_shadow_days)
    return np.array([[up[:, n - 1 : end].any(axis=1).mean() for n in MIN_DAYS] for end in spans])


def better(runs: int) -> Part:
    """Measure how soon gains are found, by how much the days differ."""
    rows = []
    for gain in GAINS:
        for spread in SPREADS:
            found = [promoted(gain, spread, margin, runs) for margin in (0.0, POLICY.margin)]
            within = (" / ".join(f"{(days <= n).mean():.0%}" for days in found) for n in (30, 60))
            medians = " / ".join(map(median, found))
            rows.append([f"{gain:g}", f"{spread:g}", *within, medians])
    remark = (
        f"{runs:,} runs each; labelled days, at least {POLICY.shadow_days}. "
        f"Then it takes two days for labels and {3 * POLICY.canary_days:g} of canary. By margin "
        f"0 (superior) / {POLICY.margin:g} (not worse)."
    )
    heads = ["gain, nats", "spread of days", "in 30 days", "in 60 days", "median days"]
    return Part([("A better challenger: found", remark, heads, rows)])


def promoted(gain: float, spread: float, margin: float, runs: int) -> Floats:
    """Return the labelled days, of 60, until a challenger that is truly better is promoted."""
    random = np.random.default_rng((20, int(1e4 * gain), int(1e4 * spread)))
    up = bounds(gains(Process("", spread), gain, (runs, 60), random))[0] > -margin
    up[:, : POLICY.shadow_days - 1] = False
    return first(up)


def worse(runs: int) -> Part:
    """Measure how soon a loss is found while the new champion is watched."""
    found = {f"{loss:g}": rolled_back(loss, runs) for loss in LOSSES}
    rows = [[loss, f"{np.isfinite(days).mean():.1%}", median(days)] for loss, days in found.items()]
    remark = (
        f"{POLICY.watch_days} days of watch beside the previous champion, by comparison alone; "
        f"spread of days {DAY_SD}. Days since its promotion."
    )
    heads = ["loss, nats", "rolled back", "median days"]
    return Part([("A worse champion: rolled back", remark, heads, rows)])


def rolled_back(loss: float, runs: int) -> Floats:
    """Return the days until a champion is rolled back, of policy.watch_days.

    A day is known after two, and one was known before it began.
    """
    random, days = np.random.default_rng((21, int(1e4 * loss))), POLICY.watch_days
    up = bounds(gains(NORMAL, loss, (runs, days), random))[0] > 0
    up[:, : POLICY.watch_min_days - 1] = False
    up[:, days - 1 :] = False  # too late: the days known at the end are one fewer
    return first(up) + DELAY_DAYS - 1
