"""What drift finds of changes that are there, with the product's own functions on drawn rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evergreen.contract.schema import Columns
from evergreen.monitoring import drift, reference_profile, two_sample_tests
from evergreen.monitoring.domain_classifier import MIN_AUC, REFERENCE_ROWS, P, separation

FEATURES = 20
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


@dataclass(frozen=True)
class Power:
    """Shares of repetitions in which a change was found, at each level."""

    name: str
    rows: int
    floor: float | None
    repetitions: int
    significant: float
    warning: float
    major: float


def power(change: Change, repetitions: int) -> Power:
    """Measure how often one feature's change is found against 20,000 reference rows."""
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
    shares = (found / repetitions).tolist()
    return Power(change.name, change.rows, change.floor, repetitions, *shares)


@dataclass(frozen=True)
class Together:
    """Checks of 20 features of which two became correlated, or none did."""

    correlation: float
    rows: int
    repetitions: int
    flagged: int
    by_feature: int  # in how many the test of each feature found anything
    median_auc: float


def together(correlation: float, rows: int, repetitions: int) -> Together:
    """Measure how often the classifier finds a pair of features correlated that was not."""
    random = np.random.default_rng((5, rows, int(100 * correlation)))
    aucs, flagged, single = [], 0, 0
    for _ in range(repetitions):
        reference, window = _pairs(REFERENCE_ROWS, 0.0, random), _pairs(rows, correlation, random)
        found = separation(reference, window)
        assert found
        aucs.append(found.auc)
        flagged += found.p < P and found.auc >= MIN_AUC
        single += _alone(reference, window)
    return Together(correlation, rows, repetitions, flagged, single, float(np.median(aucs)))


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
