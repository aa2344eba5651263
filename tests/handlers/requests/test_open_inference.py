"""The Open Inference Protocol through its real routes, as JSON and with tensors of bytes."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.aws.s3 import Store
from evergreen.contract.errors import EvergreenError
from evergreen.contract.problem import Problem
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry
from evergreen.training.train_version import Trained
from http_api import open_inference
from local.plane.gateway import Answer
from local.plane.plane import Plane
from tests.handlers.requests.test_predict import captures, entered
from tests.support import arms, candidates
from tests.support.given import NAME, row
from tests.support.registries import registry_of

MODEL = f"/v2/models/{NAME}"
FORMS = {"INT64": "<i8", "FP64": "<f8", "FP32": "<f4", "INT32": "<i4", "BOOL": "?"}


@pytest.fixture
def registry(candidate: Manifest, artifacts: Store) -> Registry:
    return registry_of(artifacts)


def tensor(name: str, values: list[Any], datatype: str | None = None) -> dict[str, Any]:
    kinds = {str: "BYTES", int: "INT64", bool: "BOOL"}
    datatype = datatype or kinds.get(type(values[0]), "FP64")
    return {"name": name, "shape": [len(values)], "datatype": datatype, "data": values}


def tensors(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return [tensor(name, [one[name] for one in rows]) for name in rows[0]]


def in_bytes(asked: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Return a request with all its tensors as bytes after the JSON, as tritonclient sends it."""
    head, tail = [], b""
    for one in asked["inputs"]:
        data = packed(one["data"], one["datatype"])
        size = {"binary_data_size": len(data)}
        head.append({k: one[k] for k in ("name", "shape", "datatype")} | {"parameters": size})
        tail += data
    text = json.dumps(asked | {"inputs": head}).encode()
    return text + tail, {"Inference-Header-Content-Length": str(len(text))}


def packed(values: list[Any], datatype: str) -> bytes:
    if datatype != "BYTES":
        return np.array(values, FORMS[datatype]).tobytes()
    texts = [each.encode() for each in values]
    return b"".join(struct.pack("<I", len(each)) + each for each in texts)


def infer(
    plane: Plane, asked: dict[str, Any], path: str = MODEL, *, binary: bool = False
) -> Answer:
    body, headers = in_bytes(asked) if binary else (json.dumps(asked).encode(), {})
    return plane.request("POST", f"{path}/infer", body, headers)


