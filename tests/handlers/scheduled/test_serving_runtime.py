"""ServingRuntime: what a stack trains, serves and refuses under each, and how it changes over."""

import dataclasses
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sklearn
import time_machine
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline

import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.serving.model import JOBLIB, ONNX, REFERENCE, REPORT
from evergreen.training.train_version import Trained
from local.plane.plane import Plane
from local.plane.process import Process
from local.template import Template, load
from tests.handlers.requests.test_predict import ask, write
from tests.support import given
from tests.support.given import NAME, Bomb, row, version
from tests.support.registries import registry_of

pytestmark = pytest.mark.slow

BY_HAND = {"endpoint": NAME}
BODY = given.body(
    *[row(hour=hour, carrier=carrier) for hour in range(24) for carrier in ("EV", "ZZ")]
)


@pytest.fixture(scope="module")
def sklearn_template() -> Template:
    return load({"ServingRuntime": "sklearn"})


@pytest.fixture
def sklearn_plane(clock: time_machine.Traveller, aws: None, sklearn_template: Template) -> Plane:
    """Return the stack of `plane` as it is after its ServingRuntime was changed."""
    return Plane(sklearn_template)


def train(plane: Plane, trigger: dict[str, Any] = BY_HAND) -> dict[str, Any]:
    return dict(plane.invoke("TrainFunction", trigger))


def scores(plane: Plane) -> list[float]:
    answer = ask(plane, BODY)
    assert answer.status == 200, answer.body
    return [prediction["score"] for prediction in answer.json()["predictions"]]


def refusal(plane: Plane) -> dict[str, str]:
    answer = ask(plane, BODY)
    assert answer.status == 503
    return dict(answer.json()["error"])


def answered_by_the_rule(plane: Plane) -> str:
    """Return why, from the log."""
    log = io.StringIO()
    plane.runtime = Process(log)
    answer = ask(plane, BODY)
    assert (answer.status, answer.json()["variant"]) == (200, "fallback")
    return log.getvalue()


# Training and serving


def test_under_sklearn_a_version_is_its_pipeline_alone_and_is_served(
    sklearn_plane: Plane, quick: None, data: Store, artifacts: Store
) -> None:
    given.upload(data)

    sklearn_plane.settle()

    seen = registry_of(artifacts).document(NAME)
    assert seen
    name = seen.document.champion
    assert {key.rpartition("/")[2] for key in artifacts.keys(f"models/{NAME}/{name}/")} == {
        JOBLIB,
        REFERENCE,
        REPORT,
        "manifest.json",
    }
    assert ask(sklearn_plane, BODY).json()["version"] == name


