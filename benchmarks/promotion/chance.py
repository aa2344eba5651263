"""How often a challenger that is no better is promoted."""

import numpy as np

from benchmarks.promotion.draws import (
    DAY_SD,
    PROCESSES,
    ROW_SD,
    ROWS_A_DAY,
    YEAR_DAYS,
    Process,
    bounds,
    first,
    gains,
)
from benchmarks.shown import Goal, Part
from evergreen.contract.endpoint import Policy
from evergreen.rollout.expected_regret import SMALL, regret

ALPHA = 0.05
MIN_DAYS = (7, 10, 14, 21)
MARGIN = Policy().margin
WORSE = (0.0, MARGIN, 2 * MARGIN)
MOST = 0.06  # false promotions at 5 %

Shares = dict[int, float]  # of the runs, by the least days of a policy


def wrong_promotions(runs: int) -> Part:
    """Let challengers that are no better be compared, by every process that makes the days."""
    day_effects = next(one for one in PROCESSES if one.day_sd)
    rows, goals, days, end = [], [], Policy().shadow_days, Policy().max_shadow_days
    for process, margin in [*((one, 0.0) for one in PROCESSES), (day_effects, MARGIN)]:
        promoted, in_time = wrong(process, margin, runs)
        shares = [*promoted.values(), *(in_time[least] for least in MIN_DAYS if least <= end)]
        name = f"{process.name}; margin {margin:g}" if margin else process.name
        rows.append([name, *(f"{share:.1%}" for share in shares)])
        allowed = f", at the margin of {margin:g}" if margin else ""
        for span, share in (("a year", promoted[days]), ("a comparison", in_time[days])):
            text = f"promoted wrongly, {process.name}{allowed}: looking daily for {span}"
            goals.append(Goal(text, f"{share:.1%}", "≤ 6 %", share <= MOST))
    remark = (
        f"Shares of {runs:,} simulated years in which a challenger that is no better was "
        f"promoted, with a look every day at alpha 5 %, by the policy's fewest days; and the part "
        f"of them within the {end} days of a comparison. The gain of a row is the effect of its "
        f"day plus noise of {ROW_SD} nats; a day has {ROWS_A_DAY} rows, and its mean a standard "
        f"deviation of {DAY_SD} with effects of days, {ROW_SD / ROWS_A_DAY**0.5:.4f} without. "
        "With a margin, the challenger is worse by exactly the margin."
    )
    heads = ["", *(f"{least} days" for least in MIN_DAYS)]
    heads += [f"{least}, in {end} days" for least in MIN_DAYS if least <= end]
    return Part([("Promoted wrongly", remark, heads, rows)], goals)


def by_regret(runs: int) -> Part:
    """Let challengers be compared by expected regret that are as good as the champion, or worse."""
    rows = [
        [process.name, *(f"{regretted(process, -worse, runs):.1%}" for worse in WORSE)]
        for process in PROCESSES
    ]
    remark = (
        f'With `promotion="expected regret"` at a margin of {MARGIN:g}: shares of {runs:,} '
        f"comparisons of {Policy().shadow_days} to {Policy().max_shadow_days} days in which a "
        "challenger was promoted, by how much it is worse. To promote one that is as good loses "
        "nothing."
    )
    heads = ["", *(f"worse by {worse:g}" if worse else "as good" for worse in WORSE)]
    return Part([("Promoted by expected regret", remark, heads, rows)])


def regretted(process: Process, gain: float, runs: int) -> float:
    """Return how often a challenger of this true gain is promoted, and not rejected before."""
    policy = Policy()
    shape = runs, policy.max_shadow_days
    days = gains(process, gain, shape, np.random.default_rng((11, PROCESSES.index(process))))
    won, lost = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for day in range(policy.shadow_days, policy.max_shadow_days + 1):
        found = regret(days[:, :day], MARGIN)
        won[:, day - 1] = (found.promoted < SMALL * MARGIN) & (found.gain > 0)
        lost[:, day - 1] = (found.refused < SMALL * MARGIN) & (found.gain < 0)
    return float((first(won) < first(lost)).mean())


def wrong(process: Process, margin: float, runs: int) -> tuple[Shares, Shares]:
    """Return how often a year of daily looks promotes, and how often within max_shadow_days.

    margin: what is allowed for; the true gain is just that much below zero, so that any promotion
    is wrong.
    """
    random = np.random.default_rng((10, PROCESSES.index(process)))
    lower, _ = bounds(gains(process, -margin, (runs, YEAR_DAYS), random), ALPHA)
    up, end = lower > -margin, Policy().max_shadow_days
    return (
        {days: float(up[:, days - 1 :].any(axis=1).mean()) for days in MIN_DAYS},
        {days: float(up[:, days - 1 : max(end, days)].any(axis=1).mean()) for days in MIN_DAYS},
    )
