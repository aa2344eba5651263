"""The JSON Schema of a row, and the columns made of rows."""

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pytest
from msgspec import Meta

from evergreen.contract.errors import EndpointFileError
from evergreen.contract.schema import JsonSchema, columns_of, is_text, schema_of


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """One row with a field of every kind."""

    amount: float
    count: Annotated[int, Meta(ge=0, le=100)]
    code: Annotated[str, Meta(min_length=1, max_length=3)]
    kind: Literal["a", "b"]
    flag: bool = False
    note: Annotated[str, Meta(pattern="^[a-z]*$")] | None = None
    rate: Annotated[float, Meta(gt=0, lt=1)] | None = None


SCHEMA = schema_of("test", Row)


def test_the_schema_says_what_the_struct_says() -> None:
    assert SCHEMA["required"] == ["amount", "count", "code", "kind"]
    assert SCHEMA["properties"]["count"] == {"type": "integer", "minimum": 0, "maximum": 100}
    assert SCHEMA["additionalProperties"] is False


class Inner(msgspec.Struct):
    x: int


@pytest.mark.parametrize(
    "kind", [list[int], dict[str, int], Inner, int | str, Literal[1, 2], None, bytes, Any], ids=str
)
def test_a_field_that_is_not_flat_is_refused_when_the_file_is_read(kind: Any) -> None:
    struct = msgspec.defstruct("Odd", [("field", kind)])

    with pytest.raises(EndpointFileError, match="`field`"):
        schema_of("test", struct)


def test_a_field_whose_name_no_decoder_can_be_made_for_is_refused_when_the_file_is_read() -> None:
    class Kebab(msgspec.Struct, forbid_unknown_fields=True, rename="kebab"):
        wind_speed: float

    with pytest.raises(EndpointFileError, match="wind-speed"):
        schema_of("test", Kebab)


# Columns


def test_text_is_what_is_text_also_where_it_may_be_missing() -> None:
    properties = SCHEMA["properties"]

    assert [name for name in properties if is_text(properties[name])] == ["code", "kind", "note"]


def test_columns_are_float32_with_nan_and_text_with_the_empty_text_for_missing() -> None:
    row = {"amount": 1.5, "count": 3, "code": "xyz", "kind": "a"}
    rows = [
        row | {"flag": False, "note": None, "rate": None},
        row | {"flag": True, "note": "n", "rate": 0.5},
    ]

    columns = columns_of(SCHEMA, rows)

    assert list(columns) == list(SCHEMA["properties"])
    assert columns["rate"].dtype == np.float32
    assert np.isnan(columns["rate"][0])
    assert columns["rate"][1] == 0.5
    assert columns["note"].tolist() == ["", "n"]
    assert columns["note"].dtype == object
    assert columns["flag"].tolist() == [0.0, 1.0]
    assert columns["count"].dtype == np.float32


def test_no_rows_give_empty_columns(schema: JsonSchema) -> None:
    assert all(values.shape == (0,) for values in columns_of(schema, []).values())
