"""A pipeline of somebody else becomes the one candidate, or its file is refused with the reason."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from evergreen.captures.examples import Examples
from evergreen.serving import model
from evergreen.serving.model import JOBLIB, ONNX
from local.plane.imported import candidates, loaded
from tests.evergreen.training.test_train_version import (
    REQUEST,
    SCHEMA,
    endpoint,
    examples,
    pipeline,
)
from tests.support.given import train


def theirs(data: Examples) -> Any:
    return pipeline().fit(data.frame(), data.labels)


def written(folder: Path, found: Any, name: str = "theirs.joblib") -> Path:
    joblib.dump(found, folder / name)
    return folder / name


@pytest.mark.slow
def test_what_was_fitted_elsewhere_goes_through_the_same_gates_and_is_not_fitted_again(
    tmp_path: Path,
) -> None:
    fitted = theirs(examples(seed=5))
    file = written(tmp_path, fitted)

    found = train(REQUEST, candidates("test", endpoint(), file), SCHEMA, examples(), None)

    assert found.verdict.passed
    assert found.manifest.candidate == "theirs"
    served = model.load(found.manifest, found.artifacts[ONNX])
    expected = fitted.predict_proba(examples().frame())[:, 1]
    assert np.abs(served.scores(examples().columns) - expected).max() < 1e-6
    kept = tmp_path / "kept.joblib"
    kept.write_bytes(found.artifacts[JOBLIB])
    assert type(joblib.load(kept)) is type(fitted), "and not what kept it from being fitted"


def test_a_model_of_mlflow_is_read_without_mlflow(tmp_path: Path) -> None:
    written(tmp_path, theirs(examples()), "model.pkl")
    flavors = "flavors:\n  python_function: {}\n  sklearn:\n    pickled_model: model.pkl\n"
    (tmp_path / "MLmodel").write_text(flavors)

    assert hasattr(loaded(tmp_path), "predict_proba")
    (tmp_path / "MLmodel").write_text("flavors:\n  pytorch: {}\n")
    with pytest.raises(SystemExit, match="is a model of pytorch: only those of sklearn"):
        loaded(tmp_path)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no MLmodel"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [({"weights": [1]}, "holds a dict, and no estimator"), ([1.0], "holds a list")],
    ids=["a dict", "a list"],
)
def test_a_file_without_an_estimator_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    file = written(tmp_path, content)

    with pytest.raises(SystemExit, match=said):
        candidates("test", endpoint(), file)


def test_a_file_that_is_no_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b")

    with pytest.raises(SystemExit, match=r"table.csv cannot be loaded: "):
        loaded(tmp_path / "table.csv")


def test_fields_and_classes_that_the_endpoint_does_not_have_are_refused(tmp_path: Path) -> None:
    data = examples()
    other = LogisticRegression().fit(data.frame()[["x"]].rename(columns={"x": "z"}), data.labels)
    words = LogisticRegression().fit(data.frame()[["x"]], np.where(data.labels, "yes", "no"))

    with pytest.raises(SystemExit, match="reads z, which `row` of test lacks: it has x, y"):
        candidates("test", endpoint(), written(tmp_path, other))
    with pytest.raises(SystemExit, match="classes are not False and True"):
        candidates("test", endpoint(), written(tmp_path, words))
