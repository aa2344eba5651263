"""Request rows: their JSON Schema, a decoder made from it, and the columns that a model reads.

The schema travels in the manifest, so predict can serve a version without the code that trained it.
It is JSON Schema restricted to flat rows of numbers, integers, booleans and strings, each with its
ranges and possibly null.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from evergreen.contract.errors import EndpointFileError, Fault, InvalidRequestError, TooLargeError

MAX_ROWS = 1_000
MAX_FAULTS = 100
MAX_KEY_LENGTH = 256
MAX_SAID = 200  # characters of a fault: it quotes what a caller sent, which may be a megabyte

JsonSchema = dict[str, Any]
Columns = dict[str, npt.NDArray[Any]]
Score = Callable[[Columns], npt.NDArray[np.float64]]  # of rows, the probability of the label

UNDECODABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)

_TYPES: dict[str, type] = {"number": float, "integer": int, "boolean": bool, "string": str}
_LIMITS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "minLength": "min_length",
    "maxLength": "max_length",
    "pattern": "pattern",
}
_BOUNDS = {  # beyond, a number is Infinity in the float32 that models read
    "number": (-3.4e38, 3.4e38),
    "integer": (-(2**63), 2**63 - 1),
}
_NOTES = {"title", "description", "examples", "default"}


def schema_of(name: str, row: type[msgspec.Struct]) -> JsonSchema:
    """Return the JSON Schema of a request row; EndpointFileError where a field is not flat."""
    schema = msgspec.json.schema(row)
    schema = schema["$defs"][row.__name__]
    for field, spec in schema["properties"].items():
        if field not in row.__struct_fields__:
            raise EndpointFileError(name, f"field `{field}`: `row` must not rename its fields")
        try:
            _type_of(spec)
        except ValueError as error:
            raise EndpointFileError(name, f"field `{field}`: {error}") from error
    return dict(schema)


def _type_of(spec: Mapping[str, Any]) -> Any:
    """Return the Python type, with its limits, that a property's schema describes."""
    if "anyOf" in spec:
        some = [option for option in spec["anyOf"] if option.get("type") != "null"]
        if len(some) != 1 or len(some) == len(spec["anyOf"]):
            raise ValueError("a union may only be of one type and null")
        return _type_of(some[0]) | None
    kind = spec.get("type")
    if "enum" in spec:
        values = [value for value in spec["enum"] if value is not None]
        if not values or not all(isinstance(value, str) for value in values):
            raise ValueError("an enumeration must be of strings")
        choice: Any = Literal[tuple(values)]
        return choice | None if len(values) < len(spec["enum"]) else choice
    if kind not in _TYPES:
        raise ValueError(f"type {kind!r} is none of {', '.join(_TYPES)}: rows are flat")
    unknown = set(spec) - {"type"} - set(_LIMITS) - _NOTES
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} is not supported")
    limits: dict[str, Any] = {_LIMITS[k]: value for k, value in spec.items() if k in _LIMITS}
    if kind in _BOUNDS:
        low, high = _BOUNDS[kind]
        if any(not low <= limit <= high for limit in limits.values()):
            raise ValueError(f"its limits must be within {low:.2g} and {high:.2g}")
        limits |= {} if "gt" in limits or "ge" in limits else {"ge": low}
        limits |= {} if "lt" in limits or "le" in limits else {"le": high}
    return Annotated[_TYPES[kind], msgspec.Meta(**limits)] if limits else _TYPES[kind]


def is_text(spec: Mapping[str, Any]) -> bool:
    """Say whether a property holds categories (text) rather than a number."""
    plain = "enum" in spec or spec.get("type") == "string"
    return plain or ("anyOf" in spec and any(map(is_text, spec["anyOf"])))


def not_accepted(requests: JsonSchema, model: JsonSchema) -> str | None:
    """Return why a model cannot read requests that were made for another schema, or None."""
    asked, fields = requests["properties"], model["properties"]
    if gone := [name for name in asked if name not in fields]:
        return f"it does not read the field {gone[0]}, which requests have"
    for name, spec in fields.items():
        if name not in asked and name in model.get("required", ()):
            return f"it needs the field {name}, which requests lack"
        if name in asked and is_text(spec) != is_text(asked[name]):
            return f"it reads the field {name} as another type"
    return None


def texts_of(schema: JsonSchema) -> dict[str, bool]:
    """Return whether each field of a schema is text."""
    return {field: is_text(spec) for field, spec in schema["properties"].items()}


def columns_of(
    schema: JsonSchema,
    rows: Sequence[Mapping[str, Any]],
    texts: Mapping[str, bool] | None = None,
) -> Columns:
    """Turn rows into one array per field of the schema, each of shape (rows,).

    Numbers become float32 with NaN where missing, text stays text with "" where missing. Training
    and serving both come through here, so they cannot differ. texts: what `texts_of` returns, by
    those who come with every request.
    """
    columns: Columns = {}
    for field, text in (texts_of(schema) if texts is None else texts).items():
        try:
            values = [row[field] for row in rows]
        except KeyError:  # the field is younger than a recorded row
            default = schema["properties"][field].get("default")
            values = [row.get(field, default) for row in rows]
        columns[field] = column(values, text=text)
    return columns


def column(values: Sequence[Any], *, text: bool) -> npt.NDArray[Any]:
    """Return one column of a model's input from plain values; None is missing."""
    if text:
        return np.array([value if value is not None else "" for value in values], dtype=object)
    return np.array(values, dtype=np.float32)  # numpy makes NaN of None


@dataclass(frozen=True)
class PredictRequest:
    """What a caller asked for: plain rows, and the key that keeps its answers on one version."""

    instances: list[dict[str, Any]]
    key: str | None