def outputs(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    return {one["name"]: one for one in answer.json()["outputs"]}


@pytest.mark.parametrize("binary", [False, True])
def test_tensors_are_scored_and_recorded_as_the_same_rows_are(
    plane: Plane, champion: Manifest, data: Store, binary: bool
) -> None:
    rows = [row(), row(hour=20, carrier="AA")]
    same = {"instances": rows, "key": "me"}
    path = f"/endpoints/{NAME}/predict"
    json_type = {"Content-Type": "application/json"}
    said = plane.request("POST", path, json.dumps(same).encode(), json_type).json()

    asked = {"id": "7", "parameters": {"key": "me"}, "inputs": tensors(*rows)}
    answer = infer(plane, asked, binary=binary)

    found, rows_said = outputs(answer), said["predictions"]
    assert (answer.json()["id"], answer.json()["model_version"]) == ("7", said["version"])
    assert answer.json()["parameters"] == {"variant": "champion"}
    for name, datatype in (("score", "FP64"), ("label", "BOOL")):
        assert found[name]["data"] == [each[name] for each in rows_said]
        assert (found[name]["shape"], found[name]["datatype"]) == ([2], datatype)
    recorded = captures(data)
    features = {each.id: each.features for each in recorded}
    assert [features[each] for each in found["id"]["data"]] == [
        features[each["id"]] for each in rows_said
    ]
    assert {each.key for each in recorded} == {"me"}


@pytest.mark.parametrize("binary", [False, True])
def test_a_missing_value_is_null_nan_or_no_tensor_at_all(
    plane: Plane, champion: Manifest, data: Store, binary: bool
) -> None:
    missing = float("nan") if binary else None
    infer(plane, {"inputs": [*tensors(row()), tensor("temp", [missing])]}, binary=binary)
    infer(plane, {"inputs": tensors(row())}, binary=binary)

    assert [each.features["temp"] for each in captures(data)] == [None, None]


def test_whole_numbers_may_come_as_floats_and_columns_as_lists(
    plane: Plane, champion: Manifest
) -> None:
    asked = tensors(row())
    for one in asked:
        if one["name"] == "hour":
            one |= {"datatype": "FP32", "data": [[float(one["data"][0])]], "shape": [1, 1]}

    assert infer(plane, {"inputs": asked}).status == 200


def test_only_the_outputs_that_are_asked_for_come(plane: Plane, champion: Manifest) -> None:
    asked = {"inputs": tensors(row()), "outputs": [{"name": "score"}]}

    assert list(outputs(infer(plane, asked))) == ["score"]
    answer = infer(plane, asked | {"outputs": [{"name": "no\nsuch"}]})
    assert (answer.status, "label, score, id" in answer.json()["error"]) == (400, True)


def test_a_version_is_asked_for_in_the_path(plane: Plane, registry: Registry) -> None:
    answer = infer(plane, {"inputs": tensors(row())}, f"{MODEL}/versions/{candidates.TWO}")

    assert answer.json()["model_version"] == candidates.TWO
    assert answer.json()["parameters"] == {"variant": "requested"}


def test_a_key_stays_with_its_arm(plane: Plane, registry: Registry) -> None:
    arms.canary(registry, candidates.TWO)

    asked = {"inputs": tensors(row())}
    found = [
        infer(plane, asked | {"parameters": {"key": key}}).json()["model_version"]
        for key in "abcdefghabcdefgh"
    ]

    assert set(found) == {candidates.ONE, candidates.TWO}
    assert found[:8] == found[8:]


def test_metadata_names_what_may_be_sent_and_asked_for(plane: Plane, registry: Registry) -> None:
    found = plane.request("GET", MODEL).json()

    datatypes = {each["name"]: each["datatype"] for each in found["inputs"]}
    assert (found["name"], found["versions"]) == (NAME, [candidates.ONE, candidates.TWO])
    assert (datatypes["carrier"], datatypes["hour"], datatypes["temp"]) == (
        "BYTES", "INT64", "FP64",
    )  # fmt: skip
    assert [each["name"] for each in found["outputs"]] == ["label", "score", "id"]


@pytest.mark.parametrize("status", ["rejected", "retired"])
@pytest.mark.parametrize("what", ["", "/ready", "/infer"])
def test_a_version_that_is_neither_live_nor_compared_is_not_shown(
    plane: Plane, champion: Manifest, artifacts: Store, trained: Trained, status: Any, what: str
) -> None:
    other = entered(registry_of(artifacts), trained, status)

    method = "POST" if what == "/infer" else "GET"
    body = json.dumps({"inputs": tensors(row())}).encode()
    answer = plane.request(method, f"{MODEL}/versions/{other}{what}", body)

    assert answer.status == 404
    assert f"is {status}" in answer.json()["error"]


def test_it_is_ready_for_models_that_there_are(plane: Plane, champion: Manifest) -> None:
    def asked(path: str) -> tuple[int, Any]:
        answer = plane.request("GET", f"/v2{path}")
        return answer.status, answer.json()

    assert asked("/health/live") == (200, {"live": True})
    assert asked("/health/ready") == (200, {"ready": True})
    assert asked(f"/models/{NAME}/ready") == (200, {"name": NAME, "ready": True})
    assert asked("/models/nothing/ready")[0] == 404
    assert asked("/models/nothing")[1] == {
        "error": "there is no endpoint 'nothing': GET /endpoints lists them"
    }
    assert asked("")[1]["extensions"] == ["binary_tensor_data"]


def test_what_a_row_may_not_be_is_told_by_its_row_and_field(
    plane: Plane, champion: Manifest
) -> None:
    asked = [one for one in tensors(row(), row(hour=99)) if one["name"] != "carrier"]

    answer = infer(plane, {"inputs": [*asked, tensor("colour", ["red", "blue"])]})

    assert answer.status == 400
    for said in ("row 0 of carrier: missing", "row 0 of colour: unknown field", "row 1 of"):
        assert said in answer.json()["error"]


@pytest.mark.parametrize(
    "scores", [np.array([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]]), np.array([[1.0, 0.0, 0.0]])]
)
def test_of_several_classes_there_is_a_score_for_each(scores: Any) -> None:
    problem = Problem(kind="multiclass", classes=["a", "b", "c"])
    predictions = [{"id": str(n), **each} for n, each in enumerate(problem.answers(scores))]

    found = open_inference._tensors(predictions)

    assert (found["scores"].shape, found["scores"].data) == (
        list(scores.shape), scores.ravel().tolist(),
    )  # fmt: skip
    assert found["classes"].data == problem.classes
    assert (found["label"].datatype, found["label"].data) == (
        "BYTES", problem.answered(scores).tolist(),
    )  # fmt: skip


