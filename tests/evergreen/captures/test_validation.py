"""Captures as they lie in S3: what can be counted, and what is set aside with its reason."""

import gzip
import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.captures.recorded_days import ARRIVAL, BUFFER
from evergreen.captures.records import Capture
from evergreen.captures.validation import HOUR_OF, ID, META, SCORE, VERSION, Read, Reader, SetAside
from evergreen.contract.schema import JsonSchema
from tests.support import given
from tests.support.given import NAME, START, capture, prediction_id

HOUR = timedelta(hours=1)
OLD, CURRENT = given.version(1), given.version(2)


@pytest.fixture(scope="module")
def reader(schema: JsonSchema) -> Reader:
    return Reader(NAME, schema, [OLD, CURRENT], CURRENT)


def line(number: int = 1, **changes: Any) -> bytes:
    """Return the line of a capture that can be counted, apart from what `changes` says."""
    plain = msgspec.to_builtins(capture(number)) | {"version": CURRENT, "unseen": ["carrier"]}
    return json.dumps(plain | changes).encode() + b"\n"


def ids(found: Read) -> list[str]:
    return list(found.rows.get(ID, []))


def test_captures_become_columns_with_what_is_known_of_each(reader: Reader) -> None:
    captures = line(1, features=given.whole(hour=9, temp=None), score=0.75) + line(2, version=OLD)

    found = reader.read(captures, START)

    assert ids(found) == [prediction_id(1), prediction_id(2)]
    assert found.rows[VERSION].tolist() == [CURRENT, OLD]
    assert found.rows[HOUR_OF].tolist() == [int(START.timestamp()) // 3600] * 2
    assert found.rows[SCORE].tolist() == [0.75, 0.25]
    assert found.rows["hour"].tolist() == [9.0, 7.0]
    assert np.isnan(found.rows["temp"]).all()
    assert found.rows["carrier"].tolist() == ["UA", "UA"]
    assert set(found.rows) == {*META, *reader.schema["properties"]}
    assert (found.aside, found.damaged) == ([], False)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_object_is_read_in_gzip_and_in_plain(reader: Reader, zipped: bool, count: int) -> None:
    body = b"".join(line(number) for number in range(count))

    found = reader.read(gzip.compress(body) if zipped else body, START)

    assert len(ids(found)) == count
    assert not found.counts


def test_an_object_may_be_several_gzip_members(reader: Reader) -> None:
    found = reader.read(gzip.compress(line(1)) + gzip.compress(line(2)), START)

    assert len(ids(found)) == 2


def flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda body: body[:-1], lambda body: body[: len(body) // 2], lambda body: body[:12],
     flipped, lambda body: body + b"\0more"],
    ids=["a byte short", "half", "only a head", "a byte flipped", "something after it"],
)  # fmt: skip
def test_of_an_object_that_fails_its_own_checksum_nothing_is_used(
    reader: Reader, damage: Any
) -> None:
    found = reader.read(damage(gzip.compress(line(1) + line(2))), START)

    assert found.damaged
    assert found.counts == {"damaged object": 1}
    assert ids(found) == []


