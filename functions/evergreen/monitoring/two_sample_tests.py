"""Two samples as counts in the same bins: how far apart are they, and by more than chance?

All of it works on counts, shape (bins,), so that its cost does not grow with the rows.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import beta, binom, false_discovery_control, ncx2, wasserstein_distance

from evergreen.contract.problem import Floats

Counts = Floats

MIN_EXPECTED = 1.0  # rows in the smaller sample, of a bin or of neighbours that are tested as one
Q = 0.01  # share of false findings among the findings (Benjamini-Hochberg)
CONFIDENCE = 0.95  # of the upper bound of a share


def _pearson(reference: Counts, current: Counts) -> tuple[float, int, float]:
    """Return the two-sample statistic, its degrees of freedom and the effective sample size.

    Bins that expect less than a row are counted with their neighbours: in many of them a single row
    looks like news, and a mean that moves is seen in neighbours that move alike.
    """
    n, m = reference.sum(), current.sum()
    starts, rows = [0], 0.0
    for place, more in enumerate((reference + current) * min(n, m) / (n + m)):
        if rows >= MIN_EXPECTED:
            starts.append(place)
            rows = 0.0
        rows += more
    if rows < MIN_EXPECTED and len(starts) > 1:
        starts.pop()
    a, b = np.add.reduceat(reference, starts), np.add.reduceat(current, starts)
    used = a + b > 0
    a, b = a[used], b[used]
    statistic = ((np.sqrt(m / n) * a - np.sqrt(n / m) * b) ** 2 / (a + b)).sum()
    return float(statistic), len(a) - 1, float(n * m / (n + m))


def divergence(reference: Counts, current: Counts) -> float:
    """Return the divergence that `minimum_effect_p` compares with delta, corrected for its bias.

    >>> round(divergence(np.array([500.0, 500.0]), np.array([600.0, 400.0])), 3)
    0.038
    """
    statistic, df, effective = _pearson(reference, current)
    return max(0.0, (statistic - df) / effective)


def minimum_effect_p(reference: Counts, current: Counts, delta: float) -> float:
    """Test whether two samples diverge by more than `delta`.

    reference, current: rows per bin, shape (bins,), of the same bins.

    Returns the probability of counts at least this far apart if the true divergence were delta; 1
    where there is nothing to compare. Source: Potgieter et al., arXiv 2307.11878.

    >>> bool(minimum_effect_p(np.array([9e5, 1e5]), np.array([9.02e5, 0.98e5]), 0.01) > 0.99)
    True
    """
    if not (reference.sum() and current.sum()):
        return 1.0
    statistic, df, effective = _pearson(reference, current)
    return float(ncx2.sf(statistic, df, effective * delta)) if df else 1.0


def psi(reference: Counts, current: Counts) -> float:
    """Population stability index, corrected for its bias.

    reference, current: rows per bin, shape (bins,), of the same bins; empty bins count half a row.

    Returns nats, about 0 for samples of one population; 0.1 is worth a look, 0.25 is another one.
    Source: Yurdakul & Naranjo 2020.

    >>> psi(np.array([50.0, 50.0]), np.array([500.0, 500.0])) < 0.01
    True
    """
    used, n, m = reference + current > 0, reference.sum(), current.sum()
    a, b = reference[used] + 0.5, current[used] + 0.5
    p, q = a / a.sum(), b / b.sum()
    index = float(((p - q) * np.log(p / q)).sum())
    return max(0.0, index - float((int(used.sum()) - 1) * (n + m) / (n * m)))


def significant(ps: Sequence[float], q: float = Q) -> list[bool]:
    """Say which of many tests found something, by Benjamini-Hochberg at rate q.

    >>> significant([0.001, 0.5, 0.004], q=0.01)
    [True, False, True]
    """
    return (false_discovery_control(ps) <= q).tolist() if len(ps) else []


def wasserstein(edges: Sequence[float], reference: Counts, current: Counts) -> float:
    """Return the distance between two samples of numbers, in standard deviations of the first.

    edges: ascending, shape (bins - 2,); reference, current: rows per bin, with an open bin at each
    end and no bin for missing values. Rows beyond an end count as if they were at it, and a
    reference without spread has no unit to measure in: 0.

    >>> edges, rows = [0.0, 1.0, 2.0], np.array([0.0, 50.0, 50.0, 0.0])
    >>> round(wasserstein(edges, rows, np.array([0.0, 0.0, 100.0, 0.0])), 6)
    1.0
    """
    if not (len(edges) and reference.sum() and current.sum()):
        return 0.0
    centres = np.array([edges[0], *(np.add(edges[:-1], edges[1:]) / 2), edges[-1]])
    p = reference / reference.sum()
    spread = float(np.sqrt((p * (centres - p @ centres) ** 2).sum()))
    return float(wasserstein_distance(centres, centres, p, current)) / spread if spread else 0.0


def upper_bound(found: float, rows: float) -> float:
    """Return what a share may be at most, with 95 % confidence, after `found` of `rows` rows.

    Clopper and Pearson's, which is 3 / rows where there was none.

    >>> round(upper_bound(0, 3000), 4)
    0.001
    """
    return float(beta.ppf(CONFIDENCE, found + 1, rows - found)) if found < rows else 1.0


def more_than(share: float, found: float, rows: float) -> float:
    """Return the chance of at least `found` of `rows` rows if the true share is `share`, exactly.

    >>> round(more_than(0.5, 9, 10), 4)
    0.0107
    """
    return float(binom.sf(found - 1, rows, share))
