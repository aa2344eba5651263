"""The batch function, as the plane and as Step Functions call it: from a file to its summary."""

import json
from typing import Any

import pytest

import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.contract.errors import UnknownEventError
from evergreen.registry.manifest import Manifest
from local.plane.plane import Plane
from tests.support import given
from tests.support.given import NAME, csv, table

pytestmark = pytest.mark.slow
FILE = f"batch/in/{NAME}/june.csv"


def outputs(data: Store, kind: str) -> list[Any]:
    found = [data.get(key) for key in data.keys(f"batch/out/{NAME}/") if kind in key]
    return [json.loads(line) for one in found if one for line in one.body.split(b"\n") if line]


def test_a_file_that_is_put_is_scored_and_its_status_says_so(
    plane: Plane, data: Store, champion: Manifest
) -> None:
    said: list[tuple[int, int]] = []
    plane.on_chunk = lambda done, of: said.append((done, of))

    data.put(FILE, csv(table(50)))
    plane.settle()

    assert len(outputs(data, "scores/")) == 50
    assert said == [(1, 1)]
    (folder,) = data.names(f"batch/out/{NAME}/")
    path = f"/control/endpoints/{NAME}/status?evidence=no&batch={folder.rstrip('/')}"
    (run,) = json.loads(plane.request("GET", path).body)["batches"]
    assert (run["status"], run["done"], run["chunks"]) == ("complete", 1, 1)
    assert run["summary"]["version"] == champion.version
    assert not list(data.keys("captures/"))
    assert plane.request("GET", path + "%2F..").status == 400


@pytest.mark.parametrize("captures", [True, False])
def test_predictions_of_a_batch_are_recorded_where_the_policy_says_so(
    plane: Plane, data: Store, champion: Manifest, captures: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = given.quick(capture_batch=captures)
    monkeypatch.setattr(flight_delay, "endpoint", endpoint)

    data.put(FILE, csv(table(50)))
    plane.settle()

    kept = [data.get(key) for key in data.keys("captures/")]
    lines = [json.loads(line) for one in kept if one for line in one.body.splitlines()]
    assert [line["id"] for line in lines] == [
        line["id"] for line in outputs(data, "scores/") if captures
    ]


@pytest.mark.parametrize("key", [f"batch/in/{NAME}/_SUCCESS", f"batch/in/{NAME}/", "batch/in/a"])
def test_a_marker_or_a_folder_is_nothing_to_score(plane: Plane, key: str) -> None:
    found = plane.invoke("BatchFunction", {"plan": {"object": {"key": key, "etag": "e"}}})

    assert found == {"status": "ignored"}


def test_a_file_without_a_champion_makes_the_step_fail_and_harms_nothing(
    plane: Plane, data: Store
) -> None:
    data.put(FILE, csv(table(50)))

    plane.settle()

    assert not outputs(data, "summary")


def test_another_event_is_refused(plane: Plane) -> None:
    with pytest.raises(UnknownEventError, match='"score"'):
        plane.invoke("BatchFunction", {"endpoint": NAME})
