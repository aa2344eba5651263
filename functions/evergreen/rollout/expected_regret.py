"""What a promotion may cost, and what its refusal may: a bet on a gain that few days have shown.

A prior says that versions of one endpoint differ by little, so that a lucky week is not believed;
days of evidence move it. Source: Stucchio, Bayesian A/B testing at VWO (2015), on the means of days
in place of rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from evergreen.contract.problem import Floats

# In units of policy.margin, which says what is little: 0.01 nats of log-loss, if nothing else is.
GAIN = 3.0  # standard deviation of the gains of versions, before any evidence
SPREAD, SPREAD_DAYS = 4.5, 5  # of a day's gain, and how many days of evidence that is worth
SMALL = 0.1  # an expected loss that is not worth another day of comparison
ALIKE = 2.0  # days follow each other: one in three of their deviations lasts, so two tell as one


@dataclass(frozen=True)
class Regret:
    """The expected gain of a promotion, and what it, or its refusal, is expected to lose.

    In the metric's unit per row; each a number, or of shape (runs,).
    """

    gain: Floats
    promoted: Floats
    refused: Floats


def regret(days: Sequence[float] | Floats, margin: float) -> Regret:
    """Return what days of paired gains have taught, shape (..., days), at least one of them.

    >>> steady = regret([0.02, 0.03] * 5, 0.01)
    >>> bool(steady.promoted < SMALL * 0.01 < steady.refused)
    True
    """
    gains = np.asarray(days, dtype=np.float64)
    count = gains.shape[-1]
    off = gains - gains.mean(axis=-1, keepdims=True)
    pooled = (off**2).sum(axis=-1) + SPREAD_DAYS * (SPREAD * margin) ** 2
    noise = ALIKE * pooled / (count - 1 + SPREAD_DAYS)
    variance = 1 / (1 / (GAIN * margin) ** 2 + count / noise)
    gain = variance * gains.sum(axis=-1) / noise
    spread = np.sqrt(variance)
    at = gain / spread
    density = np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi)
    promoted, refused = spread * (density - at * ndtr(-at)), spread * (density + at * ndtr(at))
    return Regret(np.asarray(gain), np.asarray(promoted), np.asarray(refused))
