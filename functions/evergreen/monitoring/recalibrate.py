"""Learn each morning what scores mean by now, and guard against what that may do harm.

The members of a map are the identity, and lines on the logit that are fitted on the labelled
predictions of the last days, ridged towards the identity. A mixture with a fixed share (Herbster &
Warmuth 1998) weighs them by what each would have lost on the days since. As the identity is one of
them, the mixture cannot fall far behind the scores as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from evergreen.contract.problem import Floats
from evergreen.registry.recalibration import FARTHEST, WIDTH, Recalibration, Tally

WINDOWS = ((7, False), (14, True), (28, True))  # days of each member, and whether it has a slope
WEIGHTS = (1 / 2, 1 / 6, 1 / 6, 1 / 6)  # of the identity and of these, before any evidence
RIDGE = 180.0  # what 1,000 rows that are scored rightly weigh, at a mean variance of 0.18
RATE = 10.0  # by which the loss of a day, in nats, moves the weights
SHARE = 0.02  # of the weights that is spread evenly each day
LEAST = 50  # labelled rows of a window; of fewer its member is the identity
STEPS, HALVINGS, CLOSE = 50, 20, 1e-8  # of Newton's method
_BINS = 2 * FARTHEST + 1


@dataclass(frozen=True)
class Learnt:
    """What the outcomes of a version teach of its scores, one morning after the other.

    days: the mornings, shape (days,), ascending. lines: intercept and slope of each member, shape
    (days, members, 2), the identity first. weights: shape (days, members), of the mixture that is
    served. rows: that the members were fitted on, shape (days,).
    losses: mean log-loss per row of each member on that day, shape (days, members), and served: of
    the mixture, shape (days,); NaN of days without labels.
    """

    days: list[date]
    lines: Floats
    weights: Floats
    rows: Floats
    losses: Floats
    served: Floats

    @property
    def raw(self) -> Floats:
        """Return the loss of the scores as the model gives them, shape (days,)."""
        return np.asarray(self.losses[:, 0])

    @property
    def line(self) -> Floats:
        """Return the loss of the line of 28 days alone, shape (days,)."""
        return np.asarray(self.losses[:, -1])

    def map(self, endpoint: str, version: str, place: int = -1) -> Recalibration | None:
        """Return the map of a morning, of the last if none is named; None where it is none."""
        if not self.days or (self.lines[place] == self.lines[place, 0]).all():
            return None
        return Recalibration(
            endpoint=endpoint,
            version=version,
            day=self.days[place],
            lines=[(float(a), float(b)) for a, b in self.lines[place]],
            weights=self.weights[place].tolist(),
            rows=int(self.rows[place]),
        )


def learn(tallies: Sequence[Tally], lag: int, until: date | None = None) -> Learnt:
    """Learn from tallies of the scores of one version, one for each day, in any order.

    lag: how many days before a morning the last day lies whose labels are known then, 1 or more.
    until: a morning that is to be the last, though no outcomes of its day are known.
    """
    told = sorted((each for each in tallies if each.rows), key=lambda each: each.day)
    if until is not None:
        told = [each for each in told if each.day < until]
        told.append(Tally(day=until, rows=[], true=[], logit=[]))
    days = [each.day for each in told]
    at = np.array(days, dtype="datetime64[D]").astype(np.int64)
    bins = np.array([_dense(each) for each in told]).reshape(-1, 3, _BINS)
    known = np.searchsorted(at, at - lag, side="right")  # on each morning, so many days
    sums = np.concatenate([np.zeros((1, 3, _BINS)), bins.cumsum(axis=0)])
    lines, rows = np.tile([0.0, 1.0], (len(at), len(WEIGHTS), 1)), np.zeros(len(at))
    for place, (length, slope) in enumerate(WINDOWS, 1):
        window = sums[known] - sums[np.searchsorted(at, at - lag - length, side="right")]
        count = window[:, 0].sum(axis=1)
        lines[count >= LEAST, place] = _fitted(window[count >= LEAST], slope=slope)
        rows = np.maximum(rows, count)
    chances = 1 / (1 + np.exp(-(lines[:, :, :1] + lines[:, :, 1:] * _mean(bins)[:, None])))
    losses = _loss(bins[:, None], chances)
    weights = _weighed(losses, known)
    served = _loss(bins, (weights[:, :, None] * chances).sum(axis=1))
    return Learnt(days, lines, weights, rows, losses, served)


def _dense(tally: Tally) -> Floats:
    """Return rows, those that are true, and the sum of logits, of every bin, shape (3, bins)."""
    rows, logit = np.array(tally.rows, dtype=np.float64), np.array(tally.logit)
    place = np.clip(np.rint(logit / WIDTH) + FARTHEST, 0, _BINS - 1).astype(np.intp)
    parts = rows, tally.true, rows * logit
    return np.array([np.bincount(place, values, _BINS) for values in parts])


def _mean(bins: Floats) -> Floats:
    return np.asarray(bins[..., 2, :] / np.maximum(bins[..., 0, :], 1))


def _loss(bins: Floats, chances: Floats) -> Floats:
    """Return the mean log-loss per row of chances, shape (..., bins); NaN where there is none."""
    inside = np.clip(chances, 1e-15, 1 - 1e-15)
    rows, true = bins[..., 0, :], bins[..., 1, :]
    lost = -(true * np.log(inside) + (rows - true) * np.log1p(-inside)).sum(axis=-1)
    count = rows.sum(axis=-1)
    return np.asarray(np.divide(lost, count, out=np.full(lost.shape, np.nan), where=count > 0))


def _fitted(windows: Floats, *, slope: bool) -> Floats:
    """Return the intercept and slope of the line of each window, shape (windows, 2).

    windows: shape (windows, 3, bins). By Newton's method, a step of which is halved until it helps.
    """
    rows, true, mean = windows[:, 0], windows[:, 1], _mean(windows)
    line = np.tile([0.0, 1.0], (len(windows), 1))

    def lost(line: Floats) -> Floats:
        logit = line[:, :1] + line[:, 1:] * mean
        fit = (rows * np.logaddexp(0, logit) - true * logit).sum(axis=1)
        return np.asarray(fit + RIDGE / 2 * (line[:, 0] ** 2 + (line[:, 1] - 1) ** 2))

    best = lost(line)
    for _ in range(STEPS):
        step = _newton(rows, true, mean, line, slope=slope)
        for _ in range(HALVINGS):
            worse = lost(line + step) > best
            if not worse.any():
                break
            step[worse] /= 2
        step[lost(line + step) > best] = 0.0
        line += step
        best = lost(line)
        if (np.abs(step) < CLOSE).all():
            break
    return line


def _newton(rows: Floats, true: Floats, mean: Floats, line: Floats, *, slope: bool) -> Floats:
    chance = 1 / (1 + np.exp(-(line[:, :1] + line[:, 1:] * mean)))
    off, curve = true - rows * chance, rows * chance * (1 - chance)
    pull = np.stack([off.sum(axis=1), (off * mean).sum(axis=1)], 1) - RIDGE * (line - [0.0, 1.0])
    one, two, four = ((curve * mean**power).sum(axis=1) for power in (0, 1, 2))
    one, four = one + RIDGE, four + RIDGE
    if not slope:
        return np.stack([pull[:, 0] / one, np.zeros(len(line))], 1)
    area = one * four - two**2
    step = four * pull[:, 0] - two * pull[:, 1], one * pull[:, 1] - two * pull[:, 0]
    return np.stack(step, 1) / area[:, None]


def _weighed(losses: Floats, known: npt.NDArray[np.intp]) -> Floats:
    """Return the weights of each morning, shape (days, members), from what was lost before it."""
    weight, done, found = np.array(WEIGHTS), 0, np.empty(losses.shape)
    for place, number in enumerate(known):
        for lost in losses[done:number]:
            weight = weight * np.exp(-RATE * (lost - lost.min()))
            weight = (1 - SHARE) * weight / weight.sum() + SHARE / len(weight)
        done = max(done, number)
        found[place] = weight
    return found
