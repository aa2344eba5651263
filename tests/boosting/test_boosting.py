"""LightGBM, XGBoost and CatBoost train and serve; `make test-boosting` installs them first."""

import dataclasses
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

from evergreen.contract.errors import NoCandidateError
from evergreen.serving import model
from evergreen.serving.model import JOBLIB, ONNX
from evergreen.training.onnx.tree_ensembles import lightgbm_trees
from evergreen.training.train_version import Trained
from tests.evergreen.training.onnx.test_export import columns, difference, fitted, strange
from tests.evergreen.training.test_train_version import REQUEST, SCHEMA, endpoint, examples
from tests.support.given import train

SKLEARN = dataclasses.replace(REQUEST, runtime="sklearn")
FEW = {
    "lightgbm": {"n_estimators": 20, "n_jobs": 1, "verbose": -1},
    "xgboost": {"n_estimators": 20, "n_jobs": 1, "max_depth": 3},
    "catboost": {"iterations": 20, "thread_count": 1, "verbose": 0, "allow_writing_files": False},
}
NAMES = {"lightgbm": "LGBM", "xgboost": "XGB", "catboost": "CatBoost"}


def boosted(library: str, kind: str = "Classifier", **more: Any) -> Any:
    made = getattr(import_module(library), NAMES[library] + kind)
    return made(**FEW[library], **more)


def trained(library: str, request: Any = REQUEST) -> Trained:
    numbers = make_column_transformer(("passthrough", ["x", "y"]))
    candidates = {library: make_pipeline(numbers, boosted(library))}
    found: Trained = train(request, endpoint(candidates), SCHEMA, examples(2_000), None)
    return found


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_a_version_of_it_serves_by_its_twin_and_is_the_same_twice(library: str) -> None:
    found = trained(library)

    assert found.verdict.passed, found.verdict.reason
    assert model.load(found.manifest, found.artifacts[ONNX])
    assert trained(library).artifacts == found.artifacts


def test_catboost_serves_by_its_pipeline_and_its_reason_says_so() -> None:
    with pytest.raises(NoCandidateError, match=r"no ONNX twin of it: .*RUNTIME=sklearn"):
        trained("catboost")

    found = trained("catboost", SKLEARN)

    assert found.verdict.passed, found.verdict.reason
    assert model.load(found.manifest, found.artifacts[JOBLIB], "sklearn")


@pytest.mark.parametrize(
    ("library", "kind", "most"),
    [
        ("lightgbm", "Classifier", 1e-9),
        ("lightgbm", "Regressor", 1e-9),
        ("xgboost", "Classifier", 1e-6),
    ],
)
def test_a_twin_answers_as_it_does_in_rows_that_it_has_not_seen(
    library: str, kind: str, most: float
) -> None:
    text = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    chosen = make_column_transformer(
        (text, ["carrier", "dest"]), ("passthrough", ["temp", "amount", "count"])
    )
    with threadpool_limits(1):
        pipeline = fitted(make_pipeline(chosen, boosted(library, kind)))

        apart = difference(pipeline, strange()), difference(pipeline, columns(seed=1))

    assert max(apart) < most


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"objective": "regression", "reg_sqrt": True}, "reg_sqrt"),
        ({"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1}, "objective="),
        ({"zero_as_missing": True}, "zero_as_missing"),
        ({"objective": "cross_entropy"}, "cross_entropy"),
    ],
    ids=lambda found: str(found),
)
def test_what_trees_of_lightgbm_cannot_say_is_refused(
    parameters: dict[str, Any], said: str
) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 2)) * random.integers(0, 2, size=(500, 2))
    fit = boosted("lightgbm", "Regressor", **parameters).fit(x, random.uniform(size=500))

    with pytest.raises(NotImplementedError, match=said):
        lightgbm_trees(fit)
