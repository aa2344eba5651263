"""The twin is compared, and the pipeline asked, where no row of the holdout is."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from evergreen.contract.errors import CandidateError
from evergreen.contract.problem import Problem
from evergreen.contract.schema import Columns, Score
from evergreen.serving.runtime_onnx import scorer
from evergreen.training.onnx import export
from evergreen.training.onnx.odd_rows import check_robust, odd_rows

SCHEMA = {
    "properties": {
        "hour": {"type": "integer", "minimum": 0, "maximum": 23},
        "euros": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
        "place": {"type": "string"},
        "size": {"enum": ["S", "M", "L"]},
    },
    "required": ["hour", "place", "size"],
}
NAMES = list(SCHEMA["properties"])


def rows(seed: int = 0, count: int = 1_000) -> Columns:
    random = np.random.default_rng(seed)
    euros = random.normal(40, 20, count).round(2)
    return {
        "hour": random.integers(6, 20, count).astype(np.float32),
        "euros": np.where(random.uniform(size=count) < 0.1, np.nan, euros).astype(np.float32),
        "place": random.choice(["a", "b", "c"], count).astype(object),
        "size": random.choice(["S", "M"], count).astype(object),
    }


def fitted(last: Any, text: Any = None, numbers: Any = None) -> Any:
    text = text or OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    chosen = make_column_transformer(
        (numbers or make_pipeline(SimpleImputer(), StandardScaler()), ["hour", "euros"]),
        (text, ["place", "size"]),
    )
    found = rows()
    return make_pipeline(chosen, last).fit(pd.DataFrame(found), found["hour"] > 12)


def asking(pipeline: Any) -> Score:
    return lambda columns: np.asarray(pipeline.predict_proba(pd.DataFrame(columns))[:, 1])


def difference(pipeline: Any, seed: int = 0) -> float:
    odd, expected = odd_rows(asking(pipeline), SCHEMA, rows(1), seed)
    twin = scorer(export.convert(pipeline, SCHEMA, NAMES), NAMES)
    return export.difference(twin(odd), expected, Problem(), export.ODD)


def test_neighbours_that_float32_confuses_are_refused_whatever_the_seed() -> None:
    """In the holdout they may be right: only some pairs of distances are as near to each other."""
    pipeline = fitted(KNeighborsClassifier(5, weights="uniform"))
    for seed in range(3):
        with pytest.raises(CandidateError, match=r"differs .* rows .* that are odd: .*RUNTIME=skl"):
            difference(pipeline, seed)


@pytest.mark.parametrize("last", [LogisticRegression(), HistGradientBoostingClassifier()], ids=str)
def test_a_twin_that_computes_as_its_pipeline_passes(last: Any) -> None:
    assert difference(fitted(last)) < 1e-9


def split(columns: Columns) -> npt.NDArray[np.float64]:
    """Answer 1 from 17.0 euros on, and for no infinite sum; as a tree does."""
    return np.asarray(columns["euros"] >= np.float32(17), dtype=np.float64)


def test_odd_rows_have_limits_gaps_new_categories_and_both_sides_of_a_split() -> None:
    odd, expected = odd_rows(split, SCHEMA, rows(), 0)

    assert {0, 23} <= set(odd["hour"].tolist())
    assert odd["hour"].min() == 0, "beyond is no row that a request may have"
    assert {np.float32(3.4e38), np.float32(-3.4e38)} <= set(odd["euros"].tolist())
    assert np.isnan(odd["euros"]).any()
    assert {"", "a"} < set(odd["place"])
    assert set(odd["size"]) == {"S", "M", "L"}
    below = np.nextafter(np.float32(17), np.float32(0))
    assert {np.float32(17), below} <= set(odd["euros"].tolist())
    assert (split(odd) == expected).all()


def test_the_same_seed_makes_the_same_rows_and_another_does_not() -> None:
    first, again, other = (odd_rows(split, SCHEMA, rows(), seed)[0] for seed in (0, 0, 1))

    for name, values in first.items():
        assert np.array_equal(values, again[name], equal_nan=name == "euros")
    assert not np.array_equal(first["hour"], other["hour"])


def test_rows_for_which_the_pipeline_has_no_score_are_left_out_alone() -> None:
    def ask(columns: Columns) -> npt.NDArray[np.float64]:
        if (np.abs(columns["euros"]) > 1e30).any():
            raise ValueError("too large")
        return np.where(columns["hour"] == 0, np.nan, 0.5)

    odd, expected = odd_rows(ask, SCHEMA, rows(), 0)

    assert len(expected) > 1_500
    assert np.nanmax(np.abs(odd["euros"])) < 1e30
    assert 23 in odd["hour"]
    assert 0 not in odd["hour"]


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (fitted(LogisticRegression(), text=OneHotEncoder(sparse_output=False)), "place is missing"),
        (
            fitted(
                LogisticRegression(),
                text=OrdinalEncoder(
                    handle_unknown="use_encoded_value",
                    unknown_value=-1,
                    categories=[["a", "b", "c"], ["S", "M"]],
                ),
            ),
            None,
        ),
        (fitted(HistGradientBoostingClassifier(), numbers="passthrough"), None),
    ],
    ids=["strict", "lenient", "takes NaN"],
)
def test_a_pipeline_must_have_a_score_for_gaps_and_new_categories(
    pipeline: Any, said: str | None
) -> None:
    if said is None:
        check_robust(asking(pipeline), SCHEMA, rows())
    else:
        with pytest.raises(CandidateError, match=f"the pipeline has no score where {said}"):
            check_robust(asking(pipeline), SCHEMA, rows())


def test_a_category_that_is_declared_and_was_never_seen_needs_a_score() -> None:
    def ask(columns: Columns) -> npt.NDArray[np.float64]:
        return np.where(columns["size"] == "L", np.nan, 0.5)

    with pytest.raises(CandidateError, match="no score where size is a category that it may be"):
        check_robust(ask, SCHEMA, rows())


def test_gaps_in_several_fields_at_once_need_a_score() -> None:
    def ask(columns: Columns) -> npt.NDArray[np.float64]:
        gone = np.isnan(columns["euros"]) & (columns["place"] == "")
        return np.where(gone, np.nan, 0.5)

    full = rows() | {"euros": np.full(1_000, 1, dtype=np.float32)}
    with pytest.raises(CandidateError, match="no score where euros, place are missing together"):
        check_robust(ask, SCHEMA, full)
