"""The Open Inference Protocol, version 2: what clients of KServe, Triton and MLServer speak.

A model is an endpoint, and each field of a row a tensor of shape [n] or [n, 1]. `key` among the
parameters of a request is that of predict. The data of a tensor may follow the JSON as bytes.
Source: https://github.com/kserve/open-inference-protocol, and Triton's binary tensor data extension
"""

import re
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from evergreen.contract.decoding import MAX_ROWS, UNDECODABLE, printable, refusal
from evergreen.contract.errors import Fault, InvalidRequestError
from evergreen.serving import scoring
from evergreen.serving.model_cache import Served, Serving
from http_api import tables
from http_api.dispatch import Answer, Request, answer
from http_api.tables import Answered, Value, refused

DATATYPES = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}
_FORMS = {
    "BOOL": "u1", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_LENGTH = "inference-header-content-length"
_PATH = re.compile(r"\$\.instances\[(\d+)\]\.")

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16",
    "FP32", "FP64", "BYTES",
]  # fmt: skip
Parameters = dict[str, Any] | None


class InputTensor(msgspec.Struct, frozen=True):
    """One field of all rows; without `data` it has `binary_data_size` bytes after the JSON."""

    name: str
    shape: Annotated[list[int], msgspec.Meta(min_length=1, max_length=2)]
    datatype: Datatype
    parameters: Parameters = None
    data: list[Value | list[Value]] | None = None


class Wanted(msgspec.Struct, frozen=True):
    """A tensor that is to be answered."""

    name: str


class InferRequest(msgspec.Struct, frozen=True):
    """What is to be scored; of the parameters `key` counts, and others of such servers do not."""

    inputs: Annotated[list[InputTensor], msgspec.Meta(min_length=1, max_length=10_000)]
    id: str | None = None
    parameters: Parameters = None
    outputs: list[Wanted] | None = None


class OutputTensor(msgspec.Struct, frozen=True):
    """An answer for all rows: `label`, `score`, `id`; of several classes `scores` and `classes`."""

    name: str
    datatype: str
    shape: list[int]
    data: list[bool | float | str]


class TensorMetadata(msgspec.Struct, frozen=True):
    """A tensor that a model takes or answers; -1 is the number of rows."""

    name: str
    datatype: str
    shape: list[int]


def server(*_: object) -> Answer:
    """Describe the server."""
    extensions = ["binary_tensor_data"]
    return answer(200, {"name": "evergreen", "version": "1", "extensions": extensions})


def live(*_: object) -> Answer:
    """Say that the server lives."""
    return answer(200, {"live": True})


def ready(_: Request, serving: Serving, __: Answered) -> Answer:
    """Say that the registry can be read."""
    serving.registry.endpoints()
    return answer(200, {"ready": True})


def model_ready(request: Request, serving: Serving, _: Answered) -> Answer:
    """Say that a version is loaded; where it cannot be, the error says why."""
    _served(request, serving)
    return answer(200, {"name": request.parameters["endpoint"], "ready": True})


def model(request: Request, serving: Serving, _: Answered) -> Answer:
    """Describe the tensors that a version takes and answers."""
    endpoint, served = request.parameters["endpoint"], _served(request, serving)
    manifest, document = served.model.manifest, serving.document(endpoint)
    live = [each for each, now in document.statuses.items() if now not in ("retired", "rejected")]
    classes = len(manifest.problem.classes)
    several = {"scores": ("FP64", [-1, classes]), "classes": ("BYTES", [classes])}
    label = {"binary": "BOOL", "regression": "FP64", "multiclass": "BYTES"}[manifest.problem.kind]
    outputs = {"label": (label, [-1]), "score": ("FP64", [-1]), "id": ("BYTES", [-1])}
    inputs = {
        name: (DATATYPES[tables.kind_of(spec)], [-1])
        for name, spec in served.decoder.schema["properties"].items()
    }
    tensors = {"inputs": inputs, "outputs": outputs | (several if classes else {})}
    about = {"name": endpoint, "versions": sorted(live), "platform": f"evergreen_{manifest.kind}"}
    described = {
        which: [TensorMetadata(name, *form) for name, form in forms.items()]
        for which, forms in tensors.items()
    }
    return answer(200, about | described)


def _served(request: Request, serving: Serving) -> Served:
    endpoint, version = request.parameters["endpoint"], request.parameters.get("version")
    if version is None:
        return serving.champion(endpoint).served
    scoring.check_served(serving, endpoint, version)
    return serving.version(endpoint, version)