class Own(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A step that nobody has written a converter for."""

    def fit(self, *_: Any) -> "Own":
        return self

    def transform(self, x: Any) -> Any:
        return x * 2


@pytest.fixture
def own_step(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the endpoint have one candidate, with a step of its own."""

    def candidates(seed: int) -> dict[str, Any]:
        ((name, pipeline),) = given.quick().candidates(seed).items()
        return {name: make_pipeline(pipeline[0], Own(), pipeline[1])}

    endpoint = dataclasses.replace(flight_delay.endpoint, candidates=candidates)
    monkeypatch.setattr(flight_delay, "endpoint", endpoint)


def test_a_candidate_without_a_twin_is_refused_under_onnx_and_the_way_out_is_named(
    plane: Plane, own_step: None, data: Store, artifacts: Store
) -> None:
    given.upload(data)

    run = train(plane)

    assert run["outcome"] == "rejected"
    assert "no ONNX twin" in run["reason"]
    assert "ServingRuntime=sklearn" in run["reason"]
    assert registry_of(artifacts).document(NAME) is None


def test_a_candidate_without_a_twin_is_promoted_and_served_under_sklearn(
    sklearn_plane: Plane, own_step: None, data: Store
) -> None:
    given.upload(data)

    run = train(sklearn_plane)

    assert run["outcome"] == "promoted"
    assert len(set(scores(sklearn_plane))) > 24


# What may not be loaded


@pytest.fixture
def bomb(tmp_path: Path) -> Bomb:
    return Bomb(tmp_path / "made by unpickling")


@pytest.fixture
def champion(plane: Plane, artifacts: Store, trained: Trained) -> str:
    return write(registry_of(artifacts), trained, version(1), promoted=True)


def promote_another(artifacts: Store, trained: Trained, **changes: Any) -> None:
    manifest = msgspec.structs.replace(trained.manifest, **changes)
    changed = dataclasses.replace(trained, manifest=manifest)
    write(registry_of(artifacts), changed, version(2), promoted=True)


OLD = {"scikit-learn": "1.0.2"}


def test_a_champion_of_another_scikit_learn_is_unavailable_and_both_versions_are_named(
    sklearn_plane: Plane, artifacts: Store, trained: Trained
) -> None:
    promote_another(artifacts, trained, libraries=trained.manifest.libraries | OLD)

    error = refusal(sklearn_plane)

    assert error["code"] == "model_unavailable"
    assert f"scikit-learn 1.0.2 and this is {sklearn.__version__}" in error["message"]


def test_a_warm_function_keeps_its_champion_when_the_next_is_of_another_scikit_learn(
    sklearn_plane: Plane,
    champion: str,
    artifacts: Store,
    trained: Trained,
    clock: time_machine.Traveller,
) -> None:
    log = io.StringIO()
    sklearn_plane.runtime = Process(log)
    scores(sklearn_plane)
    promote_another(artifacts, trained, libraries=trained.manifest.libraries | OLD)
    clock.shift(61)

    answer = ask(sklearn_plane, BODY)

    assert (answer.status, answer.json()["version"]) == (200, champion)
    assert [line["RefreshFailed"] for line in given.metrics(log) if "RefreshFailed" in line] == [
        [1.0]
    ]
    assert "it was made with scikit-learn 1.0.2" in log.getvalue()


@pytest.mark.parametrize("warm", [True, False])
def test_bytes_with_another_hash_are_never_unpickled(
    sklearn_plane: Plane,
    champion: str,
    artifacts: Store,
    trained: Trained,
    clock: time_machine.Traveller,
    bomb: Bomb,
    warm: bool,
) -> None:
    if warm:
        scores(sklearn_plane)
    promote_another(artifacts, trained)
    artifacts.put(f"models/{NAME}/{version(2)}/{JOBLIB}", bomb.pickled())
    clock.shift(61)

    if warm:
        assert ask(sklearn_plane, BODY).json()["version"] == champion
    else:
        assert refusal(sklearn_plane)["code"] == "corrupt_artifact"

    assert not bomb.file.exists()


def test_after_an_upgrade_of_scikit_learn_the_next_scheduled_training_makes_the_champion_anew(
    sklearn_plane: Plane, quick: None, data: Store, artifacts: Store, clock: time_machine.Traveller
) -> None:
    given.upload(data)
    first = train(sklearn_plane)
    made_with_another_scikit_learn(artifacts, first["version"])
    assert "it was made with scikit-learn 1.0.2" in answered_by_the_rule(sklearn_plane)
    clock.shift(timedelta(days=1))
    due = datetime.now(UTC).isoformat()

    second = train(
        sklearn_plane,
        {
            "detail-type": "Retrain Requested",
            "detail": {"endpoint": NAME, "time": due, "trigger": "schedule"},
        },
    )

    assert second["outcome"] == "entered", second["reason"]
    approve(artifacts, second["version"], clock)
    assert scores(sklearn_plane)


def approve(artifacts: Store, version: str, clock: time_machine.Traveller) -> None:
    """Promote a candidate, and wait until the functions have seen it."""
    registry = registry_of(artifacts)
    seen = registry.document(NAME)
    assert seen
    registry.write_document(given.document(version, seen.document), seen)
    clock.shift(61)


def made_with_another_scikit_learn(artifacts: Store, name: str) -> None:
    registry, key = registry_of(artifacts), f"models/{NAME}/{name}/manifest.json"
    manifest = registry.known(NAME, name)
    changed = msgspec.structs.replace(manifest, libraries=manifest.libraries | OLD)
    text = msgspec.json.encode(changed)
    artifacts.put(key, registry.seal.seal(key, text))


# From one to the other


def test_from_onnx_to_sklearn_the_champion_answers_at_once_as_it_did(
    plane: Plane, sklearn_plane: Plane, champion: str, artifacts: Store
) -> None:
    before = scores(plane)
    key = f"models/{NAME}/{champion}/{ONNX}"
    artifacts.s3.delete_object(Bucket=artifacts.bucket, Key=key)

    after = scores(sklearn_plane)

    assert after == pytest.approx(before, abs=1e-5)


def test_from_sklearn_to_onnx_the_rule_answers_until_one_was_trained_by_hand(
    plane: Plane,
    sklearn_plane: Plane,
    quick: None,
    data: Store,
    artifacts: Store,
    clock: time_machine.Traveller,
) -> None:
    given.upload(data)
    first = train(sklearn_plane)
    expected = scores(sklearn_plane)

    reason = answered_by_the_rule(plane)

    assert f"it has no {ONNX}" in reason
    assert "train again under ServingRuntime=onnx" in reason
    clock.shift(60)
    second = train(plane)
    assert second["outcome"] == "entered", "it is compared with the pipeline, and no worse"
    assert second["version"] > first["version"]
    approve(artifacts, second["version"], clock)
    assert scores(plane) == pytest.approx(expected, abs=1e-5)
