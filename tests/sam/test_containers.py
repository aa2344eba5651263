"""The functions in Lambda's own runtime do what they do in this process."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from msgspec.structs import asdict
from rich.console import Console

from evergreen.model import JOBLIB, ONNX, REFERENCE
from evergreen.registry import Registry
from evergreen.store import Store
from local import containers, demo, size, stack
from local.plane import Plane
from local.template import ROOT
from tests import given
from tests.given import NAME

PREDICT = f"/endpoints/{NAME}/predict"
JSON = {"Content-Type": "application/json"}
BODY = (ROOT / "events" / "bodies" / "predict.json").read_bytes()


Deploy = Callable[..., Any]


@pytest.fixture
def deployed(tmp_path: Path, environment: Path, log: IO[str]) -> Deploy:
    """Return what deploys the stack, with a champion trained by the containers themselves."""

    @contextmanager
    def deploy(**parameters: str) -> Iterator[Plane]:
        with (
            containers.deployed(environment, log, **parameters) as plane,
            containers.started(environment, log, **parameters) as plane.runtime,
        ):
            stack.upload(plane, NAME, stack.training_file(NAME, None, tmp_path))
            yield plane

    return deploy


def ask(plane: Plane, body: bytes = BODY) -> tuple[int, Any]:
    answer = plane.request("POST", PREDICT, body, JSON)
    return answer.status, answer.json()


def test_a_month_of_the_demo_is_the_same_in_containers_as_in_this_process(log: IO[str]) -> None:
    console = Console(file=io.StringIO())

    there = demo.run(console, log, NAME, 1, 0, "sam").summary

    here = demo.run(console, log, NAME, 1, 0).summary
    assert there.requests == here.requests
    assert there.requests["errors"] == 0
    assert (there.captures, there.labels) == (here.captures, here.labels)
    assert there.captures["written"] == there.captures["distinct"] == there.labels["joined"]
    assert [(e.time, e.type) for e in there.events] == [(e.time, e.type) for e in here.events]
    assert asdict(there.log_loss) == pytest.approx(asdict(here.log_loss), abs=1e-9)
    assert there.dead_letters == 0


@pytest.mark.parametrize(
    ("runtime", "artifacts"), [("onnx", {ONNX, JOBLIB}), ("sklearn", {JOBLIB})]
)
def test_each_runtime_serves_from_its_layer_what_was_trained_for_it(
    deployed: Deploy, runtime: str, artifacts: set[str]
) -> None:
    with deployed(ServingRuntime=runtime) as plane:
        status, body = ask(plane)

        registry = stack.registry()
        manifest = registry.manifest(NAME, body["version"])
        assert (status, len(body["predictions"])) == (200, 2)
        assert manifest is not None
        assert set(manifest.artifacts) == artifacts | {REFERENCE}
        captured = list(stack.data().keys("captures/"))
        assert len(captured) == 1, "the capture is sent before the emulator answers"


def test_what_is_wrong_in_a_container_is_told_and_the_champion_goes_on_answering(
    deployed: Deploy, log: IO[str]
) -> None:
    with deployed(EndpointTtl="0") as plane:
        _, first = ask(plane)
        store = stack.registry().store
        promote_damaged(stack.registry(), store, first["version"])

        status, body = ask(plane)
        too_large, _ = ask(plane, b" " * 1_000_001)
        requested = plane.request("POST", f"{PREDICT}?version={given.version(9)}", BODY, JSON)

    assert (status, body["version"]) == (200, first["version"])
    assert too_large == 413
    assert (requested.status, requested.json()["error"]["code"]) == (503, "corrupt_artifact")
    log.seek(0)
    assert '"RefreshFailed":[1.0]' in log.read()


def promote_damaged(registry: Registry, store: Store, version: str) -> None:
    """Make a version champion whose model is not what its manifest says."""
    damaged = given.version(9)
    for name in ("manifest.json", ONNX):
        stored = store.get(f"models/{NAME}/{version}/{name}")
        assert stored is not None
        body = stored.body.replace(version.encode(), damaged.encode())
        store.put(f"models/{NAME}/{damaged}/{name}", body if name != ONNX else body + b"!")
    seen = registry.document(NAME)
    assert seen is not None
    registry.write_document(given.document(damaged, seen.document), seen)


def test_the_packages_are_within_their_budgets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size.main()

    assert "image checkfunction:training" in capsys.readouterr().out
