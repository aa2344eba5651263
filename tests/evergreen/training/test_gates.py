"""Whether a candidate may serve."""

import math

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.contract.problem import Problem
from evergreen.registry.manifest import Gate
from evergreen.training import gates
from evergreen.training.gates import Improvement, Slice, calibration_error, improvement, slices_of

losses = Problem().losses

DAYS = np.datetime64("2013-01-01") + np.repeat(np.arange(28), 50).astype("timedelta64[D]")


def test_the_loss_of_a_coin_is_the_logarithm_of_two() -> None:
    assert losses(np.array([True, False]), np.array([0.5, 0.5])) == pytest.approx(math.log(2))


@hypothesis_given(rows=st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=50))
def test_a_loss_is_finite_and_never_negative_even_for_a_certain_error(
    rows: list[tuple[bool, float]],
) -> None:
    found = losses(np.array([label for label, _ in rows]), np.array([score for _, score in rows]))

    assert np.isfinite(found).all()
    assert (found >= 0).all()


@hypothesis_given(label=st.booleans(), a=st.floats(0, 1), b=st.floats(0, 1))
def test_a_score_nearer_to_the_label_has_no_higher_loss(label: bool, a: float, b: float) -> None:
    better, worse = sorted((a, b), reverse=label)

    found = losses(np.array([label, label]), np.array([better, worse]))

    assert found[0] <= found[1]


def test_a_model_improves_on_itself_by_nothing() -> None:
    own = np.random.default_rng(0).uniform(size=len(DAYS))

    assert improvement(own, own, DAYS, seed=0) == Improvement(0.0, 0.0, 0.0)


def test_a_lower_loss_is_an_improvement_and_its_bound_lies_below_its_mean() -> None:
    random = np.random.default_rng(0)
    champion = random.uniform(size=len(DAYS))

    found = improvement(champion, champion - random.normal(0.1, 0.1, len(DAYS)), DAYS, seed=0)

    assert found.mean == pytest.approx(0.1, abs=0.01)
    assert 0.08 < found.lower < found.mean


def test_the_same_seed_gives_the_same_bound() -> None:
    random = np.random.default_rng(0)
    champion, candidate = random.uniform(size=(2, len(DAYS)))

    assert improvement(champion, candidate, DAYS, 3) == improvement(champion, candidate, DAYS, 3)


def test_one_good_day_makes_nothing_certain() -> None:
    """By rows this difference would be far from chance; by days it is that of one day."""
    champion = np.full(len(DAYS), 0.5)
    candidate = champion - 2.0 * (np.datetime64("2013-01-05") == DAYS)

    found = improvement(champion, candidate, DAYS, seed=0)

    assert found.mean > 0.05
    assert found.lower <= 0


def test_the_mean_counts_rows_and_not_days() -> None:
    days = np.array(["2013-01-01"] * 99 + ["2013-01-02"], dtype="datetime64[D]")
    champion = np.zeros(100)
    candidate = np.where(days == np.datetime64("2013-01-02"), 1.0, 0.0)

    assert improvement(champion, candidate, days, seed=0).mean == pytest.approx(-0.01)


def test_the_bound_is_wrong_in_about_one_of_twenty_samples_without_a_difference() -> None:
    random = np.random.default_rng(0)
    above = 0
    for _ in range(100):
        effect = np.repeat(random.normal(0, 0.2, 28), 50)
        difference = effect + random.normal(0, 0.5, len(DAYS))
        above += improvement(difference, np.zeros(len(DAYS)), DAYS, seed=0).lower > 0

    assert above <= 12


def over(mean: float, half: float = 0.02) -> Improvement:
    return Improvement(mean, mean - half, mean + half)


@pytest.mark.parametrize(("loss", "passed"), [(0.59, True), (0.6, False), (0.61, False)])
def test_a_model_must_beat_the_constant(loss: float, passed: bool) -> None:
    found = gates.fit(loss, 0.6, 0.7, over(0.1), "log-loss")

    assert found.passed is passed
    assert "constant's 0.6000" in found.said


def test_a_simple_tree_may_be_ahead_by_chance_but_not_surely() -> None:
    assert gates.fit(0.5, 0.6, 0.49, Improvement(-0.01, -0.03, 0.01), "log-loss").passed
    surely = gates.fit(0.5, 0.6, 0.4, Improvement(-0.1, -0.12, -0.08), "log-loss")
    assert not surely.passed
    assert "simple tree" in surely.said


@pytest.mark.parametrize(
    ("lower", "margin", "passed"),
    [(0.01, 0.0, True), (0.0, 0.0, True), (-0.001, 0.0, False), (-0.01, 0.01, True),
     (-0.0101, 0.01, False)],
)  # fmt: skip
def test_a_candidate_may_be_worse_than_the_champion_by_the_margin_at_most(
    lower: float, margin: float, passed: bool
) -> None:
    assert gates.champion(Improvement(0.02, lower, 0.1), margin, "").passed is passed


