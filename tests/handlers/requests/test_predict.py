"""The predict function through its real routes: every answer, and every bad request."""

import base64
import io
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import time_machine
from botocore.exceptions import EndpointConnectionError

import bootstrap as clients
from evergreen.aws.s3 import Store
from evergreen.captures import records
from evergreen.captures.records import Capture
from evergreen.registry.registry import Registry
from evergreen.registry.state import Status
from evergreen.serving.model import ONNX
from evergreen.training.train_version import Trained
from local.plane.gateway import Answer
from local.plane.plane import Plane
from local.plane.process import Process
from local.template import ROOT, load
from tests.support import arms, given
from tests.support.given import NAME, Fault, injected, row, version
from tests.support.registries import registry_of

PATH = f"/endpoints/{NAME}/predict"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def champion(plane: Plane, artifacts: Store, trained: Trained) -> str:
    return write(registry_of(artifacts), trained, version(1), promoted=True)


def write(registry: Registry, trained: Trained, name: str, *, promoted: bool = False) -> str:
    manifest = msgspec.structs.replace(trained.manifest, version=name)
    registry.write_version(manifest, trained.artifacts)
    if promoted:
        seen = registry.document(NAME)
        registry.write_document(given.document(name, seen.document if seen else None), seen)
    return name


def entered(registry: Registry, trained: Trained, status: Status = "candidate") -> str:
    """Write version 2, which has a status."""
    name = write(registry, trained, version(2))
    arms.change(registry, statuses={version(1): "champion", name: status})
    return name


def example(name: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / "events" / f"{name}.json").read_bytes()))


def ask(plane: Plane, body: bytes, path: str = PATH, headers: dict[str, str] = JSON) -> Answer:
    return plane.request("POST", path, body, headers)


def refused(answer: Answer) -> dict[str, str]:
    return {fault["path"]: fault["message"] for fault in answer.json()["error"]["faults"]}


def captures(data: Store) -> list[Capture]:
    found: list[Capture] = []
    for key in data.keys("captures/"):
        stored = data.get(key)
        assert stored is not None
        found += msgspec.json.Decoder(Capture).decode_lines(stored.body)
    return found


# Answers


def test_rows_are_scored_by_the_champion(plane: Plane, champion: str) -> None:
    answer = ask(plane, given.body(row(), row(hour=21)))

    assert answer.status == 200
    body = answer.json()
    assert (body["endpoint"], body["version"], body["variant"]) == (NAME, champion, "champion")
    early, late = body["predictions"]
    assert set(early) == {"id", "label", "score"}
    assert 0 <= early["score"] < late["score"] <= 1
    assert [p["label"] for p in (early, late)] == [p["score"] >= 0.5 for p in (early, late)]
    assert early["id"] != late["id"]


def test_every_prediction_is_captured_once_with_all_that_was_asked(
    plane: Plane, champion: str, data: Store
) -> None:
    body = ask(plane, given.body(*[row(hour=hour) for hour in range(24)], key="me")).json()

    found = captures(data)
    assert [capture.id for capture in found] == [p["id"] for p in body["predictions"]]
    assert [capture.score for capture in found] == [p["score"] for p in body["predictions"]]
    assert [capture.features for capture in found] == [given.whole(hour=hour) for hour in range(24)]
    assert {(c.endpoint, c.version, c.variant, c.key, c.time, c.failed) for c in found} == {
        (NAME, champion, "champion", "me", given.NOW, None)
    }
    (ms,) = {capture.ms for capture in found}
    assert ms is not None
    assert 0 < ms < 10_000
    assert round(ms, 3) == ms


def test_an_unseen_category_is_predicted_and_flagged(
    plane: Plane, champion: str, data: Store
) -> None:
    seen, unseen = ask(plane, given.body(row(), row(carrier="ZZ"))).json()["predictions"]

    assert "unseen" not in seen
    assert unseen["unseen"] == ["carrier"]
    assert 0 <= unseen["score"] <= 1
    assert [capture.unseen for capture in captures(data)] == [[], ["carrier"]]


