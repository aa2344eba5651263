"""Reference profiles: the bins that training data and every later window are counted in.

Counts of the same bins add up, so that an hour of requests is a few hundred numbers, and a month is
their sum.
"""

from collections.abc import Collection
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise, repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evergreen.captures.examples import Examples
from evergreen.contract.problem import Floats
from evergreen.contract.schema import Columns, JsonSchema, is_text, shortened
from evergreen.monitoring import report
from evergreen.monitoring.two_sample_tests import divergence
from evergreen.registry.manifest import FeatureProfile

QUANTILES = (0.001, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.999)  # finer ones find less: decisions.md
MAX_DISTINCT = 20  # a number with so few values is counted value by value
MAX_CATEGORIES = 1_000  # kept by name; of the others a profile only knows that they were seen
SEEN_BITS = 16  # for each of those, up to MAX_BITS: one new value in 400 is then taken for seen,
MAX_BITS = 2**19  # that is up to 32,768 values; one in twelve of 100,000, and most of 500,000
HASHES = 4
TESTED_CATEGORIES = 30  # the rarer ones are tested together
MIN_ROWS = report.MIN_ROWS
MIN_DELTA = 0.01  # about a shift of the mean by 0.1 standard deviations
SEASON = timedelta(days=7)
SPREADS = 3.0  # standard deviations of weekly shares; four weeks do not show the worst one

Values = npt.NDArray[Any]
Places = npt.NDArray[np.intp]


def profile(
    examples: Examples, schema: JsonSchema, hidden: Collection[str] = ()
) -> dict[str, FeatureProfile]:
    """Return the reference profile of training data, with what each feature does by the week."""
    columns, times = examples.columns, examples.times
    return {
        name: profile_of(columns[name], times, text=is_text(spec), hidden=name in hidden)
        for name, spec in schema["properties"].items()
    }