def test_the_verdict_on_the_champion_says_with_which_figures() -> None:
    found = gates.champion(Improvement(0.02, -0.03, 0.1), 0.01, "")

    assert "+0.0200" in found.said
    assert "-0.0300" in found.said
    assert found.figures == {"mean": 0.02, "lower": -0.03, "margin": 0.01}


def test_what_is_not_a_number_opens_no_gate() -> None:
    none = Improvement(math.nan, math.nan, math.nan)

    assert not gates.fit(math.nan, 0.6, 0.6, over(0.1), "log-loss").passed
    assert not gates.fit(0.5, 0.6, 0.6, none, "log-loss").passed
    assert not gates.champion(none, 0.01, "").passed
    assert not gates.slices([Slice("f", "a", 500, 0.5, 0.5, none)], 0.01).passed
    assert not gates.calibration(math.nan, None, 0.1).passed
    assert not gates.twin(math.nan, 10, 1e-5).passed
    assert not gates.latency(math.nan, 500).passed


def test_the_first_gate_that_is_shut_is_the_reason() -> None:
    found = [Gate(name=name, passed=name not in "bc", said=f"of {name}") for name in "abcd"]

    assert gates.verdict(found) == gates.Verdict(False, "of b")


def test_where_all_gates_are_open_the_comparison_with_the_champion_is_the_reason() -> None:
    found = [Gate(name=name, passed=True, said=f"of {name}") for name in ("data", "champion")]

    assert gates.verdict(found) == gates.Verdict(True, "of champion")


def by_two(worse: float) -> list[Slice]:
    """Return the slices of a field whose value `b`, every fourth row, is worse by so much."""
    random = np.random.default_rng(0)
    values = np.array(["a", "a", "a", "b"] * (len(DAYS) // 4), dtype=object)
    champion = random.normal(0.5, 0.05, len(DAYS))
    own = champion + random.normal(0, 0.05, len(DAYS)) + worse * (values == "b")
    return slices_of({"f": values}, own, champion, DAYS, seed=0)


@pytest.mark.parametrize(("worse", "passed"), [(0.0, True), (0.019, True), (0.04, False)])
def test_a_slice_that_is_surely_worse_by_more_than_its_margin_shuts_the_gate(
    worse: float, passed: bool
) -> None:
    found = gates.slices(by_two(worse), 0.02)

    assert found.passed is passed
    assert passed or "f b is worse" in found.said


def test_slices_of_few_rows_or_days_are_shown_and_not_judged() -> None:
    values = np.array(["rare"] * 99 + ["a"] * (len(DAYS) - 99), dtype=object)
    own, champion = np.ones(len(DAYS)), np.zeros(len(DAYS))

    rare = next(part for part in slices_of({"f": values}, own, champion, DAYS, 0)
                if part.value == "rare")  # fmt: skip

    assert (rare.rows, rare.loss, rare.champion, rare.over) == (99, 1.0, 0.0, None)
    assert gates.slices([rare], 0.0).passed


def test_without_a_champion_slices_have_losses_only() -> None:
    values = np.full(len(DAYS), 1.5, dtype=np.float32)

    (found,) = slices_of({"f": values}, np.ones(len(DAYS)), None, DAYS, 0)

    assert (found.value, found.champion, found.over) == ("1.5", None, None)


def test_scores_that_are_shares_have_about_no_calibration_error() -> None:
    random = np.random.default_rng(0)
    for rows in (200, 2_000, 20_000):
        scores = random.uniform(size=rows)

        assert calibration_error(scores, random.uniform(size=rows) < scores) < 0.02


def test_scores_that_promise_too_much_have_the_calibration_error_of_it() -> None:
    random = np.random.default_rng(0)
    scores = np.clip(random.uniform(0.2, 0.7, size=20_000), 0, 1)

    found = calibration_error(scores + 0.2, random.uniform(size=20_000) < scores)

    assert found == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize(
    ("own", "champion", "passed"),
    [(0.1, None, True), (0.11, None, False), (0.06, 0.02, True), (0.08, 0.02, False),
     (0.15, 0.16, True), (0.17, 0.16, False), (None, None, True)],
)  # fmt: skip
def test_calibration_may_be_off_by_the_limit_or_as_far_as_the_champion(
    own: float | None, champion: float | None, passed: bool
) -> None:
    assert gates.calibration(own, champion, 0.1).passed is passed


def test_what_serves_must_load_be_small_and_answer_in_time() -> None:
    assert gates.golden(None, 50).passed
    assert gates.golden("it cannot be loaded", 50).said == "it cannot be loaded"
    assert not gates.golden("it cannot be loaded", 50).passed
    assert gates.size(100_000_000, 100.0).passed
    assert not gates.size(100_000_001, 100.0).passed
    assert gates.latency(500.0, 500).passed
    assert not gates.latency(500.1, 500).passed
