"""What a request row is: its JSON Schema, and the columns that a model reads.

The schema travels in the manifest, so predict can serve a version without the code that trained it.
It is JSON Schema restricted to flat rows of numbers, integers, booleans and strings, each with its
ranges and possibly null.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from evergreen.contract.errors import EndpointFileError, Fault

JsonSchema = dict[str, Any]
Columns = dict[str, npt.NDArray[Any]]
Score = Callable[[Columns], npt.NDArray[np.float64]]  # of rows, the probability of the label
KEPT_TEXT = 200  # characters of a text that what is kept for comparisons has
_TYPES: dict[str, type] = {"number": float, "integer": int, "boolean": bool, "string": str}
_LIMITS = {
    "minimum": "ge", "maximum": "le", "exclusiveMinimum": "gt", "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of", "minLength": "min_length", "maxLength": "max_length",
    "pattern": "pattern",
}  # fmt: skip
_BOUNDS = {  # beyond, a number is Infinity in the float32 that models read
    "number": (-3.4e38, 3.4e38),
    "integer": (-(2**63), 2**63 - 1),
}
_NOTES = {"title", "description", "examples", "default"}


def schema_of(name: str, row: type[msgspec.Struct]) -> JsonSchema:
    """Return the JSON Schema of a request row.

    Raises EndpointFileError with every field that is not flat.
    """
    if not (isinstance(row, type) and issubclass(row, msgspec.Struct)):
        raise EndpointFileError(name, Fault("row", "`row` must be a subclass of msgspec.Struct"))
    try:
        schema = msgspec.json.schema(row)["$defs"][row.__name__]
    except TypeError as error:  # of a type that JSON does not have
        raise EndpointFileError(name, Fault("row", f"`row`: {error}")) from error
    faults = []
    for field, spec in schema["properties"].items():
        try:
            if field not in row.__struct_fields__:
                raise ValueError("`row` must not rename its fields")
            type_of(spec)
        except ValueError as error:
            faults.append(Fault(f"row.{field}", f"field `{field}`: {error}"))
    if faults:
        raise EndpointFileError(name, *faults)
    return dict(schema)


def type_of(spec: Mapping[str, Any]) -> Any:
    """Return the Python type, with its limits, that a property's schema describes."""
    if "anyOf" in spec:
        some = [option for option in spec["anyOf"] if option.get("type") != "null"]
        if len(some) != 1 or len(some) == len(spec["anyOf"]):
            raise ValueError("a union may only be of one type and null")
        return type_of(some[0]) | None
    kind = spec.get("type")
    if "enum" in spec:
        values = [value for value in spec["enum"] if value is not None]
        if not values or not all(isinstance(value, str) for value in values):
            raise ValueError("an enumeration must be of strings")
        choice: Any = Literal[tuple(values)]
        return choice | None if len(values) < len(spec["enum"]) else choice
    if kind not in _TYPES:
        raise ValueError(f"type {kind!r} is none of {', '.join(_TYPES)}: rows are flat")
    if unknown := set(spec) - {"type"} - set(_LIMITS) - _NOTES:
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
    schema: JsonSchema, rows: Sequence[Mapping[str, Any]], texts: Mapping[str, bool] | None = None
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


def shortened(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a column in which a text of any length takes little room, and others stay others.

    A text over KEPT_TEXT characters becomes its beginning and a hash of the whole; numbers stay.

    >>> [len(text) for text in shortened(np.array(["a", "b" * 1_000_000], dtype=object))]
    [1, 217]
    """
    text = column.dtype == object
    return np.array(list(map(short, column.tolist())), dtype=object) if text else column


def short(text: str) -> str:
    """Return what `shortened` leaves of one text."""
    if len(text) <= KEPT_TEXT:
        return text
    return f"{text[:KEPT_TEXT]}…{blake2b(text.encode(), digest_size=8).hexdigest()}"