def test_of_a_regression_label_and_score_are_numbers() -> None:
    (prediction,) = Problem(kind="regression").answers(np.array([4.5]))

    found = open_inference._tensors([{"id": "x", **prediction}])

    assert (found["label"].datatype, found["label"].data, found["score"].data) == (
        "FP64", [4.5], [4.5],
    )  # fmt: skip


# Bad input


LIES: dict[str, Any] = {
    "a shape that overflows": {"shape": [2**62, 4]},
    "more rows than 64 bits have": {"shape": [2**70]},
    "a negative shape": {"shape": [-1]},
    "no rows": {"shape": [0]},
    "no shape": {"shape": []},
    "three dimensions": {"shape": [1, 1, 1]},
    "a wide shape": {"shape": [1, 2]},
    "more rows than are sent": {"shape": [2]},
    "fewer bytes than are sent": {"parameters": {"binary_data_size": 7}},
    "more bytes than are sent": {"parameters": {"binary_data_size": 10**9}},
    "a negative size": {"parameters": {"binary_data_size": -8}},
    "a size that is none": {"parameters": {"binary_data_size": True}},
    "no size": {"parameters": None},
    "another type": {"datatype": "FP32"},
    "texts that are none": {"datatype": "BYTES"},
    "a type that is none": {"datatype": "PICKLE"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_tensor_whose_bytes_are_not_as_it_says_is_refused(
    plane: Plane, champion: Manifest, data: Store, lie: str
) -> None:
    body, headers = in_bytes({"inputs": [tensor("hour", [8]), *tensors(row())[:1]]})
    size = int(headers["Inference-Header-Content-Length"])
    asked = json.loads(body[:size])
    asked["inputs"][0] |= LIES[lie]
    text = json.dumps(asked).encode()

    headers = {"Inference-Header-Content-Length": str(len(text))}
    answer = plane.request("POST", f"{MODEL}/infer", text + body[size:], headers)

    assert answer.status in (400, 413)
    assert len(answer.json()["error"]) < 600
    assert captures(data) == []


@pytest.mark.parametrize("length", ["-1", "1e2", "999999999999", "99999", "½", "1,1", " "])
def test_a_header_that_lies_about_the_length_of_the_json_is_refused(
    plane: Plane, champion: Manifest, length: str
) -> None:
    body, _ = in_bytes({"inputs": tensors(row())})

    headers = {"Inference-Header-Content-Length": length}
    answer = plane.request("POST", f"{MODEL}/infer", body, headers)

    assert answer.status == 400
    assert "inference-header-content-length" in answer.json()["error"]


@hypothesis_given(st.binary(max_size=60), st.integers(0, 4), st.integers(0, 60))
def test_whatever_the_bytes_of_texts_are_they_are_read_or_refused(
    data: bytes, rows: int, size: int
) -> None:
    one = {"name": "x", "shape": [rows], "datatype": "BYTES"}
    text = json.dumps({"inputs": [one | {"parameters": {"binary_data_size": size}}]}).encode()

    try:
        _, columns = open_inference.decoded(text + data, str(len(text)))
    except EvergreenError:
        return

    assert packed(columns["x"], "BYTES") == data
    assert len(columns["x"]) == rows


def test_infinity_is_no_value(plane: Plane, champion: Manifest) -> None:
    asked = {"inputs": [*tensors(row()), tensor("temp", [float("inf")])]}

    answer = infer(plane, asked, binary=True)

    assert answer.status == 400
    assert "row 0 of temp: Infinity" in answer.json()["error"]


def test_a_million_rows_are_refused_before_one_of_them_is_made(
    plane: Plane, champion: Manifest
) -> None:
    asked = {"inputs": [tensor("hour", [True] * 900_000, "BOOL")]}

    answer = infer(plane, asked, binary=True)

    assert answer.status == 413
    assert "900,000 rows" in answer.json()["error"]


def test_two_tensors_of_one_name_or_of_two_lengths_are_refused(
    plane: Plane, champion: Manifest
) -> None:
    for wrong in (tensor("hour", [8]), tensor("temp", [8.0, 9.0])):
        asked = {"inputs": [*tensors(row()), wrong]}
        assert infer(plane, asked).status == 400
