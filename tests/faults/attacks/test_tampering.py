"""Nothing is loaded or believed that this stack did not write: others may write there too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import time_machine

import bootstrap as clients
from evergreen.aws.s3 import Store
from evergreen.contract.errors import CorruptDocumentError, ModelUnavailableError, OldDocumentError
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import fingerprint
from evergreen.serving import runtime_onnx, runtime_sklearn
from evergreen.serving.model import JOBLIB, ONNX
from evergreen.training.train_version import Trained
from local.plane.plane import Plane
from local.template import Template, load
from tests.handlers.requests.test_predict import JSON, ask
from tests.support import candidates, given
from tests.support.candidates import ONE, TWO
from tests.support.given import NAME, Bomb
from tests.support.registries import registry_of

DOCUMENT = f"endpoints/{NAME}.json"
CONTROL = f"/control/endpoints/{NAME}"


def manifest_key(version: str) -> str:
    return f"models/{NAME}/{version}/manifest.json"


def body(store: Store, key: str) -> bytes:
    stored = store.get(key)
    assert stored
    return stored.body


@pytest.fixture
def bomb(tmp_path: Path) -> Bomb:
    return Bomb(tmp_path / "made by unpickling")


@pytest.fixture(scope="module")
def sklearn_template() -> Template:
    return load({"ServingRuntime": "sklearn"})


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return all bytes that a runtime makes a model of from now on."""
    found: list[bytes] = []
    for runtime in (runtime_onnx, runtime_sklearn):
        scorer = runtime.scorer

        def reads(body: bytes, inputs: Any, scorer: Any = scorer) -> Any:
            found.append(body)
            return scorer(body, inputs)

        monkeypatch.setattr(runtime, "scorer", reads)
    return found


