"""Reference profiles: which bins data falls into, and what a feature does from week to week."""

import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evergreen.captures.examples import Examples
from evergreen.monitoring import reference_profile
from evergreen.monitoring.reference_profile import (
    MAX_DISTINCT,
    MIN_DELTA,
    count,
    labels,
    places,
    pooled,
    profile,
)
from evergreen.monitoring.two_sample_tests import minimum_effect_p
from evergreen.registry.manifest import FeatureProfile
from tests.support.given import SCHEMA_OF_TWO, two_columns


def number(x: Any) -> FeatureProfile:
    return profile(two_columns(x), SCHEMA_OF_TWO)["x"]


def text(t: Any) -> FeatureProfile:
    return profile(two_columns(np.zeros(len(t)), t), SCHEMA_OF_TWO)["t"]


def test_a_number_with_many_values_is_counted_between_its_quantiles_and_beyond_its_ends() -> None:
    found = number(np.arange(10_000))

    assert found.edges is not None
    assert len(found.edges) == len(reference_profile.QUANTILES) + 2
    assert found.edges[4] == pytest.approx(3999.6, abs=1)
    assert found.edges[-1] == 9_999
    assert sum(found.counts) == 10_000
    assert (found.counts[0], found.counts[-2]) == (0, 0)


def test_a_number_with_few_values_is_counted_value_by_value() -> None:
    found = number([0, 1, 1, 5] * 10)

    assert found.edges is not None
    assert found.edges[1:] == [0.0, 1.0, 5.0]
    assert found.counts == [0, 10, 20, 10, 0, 0]


@pytest.mark.parametrize("values", [[7.0] * 30, [-0.5, 3.25] * 9, np.linspace(-3, 900, 5_000)])
def test_a_number_below_the_smallest_or_above_the_largest_has_a_bin_of_its_own(values: Any) -> None:
    found, ends = number(values), np.array([min(values), max(values)], dtype=np.float32)

    just_outside = np.nextafter(ends, np.array([-np.inf, np.inf], dtype=np.float32))
    assert places(found, just_outside).tolist() == [0, len(found.counts) - 2]
    assert not set(places(found, ends)) & {0, len(found.counts) - 2, len(found.counts) - 1}


@pytest.mark.parametrize("distinct", [1, MAX_DISTINCT, MAX_DISTINCT + 1])
def test_edges_ascend_and_never_repeat(distinct: int) -> None:
    edges = number(np.arange(1000) % distinct).edges

    assert edges is not None
    assert edges == sorted(set(edges))


def test_missing_numbers_and_texts_have_a_bin_of_their_own() -> None:
    found = profile(two_columns([1, np.nan, np.nan, 2], ["a", "", "b", "a"]), SCHEMA_OF_TWO)

    assert found["x"].counts[-1] == 2
    assert found["t"].categories == ["a", "b"]
    assert found["t"].counts == [2, 1, 0, 1]


def test_a_feature_that_was_never_there_can_be_counted() -> None:
    found = number([np.nan] * 5)

    assert found.counts == [0, 5]
    assert count(found, np.array([1.0, np.nan, 2.0])).tolist() == [2, 1]
    assert labels(found) == ["any", "missing"]


def test_values_beyond_the_thousandth_are_counted_together_and_are_no_new_ones() -> None:
    names = [f"{n:04d}" for n in range(1_100)]

    found = text(names + names[:1_000] + names[:100])

    assert found.categories is not None
    assert len(found.categories) == 1_000
    assert found.counts[-3] == 2_200 - sum(found.counts[:1_000]) > 0
    assert found.counts[-2] == 0
    assert count(found, np.array(["1099", "new", ""], dtype=object))[-3:].tolist() == [1, 1, 1]


@hypothesis_given(reference=st.lists(st.text(max_size=3), max_size=40))
def test_no_value_that_was_seen_is_ever_unseen(reference: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference_profile, "MAX_CATEGORIES", 3)
        found = text(reference)

    counts = count(found, np.array(reference, dtype=object))
    assert counts.tolist() == found.counts
    assert counts[-2] == 0


@pytest.mark.parametrize(("values", "most"), [(20_000, 0.003), (100_000, 0.1)])
def test_few_new_values_are_taken_for_seen_and_what_is_kept_is_bounded(
    values: int, most: float
) -> None:
    found = text(np.array([f"v{n}" for n in range(values)], dtype=object))

    new = np.array([f"new{n}" for n in range(20_000)], dtype=object)
    assert count(found, new)[-2] >= 20_000 * (1 - most)
    assert len(msgspec.json.encode(found)) < 2**19 / 8 * 4 / 3 + 50_000


def test_of_a_long_text_its_beginning_and_a_hash_are_kept() -> None:
    long = "x" * 300_000
    tracemalloc.start()

    found = text([long + "a", long + "b", *["short"] * 400])

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    assert found.categories is not None
    assert sorted(map(len, found.categories)) == [5, 217, 217]
    assert len(msgspec.json.encode(found)) < 1_000


def test_of_a_sensitive_text_no_value_is_kept_and_new_ones_are_still_found() -> None:
    examples = two_columns(np.zeros(400), ["Ada", "Grace"] * 200)

    found = profile(examples, SCHEMA_OF_TWO, {"t": "a name"})["t"]

    assert (found.hidden, found.categories) == (True, [])
    assert b"Ada" not in msgspec.json.encode(found)
    assert count(found, np.array(["Ada", "Linus", ""], dtype=object)).tolist() == [1, 1, 1]