def infer(request: Request, serving: Serving, answered: Answered) -> Answer:
    """Score tensors."""
    asked, columns = decoded(request.body(), request.header(_LENGTH))
    schema = _served(request, serving).decoder.schema
    key = (asked.parameters or {}).get("key")
    try:
        found = answered(request, lambda: tables.body(schema, tables.in_rows(columns), key))
    except InvalidRequestError as error:
        faults = [Fault(_PATH.sub(r"row \1 of ", one.path), one.message) for one in error.faults]
        raise InvalidRequestError(faults) from None
    tensors = _tensors(found["predictions"])
    wanted = [one.name for one in asked.outputs or ()] or list(tensors)
    if unknown := [name for name in wanted if name not in tensors]:
        raise refused("$.outputs", f"there is no {printable(unknown[0])}: {', '.join(tensors)}")
    body = {"model_name": found["endpoint"], "model_version": found["version"]}
    body |= {"parameters": {"variant": found["variant"]}}
    body |= {"outputs": [tensors[name] for name in wanted]}
    return answer(200, body | ({"id": asked.id} if asked.id is not None else {}))


def _tensors(predictions: list[dict[str, Any]]) -> dict[str, OutputTensor]:
    kind = {bool: "BOOL", float: "FP64", str: "BYTES"}[type(predictions[0]["label"])]
    found = {
        name: (datatype, [len(predictions)], [each[name] for each in predictions])
        for name, datatype in {"label": kind, "score": "FP64", "id": "BYTES"}.items()
    }
    if classes := list(predictions[0].get("scores", ())):
        scores = [each["scores"][name] for each in predictions for name in classes]
        found["scores"] = ("FP64", [len(predictions), len(classes)], scores)
        found["classes"] = ("BYTES", [len(classes)], classes)
    return {name: OutputTensor(name, *tensor) for name, tensor in found.items()}


def decoded(body: bytes, length: str = "") -> tuple[InferRequest, dict[str, list[Any]]]:
    """Return a request and its tensors as columns of plain values, all of one length.

    length: of the JSON at the beginning, as a header says it; tensors follow as bytes. Raises
    InvalidRequestError for what does not hold together, TooLargeError over MAX_ROWS rows.
    """
    if length and not (re.fullmatch(r"[0-9]{1,9}", length) and int(length) <= len(body)):
        raise refused(_LENGTH, "is not a number of bytes that the body has")
    size = int(length or len(body))
    text, rest = body[:size], memoryview(body)[size:]
    try:
        asked = msgspec.json.decode(text, type=InferRequest)
    except UNDECODABLE as error:
        raise refusal(text, error, lambda _: []) from None
    columns: dict[str, list[Any]] = {}
    for number, tensor in enumerate(asked.inputs):
        path = f"$.inputs[{number}]"
        rows = _rows(tensor, path)
        if tensor.name in columns:
            raise refused(f"{path}.name", "another tensor has it too")
        if tensor.data is None:
            many = (tensor.parameters or {}).get("binary_data_size")
            if type(many) is not int or not 0 <= many <= len(rest):
                said = "needs data, or as many bytes after the JSON as its binary_data_size says"
                raise refused(path, said)
            values, rest = _of_bytes(bytes(rest[:many]), tensor.datatype, rows, path), rest[many:]
        else:
            values = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in tensor.data]
        if len(values) != rows:
            raise refused(path, f"its shape says {rows} values, and there are {len(values)}")
        columns[tensor.name] = values
    if len(rest):
        raise refused(_LENGTH, f"{len(rest)} bytes belong to no tensor")
    if len({len(values) for values in columns.values()}) > 1:
        raise refused("$.inputs", "the tensors are of different lengths")
    return asked, columns


def _rows(tensor: InputTensor, path: str) -> int:
    rows = tensor.shape[0]
    if rows < 1 or tensor.shape[1:] not in ([], [1]):
        raise refused(f"{path}.shape", "expected [n] or [n, 1] for n rows, of which one is needed")
    tables.check_rows(rows, MAX_ROWS)
    return rows


def _of_bytes(data: bytes, datatype: str, rows: int, path: str) -> list[Any]:
    if datatype == "BYTES":
        return _texts(data, rows, path)
    form = np.dtype(_FORMS[datatype])
    if len(data) != rows * form.itemsize:
        said = f"{rows} values of {datatype} are {rows * form.itemsize} bytes, and not {len(data)}"
        raise refused(path, said)
    values = np.frombuffer(data, form)
    if datatype == "BOOL":
        if values.max() > 1:
            raise refused(path, "a value of BOOL is a byte of 0 or 1")
        values = values.astype(bool)
    return list(values.tolist())


def _texts(data: bytes, rows: int, path: str) -> list[Any]:
    """Return texts, each of which has its length in four bytes before it."""
    found: list[Any] = []
    place = 0
    while place < len(data) and len(found) < rows:
        end = place + 4 + int.from_bytes(data[place : place + 4], "little")
        if place + 4 > len(data) or end > len(data):
            raise refused(path, f"value {len(found)} is longer than the bytes that there are")
        try:
            found.append(data[place + 4 : end].decode())
        except UnicodeDecodeError:
            raise refused(path, f"value {len(found)} is no text in UTF-8") from None
        place = end
    if place < len(data):
        raise refused(path, f"{len(data) - place} bytes come after its last value")
    return found
