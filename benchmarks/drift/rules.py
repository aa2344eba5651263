"""The rules of monitoring.drift for many windows at once; `audited` holds them to the original."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv
from scipy.stats import binom, ncx2

from benchmarks.drift.columns import CATEGORIES
from evergreen.monitoring import drift, two_sample_tests
from evergreen.monitoring.drift import MAJOR, MIN_SHARE, MODERATE
from evergreen.monitoring.reference_profile import MIN_DELTA
from evergreen.monitoring.two_sample_tests import CONFIDENCE, MIN_EXPECTED, Counts, Q
from evergreen.registry.manifest import FeatureProfile

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """What the rules say of windows, each of shape (...,); p is 1 where it is above a third."""

    p: Counts
    psi: Counts


def judged(reference: Counts, window: Counts, delta: float = MIN_DELTA) -> Judged:
    """Judge windows, shape (..., bins), each on its own."""
    n, m = reference.sum(-1, keepdims=True), window.sum(-1, keepdims=True)
    statistic, df = _pearson(reference, window, n, m)
    effective = (n * m / (n + m))[..., 0]
    p = np.ones_like(statistic)
    far = statistic > df + effective * delta  # the mean; what is below it is no finding
    p[far] = ncx2.sf(statistic[far], df[far], effective[far] * delta)
    return Judged(p, _psi(reference, window, n, m))


def _pearson(a: Counts, b: Counts, n: Counts, m: Counts) -> tuple[Counts, Counts]:
    """Return the statistics and degrees of freedom; groups of bins grow until they expect a row."""
    expected = (a + b) * np.minimum(n, m) / (n + m)
    one, other = np.sqrt(m / n)[..., 0], np.sqrt(n / m)[..., 0]

    def term(x: Counts, y: Counts) -> Counts:
        return np.asarray((one * x - other * y) ** 2 / np.where(x + y > 0, x + y, 1))

    zero = np.zeros(a.shape[:-1])
    statistic, groups = zero.copy(), zero.copy()
    closed_a, closed_b, open_a, open_b, rows = zero, zero, zero, zero, zero
    for place in range(a.shape[-1]):
        open_a, open_b = open_a + a[..., place], open_b + b[..., place]
        rows = rows + expected[..., place]
        full = rows >= MIN_EXPECTED
        statistic += np.where(full, term(closed_a, closed_b), 0)
        groups += full
        closed_a, closed_b = np.where(full, open_a, closed_a), np.where(full, open_b, closed_b)
        open_a, open_b = np.where(full, 0, open_a), np.where(full, 0, open_b)
        rows = np.where(full, 0, rows)
    statistic += term(closed_a + open_a, closed_b + open_b)
    return statistic, np.maximum(groups - 1, 0)


def _psi(reference: Counts, window: Counts, n: Counts, m: Counts) -> Counts:
    used = reference + window > 0
    a, b = np.where(used, reference + 0.5, 0), np.where(used, window + 0.5, 0)
    p, q = a / a.sum(-1, keepdims=True), b / b.sum(-1, keepdims=True)
    logs = np.log(np.where(used, p, 1) / np.where(used, q, 1))
    bias = (used.sum(-1) - 1) * ((n + m) / (n * m))[..., 0]
    return np.asarray(np.maximum(0.0, ((p - q) * logs).sum(-1) - bias))


def significant(p: Counts, q: float = Q) -> Bools:
    """Say which of the last axis' tests found something, by Benjamini-Hochberg at rate q."""
    tests = p.shape[-1]
    limits = q * (np.arange(tests) + 1) / tests
    ordered = np.sort(p, axis=-1)
    highest = np.where(ordered <= limits, ordered, -1.0).max(axis=-1, keepdims=True)
    return np.asarray(p <= highest)


def warned(found: Judged) -> tuple[Bools, Bools, Bools]:
    """Say which features, the last axis, are significant, and of these at warning, and major."""
    finds = significant(found.p)
    return finds, finds & (found.psi >= MODERATE), finds & (found.psi >= MAJOR)


def violated(kind: str, reference: Counts, window: Counts) -> Bools:
    """Say in which checks the schema counts as violated.

    reference, window: shape (checks, features, bins), of features of one kind.
    """
    n, m = reference.sum(-1), window.sum(-1)
    never = 1 - (1 - CONFIDENCE) ** (1 / n)
    share = np.maximum(reference[..., -1] / n, _upper(reference[..., -1], n))
    missing = _test(window[..., -1], m, share)
    other = window[..., -2] if kind == CATEGORIES else window[..., 0] + window[..., -2]
    beside = _test(other, m, never)
    p = np.concatenate([missing, beside, np.ones((*missing.shape[:-1], 1))], axis=-1)
    large = window[..., -1] / m >= share + MIN_SHARE
    if kind == CATEGORIES:
        counted = np.concatenate([large, other / m >= never + MIN_SHARE], axis=-1)
    else:  # beyond the range is tested, and never flagged
        counted = np.concatenate([large, np.zeros_like(large)], axis=-1)
    return np.asarray((significant(p)[..., :-1] & counted).any(-1))


def _upper(found: Counts, rows: Counts) -> Counts:
    return np.asarray(betaincinv(found + 1, rows - found, CONFIDENCE))


def _test(found: Counts, rows: Counts, share: Counts) -> Counts:
    """Return exact p values where the share is above its bound, which others cannot matter to."""
    p = np.ones_like(found)
    above = found > share * rows
    p[above] = binom.sf(found[above] - 1, rows[above], share[above])
    return p


def audited(kind: str, reference: Counts, window: Counts) -> None:
    """Hold one check, shape (features, bins), to monitoring.drift; SystemExit where they differ."""
    profiles = {str(n): _profile(kind, counts) for n, counts in enumerate(reference)}
    windows = {str(n): counts for n, counts in enumerate(window)}
    features = drift.compare(profiles, windows) or []
    found = judged(reference, window)
    finds, _, majors = warned(found)
    ours: list[Any] = [*found.psi, *finds, *majors]
    theirs: list[Any] = [f.psi for f in features]
    theirs += list(two_sample_tests.significant([f.p for f in features]))
    theirs += [f.flagged for f in features]
    flagged = any(one.flagged for one in drift.violations(profiles, windows, 0))
    broken = bool(violated(kind, reference[None], window[None])[0])
    if not np.allclose(ours, theirs, atol=1e-9) or flagged != broken:
        raise SystemExit(
            f"the benchmark's rules are not those of evergreen.monitoring.drift: {kind}"
        )


def _profile(kind: str, counts: Counts) -> FeatureProfile:
    bins = len(counts) - 2
    rows = [int(n) for n in counts]
    missing = rows[-1] / max(sum(rows), 1)
    if kind == CATEGORIES:
        return FeatureProfile(rows, categories=list("abcde"), missing=missing)
    return FeatureProfile(rows, edges=[float(n) for n in range(bins)], missing=missing)