NUMBERS = arrays(
    np.float32,
    st.integers(0, 60),
    elements=st.floats(width=32, allow_infinity=False) | st.sampled_from([0.0, 1.0, 5.0]),
)


@hypothesis_given(reference=NUMBERS, a=NUMBERS, b=NUMBERS)
def test_counts_of_numbers_add_up(reference: Any, a: Any, b: Any) -> None:
    found = number(reference)

    both = count(found, np.concatenate([a, b]))

    assert (count(found, a) + count(found, b) == both).all()
    assert both.sum() == len(a) + len(b)
    assert len(both) == len(found.counts) == len(labels(found))
    assert both[-1] == np.isnan(a).sum() + np.isnan(b).sum()


TEXTS = st.lists(st.sampled_from(["a", "b", "c", "", "é"]), max_size=30)


@hypothesis_given(reference=TEXTS, a=TEXTS, b=TEXTS)
def test_counts_of_texts_add_up(reference: list[str], a: list[str], b: list[str]) -> None:
    found = text(reference)

    both = count(found, np.array(a + b, dtype=object))

    apart = count(found, np.array(a, dtype=object)) + count(found, np.array(b, dtype=object))
    assert (apart == both).all()
    assert both.sum() == len(a) + len(b)


@hypothesis_given(reference=NUMBERS)
def test_a_profile_counts_its_own_data_and_has_none_of_it_beyond_its_ends(reference: Any) -> None:
    found = number(reference)

    assert count(found, reference).tolist() == found.counts
    assert found.counts[-2] == 0
    assert found.counts[0] == 0 or not found.edges


def test_a_value_on_an_edge_falls_below_it() -> None:
    found = FeatureProfile(counts=[], edges=[1.0, 2.0])

    assert count(found, np.array([1.0, 1.5, 2.0, 2.5])).tolist() == [1, 2, 1, 0]


def test_rare_categories_are_tested_together() -> None:
    names = [f"{n:03d}" for n in range(300)]
    draws = np.random.default_rng(5).choice(names, 6_000)
    found = text(draws)

    tested = pooled(found, np.array(found.counts, dtype=float))

    assert len(tested) == reference_profile.TESTED_CATEGORIES + 2 == len(labels(found))
    assert tested.sum() == 6_000
    rows = np.bincount(
        reference_profile.pooled_places(found, draws.astype(object)), minlength=len(tested)
    )
    assert rows.tolist() == tested.tolist()


def test_missing_texts_stay_apart_from_rare_ones() -> None:
    found = text([*(f"{n:02d}" for n in range(50)), "", ""])

    places = reference_profile.pooled_places(found, np.array(["00", "new", "", "49"], dtype=object))

    assert [labels(found)[place] for place in places] == ["00", "others", "missing", "others"]


# Seasons


def weeks(means: list[float], rows: int = 600) -> Examples:
    random = np.random.default_rng(3)
    x = np.concatenate([random.normal(mean, size=rows) for mean in means])
    return two_columns(x, days=7 * len(means))


def test_a_feature_that_is_the_same_every_week_has_the_smallest_delta() -> None:
    assert profile(weeks([0.0] * 8), SCHEMA_OF_TWO)["x"].delta == MIN_DELTA


def test_a_feature_that_changes_from_week_to_week_is_allowed_to() -> None:
    seasonal = profile(weeks([0.0, 0.8] * 4), SCHEMA_OF_TWO)["x"]

    assert seasonal.delta > 0.1
    usual = count(seasonal, np.random.default_rng(4).normal(0.8, size=600))
    assert minimum_effect_p(np.array(seasonal.counts, dtype=float), usual, MIN_DELTA) < 0.01
    assert minimum_effect_p(np.array(seasonal.counts, dtype=float), usual, seasonal.delta) > 0.01


def test_data_of_one_week_has_the_smallest_delta_and_allows_no_new_category() -> None:
    found = profile(two_columns(np.arange(1_000), days=5), SCHEMA_OF_TWO)

    assert found["x"].delta == MIN_DELTA
    assert found["t"].unseen == 0


def test_a_share_of_missing_values_may_be_what_the_worst_week_had_and_more_where_weeks_vary() -> (
    None
):
    steady = np.tile([np.nan, 1.0, 2.0, 3.0], 700)
    random = np.random.default_rng(6)
    rates = np.repeat([0.05, 0.4, 0.1, 0.3], 700)
    varying = np.where(random.uniform(size=2_800) < rates, np.nan, 1.0)

    found = profile(two_columns(steady, days=28), SCHEMA_OF_TWO)["x"]
    other = profile(two_columns(varying, days=28), SCHEMA_OF_TWO)["x"]

    assert found.missing == pytest.approx(0.25, abs=0.01)
    assert 0.6 < other.missing <= 1


def test_categories_that_only_one_week_had_say_how_many_new_ones_a_week_may_bring() -> None:
    known, seasonal = ["a", "b"] * 350, ["a", "b", "c", "d"] * 140 + ["summer"] * 140

    plain = profile(two_columns(np.zeros(2_800), known * 4, days=28), SCHEMA_OF_TWO)["t"]
    found = profile(two_columns(np.zeros(2_100), known * 2 + seasonal, days=21), SCHEMA_OF_TWO)["t"]

    assert plain.unseen == 0
    assert found.unseen > 0.2


def test_a_reference_of_flights_has_a_profile_for_every_field(trained: Any) -> None:
    found = trained.manifest.reference

    assert list(found) == list(trained.manifest.schema["properties"])
    assert {sum(bins.counts) for bins in found.values()} == {trained.manifest.lineage.fitted_rows}
