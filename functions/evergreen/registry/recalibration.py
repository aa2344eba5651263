"""What a score means by now: a map that outcomes have taught, which predict applies to it.

A model goes on scoring as it was fitted while the world moves on: its scores keep telling rows
apart long after they have stopped being the chances that they were. The map is a mean of a few
lines on the logit of the score, one of which changes nothing.
"""

from datetime import date
from functools import cached_property

import msgspec
import numpy as np

from evergreen.contract.problem import Bools, Floats

WIDTH = 0.2  # of a bin of logits
FARTHEST = 50  # bins on either side of 0; what is beyond is in the last
IDENTITY = (0.0, 1.0)
_TINY = 1e-15  # a score of 0 or 1 has no logit


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the predictions of one day, by their score before recalibration.

    rows, true, logit: of each bin of logits that has rows: their number, how many were labelled
    true, and their mean logit; shape (bins,) each, in the order of logits.
    """

    day: date
    rows: list[int]
    true: list[int]
    logit: list[float]


class Recalibration(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The map of one version for one UTC day.

    lines: intercept and slope on the logit scale of each member. weights: of the members, sum 1.
    rows: labelled predictions that it was learnt from.
    Raises ValueError for what would not map chances to chances.
    """

    endpoint: str
    version: str
    day: date
    lines: list[tuple[float, float]]
    weights: list[float]
    rows: int

    def __post_init__(self) -> None:
        parts = np.array([*self.weights, *(part for line in self.lines for part in line)])
        whole = len(self.weights) == len(self.lines) and np.isfinite(parts).all()
        if not (whole and min(self.weights, default=-1) >= 0 and abs(sum(self.weights) - 1) < 1e-6):
            raise ValueError("a map needs lines, and a weight of each that add up to 1")

    @property
    def line(self) -> tuple[float, float]:
        """Return the weighted mean of the intercepts and of the slopes, to say how large it is."""
        intercept, slope = np.array(self.weights) @ np.array(self.lines)
        return float(intercept), float(slope)

    def of(self, scores: Floats) -> Floats:
        """Return the scores to serve, shape (rows,), for probabilities of the model.

        >>> double = Recalibration(endpoint="e", version="v", day=date(2013, 2, 1), rows=1,
        ...     lines=[(np.log(2.0), 1.0)], weights=[1.0])
        >>> double.of(np.array([0.5])).round(3).tolist()
        [0.667]
        """
        intercepts, slopes, weights = self._columns
        chances = 1 / (1 + np.exp(-(intercepts + slopes * logits(scores))))
        return np.asarray((weights * chances).sum(axis=0))

    @cached_property
    def _columns(self) -> Floats:
        """Return intercepts, slopes and weights, shape (3, members, 1)."""
        return np.array([*zip(*self.lines, strict=True), self.weights])[:, :, None]


def logits(scores: Floats) -> Floats:
    """Return the logits of probabilities, finite also of 0 and 1."""
    inside = np.minimum(np.maximum(scores, _TINY), 1 - _TINY)
    return np.asarray(np.log(inside / (1 - inside)))


def tally(day: date, scores: Floats, labels: Bools) -> Tally:
    """Count the labelled predictions of a day.

    scores: probabilities of the model, before any recalibration. labels: shape (rows,), as are
    the scores.

    >>> tally(date(2013, 2, 1), np.array([0.5, 0.5]), np.array([True, False]))
    Tally(day=datetime.date(2013, 2, 1), rows=[2], true=[1], logit=[0.0])
    """
    found = logits(scores)
    place = np.clip(np.rint(found / WIDTH), -FARTHEST, FARTHEST).astype(np.intp) + FARTHEST
    rows, true, sums = (
        np.bincount(place, weights=each, minlength=1) for each in (None, labels, found)
    )
    kept = np.flatnonzero(rows)
    return Tally(
        day=day,
        rows=rows[kept].astype(int).tolist(),
        true=true[kept].astype(int).tolist(),
        logit=(sums[kept] / rows[kept]).round(6).tolist(),
    )
