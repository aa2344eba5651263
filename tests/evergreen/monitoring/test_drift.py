"""A window of traffic against its reference: what is drift, and what breaks the schema."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.monitoring.drift import MIN_SHARE, compare, violations
from evergreen.monitoring.reference_profile import MIN_ROWS, count_all, profile, profile_of
from evergreen.monitoring.report import FeatureDrift, Violation
from evergreen.monitoring.two_sample_tests import Counts
from evergreen.registry.manifest import FeatureProfile
from tests.support.given import SCHEMA_OF_TWO, two_columns

Days = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, Days], list[str]]


def reference(rows: int = 5_000, seed: int = 0) -> dict[str, FeatureProfile]:
    random = np.random.default_rng(seed)
    return profile(
        two_columns(random.normal(size=rows), random.choice(["a", "b"], rows)), SCHEMA_OF_TWO
    )


def window(
    rows: int, shift: float = 0.0, texts: Sequence[str] = ("a", "b"), seed: int = 9
) -> dict[str, Counts]:
    random = np.random.default_rng(seed)
    columns = {
        "x": random.normal(shift, size=rows).astype(np.float32),
        "t": np.array(random.choice(texts, rows), dtype=object),
    }
    return count_all(reference(), columns)


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


def test_each_bin_is_named_and_counted_on_both_sides() -> None:
    found = by_name(compare(reference(), window(2_000, texts=("a", "b", ""))))

    for feature in found.values():
        assert len(feature.bins) == len(feature.reference) == len(feature.window)
        assert (sum(feature.reference), sum(feature.window)) == (5_000, 2_000)


def test_a_number_outside_the_range_of_training_is_counted_and_measured() -> None:
    found = by_name(compare(reference(), window(2_000, shift=30.0)))

    assert found["x"].outside == 1.0
    assert found["x"].wasserstein > 2
    assert (found["t"].outside, found["t"].wasserstein) == (0.0, 0.0)


@pytest.mark.slow
def test_of_twenty_steady_features_hardly_one_check_in_two_hundred_flags_any() -> None:
    random = np.random.default_rng(7)
    flagged = 0
    for _ in range(5):
        columns = {f"f{n}": random.normal(size=20_000).astype(np.float32) for n in range(20)}
        bins = {
            name: profile(two_columns(values), SCHEMA_OF_TWO)["x"]
            for name, values in columns.items()
        }
        for _ in range(40):
            rows = {name: random.normal(size=500).astype(np.float32) for name in columns}
            found = compare(bins, count_all(bins, rows))
            flagged += any(feature.flagged for feature in found or ())

    assert flagged <= 1


# Schema


def by_kind(
    reference: dict[str, FeatureProfile], counts: dict[str, Counts], misfits: int = 0
) -> dict[tuple[str, str], Violation]:
    return {(v.feature, v.kind): v for v in violations(reference, counts, misfits)}


def test_rows_like_the_reference_violate_nothing() -> None:
    assert not any(v.flagged for v in violations(reference(), window(2_000), 0))


@pytest.mark.parametrize(
    ("texts", "kind"),
    [(("a", "b", "new"), "unseen categories"), (("a", "b", ""), "missing values")],
)
def test_categories_that_are_new_or_gone_violate_the_schema(
    texts: tuple[str, ...], kind: str
) -> None:
    found = by_kind(reference(), window(2_000, texts=texts))

    violation = found["t", kind]
    assert violation.flagged
    assert violation.share == pytest.approx(1 / 3, abs=0.05)
    assert violation.bound == pytest.approx(3 / 5_000, rel=0.02)
    assert ("x", "missing values") not in found


def test_numbers_outside_the_range_are_shown_and_never_flagged() -> None:
    found = by_kind(reference(), window(2_000, shift=30.0))

    violation = found["x", "outside the range"]
    assert (violation.share, violation.flagged) == (1.0, False)
    assert violation.p < 1e-9


def test_rows_that_the_schema_cannot_read_violate_it() -> None:
    found = by_kind(reference(), window(2_000), misfits=100)

    violation = found["", "wrong schema"]
    assert violation.flagged
    assert violation.share == pytest.approx(100 / 2_100)


def test_a_violation_that_is_too_small_to_matter_is_shown_and_not_flagged() -> None:
    texts = ["a"] * 199 + ["new"]

    small = by_kind(reference(), window(100_000, texts=texts))["t", "unseen categories"]
    large = by_kind(reference(), window(100_000, texts=texts[150:]))["t", "unseen categories"]

    assert small.share < small.bound + MIN_SHARE
    assert (small.flagged, large.flagged) == (False, True)
    assert small.p < 1e-9


def test_few_rows_prove_no_violation() -> None:
    assert violations(reference(), window(MIN_ROWS - 1, texts=("new",)), 0) == []
    assert violations(reference(), {}, 10) == []


def test_what_the_weeks_of_the_reference_had_is_no_violation() -> None:
    gaps = np.tile(["a", "a", "b", ""], 1_400)
    bins = profile(two_columns(np.zeros(5_600), gaps, days=28), SCHEMA_OF_TWO)

    rows = {"x": np.zeros(400, np.float32), "t": np.resize(gaps, 400).astype(object)}

    assert violations(bins, count_all(bins, rows), 0) == []


# Texts of many values


def steady(random: np.random.Generator, at: Days) -> list[str]:
    return [f"v{n}" for n in random.integers(0, 20_000, len(at))]


def skewed(random: np.random.Generator, at: Days) -> list[str]:
    return [f"v{n % 20_000}" for n in random.zipf(1.3, len(at))]


def forever_new(random: np.random.Generator, at: Days) -> list[str]:
    return [f"v{n}" for n in random.integers(0, 2**60, len(at))]


def some_new_every_day(random: np.random.Generator, at: Days) -> list[str]:
    """Return who bought: of each day a hundred people are new, and buy for sixty days."""
    return [f"v{n:.0f}" for n in 100 * (at - random.uniform(0, 60, len(at)))]


def of_texts(draw: Draw, random: np.random.Generator, days: int, rows: int) -> FeatureProfile:
    at = np.sort(random.uniform(0, days, rows))
    times = np.datetime64("2013-01-01", "us") + (at * 86_400e6).astype("timedelta64[us]")
    return profile_of(np.array(draw(random, at), dtype=object), times, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [steady, skewed, forever_new, some_new_every_day])
@pytest.mark.parametrize(("rows", "days"), [(1_000, 5), (3_000, 28), (20_000, 60)])
def test_a_text_of_many_values_that_come_as_they_did_violates_nothing(
    draw: Draw, rows: int, days: int
) -> None:
    """2,000 windows of each draw would be minutes; of `steady` they are in the next test."""
    random = np.random.default_rng(1)
    bins = {"t": of_texts(draw, random, days, rows)}

    for _ in range(40):
        at = days + 7 + random.uniform(0, 7, 1_000)
        window = count_all(bins, {"t": np.array(draw(random, at), dtype=object)})
        assert not any(v.flagged for v in violations(bins, window, 0))
        assert by_name(compare(bins, window))["t"].unseen < 0.05  # which has an alarm of its own


@pytest.mark.slow
def test_of_twenty_thousand_steady_values_none_of_two_thousand_windows_is_a_violation() -> None:
    random = np.random.default_rng(2)
    names = np.array([f"v{n}" for n in range(20_000)], dtype=object)
    flagged = 0
    for rows in (2_000, 20_000, 60_000, 100_000):
        bins = {"t": of_texts(steady, random, 60, rows)}
        for _ in range(500):
            window = count_all(bins, {"t": names[random.integers(0, 20_000, 250)]})
            flagged += any(v.flagged for v in violations(bins, window, 0))

    assert flagged == 0


def test_new_values_beside_many_steady_ones_violate_the_schema() -> None:
    random = np.random.default_rng(3)
    bins = {"t": of_texts(steady, random, 60, 100_000)}
    texts = np.array([*steady(random, np.zeros(700)), *[f"n{n}" for n in range(300)]], dtype=object)

    (found,) = violations(bins, count_all(bins, {"t": texts}), 0)

    assert (found.kind, found.flagged) == ("unseen categories", True)


def test_what_an_older_version_counted_together_is_no_violation() -> None:
    """Its profile does not say which values it had seen beside the most frequent."""
    old = {"t": FeatureProfile(counts=[600, 400, 0], categories=["a"])}

    assert violations(old, {"t": np.array([100.0, 900.0, 0.0])}, 0) == []


def test_of_a_sensitive_feature_no_bin_is_told() -> None:
    bins = {"t": msgspec.structs.replace(reference()["t"], hidden=True)}

    found = by_name(compare(bins, {"t": np.array([0.0, 2_000.0, 0.0, 0.0])}))["t"]

    assert found.severity == "major"
    assert (found.bins, found.reference, found.window) == ([], [], [])


@pytest.mark.parametrize("rows", [MIN_ROWS, 5_000])
@pytest.mark.parametrize("new", ["seen", "unseen", "missing"])
@pytest.mark.parametrize("known", ["constant", "all missing", "one category"])
def test_a_degenerate_reference_gets_an_answer(known: str, new: str, rows: int) -> None:
    x = np.full(3_000, np.nan if known == "all missing" else 5.0)
    t = ["" if known == "all missing" else "a"] * 3_000
    bins = profile(two_columns(x, t), SCHEMA_OF_TWO)
    value, text = {"seen": (5.0, "a"), "unseen": (9.0, "z"), "missing": (np.nan, "")}[new]
    columns = {"x": np.full(rows, value, np.float32), "t": np.full(rows, text, dtype=object)}

    found = by_name(compare(bins, count_all(bins, columns)))
    broken = violations(bins, count_all(bins, columns), 0)

    figures = [[f.p, f.psi, f.wasserstein, f.missing, f.unseen] for f in found.values()]
    assert np.isfinite(figures).all()
    assert np.isfinite([[v.share, v.bound, v.p] for v in broken]).all()
    same = (known, new) in {("constant", "seen"), ("one category", "seen")} or (
        (known, new) == ("all missing", "missing")
    )
    if same:
        assert not any(f.flagged for f in found.values())
        assert not any(v.flagged for v in broken)


@hypothesis_given(
    shift=st.floats(-50, 50), rows=st.integers(1, 3_000), misfits=st.integers(0, 3_000)
)
def test_violations_come_with_the_strangest_first(shift: float, rows: int, misfits: int) -> None:
    found = violations(reference(500), window(rows, shift, texts=("a", "c", "")), misfits)

    assert [v.p for v in found] == sorted(v.p for v in found)
    assert all(v.share > v.bound for v in found)
