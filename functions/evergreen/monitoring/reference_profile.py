"""Reference profiles: the bins that training data and every later window are counted in.

Counts of the same bins add up, so that an hour of requests is a few hundred numbers, and a month is
their sum.
"""

from datetime import timedelta
from functools import lru_cache
from itertools import pairwise, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from evergreen.captures.examples import Examples
from evergreen.contract.schema import Columns, JsonSchema, is_text
from evergreen.monitoring.two_sample_tests import Counts, divergence
from evergreen.registry.manifest import FeatureProfile

QUANTILES = (0.001, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.999)  # finer ones find less: decisions.md
MAX_DISTINCT = 20  # a number with so few values is counted value by value
MAX_CATEGORIES = 1_000  # kept in a profile; the rest is counted together
TESTED_CATEGORIES = 30  # the rarer ones are tested together
MIN_ROWS = 200  # of a window; below, the answer is "insufficient data"
MIN_DELTA = 0.01  # about a shift of the mean by 0.1 standard deviations
SEASON = timedelta(days=7)
SPREADS = 3.0  # standard deviations of weekly shares; four weeks do not show the worst one


def profile(examples: Examples, schema: JsonSchema) -> dict[str, FeatureProfile]:
    """Return the reference profile of training data, with what each feature does by the week."""
    return {
        name: profile_of(examples.columns[name], examples.times, text=is_text(spec))
        for name, spec in schema["properties"].items()
    }


def profile_of(
    values: npt.NDArray[np.generic], times: npt.NDArray[np.datetime64], *, text: bool = False
) -> FeatureProfile:
    """Return the profile of one column; its times, ascending, say which week a row is of."""
    bins = _text_bins(values) if text else _number_bins(values)
    by_week = _by_week(bins, values, times)
    return FeatureProfile(
        counts=by_week.sum(axis=0).astype(int).tolist(),
        edges=bins.edges,
        categories=bins.categories,
        delta=_seasonal_delta(bins, by_week),
        **_seasonal_shares(bins, by_week),
    )


def _number_bins(values: npt.NDArray[np.generic]) -> FeatureProfile:
    """Return bins at quantiles, or at the values where they are few, and one beyond each end."""
    present = values[~np.isnan(values)].astype(np.float64)
    if not len(present):
        return FeatureProfile(counts=[], edges=[])
    edges = np.unique(present)
    if len(edges) > MAX_DISTINCT:
        edges = np.unique([*np.quantile(present, QUANTILES), edges[-1]])
    below = np.nextafter(present.min(), -np.inf)
    return FeatureProfile(counts=[], edges=[float(below), *edges.tolist()])


def _text_bins(values: npt.NDArray[np.generic]) -> FeatureProfile:
    found, counts = np.unique(values[values != ""].astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]
    return FeatureProfile(counts=[], categories=[str(found[i]) for i in order])


def count(bins: FeatureProfile, values: npt.NDArray[np.generic]) -> Counts:
    """Return the rows per bin of a profile, shape (bins,); the last bin is the missing values."""
    return np.bincount(places(bins, values), minlength=_size(bins)).astype(np.float64)


def count_all(reference: dict[str, FeatureProfile], columns: Columns) -> dict[str, Counts]:
    """Return the counts of rows in the bins of a reference."""
    return {name: count(bins, columns[name]) for name, bins in reference.items()}


def _size(bins: FeatureProfile) -> int:
    """Return the number of bins: those between edges and beyond, or others, and missing."""
    return len(bins.categories) + 2 if bins.categories is not None else len(bins.edges or ()) + 2


def places(bins: FeatureProfile, values: npt.NDArray[np.generic]) -> npt.NDArray[np.intp]:
    """Return the bin of each value, shape (rows,)."""
    missing = _size(bins) - 1
    if bins.categories is not None:
        known = _places(tuple(bins.categories))
        found = map(known.get, values.tolist(), repeat(missing - 1))
        return np.fromiter(found, dtype=np.intp, count=len(values))
    numbers = values.astype(np.float64)
    inside = np.searchsorted(np.array(bins.edges), numbers, side="left")
    return np.where(np.isnan(numbers), missing, inside)


