"""Whether a candidate may serve."""

import math

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.gate import Improvement, improvement, judge, losses

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

    assert improvement(own, own, DAYS, seed=0) == Improvement(0.0, 0.0)


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


def test_a_first_champion_must_beat_the_constant() -> None:
    assert judge(0.59, 0.6, None, 0.0).passed
    assert "first champion" in judge(0.59, 0.6, None, 0.0).reason
    assert not judge(0.6, 0.6, None, 0.0).passed
    assert not judge(0.61, 0.6, None, 0.0).passed


def test_a_candidate_that_does_not_beat_the_constant_is_refused_however_bad_the_champion_is() -> (
    None
):
    assert not judge(0.61, 0.6, Improvement(0.5, 0.4), 0.0).passed


@pytest.mark.parametrize(
    ("lower", "margin", "passed"),
    [(0.01, 0.0, True), (0.0, 0.0, True), (-0.001, 0.0, False), (-0.01, 0.01, True),
     (-0.0101, 0.01, False)],
)  # fmt: skip
def test_a_candidate_may_be_worse_than_the_champion_by_the_margin_at_most(
    lower: float, margin: float, passed: bool
) -> None:
    assert judge(0.5, 0.6, Improvement(0.02, lower), margin).passed is passed


def test_the_verdict_says_with_which_figures() -> None:
    verdict = judge(0.5, 0.6, Improvement(0.02, -0.03), 0.01)

    assert "+0.0200" in verdict.reason
    assert "-0.0300" in verdict.reason
    assert "0.01" in verdict.reason


@pytest.mark.parametrize(
    ("loss", "over"),
    [(math.nan, None), (math.nan, Improvement(0.1, 0.1)), (0.5, Improvement(math.nan, math.nan))],
    ids=["loss", "loss with a champion", "improvement"],
)
def test_what_is_not_a_number_does_not_open_the_gate(loss: float, over: Improvement | None) -> None:
    assert not judge(loss, 0.6, over, 0.01).passed
