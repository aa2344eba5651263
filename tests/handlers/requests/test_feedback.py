"""The feedback function through its real route."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from botocore.exceptions import EndpointConnectionError

import bootstrap as clients
from evergreen.aws.s3 import Store
from evergreen.captures.records import Label
from evergreen.contract.problem import Problem
from evergreen.training.train_version import Trained
from local.plane.gateway import Answer
from local.plane.plane import Plane
from tests.support import given
from tests.support.given import NAME, Fault, injected, prediction_id
from tests.support.registries import registry_of

PATH = f"/endpoints/{NAME}/feedback"
JSON = {"Content-Type": "application/json"}


def tell(plane: Plane, *labels: Any, path: str = PATH, **more: Any) -> Answer:
    return plane.request("POST", path, json.dumps({"labels": labels, **more}).encode(), JSON)


def one(number: int, label: Any = True) -> dict[str, Any]:
    return {"id": prediction_id(number), "label": label}


def stored(data: Store) -> list[Label]:
    found: list[Label] = []
    for key in data.keys("labels/"):
        body = data.get(key)
        assert body is not None
        found += msgspec.json.Decoder(Label).decode_lines(body.body)
    return found


def paths(answer: Answer) -> list[str]:
    return [fault["path"] for fault in answer.json()["error"]["faults"]]


Promote = Callable[[Problem], None]
NUMBERS = Problem(kind="regression")
WEATHER = Problem(kind="multiclass", classes=["fog", "rain", "sun"])


@pytest.fixture
def promote(artifacts: Store, trained: Trained) -> Promote:
    """Return what makes a champion that predicts this."""

    def promote(problem: Problem) -> None:
        manifest = msgspec.structs.replace(trained.manifest, problem=problem)
        registry = registry_of(artifacts)
        registry.write_version(manifest, {})
        registry.write_document(given.document(manifest.version), None)

    return promote


@pytest.fixture
def binary(promote: Promote) -> None:
    promote(Problem())


def test_labels_are_stored_with_the_time_at_which_they_came(plane: Plane, data: Store) -> None:
    answer = tell(plane, one(1, True), one(2, False))

    assert answer.status == 202
    assert answer.json() == {"endpoint": NAME, "accepted": 2, "repeated": 0, "conflicting": []}
    assert stored(data) == [
        Label(id=prediction_id(1), time=given.NOW, endpoint=NAME, label=True),
        Label(id=prediction_id(2), time=given.NOW, endpoint=NAME, label=False),
    ]


def test_a_label_that_is_repeated_in_a_request_is_stored_once(plane: Plane, data: Store) -> None:
    answer = tell(plane, one(1), one(1), one(1))

    assert answer.json() == {"endpoint": NAME, "accepted": 1, "repeated": 2, "conflicting": []}
    assert len(stored(data)) == 1


def test_labels_that_contradict_each_other_are_named_and_kept_out(
    plane: Plane, data: Store
) -> None:
    answer = tell(plane, one(1, True), one(2), one(1, False))

    assert answer.status == 202
    assert answer.json()["conflicting"] == [prediction_id(1)]
    assert [label.id for label in stored(data)] == [prediction_id(2)]


def test_only_contradictions_store_nothing(plane: Plane, data: Store) -> None:
    answer = tell(plane, one(1, True), one(1, False))

    assert (answer.status, answer.json()["accepted"]) == (202, 0)
    assert stored(data) == []


def test_an_id_that_nobody_has_seen_is_kept_as_pending(plane: Plane, data: Store) -> None:
    assert tell(plane, one(12345)).status == 202

    assert len(stored(data)) == 1


def test_a_thousand_labels_are_taken_and_one_more_is_not(plane: Plane, data: Store) -> None:
    assert tell(plane, *[one(n) for n in range(1_000)]).json()["accepted"] == 1_000
    assert len(stored(data)) == 1_000

    assert tell(plane, *[one(n) for n in range(1_001)]).status == 413


def test_too_many_labels_are_too_large_even_when_one_is_wrong(plane: Plane) -> None:
    assert tell(plane, one(1, "yes"), *[one(n) for n in range(1_000)]).status == 413


@pytest.mark.parametrize(
    ("labels", "path"),
    [
        ([{"id": "x", "label": True}], "$.labels[0].id"),
        ([{"id": "", "label": True}], "$.labels[0].id"),
        ([{"id": 7, "label": True}], "$.labels[0].id"),
        ([{"id": prediction_id(1).upper() + "A", "label": True}], "$.labels[0].id"),
        ([{"id": prediction_id(1) + "\n", "label": True}], "$.labels[0].id"),
        ([one(1), one(2, 1)], "$.labels[1].label"),
        ([one(1), one(2, "true")], "$.labels[1].label"),
        ([one(1), one(2, None)], "$.labels[1].label"),
        ([one(1), {"id": prediction_id(2)}], "$.labels[1]"),
        ([one(1), {"label": True}], "$.labels[1]"),
        ([{**one(1), "more": 1}], "$.labels[0]"),
        ([7], "$.labels[0]"),
        ([[]], "$.labels[0]"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_a_wrong_label_is_refused_with_its_path_and_nothing_is_stored(
    plane: Plane, data: Store, binary: None, labels: list[Any], path: str
) -> None:
    answer = tell(plane, *labels)

    assert answer.status == 400
    assert len(paths(answer)) == 1
    assert paths(answer)[0].startswith(path)
    assert stored(data) == []


@pytest.mark.parametrize(
    ("problem", "good", "bad"),
    [(NUMBERS, [1.5, 7, -2.0], [True, "7", None]), (WEATHER, ["rain"], [True, 1, "", "a" * 65])],
    ids=["regression", "multiclass"],
)
def test_a_label_is_of_the_kind_that_the_champion_predicts(
    plane: Plane, data: Store, promote: Promote, problem: Problem, good: list[Any], bad: list[Any]
) -> None:
    promote(problem)

    taken = tell(plane, *[one(number, label) for number, label in enumerate(good)])
    refused = tell(plane, *[one(number, label) for number, label in enumerate(bad)])

    assert taken.status == 202
    assert [label.label for label in stored(data)] == good
    assert refused.status == 400
    assert paths(refused) == [f"$.labels[{number}].label" for number in range(len(bad))]


def test_a_class_that_the_champion_does_not_know_is_taken_and_named(
    plane: Plane, data: Store, promote: Promote
) -> None:
    promote(WEATHER)

    answer = tell(plane, one(1, "hail"), one(2, "rain"))

    assert answer.json() | {"accepted": 2, "new_classes": ["hail"]} == answer.json()
    assert [label.label for label in stored(data)] == ["hail", "rain"]


def test_equal_numbers_are_repetitions_and_others_contradictions(
    plane: Plane, data: Store, promote: Promote
) -> None:
    promote(NUMBERS)

    answer = tell(plane, one(1, 7), one(1, 7.0), one(2, 7), one(2, 7.5))

    assert answer.json() == {
        "endpoint": NAME, "accepted": 1, "repeated": 1, "conflicting": [prediction_id(2)],
    }  # fmt: skip
    assert [label.label for label in stored(data)] == [7.0]


def test_every_label_that_is_wrong_is_named(plane: Plane, binary: None) -> None:
    answer = tell(plane, one(1, 5), one(2), one(3, "no"))

    assert paths(answer) == ["$.labels[0].label", "$.labels[2].label"]


def test_every_fault_of_one_label_and_of_the_body_is_named(plane: Plane, binary: None) -> None:
    answer = tell(plane, {"id": "x", "label": "no"}, more=1)

    assert set(paths(answer)) == {"$.more", "$.labels[0].id", "$.labels[0].label"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"{}", b'{"labels": []}', b'{"labels": null}', b"\xff\xfe",
     b'{"labels": [{"id": NaN}]}', b"[" * 100_000, b'{"labels":' + b"[" * 100_000,
     b'{"labels":[{"id":' + b'{"a":' * 50_000],
    ids=lambda body: repr(body[:32]),
)  # fmt: skip
def test_a_body_of_another_shape_is_refused_with_a_path(plane: Plane, body: bytes) -> None:
    answer = plane.request("POST", PATH, body, JSON)

    assert answer.status == 400
    assert paths(answer)
    assert all(path.startswith("$") for path in paths(answer))


def test_another_content_type_is_not_read(plane: Plane) -> None:
    assert plane.request("POST", PATH, b"{}", {"Content-Type": "text/csv"}).status == 415


def test_more_than_a_megabyte_is_too_large(plane: Plane) -> None:
    assert plane.request("POST", PATH, b" " * 1_000_001, JSON).status == 413


@pytest.mark.parametrize("name", ["other", "flight_delay", "A", "%2e%2e"])
def test_an_unknown_endpoint_is_not_found(plane: Plane, name: str) -> None:
    assert tell(plane, one(1), path=f"/endpoints/{name}/feedback").status == 404


def test_an_endpoint_without_a_file_that_has_a_champion_takes_labels(
    plane: Plane, artifacts: Store
) -> None:
    document = msgspec.structs.replace(given.document(), endpoint="deployed-before")
    registry_of(artifacts).write_document(document, None)

    assert tell(plane, one(1), path="/endpoints/deployed-before/feedback").status == 202


@pytest.mark.parametrize(
    "fault",
    [Fault(500, times=99), Fault(error=EndpointConnectionError(endpoint_url="firehose"), times=99)],
    ids=["500", "no connection"],
)
def test_labels_that_the_stream_does_not_take_are_not_answered_as_taken(
    plane: Plane, data: Store, fault: Fault
) -> None:
    with injected(clients.firehose(), "firehose.PutRecordBatch", fault):
        answer = tell(plane, one(1))

    assert answer.status in (500, 503), "the caller must send them again"
    assert stored(data) == []
