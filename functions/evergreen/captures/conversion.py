"""What a file or `examples` holds, as the types of the contract; what is not clear is refused.

A reason says which kind of value stands somewhere and never the value.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from difflib import SequenceMatcher
from math import inf, isinf
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd

from evergreen.contract.files import Files
from evergreen.contract.schema import JsonSchema

WANTED: dict[type, str] = {
    float: "a number such as -7 or 2.5e3",
    int: "a whole number such as 7",
    bool: "true or false (or 1 or 0)",
    str: "text",
    datetime: "a time such as 2025-01-31T12:00:00Z (or of Files.time_format, where that is set)",
}
BEYOND = "a number beyond 64 bits"
POINTED = 'a number with a point; Files(decimal=",") says that a comma stands there'
_FAR = np.datetime64("10000")  # in place of every time that `datetime` cannot hold
_NEAR = 0.7  # of 1: as much of two names is the same
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?([+-]\d\d(:?\d\d)?|Z)?)?", re.ASCII
)
_BOOLEANS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
_OF_TEXT = (  # what a text looks like to people, and how they may say what it is
    (r"[+-]?inf(inity)?", "infinity", ""),
    (r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", "a number", ""),
    (r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}(\D.*)?", "a date or time of another form",
     '; say of which, as in Files(time_format="%d/%m/%Y")'),
    (r"[+-]?[\d .]*,\d*(e[+-]?\d+)?", "a number with a comma",
     '; if it is decimal, set Files(decimal=",")'),
    (r"[+-]?[\d.,_'\s]+", "a number with marks between its digits", ""),
    (r"[+-]?[\d.,]+\s*%", "a percentage", ""),
    (r".*\d.*", "text with digits", ""),
    (r".*", "text", "; if the word means a missing value, list it in Files(nulls=...)"),
)  # fmt: skip
_OF_VALUE: tuple[tuple[Any, str], ...] = (  # of which the first is said
    (bool, "true or false"),
    ((int, float, Decimal), "a number"),
    (np.datetime64, "a time outside of the years 1 to 9999"),
    (datetime, "a time"),
    (date, "a date"),
    (timedelta, "a duration; make it a number of seconds"),
    ((bytes, bytearray), "bytes"),
    ((list, tuple, dict, set, np.ndarray), "a list or an object"),
)


class UnfitError(Exception):
    """A value is not of the type that is wanted. place: its index among the others."""

    def __init__(self, place: int, held: str, kind: type) -> None:
        said, hint, way_out = held.partition(";")
        self.place = place
        super().__init__(f"{said} where {WANTED[kind]} is wanted{hint}{way_out}")


class _HeldError(Exception):
    """The kind of a value that is of another type."""


def listed(names: Iterable[object], near: Collection[str], known: Collection[str]) -> str:
    """Return the columns of a table, those with the nearest names first.

    known: names that people have chosen. Where no column has one of them, or one that is near, a
    row may stand in place of the names, and they are counted only.
    """
    texts = [str(name) for name in names][:1_000]

    def distance(name: str) -> float:
        pairs = (SequenceMatcher(None, name.lower(), other.lower()) for other in near)
        return -max((pair.ratio() for pair in pairs), default=0.0)

    texts.sort(key=distance)
    if not set(texts) & set(known) and (not texts or distance(texts[0]) > -_NEAR):
        return f"none of its {len(texts):,} columns has a name that is near: does line 1 name them?"
    shown = [name if name.isidentifier() else repr(name[:64]) for name in texts[:20]]
    more = f" and {len(texts) - 20:,} more" if texts[20:] else ""
    return f"the columns are {', '.join(shown)}{more}"


def types_of(schema: JsonSchema) -> dict[str, type]:
    """Return the Python types of the fields of `row`."""
    return {name: type_of(spec) for name, spec in schema["properties"].items()}


def type_of(spec: Mapping[str, Any]) -> type:
    """Return the Python type of a property, without its limits."""
    options = [each for each in spec.get("anyOf", [spec]) if each.get("type") != "null"]
    kinds: dict[Any, type] = {"number": float, "integer": int, "boolean": bool}
    return kinds.get(options[0].get("type"), str)


def cells(values: "pd.Series[Any]") -> Any:
    """Return a column as an array of numbers, or as a list with None where a value is missing."""
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iuf":
        return values.to_numpy()
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        naive = values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")
        times = [_FAR if isinstance(time, int) else time for time in naive.tolist()]
        return [time.replace(tzinfo=UTC) if isinstance(time, datetime) else time for time in times]
    found = values.to_numpy(dtype=object)
    try:
        missing = pd.isna(found)
    except ArithmeticError:  # a NaN of Decimal that signals: as little a number as infinity
        return cells(
            values.map(lambda cell: inf if isinstance(cell, Decimal) and cell.is_snan() else cell)
        )
    some = [None if gone else cell for gone, cell in zip(missing.tolist(), found, strict=True)]
    boxed = (np.generic, pd.Timestamp)
    if any(issubclass(kind, boxed) for kind in set(map(type, some))):
        return [_unboxed(cell) if isinstance(cell, boxed) else cell for cell in some]
    return some


def _unboxed(value: Any) -> Any:
    if isinstance(value, (np.datetime64, pd.Timestamp)):
        try:
            return pd.Timestamp(value).to_pydatetime(warn=False)
        except ValueError:
            return _FAR
    return value.item()


def convert(values: Any, kind: type, files: Files) -> list[Any]:
    """Return what `cells` returns as float, int, bool, str or datetime (UTC, and naive).

    Raises UnfitError for the first value of another type.
    """
    if isinstance(values, np.ndarray):
        if kind in (float, int):
            return _numbers(values, kind)
        values = [None if value != value else value for value in values.tolist()]
    value = None
    try:
        if all(issubclass(each, (str, NoneType)) for each in set(map(type, values))):
            known: dict[Any, Any] = {}
            for value in dict.fromkeys(values):  # each text once
                known[value] = _converted(value, kind, files)
            return [known[value] for value in values]
        found = []
        for value in values:
            found.append(_converted(value, kind, files))
        return found
    except _HeldError as error:
        held = str(error)
    except (ArithmeticError, ValueError):
        held = _kind(value)
    raise UnfitError(next(n for n, each in enumerate(values) if each is value), held, kind)


def _numbers(values: Any, kind: type) -> list[Any]:
    missing = np.isnan(values)
    odd = np.isinf(values)
    if kind is int and values.dtype != np.int64:
        large = np.abs(values.astype(np.float64)) >= 2**63
        odd = ~missing & ((values != np.trunc(values)) | large)
    if odd.any():
        place = int(np.argmax(odd))
        found = float(values[place])
        other = "infinity" if isinf(found) else "a number that is not whole"
        raise UnfitError(place, BEYOND if found.is_integer() else other, kind)
    if not missing.any():
        return list(values.astype(np.float64 if kind is float else np.int64).tolist())
    return [None if value != value else kind(value) for value in values.tolist()]


def _kind(value: Any) -> str:
    """Return what a value is, as far as a reason may say it, and perhaps a way out after a `;`."""
    if isinstance(value, str):
        body = value.strip()
        known = (
            (re.compile(shape, re.I | re.S), f"{said}{more}") for shape, said, more in _OF_TEXT
        )
        return next(said for shape, said in known if shape.fullmatch(body))
    named = (said for types, said in _OF_VALUE if isinstance(value, types))
    return next(named, f"a {type(value).__name__}")


def _converted(value: Any, kind: type, files: Files) -> Any:
    """Return a value as a type, without the spaces around a word; None where it is missing."""
    if isinstance(value, str) and kind is not str:
        value = value.strip(" \t")
        value = None if value in files.nulls else value
    return None if value is None else _ONE[kind](value, files)


def _digits(value: Any, files: Files) -> Any:
    """Return a number, or a text that is one to Python."""
    if isinstance(value, str):
        comma = files.decimal == ","
        text = value.translate({ord(","): ".", ord("."): ","}) if comma else value
        if not _NUMBER.fullmatch(text):
            pointed = comma and "." in value and "number" in _kind(value)
            raise _HeldError(POINTED if pointed else _kind(value))
        return text
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise _HeldError(_kind(value))
    return value


def _float(value: Any, files: Files) -> float:
    number = float(_digits(value, files))
    if isinf(number):
        raise _HeldError("infinity" if isinstance(value, float) else BEYOND)
    return number


def _int(value: Any, files: Files) -> int:
    number = Decimal(_digits(value, files))
    if not number.is_finite():
        raise _HeldError("infinity")
    if number.adjusted() > 18 or not -(2**63) <= number < 2**63:
        raise _HeldError(BEYOND)
    if number != number.to_integral_value():
        raise _HeldError("a number that is not whole")
    return int(number)


def _bool(value: Any, _: Files) -> bool:
    if isinstance(value, str) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    if not isinstance(value, (int, float, Decimal)) or value not in (0, 1):
        raise _HeldError(_kind(value))
    return bool(value)


def _text(value: Any, _: Files) -> str:
    if not isinstance(value, str):
        raise _HeldError(_kind(value))
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise _HeldError("text with half of a character")  # JSON can hold it, and no request
    return str(value)


def _time(value: Any, files: Files) -> datetime:
    if isinstance(value, str):
        if files.time_format is not None:
            value = files.time(value)
        elif _TIME.fullmatch(value):
            value = datetime.fromisoformat(value)
    if not isinstance(value, date):
        raise _HeldError(_kind(value))
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - see below
    if value.tzinfo is None:
        early, late = (value.replace(tzinfo=files.tz, fold=fold) for fold in (0, 1))
        if early.utcoffset() != late.utcoffset():
            raise _HeldError(
                "a time that the clocks of Files.zone skip or repeat; write it with its offset"
            )
        value = early
    found: datetime = value.astimezone(UTC).replace(tzinfo=None)
    return found


_ONE: dict[type, Callable[[Any, Files], Any]] = {
    float: _float, int: _int, bool: _bool, str: _text, datetime: _time,
}  # fmt: skip
