"""Tests that may be looked at every day: what was found is as likely to be chance as was said.

The unit is the mean of a day and not a row, as rows of one day rise and fall together: a test that
took rows for independent would find a difference where there is none in most comparisons.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit
from scipy.stats import chisquare

from evergreen.contract.problem import Floats

DAYS_STAR = 30  # for so many days the sequence is the tightest
LEAST_SPREAD = 0.25  # of the mean: the standard deviation of days that happen to be alike
BETS = (2.0, 4.0, 10.0)  # by how much a rate may be higher than its limit


@dataclass(frozen=True)
class Bound:
    """A mean over days, and an interval for it: each end alone is wrong with chance alpha, ever."""

    days: int
    mean: float
    lower: float
    upper: float


def bound(days: Sequence[float] | Floats, alpha: float) -> Bound | None:
    """Return the asymptotic confidence sequence of a mean of days; None for fewer than two.

    days: one value per day, in any order. Each end holds at all times together with chance
    1 - alpha. Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, arXiv 2103.06476, which holds
    for many days; few days show their own spread badly, so that it is widened as Student's t is
    over the normal (docs/promotion.md has what that does). Days that happen to be alike would leave
    no interval at all, and a certainty that few cannot give: their spread is taken to be at least
    LEAST_SPREAD of their mean, so that at 5 % no fewer than five days show anything: of fewer even
    the signs alone are alike by chance more often than that.

    >>> bound([0.01, 0.02] * 15, 0.05).lower > 0
    True
    """
    values = np.asarray(days, dtype=np.float64)
    if len(values) < 2:
        return None
    mean = float(values.mean())
    spread = max(float(values.std(ddof=1)), LEAST_SPREAD * abs(mean))
    width = spread * float(radius(len(values), alpha))
    return Bound(len(values), mean, mean - width, mean + width)


def radius(n: int | npt.NDArray[np.int_], alpha: float) -> Floats:
    """Return how many standard deviations the sequence reaches from the mean after n days.

    n: from 2 on, a number or an array of any shape, which is that of the answer.
    """
    at = -2 * np.log(2 * alpha)
    r2 = (at + np.log(1 + at)) / DAYS_STAR
    grown = n * r2 + 1
    errors = np.sqrt(2 * grown / (n * r2) * np.log(1 + np.sqrt(grown) / (2 * alpha)))  # standard
    return np.asarray(-stdtrit(n - 1, ndtr(-errors)) / np.sqrt(n))


def e_excess(events: int, rows: int, limit: float) -> float:
    """Return the evidence that events are more frequent than `limit`; may be looked at always.

    The mean of likelihood ratios of a few higher rates; by Ville's inequality it reaches 1/alpha
    with chance alpha at most as long as the rate is within the limit.

    >>> e_excess(0, 1_000, 0.01) < 1 < 20 < e_excess(30, 1_000, 0.01)
    True
    """
    higher = np.minimum(np.array(BETS) * limit, 0.999)
    others = (rows - events) * (np.log1p(-higher) - np.log1p(-limit))
    logs = events * np.log(higher / limit) + others
    return float(np.exp(np.minimum(logs, 700.0)).mean())


def mismatch(found: Sequence[int], shares: Sequence[float]) -> float:
    """Return the chance of so unlike a split as `found` when each arm was to get its share."""
    if not sum(found):
        return 1.0
    expected = np.array(shares, float) / sum(shares) * sum(found)
    return float(chisquare(found, expected).pvalue)
