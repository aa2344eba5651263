"""What drift finds of changes that are there, with the product's own functions on drawn rows."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks.shown import Goal, Part
from evergreen.contract.schema import Columns
from evergreen.monitoring import drift, reference_profile, two_sample_tests
from evergreen.monitoring.domain_classifier import MIN_AUC, REFERENCE_ROWS, P, separation
from evergreen.monitoring.report import FeatureDrift

FEATURES = 20
CORRELATIONS = (0.5, 0.0)

Rows = npt.NDArray[np.float32]


def _outliers(values: Rows) -> Rows:
    values[: round(0.015 * len(values))] = 6.0
    return values


CHANGES: tuple[tuple[str, int, float, Callable[[Rows], Rows]], ...] = (
    # of a normal feature: its name, the rows of the window, the least power, and what moves them
    ("mean moved by 0.3 σ", 500, 0.95, lambda x: x + np.float32(0.3)),
    ("mean moved by 0.2 σ", 1_000, 0.69, lambda x: x + np.float32(0.2)),
    ("1.5 % of rows at +6 σ", 1_000, 0.975, _outliers),
)


def changes(repetitions: int) -> Part:
    """Measure how often each change of one feature is found against 20,000 reference rows."""
    rows, goals = [], []
    for name, count, floor, move in CHANGES:
        random, found = np.random.default_rng((4, count, len(name))), np.zeros(3)
        for _ in range(repetitions):
            reference = random.normal(size=20_000).astype(np.float32)
            window = move(random.normal(size=count).astype(np.float32))
            (feature,) = _compared({"x": reference}, {"x": window})
            finds = feature.p <= 0.01
            found += [finds, finds and feature.severity != "none", feature.flagged]
        shares = found / repetitions
        rows.append([name, f"{count:,}", *(f"{share:.1%}" for share in shares)])
        text, reached = f"found: {name}, n = {count:,}", bool(shares[0] >= floor)
        goals.append(Goal(text, f"{shares[0]:.1%}", f"≥ {floor:.1%}", reached))
    remark = f"Shares of {repetitions:,} checks of one normal feature against 20,000 rows."
    heads = ["", "n", "significant", "warning", "major"]
    return Part([("What is found: one check", remark, heads, rows)], goals)


def _compared(reference: Columns, window: Columns) -> list[FeatureDrift]:
    """Compare rows of one week, so that no season widens a limit."""
    profiles = {
        name: reference_profile.profile_of(values, np.zeros(len(values), dtype="datetime64[us]"))
        for name, values in reference.items()
    }
    return drift.compare(profiles, reference_profile.count_all(profiles, window)) or []


def correlations(repetitions: int, rows: int = 1_000) -> Part:
    """Measure how often the classifier finds a pair of features correlated that was not."""
    lines, goals = [], []
    for correlation in CORRELATIONS:
        random = np.random.default_rng((5, rows, int(100 * correlation)))
        aucs, flagged, single = [], 0, 0
        for _ in range(repetitions):
            reference = _pairs(REFERENCE_ROWS, 0.0, random)
            window = _pairs(rows, correlation, random)
            found = separation(reference, window)
            assert found
            aucs.append(found.auc)
            flagged += found.p < P and found.auc >= MIN_AUC
            alone = [feature.p for feature in _compared(reference, window)]
            single += any(two_sample_tests.significant(alone))
        share = flagged / repetitions
        lines.append([f"{correlation:g}", f"{rows:,}", f"{repetitions:,}", f"{share:.1%}",
                      f"{single / repetitions:.1%}", f"{np.median(aucs):.3f}"])  # fmt: skip
        if correlation:
            text = f"found: a correlation of {correlation:g}"
            goals.append(Goal(text, f"{share:.0%}", "≥ 80%", share >= 0.8))
    remark = "A pair of 20 normal features becomes correlated; each feature stays as it was."
    heads = ["correlation", "n", "checks", "classifiers", "feature by feature", "median AUC"]
    return Part([("What is found: correlation alone", remark, heads, lines)], goals)


def _pairs(rows: int, correlation: float, random: np.random.Generator) -> Columns:
    values = random.normal(size=(FEATURES, rows))
    values[1] = correlation * values[0] + np.sqrt(1 - correlation**2) * values[1]
    return {f"x{n}": column for n, column in enumerate(values.astype(np.float32))}
