"""Have the requests moved away from the training data, and by enough to matter?

Each feature is counted in the bins of its reference profile, and the test asks whether the
divergence is more than this feature shows from week to week anyway; not whether anything moved at
all, for with enough rows something always has. Shares of rows that training never saw are tested
exactly. Everything works on counts: its cost does not grow with the rows.
"""

import numpy as np

from evergreen.monitoring import reference_profile, two_sample_tests
from evergreen.monitoring.report import MIN_ROWS, FeatureDrift, Violation, ViolationKind, severity
from evergreen.monitoring.two_sample_tests import Counts
from evergreen.registry.manifest import FeatureProfile

MIN_SHARE = 0.01  # of rows, above the bound; a smaller violation is shown and raises nothing


def compare(
    reference: dict[str, FeatureProfile], window: dict[str, Counts]
) -> list[FeatureDrift] | None:
    """Compare the counts of a window with the reference, or return None for insufficient data."""
    rows = max((counts.sum() for counts in window.values()), default=0)
    if rows < MIN_ROWS:
        return None
    pairs = {
        name: (_pooled(profile, profile.counts), _pooled(profile, window[name]))
        for name, profile in reference.items()
    }
    ps = [
        two_sample_tests.minimum_effect_p(*pairs[name], profile.delta)
        for name, profile in reference.items()
    ]
    found, flags = [], two_sample_tests.significant(ps)
    for (name, profile), p, significant in zip(reference.items(), ps, flags, strict=True):
        counts, own = window[name], np.asarray(profile.counts, dtype=np.float64)
        was, now = pairs[name]
        degree = severity(index := two_sample_tests.psi(was, now))
        unseen = 0.0 if profile.categories is None else _more(counts, own, [-2])
        found.append(
            FeatureDrift(
                feature=name,
                p=p,
                psi=index,
                delta=profile.delta,
                severity=degree,
                wasserstein=two_sample_tests.wasserstein(profile.edges or [], was[:-1], now[:-1]),
                missing=float(counts[-1] / counts.sum()),
                unseen=max(0.0, unseen - profile.unseen),
                outside=_more(counts, own, [0, -2]) if profile.edges else 0.0,
                flagged=significant and degree == "major",
                bins=[] if profile.hidden else reference_profile.labels(profile),
                reference=[] if profile.hidden else [int(n) for n in was],
                window=[] if profile.hidden else [int(n) for n in now],
            )
        )
    return found


def _pooled(profile: FeatureProfile, counts: Counts | list[int]) -> Counts:
    return reference_profile.pooled(profile, np.asarray(counts, dtype=np.float64))


def _more(now: Counts, was: Counts, bins: list[int]) -> float:
    """Return the share of rows in some bins that is more than the reference's."""
    return max(0.0, float(now[bins].sum() / now.sum() - was[bins].sum() / max(was.sum(), 1.0)))


def violations(
    reference: dict[str, FeatureProfile], window: dict[str, Counts], misfits: int
) -> list[Violation]:
    """Test the shares of rows that training had less of, or never; the strangest first.

    misfits: rows of the version's own requests that its schema cannot read. A number beyond the
    smallest and largest is listed and never flagged: seasons bring such, and drift judges them.
    """
    rows = max((counts.sum() for counts in window.values()), default=0)
    if rows + misfits < MIN_ROWS:
        return []
    most = two_sample_tests.upper_bound
    found: list[tuple[str, ViolationKind, float, float, float]]
    found = [("", "wrong schema", misfits, rows + misfits, 0.0)]
    for name, profile in reference.items() if rows else ():
        own, counts = np.asarray(profile.counts, dtype=np.float64), window[name]
        n = own.sum()
        bound = max(profile.missing, most(own[-1], n))
        found.append((name, "missing values", counts[-1], rows, bound))
        if profile.categories is None:
            ends = [0, -2] if profile.edges else [-2]
            bound = most(own[ends].sum(), n)
            found.append((name, "outside the range", counts[ends].sum(), rows, bound))
        elif profile.seen is not None or not own[-2]:  # else an older version made it
            bound = max(profile.unseen, most(own[-2], n))
            found.append((name, "unseen categories", counts[-2], rows, bound))
    ps = [two_sample_tests.more_than(bound, k, n) if k else 1.0 for _, _, k, n, bound in found]
    flags = two_sample_tests.significant(ps)
    tested = [
        Violation(
            feature=name,
            kind=kind,
            share=float(k / n),
            bound=float(bound),
            p=p,
            flagged=bool(flag and k / n >= bound + MIN_SHARE and kind != "outside the range"),
        )
        for (name, kind, k, n, bound), p, flag in zip(found, ps, flags, strict=True)
    ]
    return sorted((v for v in tested if v.share > v.bound), key=lambda v: (v.p, v.feature))
