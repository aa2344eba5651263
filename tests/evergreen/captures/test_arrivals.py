"""Captures and labels as they arrive: what counts, and what is set aside with its reason."""

import gzip
import json
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.aws.s3 import Store
from evergreen.captures.arrivals import (
    ARRIVAL,
    BUFFER,
    HOUR,
    NOBODY,
    Found,
    Kind,
    Reader,
    SetAside,
    arrived,
    first_day,
)
from evergreen.captures.records import Capture
from tests.support import given
from tests.support.given import NAME, START, capture, deliver, prediction_id
from tests.support.memory import Memory, flights

CURRENT, UNKNOWN = given.version(2), given.version(99)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(flights)


def line(number: int = 1, **changes: Any) -> bytes:
    """Return the line of a capture that counts, apart from what `changes` says."""
    plain = msgspec.to_builtins(capture(number)) | {"version": CURRENT, "unseen": ["carrier"]}
    return json.dumps(plain | changes).encode() + b"\n"


def ids(found: Found) -> list[str]:
    return [record.id for records in found.records.values() for record, _ in records]


def reasons(found: Found) -> dict[str, int]:
    return {reason: n for counts in found.counts.values() for reason, n in counts.items()}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_object_is_read_in_gzip_and_in_plain(reader: Reader, zipped: bool, count: int) -> None:
    body = b"".join(line(number) for number in range(count))

    found = reader.read("captures", gzip.compress(body) if zipped else body, START)

    assert ids(found) == [prediction_id(number) for number in range(count)]
    assert not found.counts


def test_records_are_told_apart_by_endpoint_and_schema() -> None:
    other = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
    reader = Reader(lambda endpoint, _: other if endpoint == "other" else flights("", CURRENT))
    body = line(1) + line(2, endpoint="other", features={"x": 1}) + line(3)

    found = reader.read("captures", body, START)

    assert {name: len(records) for (name, _), records in found.records.items()} == {
        NAME: 2, "other": 1,
    }  # fmt: skip
    assert len({digest for _, digest in found.records}) == 2


def test_an_object_may_be_several_gzip_members(reader: Reader) -> None:
    body = gzip.compress(line(1)) + gzip.compress(line(2))

    assert len(ids(reader.read("captures", body, START))) == 2


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
    found = reader.read("captures", damage(gzip.compress(line(1) + line(2))), START)

    assert found.damaged
    assert found.counts == {NOBODY: {"damaged object": 1}}
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
    found = reader.read("captures", line(1) + BAD_LINES[name] + b"\n" + line(2), START)

    assert ids(found) == [prediction_id(1), prediction_id(2)]
    assert found.counts == {NOBODY: {"unreadable": 1}}
    assert found.aside[NOBODY] == [
        SetAside("unreadable", BAD_LINES[name].decode(errors="backslashreplace"))
    ]


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

    found = reader.read("captures", line(1) + odd + line(2), START)

    assert ids(found) == [prediction_id(1), prediction_id(2)]
    assert sum(reasons(found).values()) == 1
    assert set(reasons(found)) <= {"wrong schema", "unreadable"}


@pytest.mark.parametrize("version", [UNKNOWN, "", "../../x", "x' OR true --"])
def test_a_version_that_does_not_exist_is_set_aside(reader: Reader, version: str) -> None:
    found = reader.read("captures", line(1, version=version) + line(2), START)

    assert found.counts == {NAME: {"unknown version": 1}}
    assert ids(found) == [prediction_id(2)]


@pytest.mark.parametrize("name", ["", "-", "../x", "A", "x" * 64])
def test_what_can_be_no_endpoint_is_set_aside_as_nobodys(reader: Reader, name: str) -> None:
    label = msgspec.to_builtins(given.label(1)) | {"endpoint": name}

    bodies: dict[Kind, bytes] = {
        "captures": line(1, endpoint=name), "labels": json.dumps(label).encode(),
    }  # fmt: skip
    for kind, body in bodies.items():
        found = reader.read(kind, body, START)
        assert (ids(found), list(found.aside)) == ([], [NOBODY])


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
    found = reader.read("captures", line(1, time=time.isoformat()), START)

    assert (len(ids(found)), reasons(found)) == ((1, {}) if counted else (0, {"wrong hour": 1}))


@hypothesis_given(body=st.binary(max_size=300), zipped=st.booleans())
def test_whatever_lies_there_is_read_without_an_error(body: bytes, zipped: bool) -> None:
    for kind in ("captures", "labels"):
        found = Reader(flights).read(kind, gzip.compress(body) if zipped else body, START)
        assert ids(found) == []


@hypothesis_given(place=st.integers(0, len(line()) - 1), byte=st.integers(0, 255))
def test_one_odd_byte_costs_at_most_its_own_line(place: int, byte: int) -> None:
    odd = line(1)[:place] + bytes([byte]) + line(1)[place + 1 :]

    found = Reader(flights).read("captures", odd.replace(b"\n", b" ") + b"\n" + line(2), START)

    assert prediction_id(2) in ids(found)


def test_what_predict_sends_can_be_read(reader: Reader) -> None:
    sent: Capture = msgspec.structs.replace(capture(1, key="a"), version=CURRENT)

    found = reader.read("captures", msgspec.json.encode(sent), START)

    assert ids(found) == [prediction_id(1)]


def test_the_first_day_is_found_without_listing_everything(bucket: Store) -> None:
    assert first_day(bucket, "captures") is None
    for at in (datetime.fromisoformat("2014-01-01T00:00Z"), START - timedelta(days=31)):
        deliver(bucket, [capture(1)], at)

    assert first_day(bucket, "captures") == date(2012, 12, 1)


def test_what_a_person_put_into_the_folder_of_a_day_is_no_object_of_the_stream() -> None:
    memory = Memory()
    for name in ("note.txt", "24/a.gz", "7/a.gz", "07/", "07/a.gz"):
        memory.put(f"captures/2013/01/01/{name}", b"")

    assert list(arrived(memory, "captures", START.date())) == [(7, "captures/2013/01/01/07/a.gz")]
