"""`make bench-drift` draws counts in place of rows, and decides many checks at once."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.drift import counts
from benchmarks.drift.counts import (
    CATEGORIES,
    CATEGORY_SHARES,
    CAUCHY,
    KINDS,
    LOGNORMAL,
    MISSING,
    MISSING_SHARE,
    NORMAL,
    POISSON,
    POISSON_MEAN,
    REFERENCE_ROWS,
    references,
)
from evergreen.monitoring import drift, reference_profile, two_sample_tests
from evergreen.monitoring.two_sample_tests import Counts
from evergreen.registry.manifest import FeatureProfile

REFERENCES = 30


def column(kind: str, rows: int, random: np.random.Generator) -> npt.NDArray[np.generic]:
    """Return one column, shape (rows,): float32 with NaN where missing, or text."""
    if kind == CATEGORIES:
        return np.array(list("abcde"))[random.choice(5, size=rows, p=CATEGORY_SHARES)]
    if kind == POISSON:
        return random.poisson(POISSON_MEAN, rows).astype(np.float32)
    if kind == CAUCHY:
        return random.standard_cauchy(rows).astype(np.float32)
    values = random.normal(size=rows)
    if kind == LOGNORMAL:
        values = np.exp(values)
    if kind == MISSING:
        values[random.random(rows) < MISSING_SHARE] = np.nan
    return values.astype(np.float32)


def profiled(kind: str, random: np.random.Generator) -> FeatureProfile:
    values = column(kind, REFERENCE_ROWS, random)
    times = np.zeros(REFERENCE_ROWS, dtype="datetime64[us]")
    return reference_profile.profile_of(values, times, text=kind == CATEGORIES)


def padded(counts: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Return counts with bins that only other references have, before the last two."""
    return np.concatenate([counts[:-1], np.zeros(size - len(counts)), counts[-1:]])


def as_the_product(kind: str, reference: Counts, window: Counts) -> bool:
    """Say whether one check, shape (features, bins), is decided as monitoring.drift does."""
    profiles = {str(n): profile_of(kind, counts) for n, counts in enumerate(reference)}
    windows = {str(n): counts for n, counts in enumerate(window)}
    features = drift.compare(profiles, windows) or []
    p, psi = counts.judged(reference, window)
    finds, _, majors = counts.warned(p, psi)
    theirs: list[Any] = [f.psi for f in features]
    theirs += two_sample_tests.significant([f.p for f in features])
    theirs += [f.flagged for f in features]
    flagged = any(one.flagged for one in drift.violations(profiles, windows, 0))
    broken = bool(counts.violated(kind, reference[None], window[None])[0])
    return np.allclose([*psi, *finds, *majors], theirs, atol=1e-9) and flagged == broken


def profile_of(kind: str, counts: Counts) -> FeatureProfile:
    rows = [int(n) for n in counts]
    missing = rows[-1] / max(sum(rows), 1)
    if kind == CATEGORIES:
        return FeatureProfile(rows, categories=list("abcde"), missing=missing)
    return FeatureProfile(rows, edges=[float(n) for n in range(len(rows) - 2)], missing=missing)


@pytest.mark.parametrize("kind", [NORMAL, LOGNORMAL, CAUCHY])
def test_a_reference_of_numbers_has_as_many_rows_in_each_bin_as_its_quantiles_say(
    kind: str,
) -> None:
    random = np.random.default_rng(0)

    drawn = references(kind, 2, random)

    assert drawn.reference[1].tolist() == profiled(kind, random).counts


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_drawn_as_rows_would_be_counted(kind: str) -> None:
    random = np.random.default_rng(1)
    drawn = references(kind, 2_000, random)
    size = drawn.reference.shape[1]
    reference, window = np.zeros((2, size))

    for _ in range(REFERENCES):
        profile = profiled(kind, random)
        assert profile.delta == reference_profile.MIN_DELTA  # as the rules assume
        reference += padded(np.array(profile.counts), size)
        window += padded(
            reference_profile.count(profile, column(kind, REFERENCE_ROWS, random)), size
        )

    rows = REFERENCES * REFERENCE_ROWS
    for found, expected in (
        (reference / rows, drawn.reference.mean(0) / REFERENCE_ROWS),
        (window / rows, drawn.chances.mean(0)),
    ):
        # a bin is a random share of the rows, which doubles the variance of counting
        assert (abs(found - expected) <= 4 * np.sqrt(3 * expected / rows) + 2 / rows).all()


def test_the_chances_of_a_row_that_has_moved_are_those_of_moved_rows() -> None:
    seed = np.random.default_rng(2).integers(2**32)
    still, moved = (
        references(NORMAL, 500, np.random.default_rng(seed), moved=step).chances.mean(0)
        for step in (0.0, 1.0)
    )

    assert moved[-3:-1].sum() > 10 * still[-3:-1].sum()
    assert moved.sum() == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [200, 3_000])
def test_many_checks_at_once_are_decided_as_each_of_them(kind: str, rows: int) -> None:
    random = np.random.default_rng(3)
    drawn = references(kind, 60, random)
    window = drawn.window(rows, random)
    mixed = random.dirichlet(np.ones(window.shape[1]), 60) * (drawn.chances > 0)
    away = window + random.multinomial(rows, mixed / mixed.sum(1, keepdims=True)) * (
        np.arange(60)[:, None] % 3 == 0
    )

    for begin in range(0, 60, 20):
        some = slice(begin, begin + 20)
        assert as_the_product(kind, drawn.reference[some], window[some])
        assert as_the_product(kind, drawn.reference[some], away[some])


@pytest.mark.parametrize("more", [0.005, 0.015, 0.03, 0.1])
@pytest.mark.parametrize(("kind", "place"), [(MISSING, -1), (NORMAL, -1), (CATEGORIES, -2)])
def test_violations_of_the_schema_are_decided_as_the_product_does(
    kind: str, place: int, more: float
) -> None:
    random = np.random.default_rng(6)
    drawn = references(kind, 5, random)
    window = drawn.window(2_000, random)

    window[0, place] += more * 2_000

    assert as_the_product(kind, drawn.reference, window)
