"""Two samples as counts: how far apart, and is it chance? The figures of methods.md are floors."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.monitoring import reference_profile
from evergreen.monitoring.reference_profile import MIN_DELTA, count
from evergreen.monitoring.report import MODERATE
from evergreen.monitoring.two_sample_tests import (
    Counts,
    divergence,
    minimum_effect_p,
    more_than,
    psi,
    significant,
    upper_bound,
    wasserstein,
)
from evergreen.registry.manifest import FeatureProfile

pytestmark = pytest.mark.slow

REPETITIONS = 300

Sampler = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]


@st.composite
def two_counts(draw: st.DrawFn) -> tuple[Counts, Counts]:
    size = draw(st.integers(1, 12))
    cells = st.lists(st.integers(0, 10**6), min_size=size, max_size=size)
    some = cells.filter(any)
    a, b = draw(some), draw(some)
    return np.array(a, dtype=float), np.array(b, dtype=float)


@hypothesis_given(pair=two_counts())
def test_psi_is_finite_and_never_negative(pair: tuple[Counts, Counts]) -> None:
    assert 0 <= psi(*pair) < float("inf")


@hypothesis_given(pair=two_counts())
def test_divergence_is_finite_never_negative_and_the_same_from_both_sides(
    pair: tuple[Counts, Counts],
) -> None:
    forth, back = divergence(*pair), divergence(*reversed(pair))

    assert 0 <= forth < float("inf")
    assert forth == pytest.approx(back, abs=1e-9)


@hypothesis_given(pair=two_counts(), delta=st.floats(0.01, 5))
def test_p_is_a_probability(pair: tuple[Counts, Counts], delta: float) -> None:
    assert 0 <= minimum_effect_p(*pair, delta) <= 1


@hypothesis_given(pair=two_counts(), small=st.floats(0.01, 0.5), more=st.floats(0, 0.5))
def test_p_grows_with_the_divergence_that_is_allowed(
    pair: tuple[Counts, Counts], small: float, more: float
) -> None:
    assert minimum_effect_p(*pair, small) <= minimum_effect_p(*pair, small + more) + 1e-9


@hypothesis_given(pair=two_counts())
def test_the_order_of_bins_does_not_matter(pair: tuple[Counts, Counts]) -> None:
    a, b = pair

    assert psi(a[::-1], b[::-1]) == pytest.approx(psi(a, b))
    assert minimum_effect_p(a[::-1], b[::-1], 0.01) == pytest.approx(minimum_effect_p(a, b, 0.01))


def test_nothing_to_compare_is_no_divergence() -> None:
    none, some = np.zeros(3), np.array([1.0, 2.0, 3.0])

    assert minimum_effect_p(none, some, 0.01) == 1.0
    assert minimum_effect_p(some, none, 0.01) == 1.0
    assert minimum_effect_p(np.array([5.0, 0]), np.array([7.0, 0]), 0.01) == 1.0


def test_psi_is_corrected_for_its_bias() -> None:
    """Uncorrected, small windows of the same population reach 0.1 again and again."""
    random = np.random.default_rng(0)
    shares = np.full(15, 1 / 15)
    reference = random.multinomial(20_000, shares).astype(float)

    found = [psi(reference, random.multinomial(200, shares).astype(float)) for _ in range(300)]

    assert np.mean(found) < 0.02
    assert np.mean(np.array(found) > MODERATE) < 0.02


def test_psi_of_a_large_known_shift_is_what_the_formula_says() -> None:
    a, b = np.array([5e6, 5e6]), np.array([8e6, 2e6])

    expected = 0.3 * np.log(0.8 / 0.5) - 0.3 * np.log(0.2 / 0.5)
    assert psi(a, b) == pytest.approx(expected, rel=1e-3)


PS = st.lists(st.floats(0, 1), max_size=20)


@hypothesis_given(ps=PS, place=st.integers(0, 19), factor=st.floats(0, 1))
def test_a_smaller_p_never_takes_a_finding_away(ps: list[float], place: int, factor: float) -> None:
    lower = [p * factor if index == place else p for index, p in enumerate(ps)]

    for before, after in zip(significant(ps), significant(lower), strict=True):
        assert after or not before


@hypothesis_given(ps=PS)
def test_whatever_is_found_at_a_strict_rate_is_found_at_a_lax_one(ps: list[float]) -> None:
    for strict, lax in zip(significant(ps, 0.01), significant(ps, 0.1), strict=True):
        assert lax or not strict


@hypothesis_given(ps=PS)
def test_findings_are_the_smallest_ps_and_all_that_bonferroni_would_find(ps: list[float]) -> None:
    found = significant(ps, 0.05)

    inside = [p for p, yes in zip(ps, found, strict=True) if yes]
    outside = [p for p, yes in zip(ps, found, strict=True) if not yes]
    assert not inside or not outside or max(inside) <= min(outside)
    assert all(p > 0.05 / len(ps) for p in outside)


# The figures of methods.md, with fixed seeds

FIVE = [0.5, 0.3, 0.15, 0.04, 0.01]
POPULATIONS: dict[str, Sampler] = {
    "normal": lambda random, n: random.normal(size=n),
    "lognormal": lambda random, n: random.lognormal(size=n),
    "cauchy": lambda random, n: random.standard_cauchy(size=n),
    "poisson": lambda random, n: random.poisson(4, size=n).astype(float),
    "five values": lambda random, n: random.choice(5, n, p=FIVE).astype(float),
    "a tenth missing": lambda random, n: np.where(random.random(n) < 0.1, np.nan, random.random(n)),
}


def found_share(
    sampler: Sampler, moved: Sampler, reference_rows: int, rows: int, repetitions: int = REPETITIONS
) -> float:
    """Return the share of windows at p < 0.01; every tenth has a new reference."""
    random = np.random.default_rng(1)
    found = 0
    found_bins, reference = FeatureProfile(counts=[]), np.zeros(0)
    for repetition in range(repetitions):
        if repetition % 10 == 0:
            sample = sampler(random, reference_rows).astype(np.float32)
            found_bins = reference_profile.profile_of(
                sample, np.zeros(len(sample), dtype="datetime64[us]")
            )
            reference = count(found_bins, sample)
        window = count(found_bins, moved(random, rows))
        found += minimum_effect_p(reference, window, MIN_DELTA) < 0.01
    return found / repetitions


@pytest.mark.parametrize("rows", [200, 2_000, 20_000])
@pytest.mark.parametrize("population", POPULATIONS)
def test_without_drift_at_most_three_windows_in_four_hundred_are_found(
    population: str, rows: int
) -> None:
    sampler = POPULATIONS[population]

    assert found_share(sampler, sampler, 20_000, rows) <= 0.0075


@pytest.mark.parametrize("population", POPULATIONS)
def test_without_drift_none_of_the_large_windows_is_found(population: str) -> None:
    sampler = POPULATIONS[population]

    assert found_share(sampler, sampler, 20_000, 100_000, repetitions=30) == 0


@pytest.mark.parametrize(
    ("shift", "rows", "power"), [(0.3, 500, 0.95), (0.2, 1_000, 0.69)], ids=["0.3 sd", "0.2 sd"]
)
def test_a_shift_of_the_mean_is_found(shift: float, rows: int, power: float) -> None:
    found = found_share(
        POPULATIONS["normal"], lambda random, n: random.normal(shift, size=n), 20_000, rows
    )

    assert found >= power - 0.05, "0.05 is two standard errors of 300 repetitions"


def test_few_rows_far_out_are_found() -> None:
    def outliers(random: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
        return random.normal(size=n) + 6 * (random.uniform(size=n) < 0.015)

    assert found_share(POPULATIONS["normal"], outliers, 20_000, 1_000) >= 0.945


def test_a_shift_that_does_not_matter_is_not_found_however_many_rows_there_are() -> None:
    """A Kolmogorov-Smirnov test rejects 0.02 standard deviations at a million rows every time."""
    found = found_share(
        POPULATIONS["normal"],
        lambda random, n: random.normal(0.02, size=n),
        20_000,
        1_000_000,
        repetitions=5,
    )

    assert found == 0


# Distances


EDGES = [0.0, 1.0, 2.0, 4.0]


@st.composite
def two_numbers(draw: st.DrawFn) -> tuple[Counts, Counts]:
    cells = st.lists(st.integers(0, 10**6), min_size=len(EDGES) + 1, max_size=len(EDGES) + 1)
    a, b = draw(cells), draw(cells)
    return np.array(a, dtype=float), np.array(b, dtype=float)


@hypothesis_given(pair=two_numbers())
def test_a_distance_is_finite_never_negative_and_zero_from_itself(
    pair: tuple[Counts, Counts],
) -> None:
    assert 0 <= wasserstein(EDGES, *pair) < float("inf")
    assert wasserstein(EDGES, pair[0], pair[0]) < 1e-12


@pytest.mark.parametrize("shift", [0.25, 1.0, 3.0])
def test_a_shift_of_the_mean_is_as_far_in_standard_deviations(shift: float) -> None:
    random = np.random.default_rng(2)
    sample = random.uniform(size=50_000) * np.sqrt(12)
    edges = np.linspace(-1, 10, 200).tolist()
    found = FeatureProfile(counts=[], edges=edges)

    distance = wasserstein(edges, count(found, sample)[:-1], count(found, sample + shift)[:-1])

    assert distance == pytest.approx(shift, rel=0.03)


def test_a_constant_has_no_unit_to_measure_in_and_nothing_no_distance() -> None:
    none, some = np.zeros(5), np.array([0.0, 5, 0, 0, 0])

    assert wasserstein(EDGES, some, np.array([0.0, 0, 0, 0, 9])) == 0
    assert wasserstein(EDGES, none, some) == wasserstein(EDGES, some, none) == 0
    assert wasserstein([], np.array([3.0]), np.array([4.0])) == 0


# Shares


@hypothesis_given(rows=st.integers(1, 10**7), share=st.floats(0, 1))
def test_the_bound_of_a_share_is_above_it_and_at_most_one(rows: int, share: float) -> None:
    found = round(share * rows)

    assert found / rows < upper_bound(found, rows) <= 1 or found == rows


@pytest.mark.parametrize("rows", [100, 10_000, 1_000_000])
def test_what_was_never_seen_is_bounded_by_three_in_so_many_rows(rows: int) -> None:
    assert upper_bound(0, rows) == pytest.approx(3 / rows, rel=0.02)


def test_a_share_at_its_bound_is_rarely_exceeded_by_chance() -> None:
    random = np.random.default_rng(4)
    drawn = random.binomial(2_000, 0.01, size=2_000)

    found = np.mean([more_than(0.01, int(k), 2_000) < 0.01 for k in drawn])

    assert found <= 0.01


def test_more_than_none_is_certain_and_more_than_all_impossible() -> None:
    assert more_than(0.5, 0, 10) == 1
    assert more_than(0.0, 1, 10) == 0