@lru_cache(maxsize=256)
def _places(categories: tuple[str, ...]) -> dict[str, int]:
    """Return the bin of each category, and that of a missing one."""
    return {name: place for place, name in enumerate(categories)} | {"": len(categories) + 1}


def pooled(bins: FeatureProfile, counts: Counts) -> Counts:
    """Return counts with the rare categories added up: they would dilute the test."""
    if bins.categories is None or len(bins.categories) <= TESTED_CATEGORIES:
        return counts
    rare = counts[TESTED_CATEGORIES:-1].sum()
    return np.concatenate([counts[:TESTED_CATEGORIES], [rare], counts[-1:]])


def pooled_places(bins: FeatureProfile, values: npt.NDArray[np.generic]) -> npt.NDArray[np.intp]:
    """Return the tested bin of each value, shape (rows,)."""
    found, missing = places(bins, values), _size(bins) - 1
    if bins.categories is None or len(bins.categories) <= TESTED_CATEGORIES:
        return found
    common = np.minimum(found, TESTED_CATEGORIES)
    return np.where(found == missing, TESTED_CATEGORIES + 1, common)


def labels(bins: FeatureProfile) -> list[str]:
    """Return what each tested bin holds, for people.

    >>> labels(FeatureProfile(counts=[], edges=[0.5, 1.0]))
    ['< 0.5', '0.5 to 1', '> 1', 'missing']
    """
    if bins.categories is not None:
        return [*bins.categories[:TESTED_CATEGORIES], "others", "missing"]
    if not bins.edges:
        return ["any", "missing"]
    smallest = np.nextafter(bins.edges[0], np.inf)  # as the first edge is just below it
    texts = [f"{edge + 0.0:.4g}" for edge in (smallest, *bins.edges[1:])]  # and -0 is 0
    between = [f"{low} to {high}" for low, high in pairwise(texts)]
    return [f"< {texts[0]}", *between, f"> {texts[-1]}", "missing"]


def _by_week(
    bins: FeatureProfile, values: npt.NDArray[np.generic], times: npt.NDArray[np.datetime64]
) -> Counts:
    """Return the rows per week and bin, shape (weeks, bins)."""
    if not len(values):
        return np.zeros((1, _size(bins)))
    weeks = ((times - times[0]) // np.timedelta64(SEASON)).astype(np.intp)
    size, spans = _size(bins), int(weeks[-1]) + 1
    flat = np.bincount(weeks * size + places(bins, values), minlength=spans * size)
    return flat.reshape(spans, size).astype(np.float64)


def _seasonal_delta(bins: FeatureProfile, by_week: Counts) -> float:
    """Return the divergence that 95 % of the reference's own weeks stay below, against the rest."""
    total = by_week.sum(axis=0)
    found = [
        divergence(pooled(bins, total - own), pooled(bins, own))
        for own in by_week
        if MIN_ROWS <= own.sum() <= total.sum() - MIN_ROWS
    ]
    return max(MIN_DELTA, float(np.quantile(found, 0.95))) if found else MIN_DELTA


def _seasonal_shares(bins: FeatureProfile, by_week: Counts) -> dict[str, Any]:
    """Return how large a share of a week's rows may be missing, or in no other week, by season."""
    rows = by_week.sum(axis=1)
    full = by_week[rows >= min(MIN_ROWS, rows.max())]
    rows, total = full.sum(axis=1).clip(min=1), by_week.sum(axis=0)
    found = {"missing": _highest(full[:, -1] / rows)}
    if bins.categories is not None and len(by_week) > 1:
        own = np.where(full == total, full, 0)[:, :-1].sum(axis=1)  # of categories, and the others
        found["unseen"] = _highest(own / rows)
    return found


def _highest(shares: Counts) -> float:
    """Return what a share that varies from week to week like these will hardly exceed."""
    spread = float(shares.std(ddof=1)) if len(shares) > 1 else 0.0
    return min(1.0, max(float(shares.max()), float(shares.mean()) + SPREADS * spread))
