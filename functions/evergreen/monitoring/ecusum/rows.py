"""Is the loss above its limit? An e-CUSUM on the bounded loss of each row, for sudden jumps.

Each of a few bets keeps a wealth that grows when losses are higher than the limit, and starts again
from 1 when it was lost: W_j = LR_j max(W_{j-1}, 1); their mean is evidence. Source: Shin, Ramdas &
Rinaldo, E-detectors, arXiv 2203.03532. What a day of rows does to a wealth is two numbers, so days
are kept as such and never read again.
"""

from collections.abc import Sequence

import numpy as np

from evergreen.contract.problem import Floats

Evidence = list[tuple[float, float]]

BETS = (0.05, 0.125, 0.2, 0.4)  # shares of the wealth; best for errors 0.2 -> 0.24, 0.3, 0.36, 0.52
THRESHOLD = 20_000.0  # 1 / alpha, measured: see docs/monitoring.md
OVER = 2.0  # an alarm ends when its evidence is less; the last rows of a good day leave about 1
START = [0.0] * len(BETS)  # log wealth
CAP = float(np.log(len(BETS) * THRESHOLD)) + 1.0  # log; more would only make a recovery invisible
ALIKE = 2.5  # times as alike as a holdout shows days to be: see docs/monitoring.md
MIN_LIMIT = 1e-6  # a limit of 0 would turn any loss into infinite evidence


def design_effect(rows: int, similarity: float) -> float:
    """Return how many rows of a day tell as much as one (Kish), as good and bad days may follow.

    >>> design_effect(1, 1.0), design_effect(101, 0.01)
    (1.0, 3.5)
    """
    return 1 + max(rows - 1, 0) * ALIKE * similarity


def evidence(losses: Floats, limit: float, design_effect: float) -> Evidence:
    """Return what the rows of a day do to the log wealth of each bet: its total and best suffix.

    losses: in [0, 1], shape (rows,), in order. limit: the highest mean loss that is still fine.

    A row multiplies the wealth by LR = 1 - f + f loss / limit, whose mean is at most 1 as long as
    the mean loss is at most the limit; for 0/1 errors it is the likelihood ratio of an error rate
    of limit + f (1 - limit). Rows of one day are alike, by weather, a campaign, an outage: d of
    them tell as much as one (Kish's design effect), so each counts as LR^(1/d). For d rows that
    depend on each other in any way that is still a fair bet, by Hölder's inequality.

    >>> evidence(np.array([0.2, 0.2]), 0.2, 1.0)[0]
    (0.0, 0.0)
    """
    fair = np.maximum(losses, 0) / max(limit, MIN_LIMIT)
    found: Evidence = []
    for stake in BETS if len(losses) else ():
        path = np.cumsum(np.log1p(stake * (fair - 1)) / design_effect)
        before = np.concatenate([[0.0], path[:-1]])
        found.append((float(path[-1]), float(path[-1] - before.min())))
    return found


def accumulate(state: Sequence[float], evidence: Evidence) -> list[float]:
    """Return the log wealth of each bet after a day; no rows change nothing.

    The wealth is capped, so that a long bad time is over soon after it is over.
    """
    if not evidence:
        return list(state)
    pairs = zip(state, evidence, strict=True)
    return [min(max(wealth + total, best), CAP) for wealth, (total, best) in pairs]


def e_value(state: Sequence[float]) -> float:
    """Return the evidence that the loss is above its limit: the mean wealth of the bets."""
    return float(np.exp(np.asarray(state)).mean())
