"""The batch function, as the plane and as Step Functions call it: from a file to its summary."""

import json
from typing import Any

import pytest

import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.batch import plan as planning
from evergreen.contract.errors import UnknownEventError
from evergreen.registry.manifest import Manifest
from local.plane.plane import Plane
from tests.support import given, machines
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


@pytest.mark.parametrize("fails", [False, True])
def test_the_state_machine_scores_all_it_can_and_fails_where_the_count_misses_a_chunk(
    plane: Plane, data: Store, champion: Manifest, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "ROWS", 100)
    data.put(FILE, csv(table(350)))
    tried = failing(plane, 1 if fails else -1, monkeypatch)

    with machines.interpreted(plane):
        status, history = machines.execute(plane, created(data))

    (key,) = (key for key in data.keys(f"batch/out/{NAME}/") if key.endswith("summary.json"))
    stored = data.get(key)
    assert stored
    summary = json.loads(stored.body)
    assert sorted(tried) == [0, *([1] * (6 if fails else 1)), 2, 3]
    assert (status, summary["status"]) == (
        ("FAILED", "incomplete") if fails else ("SUCCEEDED", "complete")
    )
    assert [one["chunk"] for one in summary["missing"]] == [1] * fails
    assert len({line["id"] for line in outputs(data, "scores/")}) == summary["scored"]
    assert not [one for one in history if one["type"] == "MapIterationFailed"]


@pytest.mark.parametrize(("body", "ends"), [(b"a\n1\n", "FAILED"), (None, "SUCCEEDED")])
def test_the_state_machine_ends_early_where_nothing_is_to_be_scored(
    plane: Plane, data: Store, champion: Manifest, body: bytes | None, ends: str
) -> None:
    data.put(key := FILE if body else f"batch/in/{NAME}/_SUCCESS", body or b"")

    with machines.interpreted(plane):
        status, history = machines.execute(plane, created(data, key))

    assert status == ends
    assert sum(one["type"] == "TaskScheduled" for one in history) == 1


def created(data: Store, key: str = FILE) -> dict[str, Any]:
    """Return the event of a file that was put, as S3 writes it."""
    stored = data.get(key)
    assert stored
    return {"detail": {"object": {"key": key, "etag": stored.etag.strip('"')}}}


def failing(plane: Plane, number: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let a chunk fail whenever it is tried; return the chunks that are tried, as they are."""
    invoke, tried = plane.invoke, list[int]()

    def other(function: str, event: dict[str, Any], request_id: str = "") -> Any:
        if chunk := event.get("score"):
            tried.append(chunk["number"])
            if chunk["number"] == number:
                raise ConnectionError("S3 is away")
        return invoke(function, event, request_id)

    monkeypatch.setattr(plane, "invoke", other)
    return tried