def test_one_version_can_be_asked_for_and_does_not_count_as_the_champion(
    plane: Plane, champion: str, artifacts: Store, trained: Trained, data: Store
) -> None:
    other = entered(registry_of(artifacts), trained)

    body = ask(plane, given.body(), f"{PATH}?version={other}").json()

    assert (body["version"], body["variant"]) == (other, "requested")
    assert captures(data)[0].variant == "requested"


@pytest.mark.parametrize(
    "content_type", ["application/json", "APPLICATION/JSON", "application/json; charset=utf-8"]
)
def test_json_may_be_declared_in_several_ways(
    plane: Plane, champion: str, content_type: str
) -> None:
    assert ask(plane, given.body(), headers={"content-type": content_type}).status == 200


def test_a_body_in_base64_is_the_same_body(plane: Plane, champion: str) -> None:
    event = example("predict") | {
        "body": base64.b64encode(given.body()).decode(),
        "isBase64Encoded": True,
    }

    assert plane.invoke("PredictFunction", event)["statusCode"] == 200


def test_a_capture_has_the_time_at_which_its_request_reached_the_api(
    plane: Plane, champion: str, data: Store
) -> None:
    plane.invoke("PredictFunction", example("predict"))

    assert {capture.time for capture in captures(data)} == {datetime(2013, 2, 1, 10, tzinfo=UTC)}


def test_a_thousand_rows_are_answered(plane: Plane, champion: str, data: Store) -> None:
    answer = ask(plane, given.body(*[row(hour=n % 24) for n in range(1_000)]))

    assert answer.status == 200
    assert len(answer.json()["predictions"]) == 1_000
    assert len({capture.id for capture in captures(data)}) == 1_000


def test_a_caller_is_answered_although_the_capture_stream_is_down(
    plane: Plane, champion: str
) -> None:
    down = Fault(error=EndpointConnectionError(endpoint_url="firehose"), times=99)

    with injected(clients.firehose(), "firehose.PutRecordBatch", down):
        answer = ask(plane, given.body())

    assert down.hit
    assert answer.status == 200


def test_a_capture_that_no_record_holds_is_lost_alone_and_counted(
    plane: Plane, champion: str, data: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    plane.runtime = Process(log)
    ask(plane, given.body(row()))
    (usual,) = captures(data)
    monkeypatch.setattr(records, "RECORD_BYTES", len(msgspec.json.encode(usual)) + 10)

    answer = ask(plane, given.body(row(), row(carrier="ZZ"), row()))  # `unseen` makes it longer

    assert answer.status == 200
    first, _, last = [prediction["id"] for prediction in answer.json()["predictions"]]
    assert {capture.id for capture in captures(data)} == {usual.id, first, last}
    lost = [line["CaptureFailed"] for line in given.metrics(log) if "CaptureFailed" in line]
    assert lost == [[1.0]]


# Bad input

NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", '"1400"', "null", "true", "[]", "{}", "1e39"]


@pytest.mark.parametrize("literal", NUMBERS)
def test_a_number_that_is_none_is_refused_with_its_path(
    plane: Plane, champion: str, literal: str
) -> None:
    body = given.body(row(), row(distance=12345)).replace(b"12345", literal.encode())

    answer = ask(plane, body)

    assert answer.status == 400
    assert answer.json()["error"]["code"] == "invalid_request"
    assert list(refused(answer)) == ["$.instances[1].distance"]
    assert "nan" not in answer.body.lower().replace("`nan`", "")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"hour": 24}, "hour"),
        ({"hour": -1}, "hour"),
        ({"hour": 7.5}, "hour"),
        ({"hour": "7"}, "hour"),
        ({"origin": "LAX"}, "origin"),
        ({"origin": None}, "origin"),
        ({"carrier": ""}, "carrier"),
        ({"carrier": "TOOLONG"}, "carrier"),
        ({"temp": "warm"}, "temp"),
        ({"temp": 1_000}, "temp"),
        ({"dep_delay": 12}, "dep_delay"),
    ],
    ids=str,
)
def test_a_wrong_field_is_refused_with_its_path(
    plane: Plane, champion: str, changes: dict[str, Any], path: str
) -> None:
    answer = ask(plane, given.body(row(), row(), row(**changes)))

    assert answer.status == 400
    assert list(refused(answer)) == [f"$.instances[2].{path}"]


