"""Bodies of requests: what decodes, and the path of everything that is wrong."""

import json
import math
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from msgspec import Meta

from evergreen.contract.decoding import MAX_FAULTS, MAX_ROWS, RowDecoder, unquoted
from evergreen.contract.errors import InvalidRequestError, RequestError, TooLargeError
from evergreen.contract.schema import JsonSchema, schema_of
from tests.support import given


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
DECODER = RowDecoder(SCHEMA)
VALID: dict[str, Any] = {"amount": 1.5, "count": 3, "code": "xyz", "kind": "a"}


def body(*rows: Any, **more: Any) -> bytes:
    return json.dumps({"instances": list(rows), **more}).encode()


def raw(**literals: str) -> bytes:
    """Return a body whose fields are the given JSON texts, however odd."""
    fields = {name: json.dumps(value) for name, value in VALID.items()} | literals
    pairs = ",".join(f"{json.dumps(name)}:{literal}" for name, literal in fields.items())
    return b'{"instances":[{' + pairs.encode() + b"}]}"


def faults_of(body: bytes, decoder: RowDecoder = DECODER) -> dict[str, str]:
    with pytest.raises(InvalidRequestError) as raised:
        decoder.decode(body)
    return {fault.path: fault.message for fault in raised.value.faults}


# What decodes


def test_a_valid_row_decodes_with_its_defaults() -> None:
    request = DECODER.decode(body(VALID))

    assert request.instances == [{**VALID, "flag": False, "note": None, "rate": None}]
    assert request.key is None


def test_the_key_of_a_request_is_kept() -> None:
    assert DECODER.decode(body(VALID, key="customer 7")).key == "customer 7"


def test_a_whole_number_may_stand_for_a_float() -> None:
    assert DECODER.decode(raw(amount="2")).instances[0]["amount"] == 2.0


def test_a_schema_that_went_through_json_decodes_the_same() -> None:
    again = RowDecoder(json.loads(json.dumps(SCHEMA)))

    assert again.decode(body(VALID)) == DECODER.decode(body(VALID))


ROWS = st.fixed_dictionaries(
    {
        "amount": st.floats(-1e30, 1e30) | st.integers(-1000, 1000),
        "count": st.integers(-1, 101),
        "code": st.text(max_size=4),
        "kind": st.sampled_from(["a", "b", "c", ""]),
    },
    optional={
        "flag": st.booleans() | st.none(),
        "note": st.none() | st.text("abcA", max_size=3),
        "rate": st.none() | st.floats(-0.5, 1.5),
        "extra": st.none(),
    },
)


@hypothesis_given(row=ROWS)
def test_a_row_decodes_from_the_manifest_exactly_when_the_endpoint_file_would_accept_it(
    row: dict[str, Any],
) -> None:
    try:
        expected: Any = msgspec.structs.asdict(msgspec.json.decode(json.dumps(row), type=Row))
    except msgspec.ValidationError:
        expected = None

    try:
        found: Any = DECODER.decode(body(row)).instances[0]
    except InvalidRequestError:
        found = None

    assert found == expected


@hypothesis_given(row=ROWS)
def test_a_row_that_was_accepted_once_fits_for_ever(row: dict[str, Any]) -> None:
    try:
        decoded = DECODER.decode(body(row)).instances[0]
    except InvalidRequestError:
        return

    assert DECODER.fault(json.loads(json.dumps(decoded))) is None


# What does not


