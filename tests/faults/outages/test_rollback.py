"""A rollback is one action and one write, and warm functions follow within ENDPOINT_TTL."""

import json

import pytest
import time_machine

from evergreen.aws.s3 import Store
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry
from local.plane.gateway import Answer
from local.plane.plane import Plane
from local.template import Template
from tests.faults.wire import Wire
from tests.support import given
from tests.support.candidates import ONE, TWO, document, move
from tests.support.given import NAME
from tests.support.registries import registry_of

JSON = {"Content-Type": "application/json"}
ASKED = {"reason": "it was a mistake"}


@pytest.fixture
def promoted(candidate: Manifest, artifacts: Store) -> Registry:
    """Let candidates.TWO have taken the place of candidates.ONE."""
    registry = registry_of(artifacts)
    move(registry, "promoted", TWO)
    return registry


def roll_back(plane: Plane, registry: Registry) -> Answer:
    body = json.dumps({"generation": document(registry).generation, **ASKED}).encode()
    return plane.request("POST", f"/control/endpoints/{NAME}/rollback", body, JSON)


def answering(plane: Plane) -> str:
    answer = plane.request("POST", f"/endpoints/{NAME}/predict", given.body(), JSON)
    assert answer.status == 200
    return str(answer.json()["version"])


def test_a_rollback_is_one_request_that_writes_the_document_once(
    plane: Plane, promoted: Registry, wire: Wire
) -> None:
    assert roll_back(plane, promoted).status == 200

    writes = [call for call in wire.calls if call.startswith("PutObject")]
    assert [call.split(".com/")[1] for call in writes] == [
        f"endpoints/{NAME}.json",
        f"endpoints/{NAME}/history/000004.json",
    ]
    assert document(promoted).champion == ONE


def test_every_warm_function_has_followed_a_rollback_when_endpoint_ttl_is_over(
    plane: Plane, template: Template, promoted: Registry, clock: time_machine.Traveller
) -> None:
    variables = template.of_type("AWS::Lambda::Function")["PredictFunction"]["Environment"]
    ttl = float(variables["Variables"]["ENDPOINT_TTL"])
    warm = []
    for _ in range(6):  # each looked at the document at another time
        warm.append(Plane(template))
        assert answering(warm[-1]) == TWO
        clock.shift(ttl / 6)
    assert roll_back(plane, promoted).status == 200

    clock.shift(ttl / 12)
    at_once = [answering(one) for one in warm]
    clock.shift(ttl * 11 / 12)
    in_the_end = [answering(one) for one in warm]

    assert at_once == [ONE, TWO, TWO, TWO, TWO, TWO]
    assert in_the_end == [ONE] * 6


def test_a_rollback_to_a_version_that_a_function_has_kept_loads_nothing(
    plane: Plane,
    template: Template,
    candidate: Manifest,
    artifacts: Store,
    clock: time_machine.Traveller,
) -> None:
    registry, warm = registry_of(artifacts), Plane(template)
    assert answering(warm) == ONE
    move(registry, "promoted", TWO)
    clock.shift(3600)
    assert answering(warm) == TWO
    assert roll_back(plane, registry).status == 200
    for key in list(artifacts.keys(f"models/{NAME}/")):
        artifacts.s3.delete_object(Bucket=artifacts.bucket, Key=key)

    clock.shift(3600)

    assert answering(warm) == ONE
