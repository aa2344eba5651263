"""ServingRuntime=sklearn: the pipeline itself answers, and nothing is unpickled unchecked."""

import io
from pathlib import Path
from typing import Any

import joblib
import msgspec
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression, Ridge

from evergreen.contract.errors import CorruptArtifactError, ModelUnavailableError
from evergreen.registry.registry import Registry, fingerprint
from evergreen.serving import model, runtime_sklearn
from evergreen.serving.model import JOBLIB, ONNX
from evergreen.training.train_version import Trained
from tests.support import given
from tests.support.given import Bomb

ROWS = [
    given.whole(hour=hour, carrier=carrier, temp=temp)
    for hour in range(24)
    for carrier, temp in [("UA", None), ("EV", 40.0), ("ZZ", -3.25)]
]


@pytest.fixture
def bomb(tmp_path: Path) -> Bomb:
    return Bomb(tmp_path / "made by unpickling")


def test_a_pipeline_answers_as_its_onnx_twin_does(trained: Trained) -> None:
    loaded = model.load(trained.manifest, trained.artifacts[JOBLIB], "sklearn")
    twin = model.load(trained.manifest, trained.artifacts[ONNX], "onnx")

    scores = loaded.scores_of(ROWS)

    assert scores.dtype == np.float64
    assert scores.tolist() == pytest.approx(twin.scores_of(ROWS).tolist(), abs=1e-5)
    assert len(set(scores.tolist())) > 24
    assert loaded.unseen(ROWS) == twin.unseen(ROWS)


@pytest.mark.parametrize(
    ("estimator", "labels", "shape"),
    [(LogisticRegression(), list("abc"), (30, 3)), (Ridge(), [1.0, 5.0, 3.0], (30,))],
    ids=["multiclass", "regression"],
)
def test_several_classes_have_a_score_each_and_a_regression_its_number(
    estimator: Any, labels: list[Any], shape: tuple[int, ...]
) -> None:
    columns = {"x": np.linspace(-1, 1, 30, dtype=np.float32)}
    body = io.BytesIO()
    joblib.dump(estimator.fit(pd.DataFrame(columns), labels * 10), body)

    scores = runtime_sklearn.scorer(body.getvalue(), ["x"])(columns)

    answer = getattr(estimator, "predict_proba", estimator.predict)(pd.DataFrame(columns))
    assert scores.shape == shape
    assert scores.dtype == np.float64
    assert scores.tolist() == answer.tolist()


def test_a_pipeline_that_scores_its_golden_rows_differently_cannot_be_loaded(
    trained: Trained,
) -> None:
    golden = [(row, np.add(score, 1e-3).tolist()) for row, score in trained.manifest.golden]
    manifest = msgspec.structs.replace(trained.manifest, golden=golden)

    with pytest.raises(ModelUnavailableError, match="golden rows"):
        model.load(manifest, trained.artifacts[JOBLIB], "sklearn")


@pytest.mark.parametrize("body", [b"", b"not a pickle", b"\x80\x05\x95", b"\x80\x05}."], ids=repr)
def test_bytes_that_are_no_pipeline_are_an_error_of_ours(trained: Trained, body: bytes) -> None:
    with pytest.raises(ModelUnavailableError):
        model.load(trained.manifest, body, "sklearn")


def test_a_version_of_another_scikit_learn_is_refused_before_it_is_unpickled(
    trained: Trained, bomb: Bomb
) -> None:
    libraries = trained.manifest.libraries | {"scikit-learn": "1.0.2"}
    manifest = msgspec.structs.replace(trained.manifest, libraries=libraries)

    with pytest.raises(ModelUnavailableError) as caught:
        model.load(manifest, bomb.pickled(), "sklearn")

    assert f"scikit-learn 1.0.2 and this is {sklearn.__version__}" in str(caught.value)
    assert "train again" in str(caught.value)
    assert not bomb.file.exists()


def test_bytes_that_the_manifest_does_not_describe_are_never_unpickled(
    registry: Registry, trained: Trained, bomb: Bomb
) -> None:
    artifacts = {JOBLIB: bomb.pickled()}
    registry.write_version(trained.manifest, artifacts)

    with pytest.raises(CorruptArtifactError, match="nothing was deserialized"):
        model.fetch(registry, trained.manifest, "sklearn")

    assert not bomb.file.exists()


def test_bytes_that_the_manifest_describes_are_unpickled(
    registry: Registry, trained: Trained, bomb: Bomb
) -> None:
    """So the hash in the manifest is all that stands between a bucket and its reader."""
    body = bomb.pickled()
    manifest = msgspec.structs.replace(trained.manifest, artifacts={JOBLIB: fingerprint(body)})
    registry.write_version(manifest, {JOBLIB: body})

    with pytest.raises(ModelUnavailableError):
        model.fetch(registry, manifest, "sklearn")

    assert bomb.file.exists()


@pytest.mark.parametrize(("runtime", "artifact"), [("sklearn", JOBLIB), ("onnx", ONNX)])
def test_a_version_without_what_a_runtime_serves_says_what_to_do(
    registry: Registry, trained: Trained, runtime: str, artifact: str
) -> None:
    rest = {name: body for name, body in trained.artifacts.items() if name != artifact}
    prints = {name: fingerprint(body) for name, body in rest.items()}
    manifest = msgspec.structs.replace(trained.manifest, artifacts=prints)
    registry.write_version(manifest, rest)

    with pytest.raises(ModelUnavailableError) as caught:
        model.fetch(registry, manifest, runtime)

    assert f"it has no {artifact}" in str(caught.value)
    assert f"train again under ServingRuntime={runtime}" in str(caught.value)
