"""How soon a better challenger is promoted and a worse one rolled back, and what else is tested."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.promotion.chance import ALPHA
from benchmarks.promotion.draws import DAY_SD, ROWS_A_DAY, Process, bounds, first, gains, median
from evergreen.contract.endpoint import Policy
from evergreen.rollout.confidence_sequence import e_excess
from evergreen.rollout.evidence import FAILURES

GAINS = (0.01, 0.02, 0.05, 0.1)
SPREADS = (0.012, 0.032, DAY_SD)  # 5, 25 and 50 % of the pairs of flight models have less
ROLLBACKS = (0.0, 0.02, 0.05, 0.1)
EXPERIMENTS = (0.0, 0.01, 0.02, 0.05)
LOSS_SD = 0.5  # of the log-loss of a row of one model
RATES = (0.002, FAILURES, 0.02, 0.05, 0.2)
REQUESTS = 20_000
LOOK = 20  # requests between two looks at a guardrail
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


@dataclass(frozen=True)
class Experiment:
    """An A/B test: verdicts within 60 days. right: that the better arm is better."""

    gain: float
    runs: int
    right: float
    wrong: float
    median: float | None


def experiment(gain: float, runs: int) -> Experiment:
    """Split 900 rows a day into halves: what moves both arms of a day cancels, rows do not."""
    random = np.random.default_rng((22, int(1e4 * gain)))
    noise = LOSS_SD / np.sqrt(ROWS_A_DAY / 2)
    paired = gains(Process("", DAY_SD), gain, (runs, 60), random)
    lower, upper = bounds(paired + random.normal(0, np.sqrt(2) * noise, paired.shape), ALPHA)
    won, lost = lower > 0, upper < 0
    early = Policy().shadow_days - 1
    won[:, :early], lost[:, :early] = False, False
    wins, losses = first(won), first(lost)
    return Experiment(
        gain,
        runs,
        float((wins < losses).mean()),
        float((losses < wins).mean()),
        median(wins),
    )


@dataclass(frozen=True)
class Guardrail:
    """A canary that fails to answer: share of runs rejected in 20,000 requests, and how soon."""

    rate: float
    runs: int
    rejected: float
    median: float | None


def guardrails(runs: int) -> list[Guardrail]:
    """Look every 20 requests; the least failures that are evidence are found by the product."""
    n = np.arange(LOOK, REQUESTS + 1, LOOK)
    least = np.array([_least(int(rows)) for rows in n])
    return [_guardrail(rate, runs, least) for rate in RATES]


def _guardrail(rate: float, runs: int, least: npt.NDArray[np.int_]) -> Guardrail:
    random = np.random.default_rng((24, int(1e4 * rate)))
    failures = random.binomial(LOOK, rate, (runs, len(least))).cumsum(axis=1)
    at = first(failures >= least) * LOOK
    rejected = float(np.isfinite(at).mean())
    return Guardrail(rate, runs, rejected, median(at))


def _least(rows: int) -> int:
    """Return the fewest failures among so many requests that a canary is rejected for."""
    low, high = 0, rows
    while low < high:
        middle = (low + high) // 2
        if e_excess(middle, rows, FAILURES) >= 1 / ALPHA:
            high = middle
        else:
            low = middle + 1
    return low
