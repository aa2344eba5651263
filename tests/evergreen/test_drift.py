"""Have the requests moved away, and by enough to matter? The figures of methods.md are floors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evergreen import drift
from evergreen.drift import (
    MAX_DISTINCT,
    MIN_DELTA,
    MIN_ROWS,
    Counts,
    FeatureDrift,
    compare,
    count,
    count_window,
    divergence,
    minimum_effect_p,
    profile,
    psi,
    significant,
)
from evergreen.examples import Examples
from evergreen.manifest import FeatureProfile

SCHEMA = {"properties": {"x": {"type": "number"}, "t": {"type": "string"}}}
REPETITIONS = 300

Sampler = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]


def examples(x: Any, t: Any = None, days: int = 6) -> Examples:
    rows = len(x)
    hours = np.linspace(0, days * 24, rows, endpoint=False).astype(int)
    return Examples(
        {
            "x": np.asarray(x, dtype=np.float32),
            "t": np.array(["a"] * rows if t is None else t, dtype=object),
        },
        np.zeros(rows, dtype=bool),
        np.datetime64("2013-01-01", "us") + hours.astype("timedelta64[h]"),
    )


def bins_of(x: Any) -> FeatureProfile:
    return profile(examples(x), SCHEMA)["x"]


# Profiles and counts


def test_a_number_with_many_values_is_counted_between_its_quantiles() -> None:
    bins = bins_of(np.arange(10_000))

    assert bins.edges is not None
    assert len(bins.edges) == len(drift.QUANTILES)
    assert bins.edges[6] == pytest.approx(4999.5, abs=1)
    assert sum(bins.counts) == 10_000


def test_a_number_with_few_values_is_counted_value_by_value() -> None:
    bins = bins_of([0, 1, 1, 5] * 10)

    assert bins.edges == [0.0, 1.0, 5.0]
    assert bins.counts == [10, 20, 10, 0, 0]


@pytest.mark.parametrize("distinct", [1, MAX_DISTINCT, MAX_DISTINCT + 1])
def test_edges_ascend_and_never_repeat(distinct: int) -> None:
    edges = bins_of(np.arange(1000) % distinct).edges

    assert edges is not None
    assert edges == sorted(set(edges))


def test_missing_numbers_and_texts_have_a_bin_of_their_own() -> None:
    found = profile(examples([1, np.nan, np.nan, 2], ["a", "", "b", "a"]), SCHEMA)

    assert found["x"].counts[-1] == 2
    assert found["t"].categories == ["a", "b"]
    assert found["t"].counts == [2, 1, 0, 1]


def test_a_feature_that_was_never_there_can_be_counted() -> None:
    bins = bins_of([np.nan] * 5)

    assert bins.counts == [0, 5]
    assert count(bins, np.array([1.0, np.nan, 2.0])).tolist() == [2, 1]


def test_categories_beyond_the_thousandth_are_counted_together() -> None:
    names = [f"{n:04d}" for n in range(1_100)]

    bins = profile(examples(range(2_200), names + names[:1_000] + names[:100]), SCHEMA)["t"]

    assert bins.categories is not None
    assert len(bins.categories) == 1_000
    assert bins.counts[-2] == 2_200 - sum(bins.counts[:1_000])


NUMBERS = arrays(
    np.float32,
    st.integers(0, 60),
    elements=st.floats(width=32, allow_infinity=False) | st.sampled_from([0.0, 1.0, 5.0]),
)


@hypothesis_given(reference=NUMBERS, a=NUMBERS, b=NUMBERS)
def test_counts_of_numbers_add_up(reference: Any, a: Any, b: Any) -> None:
    bins = bins_of(reference)

    both = count(bins, np.concatenate([a, b]))

    assert (count(bins, a) + count(bins, b) == both).all()
    assert both.sum() == len(a) + len(b)
    assert len(both) == len(bins.counts)
    assert both[-1] == np.isnan(a).sum() + np.isnan(b).sum()


TEXTS = st.lists(st.sampled_from(["a", "b", "c", "", "é"]), max_size=30)


@hypothesis_given(reference=TEXTS, a=TEXTS, b=TEXTS)
def test_counts_of_texts_add_up(reference: list[str], a: list[str], b: list[str]) -> None:
    bins = profile(examples([0.0] * len(reference), reference), SCHEMA)["t"]

    both = count(bins, np.array(a + b, dtype=object))

    apart = count(bins, np.array(a, dtype=object)) + count(bins, np.array(b, dtype=object))
    assert (apart == both).all()
    assert both.sum() == len(a) + len(b)


@hypothesis_given(reference=NUMBERS)
def test_a_profile_counts_its_own_data(reference: Any) -> None:
    bins = bins_of(reference)

    assert count(bins, reference).tolist() == bins.counts


def test_a_value_on_an_edge_falls_below_it() -> None:
    bins = FeatureProfile(counts=[], edges=[1.0, 2.0])

    assert count(bins, np.array([1.0, 1.5, 2.0, 2.5])).tolist() == [1, 2, 1, 0]


# Statistics


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
    assert np.mean(np.array(found) > drift.MODERATE) < 0.02


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

POPULATIONS: dict[str, Sampler] = {
    "normal": lambda random, n: random.normal(size=n),
    "lognormal": lambda random, n: random.lognormal(size=n),
    "cauchy": lambda random, n: random.standard_cauchy(size=n),
    "poisson": lambda random, n: random.poisson(4, size=n).astype(float),
}


def found_share(
    sampler: Sampler, moved: Sampler, reference_rows: int, rows: int, repetitions: int = REPETITIONS
) -> float:
    """Return the share of windows at p < 0.01; every tenth has a new reference."""
    random = np.random.default_rng(1)
    found = 0
    bins, reference = FeatureProfile(counts=[]), np.zeros(0)
    for repetition in range(repetitions):
        if repetition % 10 == 0:
            sample = sampler(random, reference_rows).astype(np.float32)
            bins = drift._number_bins(sample)
            reference = count(bins, sample)
        found += minimum_effect_p(reference, count(bins, moved(random, rows)), MIN_DELTA) < 0.01
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


# Windows


def reference(rows: int = 5_000, seed: int = 0) -> dict[str, FeatureProfile]:
    random = np.random.default_rng(seed)
    return profile(examples(random.normal(size=rows), random.choice(["a", "b"], rows)), SCHEMA)


def window(
    rows: int, shift: float = 0.0, texts: tuple[str, ...] = ("a", "b"), seed: int = 9
) -> dict[str, Counts]:
    random = np.random.default_rng(seed)
    columns = {
        "x": random.normal(shift, size=rows).astype(np.float32),
        "t": np.array(random.choice(texts, rows), dtype=object),
    }
    return count_window(reference(), columns)


def by_name(found: list[FeatureDrift] | None) -> dict[str, FeatureDrift]:
    assert found is not None
    return {feature.feature: feature for feature in found}


def test_a_window_of_the_same_population_is_steady() -> None:
    found = by_name(compare(reference(), window(2_000)))

    assert [feature.flagged for feature in found.values()] == [False, False]
    assert [feature.severity for feature in found.values()] == ["none", "none"]


def test_a_feature_that_moved_far_is_flagged_and_the_other_is_not() -> None:
    found = by_name(compare(reference(), window(2_000, shift=1.0)))

    assert found["x"].flagged
    assert found["x"].severity == "major"
    assert not found["t"].flagged


def test_a_moderate_move_is_reported_and_not_flagged() -> None:
    found = by_name(compare(reference(), window(5_000, shift=0.4)))

    assert found["x"].severity == "moderate"
    assert found["x"].p < 0.01
    assert not found["x"].flagged


def test_a_new_category_is_drift_and_counted_as_unseen() -> None:
    found = by_name(compare(reference(), window(2_000, texts=("a", "b", "new"))))

    assert found["t"].flagged
    assert found["t"].unseen == pytest.approx(1 / 3, abs=0.05)


def test_a_feature_that_stopped_coming_is_drift_and_counted_as_missing() -> None:
    found = by_name(compare(reference(), window(2_000, texts=("a", "b", ""))))

    assert found["t"].flagged
    assert found["t"].missing == pytest.approx(1 / 3, abs=0.05)
    assert found["t"].unseen == 0


@pytest.mark.parametrize(("rows", "enough"), [(0, False), (199, False), (200, True)])
def test_too_few_rows_are_an_answer_of_their_own(rows: int, enough: bool) -> None:
    assert (compare(reference(), window(rows)) is not None) is enough
    assert MIN_ROWS == 200


def test_no_counts_at_all_are_insufficient_data() -> None:
    assert compare(reference(), {}) is None


def test_counts_of_days_add_up_to_the_window() -> None:
    first, second = window(1_000, seed=1), window(500, seed=2)
    whole = {name: first[name] + second[name] for name in first}

    assert sum(whole["x"]) == 1_500
    assert compare(reference(), whole) is not None


# Seasons


def weeks(means: list[float], rows: int = 600) -> Examples:
    random = np.random.default_rng(3)
    x = np.concatenate([random.normal(mean, size=rows) for mean in means])
    return examples(x, days=7 * len(means))


def test_a_feature_that_is_the_same_every_week_has_the_smallest_delta() -> None:
    assert profile(weeks([0.0] * 8), SCHEMA)["x"].delta == MIN_DELTA


def test_a_feature_that_changes_from_week_to_week_is_allowed_to() -> None:
    seasonal = profile(weeks([0.0, 0.8] * 4), SCHEMA)["x"]

    assert seasonal.delta > 0.1
    usual = count(seasonal, np.random.default_rng(4).normal(0.8, size=600))
    assert minimum_effect_p(np.array(seasonal.counts, dtype=float), usual, MIN_DELTA) < 0.01
    assert minimum_effect_p(np.array(seasonal.counts, dtype=float), usual, seasonal.delta) > 0.01


def test_data_of_one_week_has_the_smallest_delta() -> None:
    assert profile(examples(np.arange(1_000), days=5), SCHEMA)["x"].delta == MIN_DELTA


def test_rare_categories_are_tested_together() -> None:
    names = [f"{n:03d}" for n in range(300)]
    random = np.random.default_rng(5)
    draws = random.choice(names, 6_000)
    bins = profile(examples(np.zeros(6_000), draws), SCHEMA)["t"]

    tested = drift._tested(bins, np.array(bins.counts, dtype=float))

    assert len(tested) == drift.TESTED_CATEGORIES + 2
    assert tested.sum() == 6_000


def test_a_reference_of_flights_has_a_profile_for_every_field(trained: Any) -> None:
    found = trained.manifest.reference

    assert list(found) == list(trained.manifest.schema["properties"])
    assert {sum(bins.counts) for bins in found.values()} == {trained.manifest.lineage.fitted_rows}
