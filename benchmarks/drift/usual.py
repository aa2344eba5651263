"""The usual rules, and ours, on the same draws of columns of which nothing drifts."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp

from benchmarks.drift.columns import CATEGORIES, Draw, draws, mixed
from evergreen.contract.schema import Columns
from evergreen.monitoring import drift, reference_profile
from evergreen.monitoring.reference_profile import MIN_ROWS
from evergreen.monitoring.two_sample_tests import Counts
from evergreen.registry.manifest import FeatureProfile

COLUMNS = 30
SIZES = ((20_000, 100), (20_000, 500), (20_000, 5_000), (20_000, 20_000), (500, 500))
MAX_PSI, MIN_P, MAX_DISTANCE = 0.2, 0.05, 0.1
PSI, KS, DISTANCE = "PSI > 0.2", "KS p < 0.05", "Jensen-Shannon > 0.1"
FOUND, FLAGGED = "ours, significant", "ours, flagged"
ENOUGH = "ours, enough rows"


@dataclass(frozen=True)
class Usual:
    """Checks of 30 columns in which a rule raised any alarm, by rule, of `repetitions`."""

    reference: int
    rows: int
    repetitions: int
    alarms: Mapping[str, int]


def usual(reference: int, rows: int, repetitions: int) -> Usual:
    """Count the checks with an alarm."""
    alarms = dict.fromkeys((PSI, KS, DISTANCE, FOUND, FLAGGED, ENOUGH), 0)
    kinds = mixed(COLUMNS)
    for seed in range(repetitions):
        drawn = draws(kinds, reference, rows, seed)
        pairs = zip(kinds, drawn, strict=True)
        raised = [_raised(*pair, text=kind == CATEGORIES) for kind, pair in pairs]
        for rule in (PSI, KS, DISTANCE):
            alarms[rule] += any(one[rule] for one in raised)
        for rule, alarm in ours(kinds, drawn).items():
            alarms[rule] += alarm
    return Usual(reference, rows, repetitions, alarms)


def _raised(
    reference: npt.NDArray[np.generic], window: npt.NDArray[np.generic], *, text: bool
) -> dict[str, bool]:
    """Apply the rules to one column without its missing values, as libraries do."""
    if text:
        values = np.unique(np.concatenate([reference, window]))
        a, b = (np.array([(x == value).sum() for value in values]) for x in (reference, window))
        p = float(chi2_contingency([a, b]).pvalue)
        return _verdicts(a, b, p, a, b)
    one, other = (np.asarray(x[~np.isnan(x)], dtype=np.float64) for x in (reference, window))
    edges = np.unique(np.quantile(one, np.arange(1, 10) / 10))
    places = (np.searchsorted(edges, x) for x in (one, other))
    deciles = [np.bincount(x, minlength=len(edges) + 1) for x in places]
    spread = np.histogram_bin_edges(np.concatenate([one, other]), bins="sturges")
    p = float(ks_2samp(one, other, method="asymp").pvalue)
    return _verdicts(
        deciles[0], deciles[1], p, np.histogram(one, spread)[0], np.histogram(other, spread)[0]
    )


def _verdicts(
    a: npt.NDArray[np.intp],
    b: npt.NDArray[np.intp],
    p: float,
    wide: npt.NDArray[np.intp],
    other: npt.NDArray[np.intp],
) -> dict[str, bool]:
    return {
        PSI: plain_psi(a / a.sum(), b / b.sum()) > MAX_PSI,
        KS: p < MIN_P,
        DISTANCE: float(jensenshannon(wide, other, base=2)) > MAX_DISTANCE,
    }


def plain_psi(p: Counts, q: Counts) -> float:
    """Return the population stability index as it is commonly computed, empty bins at 0.0001."""
    p, q = np.clip(p, 1e-4, None), np.clip(q, 1e-4, None)
    return float(((p - q) * np.log(p / q)).sum())


def ours(kinds: list[str], drawn: list[Draw]) -> dict[str, bool]:
    """Return what our check says of the same columns; fewer than 200 rows are too few to say."""
    columns = {
        str(n): (kind == CATEGORIES, *pair)
        for n, (kind, pair) in enumerate(zip(kinds, drawn, strict=True))
    }
    profiles = profiled({name: (text, one) for name, (text, one, _) in columns.items()})
    window: Columns = {name: other for name, (_, _, other) in columns.items()}
    features = drift.compare(profiles, reference_profile.count_all(profiles, window))
    found = features or []
    p = np.sort([feature.p for feature in found])
    significant = bool((p <= 0.01 * (np.arange(len(p)) + 1) / COLUMNS).any())
    assert (features is not None) == (len(drawn[0][1]) >= MIN_ROWS)
    return {
        FOUND: significant,
        FLAGGED: any(feature.flagged for feature in found),
        ENOUGH: features is not None,
    }


def profiled(
    columns: Mapping[str, tuple[bool, npt.NDArray[np.generic]]],
) -> dict[str, FeatureProfile]:
    """Return the reference profiles of columns, of which each is text or not, of one week."""
    return {
        name: reference_profile.profile_of(
            values, np.zeros(len(values), dtype="datetime64[us]"), text=text
        )
        for name, (text, values) in columns.items()
    }
