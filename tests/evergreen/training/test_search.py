"""Hyperparameters are searched within a time, and the same search finds the same."""

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from evergreen.captures.examples import Examples
from evergreen.training.search import MAX_TRIED, affordable, best_of, combinations, search

SPACE = {"max_depth": [1, 2, 3, 4, 6], "min_samples_leaf": [5, 10, 20, 40]}


def steps(labels: str = "binary", rows: int = 1_200) -> Examples:
    """Return rows whose label depends on which of four steps x is on."""
    random = np.random.default_rng(0)
    x = random.uniform(size=rows).astype(np.float32)
    step = (x * 4).astype(int)
    values = {
        "binary": random.uniform(size=rows) < np.array([0.1, 0.9, 0.2, 0.8])[step],
        "regression": step * 10.0 + random.normal(size=rows),
        "multiclass": np.array(["a", "b", "c", "d"], dtype=object)[step],
    }
    times = np.datetime64("2013-01-01", "us") + np.arange(rows).astype("timedelta64[h]")
    return Examples({"x": x}, values[labels], times)


def test_the_same_seed_and_number_find_the_same() -> None:
    tree = DecisionTreeClassifier(random_state=0)

    found = [best_of(9, tree, SPACE, steps(), {}, seed=seed) for seed in (3, 3)]

    assert found[0] == found[1]
    assert found[0].tried == 9
    assert set(found[0].parameters) == set(SPACE)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_what_is_found_is_better_than_what_is_bad(kind: str) -> None:
    """One question cannot tell four steps apart."""
    regression = kind == "regression"
    tree = DecisionTreeRegressor() if regression else DecisionTreeClassifier(random_state=0)

    found = best_of(20, tree, SPACE, steps(kind), {}, seed=0)

    assert found.parameters["max_depth"] > 1


def test_a_time_that_is_too_short_for_two_tries_nothing() -> None:
    found = search(DecisionTreeClassifier(), SPACE, steps(), {}, seconds=0.0, seed=0)

    assert (found.parameters, found.tried) == ({}, 0)


def test_combinations_that_cannot_be_fitted_are_not_chosen() -> None:
    space: dict[str, list[float]] = {"C": [-1.0, 1.0, 0.1], "max_iter": [1, 200]}

    found = best_of(6, LogisticRegression(), space, steps(), {}, seed=0)

    assert found.parameters["C"] > 0


@hypothesis_given(seconds=st.floats(0, 1e4), fit=st.floats(1e-3, 100), most=st.integers(1, 1_000))
def test_more_time_tries_more_and_never_more_than_there_are(
    seconds: float, fit: float, most: int
) -> None:
    found = affordable(seconds, fit, most)

    assert found == 0 or 2 <= found <= min(most, MAX_TRIED)
    assert affordable(2 * seconds, fit, most) >= found


def test_a_space_has_as_many_combinations_as_its_values_multiply_to() -> None:
    assert combinations(SPACE) == 20
