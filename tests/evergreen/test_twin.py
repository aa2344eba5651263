"""The ONNX twin answers as the pipeline does."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from evergreen import twin
from evergreen.errors import CandidateError
from evergreen.runtime_onnx import run, session_of
from evergreen.schema import Columns, columns_of
from local.template import ROOT

SCHEMA = {
    "properties": {
        "x": {"type": "number"},
        "y": {"type": "number"},
        "unused": {"type": "number"},
        "t": {"type": "string"},
    }
}
NAMES = list(SCHEMA["properties"])


def columns(rows: int = 400, seed: int = 0, texts: str = "abc") -> Columns:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=rows), random.normal(size=rows)
    gaps = random.uniform(size=rows) < 0.1
    return columns_of(
        SCHEMA,
        [
            {"x": float(a), "y": None if gap else float(b), "unused": 1.0, "t": str(t)}
            for a, b, gap, t in zip(x, y, gaps, random.choice(list(texts), rows), strict=True)
        ],
    )


def fitted(pipeline: Any, found: Columns | None = None) -> Any:
    found = found or columns()
    labels = found["x"] + (found["t"] == "a") > 0.3
    return pipeline.fit(pd.DataFrame(found), labels)


def ordinal() -> Any:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def scaled() -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler())


PIPELINES = {
    "logistic regression": lambda: make_pipeline(
        make_column_transformer(
            (scaled(), ["x", "y"]), (OneHotEncoder(handle_unknown="ignore"), ["t"])
        ),
        LogisticRegression(),
    ),
    "boosting": lambda: make_pipeline(
        make_column_transformer((ordinal(), ["t"]), ("passthrough", ["x", "y"])),
        HistGradientBoostingClassifier(max_iter=20),
    ),
    "forest": lambda: make_pipeline(
        make_column_transformer((ordinal(), ["t"]), (SimpleImputer(), ["x", "y"])),
        RandomForestClassifier(20, random_state=0),
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_twin_scores_as_its_pipeline_also_with_gaps_and_unseen_texts(name: str) -> None:
    pipeline = fitted(PIPELINES[name]())
    inputs = NAMES
    others = columns(300, seed=1, texts="abcdé")

    scores = run(session_of(twin.convert(pipeline, SCHEMA, inputs)), others, inputs)

    expected = pipeline.predict_proba(pd.DataFrame(others))[:, 1]
    assert np.abs(scores - expected).max() < 1e-5


def test_columns_may_be_chosen_by_name_selector_or_drop() -> None:
    pipeline = make_pipeline(
        make_column_transformer(
            ("passthrough", make_column_selector("^x$")),
            ("drop", ["unused"]),
            (ordinal(), ["t"]),
            remainder=SimpleImputer(),
        ),
        LogisticRegression(),
    )
    others = columns(300, seed=1)

    scores = run(session_of(twin.convert(fitted(pipeline), SCHEMA, NAMES)), others, NAMES)

    expected = pipeline.predict_proba(pd.DataFrame(others))[:, 1]
    assert np.abs(scores - expected).max() < 1e-5


def test_a_pipeline_without_a_column_transformer_reads_all_columns() -> None:
    numbers = {name: values for name, values in columns().items() if name in ("x", "unused")}
    schema = {"properties": {name: {"type": "number"} for name in numbers}}
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    pipeline.fit(pd.DataFrame(numbers), numbers["x"] > 0)

    inputs = list(numbers)

    scores = run(session_of(twin.convert(pipeline, schema, inputs)), numbers, inputs)
    expected = pipeline.predict_proba(pd.DataFrame(numbers))[:, 1]
    assert np.abs(scores - expected).max() < 1e-5


class Homemade(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that no converter knows."""

    def fit(self, _: Any, y: Any) -> "Homemade":
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x: Any) -> Any:
        return np.full((len(x), 2), 0.5)


def test_an_estimator_without_a_converter_is_a_failed_candidate() -> None:
    pipeline = fitted(make_pipeline(make_column_transformer(("passthrough", ["x"])), Homemade()))

    with pytest.raises(CandidateError, match="no ONNX twin"):
        twin.convert(pipeline, SCHEMA, ["x"])


def test_the_same_pipeline_has_the_same_twin_byte_for_byte() -> None:
    pipeline = fitted(PIPELINES["boosting"]())

    first, second = (twin.convert(pipeline, SCHEMA, ["x", "y", "t"]) for _ in range(2))

    assert first == second


def test_the_bytes_of_a_twin_do_not_depend_on_the_process_that_makes_it() -> None:
    code = (
        "import hashlib, sys; sys.path[:0] = ['functions', '.'];"
        "from tests.evergreen.test_twin import *;"
        "print(hashlib.sha256(twin.convert(fitted(PIPELINES['boosting']()), SCHEMA, NAMES))"
        ".hexdigest())"
    )

    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2", "3")
    }

    assert len(found) == 1
