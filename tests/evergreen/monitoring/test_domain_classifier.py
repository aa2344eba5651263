"""Rows that have moved together: found where no feature alone has moved, and not made up."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from evergreen.contract.schema import Columns
from evergreen.monitoring import domain_classifier
from evergreen.monitoring.domain_classifier import (
    MIN_AUC,
    MIN_SAMPLE,
    REFERENCE_ROWS,
    WINDOW_ROWS,
    P,
    separation,
    spread,
)


def rows(count: int, seed: int, rho: float = 0.0, features: int = 10) -> Columns:
    """Return normal features, each pair of neighbours of which goes together with rho."""
    random = np.random.default_rng(seed)
    found = random.normal(size=(count, features))
    found[:, 1::2] = rho * found[:, ::2] + np.sqrt(1 - rho**2) * found[:, 1::2]
    return {f"f{n}": found[:, n].astype(np.float32) for n in range(features)}


def is_found(reference: Columns, window: Columns) -> bool:
    found = separation(reference, window)
    assert found is not None
    return bool(found.p < P and found.auc >= MIN_AUC)


def test_samples_of_one_population_are_not_told_apart() -> None:
    found = [is_found(rows(2_000, seed), rows(1_000, 100 + seed)) for seed in range(6)]

    assert sum(found) == 0


def test_features_that_go_together_otherwise_are_told_apart_though_each_is_as_it_was() -> None:
    found = [is_found(rows(2_000, seed), rows(1_000, 100 + seed, rho=0.5)) for seed in range(6)]

    assert sum(found) >= 5


def test_a_shift_is_found_in_texts_and_in_gaps_too() -> None:
    plain = np.resize(np.array(["a", "b", "c"], dtype=object), 1_000)
    some = np.random.default_rng(3).random(1_000) < 0.5
    gaps = np.where(some, np.nan, 1.0).astype(np.float32)
    none = np.ones(1_000, dtype=np.float32)

    assert is_found({"t": plain}, {"t": np.where(plain == "c", "a", plain)})
    assert is_found({"x": none}, {"x": gaps})
    assert not is_found({"t": plain, "x": none}, {"t": plain, "x": none})


def test_the_same_rows_give_the_same_answer() -> None:
    assert separation(rows(900, 1), rows(400, 2)) == separation(rows(900, 1), rows(400, 2))


@pytest.mark.parametrize(
    ("one", "other", "enough"),
    [(0, 0, False), (MIN_SAMPLE - 1, 900, False), (900, MIN_SAMPLE - 1, False),
     (MIN_SAMPLE, MIN_SAMPLE, True)],
)  # fmt: skip
def test_a_small_sample_tells_nothing(one: int, other: int, enough: bool) -> None:
    found = separation(rows(one, 1, features=2), rows(other, 2, features=2))

    assert (found is not None) is enough


def test_no_columns_tell_nothing() -> None:
    assert separation({}, {}) is None


def test_of_many_rows_only_a_spread_sample_is_looked_at() -> None:
    found = separation(rows(9_000, 1, features=2), rows(7_000, 2, features=2))

    assert found is not None
    assert found.rows == REFERENCE_ROWS + WINDOW_ROWS
    assert spread(10, 4).tolist() == [0, 3, 6, 9]
    assert spread(3, 9).tolist() == [0, 1, 2]
    assert spread(0, 9).tolist() == []


def texts(values: list[str]) -> npt.NDArray[Any]:
    return np.array(values, dtype=object)


DEGENERATE: dict[str, npt.NDArray[Any]] = {
    "constant": np.full(600, 3.0, dtype=np.float32),
    "all missing": np.full(600, np.nan, dtype=np.float32),
    "one category": texts(["a"] * 600),
    "no category": texts([""] * 600),
    "every row another": texts([f"{n}" for n in range(600)]),
    "huge": np.linspace(-3e38, 3e38, 600).astype(np.float32),
}


@pytest.mark.parametrize("other", DEGENERATE)
@pytest.mark.parametrize("one", ["constant", "all missing", "huge"])
def test_a_degenerate_number_gets_an_answer(one: str, other: str) -> None:
    if DEGENERATE[one].dtype != DEGENERATE[other].dtype:
        other = one

    found = separation({"x": DEGENERATE[one]}, {"x": DEGENERATE[other]})

    if one == other == "all missing":
        assert found is None, "there is nothing to tell them apart by"
        return
    assert found is not None
    assert 0 <= found.auc <= 1
    assert 0 <= found.p <= 1
    assert one != other or not (found.p < P and found.auc >= MIN_AUC)


@pytest.mark.parametrize("other", ["one category", "no category", "every row another"])
@pytest.mark.parametrize("one", ["one category", "no category", "every row another"])
def test_a_degenerate_text_gets_an_answer(one: str, other: str) -> None:
    found = separation({"t": DEGENERATE[one]}, {"t": DEGENERATE[other]})

    assert found is not None
    assert (found.auc > 0.9) is (one != other)


def test_many_categories_do_not_make_many_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    names = texts([f"{n % 500}" for n in range(2_000)])
    seen = []

    def fit(self: Any, numbers: Any, side: Any) -> Any:
        seen.append(numbers.shape[1])
        return plain(self, numbers, side)

    plain = HistGradientBoostingClassifier.fit
    monkeypatch.setattr(HistGradientBoostingClassifier, "fit", fit)
    separation({"t": names}, {"t": names})

    assert seen == [domain_classifier.CATEGORIES]


def test_the_better_of_two_classifiers_had_two_chances(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([(0.52, 0.3), (0.6, 0.004)])
    monkeypatch.setattr(domain_classifier, "_held_out", lambda *_: next(found))

    result = separation(rows(300, 1), rows(300, 2))

    assert result is not None
    assert (result.auc, result.p) == (0.6, 0.008)
