"""References and windows as counts, drawn from their exact distribution and never as rows.

A reference of 20,000 rows decides its own bins, by its quantiles. Those are a few order statistics,
which can be drawn without drawing the rows between them; how many rows lie between them is then
known, and a window is multinomial in the exact chances of the bins. Tests compare it with rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, ndtr, ndtri

from benchmarks.drift.columns import (
    CATEGORIES,
    CATEGORY_SHARES,
    CAUCHY,
    LOGNORMAL,
    MISSING,
    MISSING_SHARE,
    NORMAL,
    POISSON,
    POISSON_MEAN,
)
from evergreen.monitoring.reference_profile import QUANTILES
from evergreen.monitoring.two_sample_tests import Counts

REFERENCE_ROWS = 20_000
POISSON_VALUES = np.arange(30)

Places = npt.NDArray[np.int64]
Function = Callable[[Counts], Counts]


@dataclass(frozen=True)
class Drawn:
    """Independent references of one kind: their counts, and the chances of a new row.

    Both have shape (references, bins); the bin before the last but one of text is empty, and so are
    bins that only another reference has.
    """

    kind: str
    reference: Counts
    chances: Counts

    def window(self, rows: int, random: np.random.Generator) -> Counts:
        """Return a window of so many rows for each reference."""
        return random.multinomial(rows, self.chances).astype(np.float64)


def references(kind: str, count: int, random: np.random.Generator, moved: float = 0.0) -> Drawn:
    """Draw references of a kind, of which new rows have moved by so many standard deviations."""
    if kind == POISSON:
        return _poisson(count, random)
    if kind == CATEGORIES:
        shares = np.broadcast_to([*CATEGORY_SHARES, 0.0, 0.0], (count, 7))
        return Drawn(kind, random.multinomial(REFERENCE_ROWS, shares).astype(float), shares)
    return _numbers(kind, count, random, moved)


def _numbers(kind: str, count: int, random: np.random.Generator, moved: float) -> Drawn:
    absent = MISSING_SHARE if kind == MISSING else 0.0
    rows = REFERENCE_ROWS - random.binomial(REFERENCE_ROWS, absent, size=(count, 1))
    places = np.array(QUANTILES) * (rows - 1)  # numpy's, between two of the sorted rows
    low = np.floor(places).astype(np.int64)
    between = np.stack([low, low + 1], axis=2).reshape(count, -1)
    sorted_at = np.concatenate([np.zeros_like(rows), between, rows - 1], axis=1)
    quantile, chance = _functions(kind)
    found = quantile(_uniforms(sorted_at, rows, random))
    inner = found[:, 1:-1:2] + (places - low) * (found[:, 2:-1:2] - found[:, 1:-1:2])
    edges = np.concatenate([found[:, :1], inner, found[:, -1:]], axis=1)
    below = np.pad(chance(edges - moved), ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1)))
    shares = np.diff(below, axis=1) * (1 - absent)
    known = np.diff(np.concatenate([np.zeros_like(rows), low + 1, rows], axis=1), axis=1)
    empty = np.zeros_like(rows)
    return Drawn(
        kind,
        np.concatenate([empty, known, empty, REFERENCE_ROWS - rows], axis=1).astype(np.float64),
        np.concatenate([shares, np.full((count, 1), absent)], axis=1),
    )


def _uniforms(sorted_at: Places, rows: Places, random: np.random.Generator) -> Counts:
    """Return some of `rows` sorted uniform numbers: gaps between them are gamma distributed."""
    gaps = np.diff(np.concatenate([sorted_at, rows], axis=1), axis=1, prepend=-1)
    sums = np.cumsum(random.standard_gamma(gaps), axis=1)
    return np.asarray(sums[:, :-1] / sums[:, -1:])


def _functions(kind: str) -> tuple[Function, Function]:
    """Return the quantile function and the distribution function of numbers of a kind."""
    if kind == CAUCHY:
        return lambda u: np.tan(np.pi * (u - 0.5)), lambda x: 0.5 + np.arctan(x) / np.pi
    if kind == LOGNORMAL:
        return lambda u: np.exp(ndtri(u)), lambda x: ndtr(np.log(x))
    assert kind in (NORMAL, MISSING)
    return ndtri, ndtr


def _poisson(count: int, random: np.random.Generator) -> Drawn:
    """Draw references of which each value is a bin, and unseen values belong to the next."""
    values = POISSON_VALUES
    chances = np.exp(values * np.log(POISSON_MEAN) - POISSON_MEAN - gammaln(values + 1))
    rows = random.multinomial(REFERENCE_ROWS, np.broadcast_to(chances, (count, len(values))))
    seen = rows > 0
    bins = np.cumsum(seen, axis=1) - seen + 1  # the first is of values below all
    owner = np.arange(count)[:, None]
    reference, shares = np.zeros((2, count, len(values) + 3))
    np.add.at(reference, (owner, bins), rows)
    np.add.at(shares, (owner, bins), np.broadcast_to(chances, rows.shape))
    return Drawn(POISSON, reference, shares)
