"""False alarms and delay of the e-CUSUM on streams of errors, the limit known or measured."""

from dataclasses import dataclass

import numpy as np

from evergreen.contract.problem import Bools
from evergreen.monitoring import performance
from evergreen.monitoring.two_sample_tests import Counts

ERROR = 0.2
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


@dataclass(frozen=True)
class Quiet:
    """Streams of 400,000 rows with an error of 0.2, the limit: in how many there was an alarm."""

    streams: int
    by_row: int
    by_day: int


def quiet(streams: int) -> Quiet:
    """Count the streams with a false alarm, looked at after every row and every 900."""
    by_row = by_day = 0
    for seed in range(streams):
        found = e_values(np.random.default_rng((6, seed)).random(STREAM) < ERROR)
        by_row += bool((found >= performance.THRESHOLD).any())
        by_day += bool((found[A_DAY - 1 :: A_DAY] >= performance.THRESHOLD).any())
    return Quiet(streams, by_row, by_day)


@dataclass(frozen=True)
class Found:
    """Rows until an error that rose from 0.2 is found; warm: after 2,000 rows at 0.2."""

    error: float
    repetitions: int
    median: float
    median_warm: float


def found(error: float, repetitions: int) -> Found:
    """Measure the delay in rows."""
    random = np.random.default_rng((7, int(100 * error)))
    medians = []
    for warm in (0, 2_000):
        chances = np.repeat([ERROR, error], [warm, 6_000])
        over = e_values(random.random((repetitions, len(chances))) < chances)
        over = over[~(over[:, :warm] >= performance.THRESHOLD).any(axis=1), warm:]
        hit = over >= performance.THRESHOLD
        medians.append(float(np.median(np.where(hit.any(1), hit.argmax(1) + 1, NEVER))))
    return Found(error, repetitions, *medians)


@dataclass(frozen=True)
class Clustered:
    """Days that differ by chance in their error rate, of which a holdout has seen some."""

    spread: float
    holdout_days: int
    rows_a_day: int
    years: int
    limit: float
    similarity: float  # as measured, the median
    true_similarity: float
    alarms: float  # begun a year
    alarms_as_rows: float  # were rows of a day taken as independent
    endpoints: float  # share of holdouts that led to any alarm


def clustered(spread: float, days: int, rows: int, holdouts: int) -> Clustered:
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
    alarms = np.array(counts)
    return Clustered(
        spread,
        days,
        rows,
        holdouts * years,
        limit=float(np.mean(limits)),
        similarity=float(np.median(found)),
        true_similarity=spread**2 / (ERROR * (1 - ERROR)),
        alarms=float(alarms[:, 0].mean() / years),
        alarms_as_rows=float(alarms[:, 1].mean() / years),
        endpoints=float((alarms[:, 0] > 0).mean()),
    )


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
