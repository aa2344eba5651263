"""Whether a candidate may serve: the comparison with a baseline and with the champion."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEVEL = 0.05  # one-sided
RESAMPLES = 2_000
_EPSILON = 1e-15


@dataclass(frozen=True)
class Improvement:
    """How much lower a candidate's loss is than the champion's, in the metric's unit per row.

    lower: the lower end of the one-sided 95 % interval.
    """

    mean: float
    lower: float


@dataclass(frozen=True)
class Verdict:
    """Whether the gate opens, and why."""

    passed: bool
    reason: str


def losses(
    labels: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the log-loss of each row in nats, shape (rows,).

    >>> losses(np.array([True, False]), np.array([0.5, 0.5])).round(3).tolist()
    [0.693, 0.693]
    """
    scores = np.clip(scores, _EPSILON, 1 - _EPSILON)
    return -np.log(np.where(labels, scores, 1 - scores))


def improvement(
    champion: npt.NDArray[np.float64],
    candidate: npt.NDArray[np.float64],
    days: npt.NDArray[np.datetime64],
    seed: int,
) -> Improvement:
    """Compare two models' losses on the same rows by a bootstrap over days.

    champion, candidate: losses, shape (rows,). days: the day of each row. Whole days are drawn, as
    rows of one day rise and fall together: drawing rows would make any difference look certain.
    """
    _, place = np.unique(days, return_inverse=True)
    sums = np.bincount(place, weights=champion - candidate)
    rows = np.bincount(place)
    drawn = np.random.default_rng(seed).integers(len(rows), size=(RESAMPLES, len(rows)))
    means = sums[drawn].sum(axis=1) / rows[drawn].sum(axis=1)
    return Improvement(float(sums.sum() / rows.sum()), float(np.quantile(means, LEVEL)))


def judge(
    loss: float,
    baseline: float,
    over_champion: Improvement | None,
    margin: float,
    alone: str = "first champion",
) -> Verdict:
    """Decide whether a candidate with this mean loss on the holdout may serve.

    over_champion: None where there is nothing to compare with, and `alone` says why.
    """
    if not loss < baseline:
        return Verdict(False, f"log-loss {loss:.4f} does not beat the constant's {baseline:.4f}")
    if over_champion is None:
        return Verdict(True, f"log-loss {loss:.4f} beats the constant's {baseline:.4f}; {alone}")
    figures = f"improvement {over_champion.mean:+.4f}, at least {over_champion.lower:+.4f}"
    if not over_champion.lower >= -margin:
        return Verdict(False, f"{figures}, may be worse than the champion by more than {margin}")
    return Verdict(True, f"{figures} over the champion, within the margin of {margin}")
