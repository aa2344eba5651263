"""How soon a better challenger is promoted, and a worse champion rolled back."""

import numpy as np

from benchmarks.promotion.chance import ALPHA, MARGIN
from benchmarks.promotion.draws import DAY_SD, PROCESSES, Floats, Process, bounds, first, gains
from benchmarks.shown import Part
from evergreen.contract.endpoint import Policy

GAINS = (0.01, 0.02, 0.05, 0.1)
SPREADS = (0.012, 0.032, DAY_SD)  # 5, 25 and 50 % of the pairs of flight models have less
LOSSES = (0.0, 0.02, 0.05, 0.1)
NORMAL = next(process for process in PROCESSES if process.day_sd)
DELAY_DAYS = 2  # a day is over, and its labels have had a day to come


def better(runs: int) -> Part:
    """Measure how soon gains are found, by how much the days differ."""
    rows = []
    for gain in GAINS:
        for spread in SPREADS:
            found = [promoted(gain, spread, margin, runs) for margin in (0.0, MARGIN)]
            within = (" / ".join(f"{(days <= n).mean():.0%}" for days in found) for n in (30, 60))
            medians = " / ".join(map(_median, found))
            rows.append([f"{gain:g}", f"{spread:g}", *within, medians])
    remark = (
        f"{runs:,} runs each; labelled days, at least {Policy().shadow_days}. "
        f"Then it takes two days for labels and {3 * Policy().canary_days:g} of canary. By margin "
        f"0 (superior) / {MARGIN:g} (not worse)."
    )
    heads = ["gain, nats", "spread of days", "in 30 days", "in 60 days", "median days"]
    return Part([("A better challenger: found", remark, heads, rows)])


def promoted(gain: float, spread: float, margin: float, runs: int) -> Floats:
    """Return the labelled days, of 60, until a challenger that is truly better is promoted."""
    process = Process("", spread)
    random = np.random.default_rng((20, int(1e4 * gain), int(1e4 * spread)))
    lower, _ = bounds(gains(process, gain, (runs, 60), random), ALPHA)
    up = lower > -margin
    up[:, : Policy().shadow_days - 1] = False
    return first(up)


def worse(runs: int) -> Part:
    """Measure how soon a loss is found while the new champion is watched."""
    found = {f"{loss:g}": rolled_back(loss, runs) for loss in LOSSES}
    found |= {f"0, {p.name}": rolled_back(0.0, runs, p) for p in PROCESSES if p != NORMAL}
    rows = [
        [loss, f"{np.isfinite(days).mean():.1%}", _median(days)] for loss, days in found.items()
    ]
    remark = (
        f"{Policy().watch_days} days of watch beside the previous champion, by comparison alone; "
        f"spread of days {DAY_SD}. Days since its promotion."
    )
    heads = ["loss, nats", "rolled back", "median days"]
    return Part([("A worse champion: rolled back", remark, heads, rows)])


def rolled_back(loss: float, runs: int, process: Process = NORMAL) -> Floats:
    """Return the days until a champion is rolled back, of policy.watch_days.

    A day is known after two, and one was known before it began.
    """
    policy = Policy()
    random = np.random.default_rng((21, int(1e4 * loss)))
    days = policy.watch_days
    lower, _ = bounds(gains(process, loss, (runs, days), random), ALPHA)
    up = lower > 0
    up[:, : policy.watch_min_days - 1] = False
    up[:, days - 1 :] = False  # too late: the days known at the end are one fewer
    return first(up) + DELAY_DAYS - 1


def _median(days: Floats) -> str:
    middle = float(np.quantile(days, 0.5, method="higher"))
    return f"{middle:,.0f}" if np.isfinite(middle) else "most never"