@dataclass(frozen=True)
class RowDecoder:
    """Decodes and validates predict requests of one schema."""

    schema: JsonSchema

    @cached_property
    def _fields(self) -> dict[str, Any]:
        return {name: _type_of(spec) for name, spec in self.schema["properties"].items()}

    @cached_property
    def _row(self) -> type[msgspec.Struct]:
        required, optional = [], []
        for name, kind in self._fields.items():
            spec = self.schema["properties"][name]
            if name in self.schema.get("required", ()):
                required.append((name, kind))
            else:
                optional.append((name, kind, spec.get("default")))
        return msgspec.defstruct("Row", [*required, *optional], forbid_unknown_fields=True)

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        body = msgspec.defstruct(
            "Request",
            [
                ("instances", Annotated[list[self._row], msgspec.Meta(min_length=1)]),  # type: ignore[name-defined]
                ("key", _KEY, None),
            ],
            forbid_unknown_fields=True,
        )
        return msgspec.json.Decoder(body)

    def decode(self, body: bytes) -> PredictRequest:
        """Decode a request body.

        Raises TooLargeError over MAX_ROWS rows, InvalidRequestError with the path of every fault
        (up to MAX_FAULTS).
        """
        try:
            request = self._decoder.decode(body)
        except UNDECODABLE as error:
            raise refusal(body, error, self._faults) from None
        if len(request.instances) > MAX_ROWS:
            raise TooLargeError("instances", len(request.instances), MAX_ROWS)
        return PredictRequest(
            [msgspec.structs.asdict(row) for row in request.instances], request.key
        )

    @cached_property
    def _rows(self) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(self._row)

    def rows(self, lines: bytes) -> list[Any]:
        """Return rows from JSON lines; msgspec.DecodeError where one of them does not fit."""
        return self._rows.decode_lines(lines)

    def fault(self, row: Mapping[str, Any]) -> str | None:
        """Return what is wrong with a plain row, or None for one that a request could have."""
        return _fault_of(row, self._row)

    def _faults(self, value: object) -> list[Fault]:
        required = set(self.schema.get("required", ()))
        return faults_in_body(value, "instances", self._fields, required, {"key": _KEY})


_KEY = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY_LENGTH)] | None


def faults_in_body(
    value: object,
    rows_name: str,
    fields: Mapping[str, Any],
    required: Collection[str],
    others: Mapping[str, Any],
) -> list[Fault]:
    """Return every fault of a body {rows_name: [{...}, ...], **others}; a decoder stops at one.

    fields, others: the type of each field of a row, and of what may stand beside the rows. Raises
    TooLargeError over MAX_ROWS rows.
    """
    if not isinstance(value, dict):
        return [Fault("$", f'expected {{"{rows_name}": [{{...}}, ...]}}')]
    beside = {name: found for name, found in value.items() if name != rows_name}
    faults = faults_of_object("$", beside, others, ())
    rows = value.get(rows_name)
    if not isinstance(rows, list) or not rows:
        return [*faults, Fault(f"$.{rows_name}", "expected a list of at least one row")]
    if len(rows) > MAX_ROWS:
        raise TooLargeError(rows_name, len(rows), MAX_ROWS)
    for index, row in enumerate(rows):
        faults += faults_of_object(f"$.{rows_name}[{index}]", row, fields, required)
    return faults


def faults_of_object(
    path: str, row: object, fields: Mapping[str, Any], required: Collection[str]
) -> list[Fault]:
    """Return every fault of one object; fields: the type of each that it may have."""
    if not isinstance(row, dict):
        return [Fault(path, "expected an object")]
    faults = [
        Fault(f"{path}.{printable(name)}", "unknown field") for name in row if name not in fields
    ]
    for name, kind in fields.items():
        if name not in row:
            if name in required:
                faults.append(Fault(f"{path}.{name}", "missing"))
        elif message := _fault_of(row[name], kind):
            faults.append(Fault(f"{path}.{name}", message))
    return faults


def refusal(
    body: bytes, error: Exception, faults_of: Callable[[object], list[Fault]]
) -> InvalidRequestError:
    """Return the error for a body that a typed decoder refused, with every fault and not the first.

    faults_of: finds them in the plain value; where even that does not decode, or it finds none, the
    decoder's own words stand.
    """
    try:
        faults = faults_of(_lenient(body))
    except (*UNDECODABLE, ValueError):
        faults = []
    faults = faults or [fault_from(error)]
    return InvalidRequestError(faults[:MAX_FAULTS], more=len(faults[MAX_FAULTS:]))


def _lenient(body: bytes) -> Any:
    """Decode also what is not quite JSON: NaN and Infinity become objects of a class so named.

    That is how a fault gets the path of the field, and "expected `float`, got `NaN`" as its
    message.
    """
    return json.loads(body, parse_constant=lambda name: type(name, (), {})())


def fault_from(error: Exception) -> Fault:
    """Return what a decoder said as a fault with its path."""
    if isinstance(error, RecursionError):
        return Fault("$", "nested too deeply")
    message, _, path = str(error).partition(" - at ")
    return Fault(path.strip("`")[:MAX_SAID] or "$", message[:MAX_SAID])


def _fault_of(value: object, kind: Any) -> str | None:
    try:
        msgspec.convert(value, kind, strict=True)
    except (msgspec.ValidationError, OverflowError) as error:
        return str(error)[:MAX_SAID]
    return None


def printable(name: str) -> str:
    """Shorten what a caller chose as a field's name, and keep it to one printable line."""
    return re.sub(r"[^\w.-]", "?", name[:64])