def profile_of(
    values: Values, times: Values, *, text: bool = False, hidden: bool = False
) -> FeatureProfile:
    """Return the profile of one column; its times, ascending, say which week a row is of."""
    values = shortened(values)
    bins = _text_bins(values, 0 if hidden else MAX_CATEGORIES) if text else _number_bins(values)
    weeks = ((times - times[:1]) // np.timedelta64(SEASON)).astype(np.intp)
    size, spans = _size(bins), int(weeks[-1]) + 1 if len(weeks) else 1
    flat = np.bincount(weeks * size + places(bins, values), minlength=spans * size)
    by_week = flat.reshape(spans, size).astype(np.float64)
    return FeatureProfile(
        counts=by_week.sum(axis=0).astype(int).tolist(),
        edges=bins.edges,
        categories=bins.categories,
        delta=_seasonal_delta(bins, by_week),
        missing=_seasonal(by_week[:, -1], by_week.sum(axis=1)),
        unseen=_unseen(values, weeks) if text else 0.0,
        seen=bins.seen,
        hidden=hidden,
    )


def _number_bins(values: Values) -> FeatureProfile:
    """Return bins at quantiles, or at the values where they are few, and one beyond each end."""
    present = values[~np.isnan(values)].astype(np.float64)
    if not len(present):
        return FeatureProfile(counts=[], edges=[])
    edges = np.unique(present)
    if len(edges) > MAX_DISTINCT:
        edges = np.unique([*np.quantile(present, QUANTILES), edges[-1]])
    below = np.nextafter(present.min(), -np.inf)
    return FeatureProfile(counts=[], edges=[float(below), *edges.tolist()])


def _text_bins(values: Values, kept: int) -> FeatureProfile:
    codes, found = pd.factorize(values[values != ""])
    order = np.argsort(found)
    order = order[np.argsort(-np.bincount(codes, minlength=len(found))[order], kind="stable")]
    categories = [str(found[place]) for place in order[:kept]]
    if len(found) <= kept and kept:
        return FeatureProfile(counts=[], categories=categories)
    others = found[order[kept:]]  # of these, a Bloom filter (Bloom 1970)
    bits = np.zeros(min(MAX_BITS, 1 << (SEEN_BITS * max(len(others), 4) - 1).bit_length()), bool)
    bits[_hashed(others, len(bits))] = True
    seen = np.packbits(bits).tobytes()
    return FeatureProfile(counts=[], categories=categories, seen=seen)


def _hashed(values: Values, bits: int) -> Places:
    """Return the bits of each text, shape (texts, HASHES) (Kirsch & Mitzenmacher 2006)."""
    hashes = pd.util.hash_array(values)
    low, high = hashes & np.uint64(2**32 - 1), hashes >> np.uint64(32) | np.uint64(1)
    steps = np.arange(HASHES, dtype=np.uint64)
    found = (low[:, None] + steps * high[:, None]) % np.uint64(bits)
    return found.astype(np.intp)


def count(bins: FeatureProfile, values: Values) -> Floats:
    """Return the rows per bin of a profile, shape (bins,); the last bin is the missing values."""
    return np.bincount(places(bins, values), minlength=_size(bins)).astype(np.float64)


def count_all(reference: dict[str, FeatureProfile], columns: Columns) -> dict[str, Floats]:
    """Return the counts of rows in the bins of a reference."""
    return {name: count(bins, columns[name]) for name, bins in reference.items()}


def _size(bins: FeatureProfile) -> int:
    """Return the number of bins: those between edges and beyond, or others, and missing."""
    if bins.categories is None:
        return len(bins.edges or ()) + 2
    return len(bins.categories) + 2 + (bins.seen is not None)


def places(bins: FeatureProfile, values: Values) -> Places:
    """Return the bin of each value, shape (rows,)."""
    missing = _size(bins) - 1
    if bins.categories is None:
        numbers = values.astype(np.float64)
        inside = np.searchsorted(np.array(bins.edges), numbers, side="left")
        return np.where(np.isnan(numbers), missing, inside)
    known = _places(tuple(bins.categories), missing)
    named = map(known.get, values.tolist(), repeat(missing - 1))
    found = np.fromiter(named, dtype=np.intp, count=len(values))
    if bins.seen is not None:
        bits = np.unpackbits(np.frombuffer(bins.seen, np.uint8)).astype(bool)
        others = np.flatnonzero(found == missing - 1)
        found[others[bits[_hashed(values[others], len(bits))].all(axis=1)]] = missing - 2
    return found


@lru_cache(maxsize=256)
def _places(categories: tuple[str, ...], missing: int) -> dict[str, int]:
    return {name: place for place, name in enumerate(categories)} | {"": missing}


def pooled(bins: FeatureProfile, counts: Floats) -> Floats:
    """Return counts with the rare categories added up: they would dilute the test."""
    if (tested := _tested(bins)) is None:
        return counts
    return np.concatenate([counts[:tested], [counts[tested:-1].sum()], counts[-1:]])


def pooled_places(bins: FeatureProfile, values: Values) -> Places:
    """Return the tested bin of each value, shape (rows,)."""
    found, tested = places(bins, values), _tested(bins)
    if tested is None:
        return found
    return np.where(found == _size(bins) - 1, tested + 1, np.minimum(found, tested))


def _tested(bins: FeatureProfile) -> int | None:
    """Return how many categories are tested by themselves, None where nothing is added up."""
    if bins.categories is None:
        return None
    few = bins.seen is None and len(bins.categories) <= TESTED_CATEGORIES
    return None if few else min(len(bins.categories), TESTED_CATEGORIES)


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


def _seasonal_delta(bins: FeatureProfile, by_week: Floats) -> float:
    """Return the divergence that 95 % of the reference's own weeks stay below, against the rest."""
    total = by_week.sum(axis=0)
    found = [
        divergence(pooled(bins, total - own), pooled(bins, own))
        for own in by_week
        if MIN_ROWS <= own.sum() <= total.sum() - MIN_ROWS
    ]
    return max(MIN_DELTA, float(np.quantile(found, 0.95))) if found else MIN_DELTA


def _unseen(values: Values, weeks: Places) -> float:
    """Return how large a share of a week's rows may have a value that was not seen before.

    That is what the weeks had of values that no other week has, or what the later half of the rows
    had of values that the earlier half has not: values may come at random out of many, or new ones
    every day.
    """
    there = values != ""
    codes, weeks = pd.factorize(values[there])[0], weeks[there]
    if not len(codes):
        return 0.0
    first = np.unique(codes, return_index=True)[1]
    last = np.zeros_like(first)
    np.maximum.at(last, codes, np.arange(len(codes)))
    alone = (weeks[first] == weeks[last])[codes] & (weeks[0] < weeks[-1])
    half = len(codes) // 2
    later, new = weeks[half:] - weeks[half], first[codes[half:]] >= half
    share = float(new.mean())
    spread = SPREADS * float(np.sqrt(share * (1 - share) / len(new)))
    by_week = [_seasonal(np.bincount(of, which), np.bincount(of))
               for of, which in ((weeks, alone), (later, new))]  # fmt: skip
    return max(*by_week, min(1.0, share + spread))


def _seasonal(counts: Values, rows: Values) -> float:
    """Return what a share that varies from week to week like these will hardly exceed."""
    full = rows >= min(MIN_ROWS, rows.max())
    shares = counts[full] / rows[full].clip(min=1)
    spread = float(shares.std(ddof=1)) if len(shares) > 1 else 0.0
    return min(1.0, max(float(shares.max()), float(shares.mean()) + SPREADS * spread))