BAD_LINES = {
    "half a line": line(9)[:40],
    "no JSON": b"\x00\xff binary",
    "a list": b"[1]",
    "bytes that are no text": line(9).strip().replace(b"champion", b"\xff"),
    "no id": json.dumps({"time": START.isoformat()}).encode(),
    "a time without a zone": line(9, time="2013-01-01T00:00:00").strip(),
    "a score that is none": line(9, score=None).strip(),
    "not a number": line(9).strip().replace(b"0.25", b"NaN"),
    "a byte order mark": b"\xef\xbb\xbf" + line(9).strip(),
    "half a character in the id": line(9).strip().replace(b'"id": "', b'"id": "\\ud800'),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_line_that_cannot_be_read_does_not_cost_the_others(reader: Reader, name: str) -> None:
    found = reader.read(line(1) + BAD_LINES[name] + b"\n" + line(2), START)

    assert ids(found) == [prediction_id(1), prediction_id(2)]
    assert found.counts == {"unreadable": 1}
    (aside,) = found.aside
    assert aside == SetAside("unreadable", BAD_LINES[name].decode(errors="backslashreplace"))


FEATURES = json.dumps(given.whole(temp=40.0)).encode()
MISFITS = {
    "a field of old": json.dumps({"old": 1}).encode(),
    "a field too many": json.dumps(given.whole(extra=1)).encode(),
    "out of range": json.dumps(given.whole(hour=99)).encode(),
    "another type": json.dumps(given.whole(hour="7")).encode(),
    "no object": b"3",
    "nothing": b"null",
    "deep": b"[" * 900 + b"]" * 900,
    "a number beyond all": FEATURES.replace(b"40.0", b"1e999"),
    "an integer beyond all": FEATURES.replace(b"40.0", b"9" * 400),
    "bytes that are no text": FEATURES.replace(b'"UA"', b'"\xff\xfe"'),
    "half a character": FEATURES.replace(b'"UA"', b'"\\ud800"'),
}


@pytest.mark.parametrize("name", MISFITS)
def test_features_that_do_not_fit_are_set_aside_and_do_not_cost_the_others(
    reader: Reader, name: str
) -> None:
    odd = line(9, features="here").replace(b'"here"', MISFITS[name])

    found = reader.read(line(1) + odd + line(2), START)

    assert ids(found) == [prediction_id(1), prediction_id(2)]
    assert sum(found.counts.values()) == 1
    assert set(found.counts) <= {"wrong schema", "unreadable"}


@pytest.mark.parametrize(("version", "reason"), [(CURRENT, "wrong schema"), (OLD, "older schema")])
def test_a_misfit_of_the_champion_is_a_violation_and_one_of_before_is_old_age(
    reader: Reader, version: str, reason: str
) -> None:
    found = reader.read(line(1, version=version, features={"old": 1}), START)

    assert found.counts == {reason: 1}
    assert json.loads(found.aside[0].line)["features"] == {"old": 1}


def test_a_version_that_does_not_exist_is_set_aside(reader: Reader) -> None:
    found = reader.read(line(1, version=given.version(9)) + line(2), START)

    assert found.counts == {"unknown version": 1}
    assert ids(found) == [prediction_id(2)]


@pytest.mark.parametrize(
    ("time", "counted"),
    [
        (START - ARRIVAL, True),
        (START - ARRIVAL - timedelta(microseconds=1), False),
        (START + HOUR + BUFFER - timedelta(microseconds=1), True),
        (START + HOUR + BUFFER, False),
        (datetime.fromisoformat("0001-01-01T00:00:00+23:00"), False),
        (datetime.fromisoformat("9999-12-31T23:00:00-23:00"), False),
    ],
    ids=str,
)
def test_a_capture_in_the_folder_of_an_hour_that_it_cannot_be_from_is_set_aside(
    reader: Reader, time: datetime, counted: bool
) -> None:
    found = reader.read(line(1, time=time.isoformat()), START)

    assert (len(ids(found)), found.counts) == ((1, {}) if counted else (0, {"wrong hour": 1}))


@pytest.mark.parametrize("changes", [{"endpoint": "other"}, {"variant": "requested"}], ids=str)
def test_what_is_not_traffic_of_the_champion_is_neither_counted_nor_set_aside(
    reader: Reader, changes: dict[str, Any]
) -> None:
    found = reader.read(line(1, features={"old": 1}, version="?", **changes), START)

    assert (ids(found), found.aside) == ([], [])


def test_a_capture_from_before_an_optional_field_existed_has_no_value_in_it(reader: Reader) -> None:
    found = reader.read(line(1, features=given.row()), START)

    assert len(ids(found)) == 1
    assert np.isnan(found.rows["temp"]).all()


@hypothesis_given(body=st.binary(max_size=300), zipped=st.booleans())
def test_whatever_lies_there_is_read_without_an_error(
    schema: JsonSchema, body: bytes, zipped: bool
) -> None:
    reader = Reader(NAME, schema, [CURRENT], CURRENT)

    found = reader.read(gzip.compress(body) if zipped else body, START)

    assert ids(found) == []
    assert msgspec.json.Encoder().encode_lines(found.aside).count(b"\n") == len(found.aside)


@hypothesis_given(place=st.integers(0, len(line()) - 1), byte=st.integers(0, 255))
def test_one_odd_byte_costs_at_most_its_own_line(schema: JsonSchema, place: int, byte: int) -> None:
    reader = Reader(NAME, schema, [CURRENT], CURRENT)
    odd = line(1)[:place] + bytes([byte]) + line(1)[place + 1 :]

    found = reader.read(odd.replace(b"\n", b" ") + b"\n" + line(2), START)

    assert prediction_id(2) in ids(found)


def test_what_predict_sends_can_be_read(reader: Reader) -> None:
    sent: Capture = msgspec.structs.replace(capture(1, key="a"), version=CURRENT)

    found = reader.read(msgspec.json.encode(sent), START)

    assert ids(found) == [prediction_id(1)]


def test_of_a_text_of_any_length_little_is_kept_and_texts_that_differ_stay_so() -> None:
    texts = Reader(NAME, {"properties": {"t": {"type": "string"}}}, [OLD, CURRENT], CURRENT)
    long = "x" * 300_000
    lines = [line(n, features={"t": long + end}) for n, end in enumerate(["a", "b", "b"])]

    found = texts.read(b"".join(lines), START).rows["t"].tolist()

    assert [len(text) for text in found] == [217] * 3
    assert found[0] != found[1] == found[2]
