"""Bodies of requests: a decoder made from the schema of a row, and every fault of a body."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from evergreen.contract.errors import Fault, InvalidRequestError, TooLargeError
from evergreen.contract.schema import Columns, JsonSchema, column, texts_of, type_of

MAX_ROWS = 1_000  # and fewer where so many scores would be over
ANSWER_BYTES = 6_000_000  # of the 6 MB that Lambda hands on
MAX_FAULTS = 100
MAX_KEY_LENGTH = 256
MAX_SAID = 200  # characters of a fault: it quotes what a caller sent, which may be a megabyte
Types = Mapping[str, Any]  # by the name of a field
UNDECODABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class PredictRequest(msgspec.Struct, frozen=True):
    """What a caller asked for: plain rows, and the key that keeps its answers on one version."""

    instances: list[dict[str, Any]]
    key: str | None


class RowDecoder(msgspec.Struct, frozen=True, dict=True):
    """Decodes and validates predict requests of one schema, of at most so many rows."""

    schema: JsonSchema
    most: int = MAX_ROWS

    @cached_property
    def _fields(self) -> dict[str, Any]:
        return {name: type_of(spec) for name, spec in self.schema["properties"].items()}

    @cached_property
    def _row(self) -> type[msgspec.Struct]:
        given, specs = self.schema.get("required", ()), self.schema["properties"]
        required = [(name, kind) for name, kind in self._fields.items() if name in given]
        others = ((name, kind) for name, kind in self._fields.items() if name not in given)
        optional = [(name, kind, specs[name].get("default")) for name, kind in others]
        return msgspec.defstruct("Row", [*required, *optional], forbid_unknown_fields=True)

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        rows = Annotated[list[self._row], msgspec.Meta(min_length=1)]  # type: ignore[name-defined]
        fields: list[Any] = [("instances", rows), ("key", _KEY, None)]
        body = msgspec.defstruct("Request", fields, forbid_unknown_fields=True)
        return msgspec.json.Decoder(body)

    def decode(self, body: bytes) -> PredictRequest:
        """Decode a request body.

        Raises TooLargeError for too many rows, InvalidRequestError with the path of every fault
        (up to MAX_FAULTS).
        """
        try:
            request = self._decoder.decode(body)
        except UNDECODABLE as error:
            raise refusal(body, error, self._faults) from None
        if len(request.instances) > self.most:
            raise TooLargeError("instances", len(request.instances), self.most)
        rows = [msgspec.structs.asdict(row) for row in request.instances]
        return PredictRequest(rows, request.key)

    @cached_property
    def _rows(self) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(self._row)

    def rows(self, recorded: Sequence[msgspec.Raw]) -> list[Any]:
        """Return recorded rows as structs, and None for each that a request could not have."""
        try:
            return self._rows.decode_lines(b"\n".join(recorded))
        except UNDECODABLE:  # look at them one by one
            return list(map(self._row_or_none, recorded))

    def _row_or_none(self, recorded: msgspec.Raw) -> Any:
        try:
            return self._rows.decode(recorded)
        except UNDECODABLE:
            return None

    def columns(self, rows: Sequence[Any]) -> Columns:
        """Return structs as `columns_of` returns plain rows."""
        texts = texts_of(self.schema)
        return {name: column([*map(attrgetter(name), rows)], text=texts[name]) for name in texts}

    def fault(self, row: Mapping[str, Any]) -> str | None:
        """Return what is wrong with a plain row, or None for one that a request could have."""
        return _fault_of(row, self._row)

    def faults(self, row: Mapping[str, Any]) -> list[Fault]:
        """Return everything that is wrong with a plain row, in words that quote none of it."""
        found = faults_of_object("$", row, self._fields, self.schema.get("required", ()))
        specs = {f"$.{name}": spec for name, spec in self.schema["properties"].items()}
        return [Fault(one.path, unquoted(one.message, specs.get(one.path, {}))) for one in found]

    def _faults(self, value: object) -> list[Fault]:
        required = set(self.schema.get("required", ()))
        return faults_in_body(value, "instances", self._fields, required, {"key": _KEY})


_KEY = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY_LENGTH)] | None


def payload_bytes(part: object) -> int:
    """Return how many bytes an answer, or a text in it, is as Lambda's runtime writes it."""
    return len(json.dumps(part, ensure_ascii=False).encode())


def faults_in_body(
    value: object, rows_name: str, fields: Types, required: Collection[str], others: Types
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
    path: str, row: object, fields: Types, required: Collection[str]
) -> list[Fault]:
    """Return every fault of one object; fields: the type of each that it may have."""
    if not isinstance(row, dict):
        return [Fault(path, "expected an object")]
    unknown = [printable(name) for name in row if name not in fields]
    faults = [Fault(f"{path}.{name}", "unknown field") for name in unknown]
    for name, kind in fields.items():
        missing = "missing" if name in required else None
        if message := _fault_of(row[name], kind) if name in row else missing:
            faults.append(Fault(f"{path}.{name}", message))
    return faults


def refusal(
    body: bytes, error: Exception, faults_of: Callable[[object], list[Fault]]
) -> InvalidRequestError:
    """Return the error for a body that a typed decoder refused, with every fault and not the first.

    faults_of: finds them in the plain value; where even that does not decode, or it finds none, the
    decoder's own words stand.
    """
    try:  # NaN becomes an object of a class so named: "expected `float`, got `NaN`" at its path
        faults = faults_of(json.loads(body, parse_constant=lambda name: type(name, (), {})()))
    except (*UNDECODABLE, ValueError):
        faults = []
    if not faults:
        deep = isinstance(error, RecursionError)
        message, _, path = ("nested too deeply" if deep else str(error)).partition(" - at ")
        faults = [Fault(path.strip("`")[:MAX_SAID] or "$", message[:MAX_SAID])]
    return InvalidRequestError(faults[:MAX_FAULTS], more=len(faults[MAX_FAULTS:]))


def _fault_of(value: object, kind: Any) -> str | None:
    try:
        msgspec.convert(value, kind, strict=True)
    except (msgspec.ValidationError, OverflowError) as error:
        return str(error)[:MAX_SAID]
    return None


def printable(name: str) -> str:
    """Shorten what a caller chose as a field's name, and keep it to one printable line."""
    return re.sub(r"[^\w.-]", "?", name[:64])


def unquoted(said: str, spec: Mapping[str, Any]) -> str:
    """Return what a decoder said of a field, with the choices in place of the value it quotes."""
    parts = [spec, *spec.get("anyOf", ())]
    known = ", ".join(str(each) for part in parts for each in part.get("enum", ()) if each)
    return re.sub(r"value '.*'", lambda _: f"value: none of {known}", said, flags=re.DOTALL)
