"""What drift finds of changes that are there, with the product's own functions on drawn rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.shown import Goal, Part
from evergreen.contract.schema import Columns
from evergreen.monitoring import drift, reference_profile, two_sample_tests
from evergreen.monitoring.domain_classifier import MIN_AUC, REFERENCE_ROWS, P, separation

FEATURES = 20
CORRELATIONS = (0.5, 0.0)
NO_TIMES = "datetime64[us]"  # one week, so that no season widens a limit

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Change:
    """A change of a normal feature: its name, the rows of the window, and the least power."""

    name: str
    rows: int
    floor: float
    move: Callable[[Rows], Rows]


def _outliers(values: Rows) -> Rows:
    values[: round(0.015 * len(values))] = 6.0
    return values


CHANGES = (
    Change("mean moved by 0.3 σ", 500, 0.95, lambda x: x + np.float32(0.3)),
    Change("mean moved by 0.2 σ", 1_000, 0.69, lambda x: x + np.float32(0.2)),
    Change("1.5 % of rows at +6 σ", 1_000, 0.975, _outliers),
)


def changes(repetitions: int) -> Part:
    """Measure how often each change of one feature is found against 20,000 reference rows."""
    rows, goals = [], []
    for change in CHANGES:
        shares = _shares(change, repetitions)
        rows.append([change.name, f"{change.rows:,}", *(f"{share:.1%}" for share in shares)])
        text = f"found: {change.name}, n = {change.rows:,}"
        reached = shares[0] >= change.floor
        goals.append(Goal(text, f"{shares[0]:.1%}", f"≥ {change.floor:.1%}", reached))
    remark = f"Shares of {repetitions:,} checks of one normal feature against 20,000 rows."
    heads = ["", "n", "significant", "warning", "major"]
    return Part([("What is found: one check", remark, heads, rows)], goals)


def _shares(change: Change, repetitions: int) -> tuple[float, ...]:
    """Return the shares of repetitions in which a change was found, at each level."""
    random = np.random.default_rng((4, change.rows, len(change.name)))
    times = np.zeros(20_000, dtype=NO_TIMES)
    found = np.zeros(3)
    for _ in range(repetitions):
        profile = reference_profile.profile_of(random.normal(size=20_000).astype(np.float32), times)
        values = change.move(random.normal(size=change.rows).astype(np.float32))
        (feature,) = (
            drift.compare({"x": profile}, {"x": reference_profile.count(profile, values)}) or []
        )
        finds = feature.p <= 0.01
        found += [finds, finds and feature.severity != "none", feature.flagged]
    return tuple((found / repetitions).tolist())


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
            single += _alone(reference, window)
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


def _alone(reference: Columns, window: Columns) -> bool:
    times = np.zeros(len(reference["x0"]), dtype=NO_TIMES)
    profiles = {
        name: reference_profile.profile_of(values, times) for name, values in reference.items()
    }
    features = drift.compare(profiles, reference_profile.count_all(profiles, window)) or []
    return any(two_sample_tests.significant([feature.p for feature in features]))