def test_every_fault_of_a_request_is_named(plane: Plane, champion: str) -> None:
    wrong = row(hour=99, distance="far", colour="red")
    del wrong["dest"]

    answer = ask(plane, given.body(wrong, row(weekday=7)))

    assert set(refused(answer)) == {
        "$.instances[0].hour",
        "$.instances[0].distance",
        "$.instances[0].colour",
        "$.instances[0].dest",
        "$.instances[1].weekday",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b'{"instances": []}',
        b'{"instances": {}}',
        b'{"rows": [{}]}',
        b'{"instances": [7]}',
        b'{"instances": [[]]}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"instances":[{"hour":' + b"[" * 100_000,
        b'{"instances":[{"x":' + b'{"x":' * 100_000 + b"1" + b"}" * 100_000 + b"}]}",
        given.body(row(), key=5),
        given.body(row(), key=""),
        given.body(row(), more=1),
        given.body(row()) + b"x",
    ],
    ids=lambda body: repr(body[:32]),
)
def test_a_body_of_another_shape_is_refused_with_a_path(
    plane: Plane, champion: str, body: bytes
) -> None:
    answer = ask(plane, body)

    assert answer.status == 400
    assert refused(answer)
    assert all(path.startswith("$") for path in refused(answer))


def test_more_than_a_thousand_rows_are_too_large(plane: Plane, champion: str) -> None:
    answer = ask(plane, given.body(*[row()] * 1_001))

    assert answer.status == 413
    assert "1,001" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("size", "status"), [(1_000_000, 200), (1_000_001, 413)])
def test_more_than_a_megabyte_is_too_large(
    plane: Plane, champion: str, size: int, status: int
) -> None:
    body = given.body()
    padded = body[:-1] + b" " * (size - len(body)) + b"}"

    assert ask(plane, padded).status == status


@pytest.mark.parametrize(
    "headers",
    [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"},
     {"Content-Type": ""}, {"Content-Type": "application/jsonp"}],
    ids=str,
)  # fmt: skip
def test_another_content_type_is_not_read(
    plane: Plane, champion: str, headers: dict[str, str]
) -> None:
    answer = ask(plane, given.body(), headers=headers)

    assert answer.status == 415
    assert "application/json" in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", ["other", "flight_delay", "FLIGHT-DELAY", "%2e%2e", "a%20b", "é"])
def test_an_unknown_endpoint_is_not_found(plane: Plane, champion: str, name: str) -> None:
    answer = ask(plane, given.body(), f"/endpoints/{name}/predict")

    assert answer.status == 404


@pytest.mark.parametrize("status", ["rejected", "retired"])
def test_a_version_that_is_neither_live_nor_compared_is_for_people_who_decide(
    plane: Plane, champion: str, artifacts: Store, trained: Trained, status: Status
) -> None:
    other = entered(registry_of(artifacts), trained, status)
    control = f"/control{PATH}"

    for query in (f"version={other}", f"status={status}"):
        answer = ask(plane, given.body(), f"{PATH}?{query}")
        assert (answer.status, answer.json()["error"]["code"]) == (404, "unknown_version")
        assert f"{control}?version={other}" in answer.json()["error"]["message"]
        assert ask(plane, given.body(), f"{control}?{query}").json()["version"] == other