def forged(stored: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """Return a sealed file with other contents and the MAC that it had."""
    value = json.loads(stored)
    change(value)
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


# A version


def test_every_flipped_byte_of_a_manifest_is_caught(
    plane: Plane, champion: Manifest, artifacts: Store
) -> None:
    registry, whole = registry_of(artifacts), body(artifacts, manifest_key(ONE))
    step = max(
        1, len(whole) // 400
    )  # each byte of a smaller one: tests/evergreen/aws/test_signing.py
    passed = []

    for position in [*range(0, len(whole), step), *range(len(whole) - 90, len(whole))]:
        damaged = whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
        artifacts.put(manifest_key(ONE), damaged)
        try:
            registry.manifest(NAME, ONE)
        except ModelUnavailableError:
            continue
        passed.append(position)

    assert passed == []


def test_every_flipped_byte_of_an_artifact_is_caught(
    plane: Plane, champion: Manifest, artifacts: Store, trained: Trained
) -> None:
    small = {"rule.json": b'{"problem": {"kind": "binary"}, "branches": [], "otherwise": 0.25}'}
    rule = msgspec.structs.replace(
        trained.manifest,
        version=TWO,
        kind="rule",
        artifacts={name: fingerprint(text) for name, text in small.items()},
    )
    registry = registry_of(artifacts)
    registry.write_version(rule, small)
    passed = []

    for position in range(len(small["rule.json"])):
        damaged = bytearray(small["rule.json"])
        damaged[position] ^= 1
        artifacts.put(f"models/{NAME}/{TWO}/rule.json", bytes(damaged))
        try:
            registry.artifact(rule, "rule.json")
        except ModelUnavailableError:
            continue
        passed.append(position)

    assert passed == []


@pytest.mark.parametrize("vouched", ["by nobody", "by an old manifest", "by a forged manifest"])
def test_a_malicious_pickle_never_runs(
    vouched: str,
    sklearn_template: Template,
    champion: Manifest,
    artifacts: Store,
    bomb: Bomb,
    read: list[bytes],
) -> None:
    evil = bomb.pickled()
    artifacts.put(f"models/{NAME}/{ONE}/{JOBLIB}", evil)
    if vouched == "by a forged manifest":  # its hash is valid, and its seal is the one it had

        def vouch(manifest: dict[str, Any]) -> None:
            manifest["artifacts"][JOBLIB] = msgspec.to_builtins(fingerprint(evil))

        artifacts.put(manifest_key(ONE), forged(body(artifacts, manifest_key(ONE)), vouch))
    if vouched == "by nobody":
        whole = json.loads(body(artifacts, manifest_key(ONE)))
        del whole["mac"]
        artifacts.put(manifest_key(ONE), json.dumps(whole).encode())

    answer = ask(Plane(sklearn_template), given.body())

    assert answer.status == 503
    assert answer.headers["retry-after"]
    assert not bomb.file.exists()
    assert evil not in read


def test_an_artifact_that_is_far_too_large_is_not_read_to_its_end(
    plane: Plane, champion: Manifest, artifacts: Store
) -> None:
    size = champion.artifacts[ONNX].bytes
    artifacts.put(f"models/{NAME}/{ONE}/{ONNX}", b"\0" * (size + 1_000_000))

    with pytest.raises(ModelUnavailableError, match=f"{size + 1} bytes"):
        registry_of(artifacts).artifact(champion, ONNX)


def test_a_version_of_an_old_manifest_is_refused_under_a_new_name(
    plane: Plane, champion: Manifest, artifacts: Store, trained: Trained
) -> None:
    for name, content in trained.artifacts.items():
        artifacts.put(f"models/{NAME}/{TWO}/{name}", content)
    artifacts.put(manifest_key(TWO), body(artifacts, manifest_key(ONE)))

    answer = plane.request("POST", f"/endpoints/{NAME}/predict?version={TWO}", given.body(), JSON)

    assert answer.status == 404  # nobody has entered it
    path = f"/control/endpoints/{NAME}/predict?version={TWO}"
    answer = plane.request("POST", path, given.body(), JSON)
    assert answer.status == 503
    assert answer.json()["error"]["code"] == "model_unavailable"
    with pytest.raises(ModelUnavailableError, match="not as this stack's training wrote it"):
        registry_of(artifacts).known(NAME, TWO)


def test_a_manifest_of_another_stack_is_refused(
    plane: Plane, champion: Manifest, artifacts: Store
) -> None:
    whole = body(artifacts, manifest_key(ONE))
    head = whole[: whole.rindex(b',\n  "mac"')] + b"\n}"
    other = registry_of(Store(artifacts.s3, "another stack's"))
    artifacts.put(manifest_key(ONE), other.seal.seal(manifest_key(ONE), head))

    assert ask(plane, given.body()).status == 503


# The endpoint document


def test_a_champion_that_somebody_wrote_into_the_document_does_not_serve(
    plane: Plane, candidate: Manifest, artifacts: Store, clock: time_machine.Traveller
) -> None:
    ask(plane, given.body())
    whole = body(artifacts, DOCUMENT)

    def promote(document: dict[str, Any]) -> None:
        document["champion"] = TWO
        document["generation"] += 1

    artifacts.put(DOCUMENT, forged(whole, promote))
    clock.shift(61)

    warm, cold = ask(plane, given.body()), ask(Plane(plane.template), given.body())

    assert (warm.status, warm.json()["version"]) == (200, ONE)
    assert (cold.status, cold.json()["error"]["code"]) == (503, "corrupt_document")


def test_a_document_of_another_endpoint_is_refused(
    plane: Plane, champion: Manifest, artifacts: Store
) -> None:
    artifacts.put("endpoints/air-time.json", body(artifacts, DOCUMENT))

    with pytest.raises(CorruptDocumentError):
        registry_of(artifacts).document("air-time")


@pytest.fixture
def put_back(
    plane: Plane, candidate: Manifest, artifacts: Store, clock: time_machine.Traveller
) -> bytes:
    """Promote a second version in a warm function, then put the document of before back."""
    old = body(artifacts, DOCUMENT)
    candidates.move(registry_of(artifacts), "promoted", TWO)
    assert ask(plane, given.body()).json()["version"] == TWO
    artifacts.put(DOCUMENT, old)
    clock.shift(61)
    return old


def test_an_old_document_does_not_bring_its_champion_back_to_a_warm_function(
    put_back: bytes, plane: Plane
) -> None:
    answer = ask(plane, given.body())

    assert (answer.status, answer.json()["version"]) == (200, TWO)


@pytest.mark.parametrize(("action", "about"), [("reject", {"version": TWO}), ("pause", {})])
def test_nobody_decides_on_an_old_document(
    action: str, about: dict[str, str], put_back: bytes, plane: Plane, artifacts: Store
) -> None:
    asked = {"generation": json.loads(put_back)["generation"], "reason": "a test"} | about

    answer = plane.request("POST", f"{CONTROL}/{action}", json.dumps(asked).encode(), JSON)

    assert (answer.status, answer.json()["error"]["code"]) == (503, "old_document"), answer.body
    assert body(artifacts, DOCUMENT) == put_back


def test_a_tick_on_an_old_document_fails_aloud(put_back: bytes, plane: Plane) -> None:
    slot = f"{given.NOW:%Y-%m-%dT%H:%M:%SZ}"

    with pytest.raises(OldDocumentError):
        plane.invoke("RolloutFunction", {"endpoint": given.NAME, "slot": slot})


# The key


def test_a_warm_function_answers_while_the_key_is_gone_and_a_cold_one_says_so(
    plane: Plane, champion: Manifest, artifacts: Store, clock: time_machine.Traveller
) -> None:
    ask(plane, given.body())
    clock.shift(61)
    clients._seal.cache_clear()  # a cold process has verified nothing

    with given.injected(
        clients.kms(), "kms.VerifyMac", given.Fault(400, "KMSInvalidStateException", times=99)
    ) as down:
        warm, cold = ask(plane, given.body()), ask(Plane(plane.template), given.body())

    assert warm.status == 200
    assert down.hit
    assert (cold.status, cold.json()["error"]["code"]) == (503, "unavailable")
