"""The functions in Lambda's own runtime do what they do in this process."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest

from evergreen.registry import transitions
from evergreen.registry.registry import Registry
from evergreen.registry.transitions import Change
from evergreen.serving.model import JOBLIB, ONNX, REFERENCE, REPORT
from local.demo import levels
from local.demo.flights.life import chosen, life
from local.demo.result import Result
from local.plane import containers, stack
from local.plane.plane import Plane
from local.samples import flights
from local.template import ROOT
from tests.support import given
from tests.support.given import NAME

PREDICT = f"/endpoints/{NAME}/predict"
CONTROL = f"/control/endpoints/{NAME}"
JSON = {"Content-Type": "application/json"}
SHARE = 3  # of the flights one, to be quick
BODY = (ROOT / "events" / "bodies" / "flight-delay.json").read_bytes()


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


def test_a_month_of_the_demo_is_the_same_in_containers_as_in_this_process(tmp_path: Path) -> None:
    table = chosen(flights.flights(), SHARE)

    there, here = (
        levels.play(
            4,
            levels.Options(runtime=runtime),
            life(table, tmp_path, 1, sam=runtime == "sam"),
            tmp_path / runtime,
            lambda *_: None,
        )
        for runtime in ("sam", "process")
    )

    assert there.requests == here.requests
    assert there.requests["errors"] == 0
    assert (there.captures, there.labels) == (here.captures, here.labels)
    assert there.captures["written"] == there.captures["distinct"] == there.labels["joined"]
    assert said(there) == said(here)
    assert there.total.frozen == pytest.approx(here.total.frozen, rel=1e-9)
    # There the rollout's clock is late, so nothing is recalibrated.
    assert there.total.evergreen == pytest.approx(there.total.frozen, rel=1e-9)
    assert there.dead_letters == 0


def said(result: Result) -> list[tuple[datetime, str]]:
    """Return what was announced, apart from the rollout, for which a container's clock is late."""
    return [(e.time, e.type) for e in result.events if e.type != "Challenger Started"]


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
        assert set(manifest.artifacts) == artifacts | {REFERENCE, REPORT}
        captured = list(stack.data().keys("captures/"))
        assert len(captured) == 1, "the capture is sent before the emulator answers"


def test_image_and_layer_have_the_libgomp_that_lightgbm_looks_for() -> None:
    with_it = ("--volume", f"{ROOT}/.aws-sam/build/SklearnLayer/lib:/opt/lib:ro")
    for place, mounted in (("/var/lang", ()), ("/opt", with_it)):
        load = f"import ctypes; ctypes.CDLL('{place}/lib/libgomp.so.1').omp_get_max_threads()"
        words = ("--entrypoint", "python3.13", "compactfunction:training", "-c", load)
        subprocess.run(["docker", "run", "--rm", *mounted, *words], check=True)


def test_what_is_wrong_in_a_container_is_told_and_the_champion_goes_on_answering(
    deployed: Deploy, log: IO[str]
) -> None:
    with deployed(EndpointTtl="0") as plane:
        _, first = ask(plane)
        promote_damaged(stack.registry(), first["version"])

        status, body = ask(plane)
        too_large, _ = ask(plane, b" " * 1_000_001)
        requested = plane.request("POST", f"{PREDICT}?version={given.version(9)}", BODY, JSON)

    assert (status, body["version"]) == (200, first["version"])
    assert too_large == 413
    assert (requested.status, requested.json()["error"]["code"]) == (503, "corrupt_artifact")
    log.seek(0)
    assert '"RefreshFailed":[1.0]' in log.read()


def test_rollout_and_control_decide_in_their_containers(deployed: Deploy) -> None:
    with deployed() as plane:
        _, first = ask(plane)
        candidate = enter_a_copy(stack.registry(), first["version"])

        asked = {"endpoint": NAME, "slot": datetime.now(UTC).isoformat()}
        ticked = plane.invoke("RolloutFunction", asked)
        paused = plane.request(
            "POST", f"{CONTROL}/pause", b'{"generation": 3, "reason": "the codes change"}', JSON
        )
        shown = plane.request("GET", f"{CONTROL}/status")
        decisions = plane.request("GET", f"{CONTROL}/decisions")

        seen = stack.registry().document(NAME)

    assert ticked == {"decided": {NAME: "challenger rejected"}}  # its gate saw no champion
    assert (paused.status, shown.status, decisions.status) == (200, 200, 200), paused.body
    assert seen is not None
    assert seen.document.statuses == {first["version"]: "champion", candidate: "rejected"}
    assert (seen.document.generation, seen.document.paused) == (4, "the codes change")


def enter_a_copy(registry: Registry, version: str) -> str:
    """Enter the champion's own model once more, as the candidate."""
    copy = copied(registry, version)
    seen = registry.document(NAME)
    assert seen is not None
    change = Change(type="candidate entered", version=copy, by="test", reason="it passed")
    document = transitions.apply(seen.document, change, datetime.now(UTC), seen.document.generation)
    registry.write_document(document, seen, lambda _: None)
    return copy


def copied(registry: Registry, version: str, spoil: bytes = b"") -> str:
    """Write what a version is made of once more under another id, the model spoilt at its end."""
    copy, manifest = given.version(9), registry.known(NAME, version)
    registry.write_version(
        msgspec.structs.replace(manifest, version=copy), {ONNX: registry.artifact(manifest, ONNX)}
    )
    if spoil:
        registry.store.put(
            f"models/{NAME}/{copy}/{ONNX}", registry.artifact(manifest, ONNX) + spoil
        )
    return copy


def promote_damaged(registry: Registry, version: str) -> None:
    """Make a version champion whose model is not what its manifest says."""
    damaged = copied(registry, version, b"!")
    seen = registry.document(NAME)
    assert seen is not None
    registry.write_document(given.document(damaged, seen.document), seen)


def test_the_packages_are_within_their_budgets() -> None:
    done = subprocess.run(["make", "size"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "compactfunction:training" in done.stdout