@pytest.mark.parametrize("name", [version(9), "latest", "..%2f..%2fx", "x" * 5_000, "%00"])
def test_an_unknown_version_is_not_found(plane: Plane, champion: str, name: str) -> None:
    answer = ask(plane, given.body(), f"{PATH}?version={name}")

    assert answer.status == 404
    assert answer.json()["error"]["code"] == "unknown_version"
    assert len(answer.body) < 1_000


def test_no_champion_is_unavailable_and_says_how_to_train_one(plane: Plane) -> None:
    answer = ask(plane, given.body())

    assert answer.status == 503
    assert answer.json()["error"]["code"] == "no_champion"
    assert f"training/{NAME}/" in answer.json()["error"]["message"]
    assert "retry-after" in answer.headers


def test_a_refused_request_is_not_captured(plane: Plane, champion: str, data: Store) -> None:
    ask(plane, given.body(row(), row(hour=99)))

    assert captures(data) == []


def test_a_corrupt_champion_is_unavailable_and_nothing_of_it_is_loaded(
    plane: Plane, champion: str, artifacts: Store, trained: Trained
) -> None:
    artifacts.put(f"models/{NAME}/{champion}/{ONNX}", b"\x00" + trained.artifacts[ONNX][1:])

    answer = ask(plane, given.body())

    assert answer.status == 503
    assert answer.json()["error"]["code"] == "corrupt_artifact"


# A warm function


def test_a_promotion_reaches_a_warm_function_after_the_ttl_of_the_template(
    plane: Plane, champion: str, artifacts: Store, trained: Trained, clock: time_machine.Traveller
) -> None:
    assert ask(plane, given.body()).json()["version"] == champion
    write(registry_of(artifacts), trained, version(2), promoted=True)

    clock.shift(59)
    assert ask(plane, given.body()).json()["version"] == champion

    clock.shift(1)
    assert ask(plane, given.body()).json()["version"] == version(2)


def test_a_warm_function_answers_with_the_old_champion_while_s3_is_down(
    plane: Plane, champion: str, clock: time_machine.Traveller
) -> None:
    ask(plane, given.body())
    clock.shift(61)

    with injected(clients.s3(), "s3.GetObject", Fault(503, "SlowDown", times=99)) as down:
        answer = ask(plane, given.body())

    assert down.hit
    assert answer.status == 200
    assert answer.json()["version"] == champion


def test_a_warm_function_answers_with_the_old_champion_when_the_new_one_is_corrupt(
    plane: Plane, champion: str, artifacts: Store, trained: Trained, clock: time_machine.Traveller
) -> None:
    ask(plane, given.body())
    write(registry_of(artifacts), trained, version(2), promoted=True)
    artifacts.put(f"models/{NAME}/{version(2)}/{ONNX}", b"damaged")
    clock.shift(61)

    answer = ask(plane, given.body())

    assert answer.status == 200
    assert answer.json()["version"] == champion


def test_an_empty_name_of_a_version_is_not_that_of_the_champion(
    plane: Plane, champion: str
) -> None:
    answer = ask(plane, given.body(), f"{PATH}?version=")

    assert (answer.status, answer.json()["error"]["code"]) == (404, "unknown_version")


def test_a_misspelt_parameter_is_refused_and_not_ignored(plane: Plane) -> None:
    answer = plane.request("POST", "/endpoints/flight-delay/predict?verison=x", b"{}", {})

    assert answer.status == 400
    assert answer.json()["error"]["faults"] == [
        {"path": "?verison", "message": "unknown parameter"}
    ]


def test_of_a_share_of_keys_each_is_recorded_always_or_never(
    clock: time_machine.Traveller, aws: None, artifacts: Store, trained: Trained, data: Store
) -> None:
    plane = Plane(load({"CaptureShare": "0.5"}))
    write(registry_of(artifacts), trained, version(1), promoted=True)

    for key in [f"customer {n}" for n in range(20)] * 2:
        assert ask(plane, given.body(key=key)).status == 200

    found = Counter(capture.key for capture in captures(data))
    assert 3 <= len(found) <= 17
    assert set(found.values()) == {2}