@pytest.mark.parametrize(
    ("literals", "path"),
    [
        ({"amount": '"1.5"'}, "$.instances[0].amount"),
        ({"amount": "null"}, "$.instances[0].amount"),
        ({"amount": "true"}, "$.instances[0].amount"),
        ({"amount": "NaN"}, "$.instances[0].amount"),
        ({"amount": "Infinity"}, "$.instances[0].amount"),
        ({"amount": "-Infinity"}, "$.instances[0].amount"),
        ({"amount": "1e400"}, "$.instances[0].amount"),
        ({"amount": "-1e400"}, "$.instances[0].amount"),
        ({"amount": "1" + "0" * 400}, "$.instances[0].amount"),
        ({"amount": "[" * 500 + "]" * 500}, "$.instances[0].amount"),
        ({"amount": "{}"}, "$.instances[0].amount"),
        ({"count": "1.5"}, "$.instances[0].count"),
        ({"count": '"1"'}, "$.instances[0].count"),
        ({"count": "-1"}, "$.instances[0].count"),
        ({"count": "101"}, "$.instances[0].count"),
        ({"count": "1" + "0" * 400}, "$.instances[0].count"),
        ({"code": '""'}, "$.instances[0].code"),
        ({"code": '"long"'}, "$.instances[0].code"),
        ({"code": "5"}, "$.instances[0].code"),
        ({"kind": '"c"'}, "$.instances[0].kind"),
        ({"rate": "0"}, "$.instances[0].rate"),
        ({"rate": "1"}, "$.instances[0].rate"),
        ({"rate": "NaN"}, "$.instances[0].rate"),
        ({"note": '"A"'}, "$.instances[0].note"),
        ({"flag": "1"}, "$.instances[0].flag"),
        ({"colour": "1"}, "$.instances[0].colour"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_value_is_refused_with_its_path(literals: dict[str, str], path: str) -> None:
    assert list(faults_of(raw(**literals))) == [path]


@pytest.mark.parametrize("field", ["amount", "count", "code", "kind"])
def test_a_missing_field_is_refused_with_its_path(field: str) -> None:
    row = {name: value for name, value in VALID.items() if name != field}

    assert faults_of(body(VALID, row)) == {f"$.instances[1].{field}": "missing"}


def test_every_fault_of_every_row_is_named() -> None:
    found = faults_of(
        body(
            {**VALID, "amount": "1", "count": -1},
            VALID,
            {"code": "", "kind": "c", "more": 1},
            7,
            sent="now",
            key="",
        )
    )

    assert set(found) == {
        "$.sent",
        "$.key",
        "$.instances[0].amount",
        "$.instances[0].count",
        "$.instances[2].amount",
        "$.instances[2].count",
        "$.instances[2].code",
        "$.instances[2].kind",
        "$.instances[2].more",
        "$.instances[3]",
    }


def test_nan_is_named_beside_the_other_faults() -> None:
    found = faults_of(raw(amount="NaN", count="-1"))

    assert set(found) == {"$.instances[0].amount", "$.instances[0].count"}
    assert "NaN" in found["$.instances[0].amount"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{",
        b"{}",
        b'{"instances": null}',
        b'{"instances": []}',
        b'{"instances": {}}',
        b'{"instances": "text"}',
        b"\xff\xfe",
        b'{"instances": [{}]} more',
        b"NaN",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"instances":' + b"[" * 100_000,
        b'{"instances":[{"amount":' + b"[" * 100_000,
        b'{"instances":[{"more":' + b'{"a":' * 100_000,
        b'{"instances":[' + b"[" * 50_000 + b"]" * 50_000 + b"]}",
    ],
    ids=lambda text: repr(text[:40]),
)
def test_a_body_of_another_shape_is_refused_with_a_path(text: bytes) -> None:
    assert all(path.startswith("$") for path in faults_of(text))


def test_a_key_that_is_too_long_is_refused() -> None:
    assert list(faults_of(body(VALID, key="k" * 257))) == ["$.key"]


def test_a_thousand_rows_are_taken_and_one_more_is_not() -> None:
    assert len(DECODER.decode(body(*[VALID] * MAX_ROWS)).instances) == MAX_ROWS

    with pytest.raises(TooLargeError, match="1,001 instances"):
        DECODER.decode(body(*[VALID] * (MAX_ROWS + 1)))


def test_a_decoder_takes_as_many_rows_as_it_may_answer_and_says_how_many_these_are() -> None:
    few = RowDecoder(SCHEMA, 2)

    assert len(few.decode(body(VALID, VALID)).instances) == 2
    with pytest.raises(TooLargeError, match="3 instances are over the limit of 2: send several"):
        few.decode(body(VALID, VALID, VALID))


def test_too_many_rows_are_too_many_even_when_they_are_wrong() -> None:
    with pytest.raises(TooLargeError):
        DECODER.decode(body(*[{}] * (MAX_ROWS + 1)))


def test_of_very_many_faults_the_first_are_named_and_the_rest_are_counted() -> None:
    with pytest.raises(InvalidRequestError, match=r"and 3900 more") as raised:
        DECODER.decode(body(*[{}] * MAX_ROWS))

    assert len(raised.value.faults) == MAX_FAULTS


def test_a_name_that_a_caller_chose_comes_back_short_and_printable() -> None:
    (path,) = faults_of(body({**VALID, "\x1b[31m\n" + "x" * 500: 1}))

    assert path.isprintable()
    assert len(path) < 100


def test_every_message_can_be_written_as_json() -> None:
    for text in (raw(kind='"\\ud800"'), raw(kind='"\\ud800"', count="-1"), raw(**{"\ud800": "1"})):
        assert msgspec.json.encode(list(faults_of(text).items()))


@pytest.mark.parametrize("literal", ["1e39", "-1e39", "3.5e38", "1e308"])
def test_a_number_that_the_model_would_read_as_infinite_is_refused(literal: str) -> None:
    """Columns are float32: 1e39 becomes infinity there, and then NaN in an answer."""
    assert list(faults_of(raw(amount=literal))) == ["$.instances[0].amount"]


def test_an_unbounded_integer_beyond_every_float_is_refused() -> None:
    class Unbounded(msgspec.Struct, forbid_unknown_fields=True):
        count: int

    decoder = RowDecoder(schema_of("test", Unbounded))
    text = f'{{"instances":[{{"count":1{"0" * 400}}}]}}'.encode()

    assert list(faults_of(text, decoder)) == ["$.instances[0].count"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*VALID, "instances", "key", "note", "rate", "flag", "?"]),
            inner,
            max_size=7,
        )
    ),
    max_leaves=20,
)


@pytest.mark.slow
@settings(max_examples=400)
@hypothesis_given(
    text=st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.lists(JSON, max_size=3).map(lambda rows: body(*rows))
    | ROWS.map(lambda row: body(row)[:-3])
    | st.dictionaries(st.sampled_from([*VALID, "rate"]), JSON).map(lambda r: body({**VALID, **r}))
)
def test_whatever_bytes_come_the_decoder_answers_or_refuses(text: bytes) -> None:
    try:
        request = DECODER.decode(text)
    except RequestError as error:
        faults = error.faults if isinstance(error, InvalidRequestError) else []
        assert msgspec.json.encode([fault.message for fault in faults])
        assert all(fault.path.startswith("$") for fault in faults)
        return
    for row in request.instances:
        assert math.isfinite(row["amount"])
        assert 0 <= row["count"] <= 100


def test_the_flight_of_the_examples_is_valid(schema: JsonSchema) -> None:
    assert RowDecoder(schema).decode(given.body()).instances == [given.whole()]


def test_a_choice_that_is_none_is_told_by_what_there_is_and_not_by_what_came() -> None:
    spec = {"anyOf": [{"enum": ["late", "on time"]}, {"type": "null"}]}

    assert unquoted("Invalid enum value 'se'cret'", spec) == (
        "Invalid enum value: none of late, on time"
    )
