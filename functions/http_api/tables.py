"""Rows as other protocols write them, made into the body of a predict request."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from evergreen.contract.errors import Fault, InvalidRequestError, TooLargeError
from evergreen.contract.schema import JsonSchema, is_text
from http_api.dispatch import Request

Answered = Callable[[Request, Callable[[], bytes]], dict[str, Any]]  # predict.answered
Spec = Mapping[str, Any]
Value = bool | int | float | str | None  # of a field, or what shall become one

_NUMBER = re.compile(r"[+-]?(\d{1,400}(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def kind_of(spec: Spec) -> str:
    """Return the type of a field: number, integer, boolean or string; "" where there is none."""
    if is_text(spec):
        return "string"
    parts = spec.get("anyOf", [spec])
    return next((part["type"] for part in parts if part.get("type", "null") != "null"), "")


def body(schema: JsonSchema, rows: Sequence[Mapping[str, Any]], key: object = None) -> bytes:
    """Return the body of a predict request with rows of plain values.

    What a table cannot say is understood: NaN is a missing value, so is an empty text where one may
    be missing, and 5.0 is 5 where a field is an integer. All else is for the decoder.
    """
    specs = schema["properties"]
    instances = [
        {
            name: _plain(value, specs.get(name, {}), f"$.instances[{number}].{name[:64]}")
            for name, value in row.items()
        }
        for number, row in enumerate(rows)
    ]
    return msgspec.json.encode({"instances": instances, "key": key})


def _plain(value: Any, spec: Spec, path: str) -> Any:
    if isinstance(value, float):
        if math.isinf(value):
            raise refused(path, "Infinity is no number that a row may have")
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() and kind_of(spec) == "integer" else value
    may_be_missing = "anyOf" in spec or None in spec.get("enum", ())
    return None if value == "" and may_be_missing else value


def in_rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return columns of one length as rows."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def cell(text: str, spec: Spec) -> Any:
    """Return a cell of CSV as a plain value; what is none stays text, which the decoder refuses."""
    kind = kind_of(spec)
    if kind == "string":
        return text
    if text == "":
        return None
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    if not _NUMBER.fullmatch(text):
        return text
    return int(text) if text.lstrip("+-").isdigit() else float(text)


def refused(path: str, message: str) -> InvalidRequestError:
    """Return the error of one fault."""
    return InvalidRequestError([Fault(path, message)])


def check_rows(rows: int, most: int) -> None:
    """Raise TooLargeError over so many rows, before any of them is made."""
    if rows > most:
        raise TooLargeError("rows", rows, most)
