"""References and windows as counts, drawn and judged by the thousand, and never as rows.

A reference of 20,000 rows decides its own bins, by its quantiles. Those are a few order statistics,
which can be drawn without drawing the rows between them; how many rows lie between them is then
known, and a window is multinomial in the exact chances of the bins. Tests compare it with rows.

The rules are those of monitoring.drift for many windows at once; tests hold them to it.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv
from scipy.stats import binom, cauchy, false_discovery_control, lognorm, ncx2, norm, poisson

from evergreen.contract.problem import Bools
from evergreen.monitoring.drift import MIN_SHARE
from evergreen.monitoring.reference_profile import MIN_DELTA, QUANTILES
from evergreen.monitoring.report import MAJOR, MODERATE
from evergreen.monitoring.two_sample_tests import CONFIDENCE, MIN_EXPECTED, Counts, Q

NORMAL, LOGNORMAL, CAUCHY, POISSON = "normal", "lognormal", "Cauchy", "Poisson"
CATEGORIES, MISSING = "five categories", "normal, 10 % missing"
KINDS = (NORMAL, LOGNORMAL, CAUCHY, POISSON, CATEGORIES, MISSING)
POISSON_MEAN = 4.0
CATEGORY_SHARES = (0.5, 0.25, 0.15, 0.08, 0.02)
MISSING_SHARE = 0.1
REFERENCE_ROWS = 20_000
DISTRIBUTIONS = {NORMAL: norm(), LOGNORMAL: lognorm(1), CAUCHY: cauchy(), MISSING: norm()}


class Drawn(NamedTuple):
    """Independent references of one kind: their counts, and the chances of a new row.

    Both have shape (references, bins); the bin before the last but one of text is empty, and so are
    bins that only another reference has.
    """

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
        return Drawn(random.multinomial(REFERENCE_ROWS, shares).astype(float), shares)
    return _numbers(kind, count, random, moved)


def _numbers(kind: str, count: int, random: np.random.Generator, moved: float) -> Drawn:
    absent, distribution = MISSING_SHARE if kind == MISSING else 0.0, DISTRIBUTIONS[kind]
    rows = REFERENCE_ROWS - random.binomial(REFERENCE_ROWS, absent, size=(count, 1))
    places = np.array(QUANTILES) * (rows - 1)  # numpy's, between two of the sorted rows
    low, empty = np.floor(places).astype(np.int64), np.zeros_like(rows)
    between = np.stack([low, low + 1], axis=2).reshape(count, -1)
    sorted_at = np.concatenate([empty, between, rows - 1], axis=1)
    # Gaps between sorted uniform numbers are gamma distributed.
    gaps = np.diff(np.concatenate([sorted_at, rows], axis=1), axis=1, prepend=-1)
    sums = np.cumsum(random.standard_gamma(gaps), axis=1)
    found = distribution.ppf(sums[:, :-1] / sums[:, -1:])
    inner = found[:, 1:-1:2] + (places - low) * (found[:, 2:-1:2] - found[:, 1:-1:2])
    edges = np.concatenate([found[:, :1], inner, found[:, -1:]], axis=1)
    below = np.pad(
        distribution.cdf(edges - moved), ((0, 0), (1, 1)), constant_values=((0, 0), (0, 1))
    )
    shares = np.diff(below, axis=1) * (1 - absent)
    known = np.diff(np.concatenate([empty, low + 1, rows], axis=1), axis=1)
    reference = np.concatenate([empty, known, empty, REFERENCE_ROWS - rows], axis=1)
    chances = np.concatenate([shares, np.full((count, 1), absent)], axis=1)
    return Drawn(reference.astype(np.float64), chances)


def _poisson(count: int, random: np.random.Generator) -> Drawn:
    """Draw references of which each value is a bin, and unseen values belong to the next."""
    chances = poisson(POISSON_MEAN).pmf(np.arange(30))
    rows = random.multinomial(REFERENCE_ROWS, np.broadcast_to(chances, (count, len(chances))))
    seen, owner = rows > 0, np.arange(count)[:, None]
    bins = np.cumsum(seen, axis=1) - seen + 1  # the first is of values below all
    reference, shares = np.zeros((2, count, len(chances) + 3))
    np.add.at(reference, (owner, bins), rows)
    np.add.at(shares, (owner, bins), np.broadcast_to(chances, rows.shape))
    return Drawn(reference, shares)


def judged(reference: Counts, window: Counts) -> tuple[Counts, Counts]:
    """Return p and PSI of windows, shape (..., bins), each on its own; p is 1 above a third."""
    n, m = reference.sum(-1, keepdims=True), window.sum(-1, keepdims=True)
    statistic, df = _pearson(reference, window, n, m)
    far_off = (n * m / (n + m))[..., 0] * MIN_DELTA
    p = np.ones_like(statistic)
    far = statistic > df + far_off  # the mean; what is below it is no finding
    p[far] = ncx2.sf(statistic[far], df[far], far_off[far])
    return p, _psi(reference, window, n, m)


def _pearson(a: Counts, b: Counts, n: Counts, m: Counts) -> tuple[Counts, Counts]:
    """Return the statistics and degrees of freedom; groups of bins grow until they expect a row."""
    expected = (a + b) * np.minimum(n, m) / (n + m)
    one, other = np.sqrt(m / n)[..., 0], np.sqrt(n / m)[..., 0]

    def term(x: Counts, y: Counts) -> Counts:
        return np.asarray((one * x - other * y) ** 2 / np.where(x + y > 0, x + y, 1))

    statistic, groups, closed_a, closed_b, open_a, open_b, rows = np.zeros((7, *a.shape[:-1]))
    for place in range(a.shape[-1]):
        open_a, open_b = open_a + a[..., place], open_b + b[..., place]
        rows = rows + expected[..., place]
        full = rows >= MIN_EXPECTED
        statistic += np.where(full, term(closed_a, closed_b), 0)
        groups += full
        closed_a, closed_b = np.where(full, open_a, closed_a), np.where(full, open_b, closed_b)
        open_a, open_b, rows = (np.where(full, 0, each) for each in (open_a, open_b, rows))
    statistic += term(closed_a + open_a, closed_b + open_b)
    return statistic, np.maximum(groups - 1, 0)


def _psi(reference: Counts, window: Counts, n: Counts, m: Counts) -> Counts:
    used = reference + window > 0
    a, b = np.where(used, reference + 0.5, 0), np.where(used, window + 0.5, 0)
    p, q = a / a.sum(-1, keepdims=True), b / b.sum(-1, keepdims=True)
    logs = np.log(np.where(used, p, 1) / np.where(used, q, 1))
    bias = (used.sum(-1) - 1) * ((n + m) / (n * m))[..., 0]
    return np.asarray(np.maximum(0.0, ((p - q) * logs).sum(-1) - bias))


def warned(p: Counts, psi: Counts) -> tuple[Bools, Bools, Bools]:
    """Say which features, the last axis, are significant, and of these at warning, and major."""
    finds = np.asarray(false_discovery_control(p, axis=-1) <= Q)
    return finds, finds & (psi >= MODERATE), finds & (psi >= MAJOR)


def violated(kind: str, reference: Counts, window: Counts) -> Bools:
    """Say in which checks the schema counts as violated.

    reference, window: shape (checks, features, bins), of features of one kind.
    """
    n, m = reference.sum(-1), window.sum(-1)
    never = 1 - (1 - CONFIDENCE) ** (1 / n)
    share = betaincinv(reference[..., -1] + 1, n - reference[..., -1], CONFIDENCE)
    missing, text = window[..., -1], kind == CATEGORIES
    other = window[..., -2] if text else window[..., 0] + window[..., -2]
    p = [_test(missing, m, share), _test(other, m, never), np.ones((*m.shape[:-1], 1))]
    # what is beyond the range is tested, and never flagged
    large = [missing / m >= share + MIN_SHARE, text & (other / m >= never + MIN_SHARE)]
    found = false_discovery_control(np.concatenate(p, axis=-1), axis=-1) <= Q
    return np.asarray((found[..., :-1] & np.concatenate(large, axis=-1)).any(-1))


def _test(found: Counts, rows: Counts, share: Counts) -> Counts:
    """Return exact p values where the share is above its bound, which others cannot matter to."""
    p, above = np.ones_like(found), found > share * rows
    p[above] = binom.sf(found[above] - 1, rows[above], share[above])
    return p
