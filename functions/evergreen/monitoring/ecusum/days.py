"""Has something become worse by the day? An e-CUSUM on differences between the means of days.

It asks nothing of how days are distributed but that a difference is as often bad as good, by about
the same amount. A day is one bet, however many rows it has: so it finds what lasts for weeks, and
days that are alike, one after the other, cost it little.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from evergreen.contract.problem import Floats

OVER = 1.0  # an alarm ends when its evidence is less: what spoke for it is lost
STAKES = (0.25, 0.5, 0.9)  # shares of the wealth, for slow and for sudden changes
SPAN = 60  # days by whose differences those of a day are scaled
SKIPPED = 2  # days before it, which may be bad already
LEAST = 5  # days to scale by
FLOOR = 0.004  # of the scale, in units of the loss
SPREADS = 2.0  # of the scale; a day that is further off counts as that far
START = np.zeros(len(STAKES))  # log wealth


def bet(differences: Floats) -> Floats | None:
    """Return what the last day's difference is worth, -1 to 1; None where too few came before it.

    differences: of days, oldest first and more than 0 where a day was bad, shape (days, ...).
    """
    before = differences[: -1 - SKIPPED][-SPAN:]
    if len(before) < LEAST:
        return None
    scale = np.maximum(np.sqrt((before**2).mean(axis=0)), FLOOR)
    return np.asarray(np.clip(differences[-1] / (SPREADS * scale), -1, 1))


def accumulate(wealth: Floats, worth: Floats | float, threshold: float) -> Floats:
    """Return the log wealth after a day's bet, shape (..., stakes); capped, to be over in time."""
    won = np.log1p(np.array(STAKES) * np.asarray(worth)[..., None])
    return np.asarray(np.minimum(np.maximum(wealth, 0) + won, np.log(len(STAKES) * threshold) + 1))


def e_value(wealth: Floats) -> Floats:
    """Return the evidence that days have become worse: the mean wealth."""
    return np.asarray(np.exp(wealth).mean(axis=-1))


def rings(
    on: bool | npt.NDArray[np.bool_], found: float | Floats, threshold: float, over: float = OVER
) -> npt.NDArray[np.bool_]:
    """Say whether an alarm is on after a day: it begins at a threshold, and ends when all is lost.

    >>> [bool(rings(on, found, 100)) for on, found in ((False, 99), (False, 100), (True, 1))]
    [False, True, True]
    """
    return np.asarray((found >= threshold) | (on & np.asarray(found >= over)))


def follow(bets: Iterable[float], threshold: float) -> tuple[float, bool]:
    """Return the evidence after the bets of days, and whether the alarm is on."""
    wealth, on = START, False
    for worth in bets:
        wealth = accumulate(wealth, worth, threshold)
        on = bool(rings(on, e_value(wealth), threshold))
    return float(e_value(wealth)), on
