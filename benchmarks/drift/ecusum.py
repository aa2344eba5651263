"""False alarms and delay of the e-CUSUM on streams of errors, the limit known or measured."""

import numpy as np

from benchmarks.shown import Goal, Part
from evergreen.contract.problem import Bools
from evergreen.monitoring import performance
from evergreen.monitoring.two_sample_tests import Counts

ERROR = 0.2
ERRORS = (0.25, 0.3, 0.5)  # that it becomes
STREAM = 400_000
A_DAY = 900  # rows, as the flights have
NEVER = 1_000_000
HUGE = 700.0  # log; more has no exponential
# Spread of the days' error rates, days in the holdout, labels a day after it.
SETTINGS = ((0.0, 28, 900), (0.05, 28, 900), (0.12, 28, 900), (0.12, 7, 900), (0.05, 28, 9_000))
YEARS = 10  # of 900 labels a day; of more, so many fewer


def e_values(errors: Bools) -> Counts:
    """Return the e-value after each row, along the last axis, for the limit 0.2."""
    total = np.zeros(errors.shape)
    for stake in performance.BETS:
        steps = np.log1p(stake * (np.array([0.0, 1.0]) / ERROR - 1))
        path = np.cumsum(steps[errors.astype(np.int8)], axis=-1)
        before = np.concatenate([np.zeros_like(path[..., :1]), path[..., :-1]], axis=-1)
        total += np.exp(np.minimum(path - np.minimum.accumulate(before, axis=-1), HUGE))
    return np.asarray(total / len(performance.BETS))


def independent(streams: int, repetitions: int) -> Part:
    """Count false alarms at the limit, and measure the rows until a higher error is found."""
    by_row, by_day = _quiet(streams)
    remark = (
        f"The promised error is at most 0.2. At exactly that limit {by_row} of "
        f"{streams:,} streams of 400,000 rows had an alarm with a look after every row, "
        f"and {by_day} with a look once a day (900 rows), as in a check."
    )
    medians = {error: _rows_until(error, repetitions) for error in ERRORS}
    rows = [[f"{error:g}", *(f"{n:,.0f}" for n in found)] for error, found in medians.items()]
    heads = ["error becomes", "rows until found, median", "after 2,000 rows at 0.2"]
    cold, _ = medians[0.3]
    text = "rows until an error of 0.3 for 0.2 is found"
    goal = Goal(text, f"{cold:.0f}", "≤ 313", cold <= 313)
    return Part([("Performance: independent rows", remark, heads, rows)], [goal])


def _quiet(streams: int) -> tuple[int, int]:
    """Return how many streams had a false alarm, looked at after every row and every 900."""
    by_row = by_day = 0
    for seed in range(streams):
        found = e_values(np.random.default_rng((6, seed)).random(STREAM) < ERROR)
        by_row += bool((found >= performance.THRESHOLD).any())
        by_day += bool((found[A_DAY - 1 :: A_DAY] >= performance.THRESHOLD).any())
    return by_row, by_day


def _rows_until(error: float, repetitions: int) -> list[float]:
    """Return the median rows until an error that rose from 0.2 is found, at once and once warm."""
    random = np.random.default_rng((7, int(100 * error)))
    medians = []
    for warm in (0, 2_000):
        chances = np.repeat([ERROR, error], [warm, 6_000])
        over = e_values(random.random((repetitions, len(chances))) < chances)
        over = over[~(over[:, :warm] >= performance.THRESHOLD).any(axis=1), warm:]
        hit = over >= performance.THRESHOLD
        medians.append(float(np.median(np.where(hit.any(1), hit.argmax(1) + 1, NEVER))))
    return medians


def clustered(holdouts: int) -> Part:
    """Count the alarms on days that differ by chance, of which a holdout has seen some."""
    remark = (
        "Error rates of days vary by chance around 0.2; a holdout of 900 labels a day gives the "
        "limit and how alike the rows of a day are. Alarms a year, all of them false."
    )
    heads = [
        "spread of days", "holdout, days", "labels a day", "years", "limit",
        "similarity / true", "alarms a year", "if rows were independent", "holdouts with any",
    ]  # fmt: skip
    rows = [_clustered(*one, holdouts) for one in SETTINGS]
    return Part([("Performance: days that differ", remark, heads, rows)])


def _clustered(spread: float, days: int, rows: int, holdouts: int) -> list[str]:
    """Follow each of so many holdouts, of 900 labels a day, for years at the same error."""
    random = np.random.default_rng((8, int(100 * spread), days, rows))
    years = YEARS * A_DAY // rows
    limits, found, counts = [], [], []
    for _ in range(holdouts):
        known = _days(spread, days, A_DAY, random)
        day = np.repeat(np.arange(days), A_DAY).astype("datetime64[D]")
        promised = performance.expected(known.ravel() == 1, np.zeros(known.size), day)
        live = _days(spread, 365 * years, rows, random)
        limits.append(promised.upper)
        found.append(promised.similarity)
        effect = 1 + (rows - 1) * promised.similarity  # as performance.summarize has it
        counts.append([_alarms(live, promised.upper, d) for d in (effect, 1.0)])
    alarms, as_rows = np.array(counts).T
    true = spread**2 / (ERROR * (1 - ERROR))
    return [
        f"{spread:g}", str(days), f"{rows:,}", f"{holdouts * years:,}", f"{np.mean(limits):.3f}",
        f"{np.median(found):.3f} / {true:.3f}", f"{alarms.mean() / years:.3f}",
        f"{as_rows.mean() / years:.1f}", f"{(alarms > 0).mean():.0%}",
    ]  # fmt: skip


def _days(spread: float, days: int, rows: int, random: np.random.Generator) -> Counts:
    """Return errors, shape (days, rows), of days whose rates are beta distributed around 0.2."""
    rates = np.full(days, ERROR)
    if spread:
        alike = ERROR * (1 - ERROR) / spread**2 - 1
        rates = random.beta(ERROR * alike, (1 - ERROR) * alike, days)
    return (random.random((days, rows)) < rates[:, None]).astype(np.float64)


def _alarms(days: Counts, limit: float, design_effect: float) -> int:
    """Return how many alarms begin, looked at by the end of each day, as performance.judge does."""
    state, on, begun = list(performance.START), False, 0
    for losses in days:
        day = performance.evidence(losses, limit, design_effect)
        state = performance.accumulate(state, day)
        now = performance.e_value(state) >= performance.THRESHOLD
        begun += now and not on
        on = now
    return begun
