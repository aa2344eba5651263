"""Captures and labels, read back from S3 a day at a time."""

import gzip
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.aws.s3 import Store
from evergreen.captures.recorded_days import captures_of, first_day, labels_of, reduced_day
from evergreen.captures.records import Capture, Label
from evergreen.contract.moments import days_of
from tests.support import given
from tests.support.given import NAME, Fault, capture, deliver, injected, label

DAY = timedelta(days=1)


def read_day[Record: (Capture, Label)](
    data: Store, kind: str, endpoint: str, day: date, record: type[Record], *, closed: bool
) -> list[Record]:
    lines = reduced_day(data, kind, endpoint, day, record, closed=closed)
    return msgspec.json.Decoder(record).decode_lines(lines)


@hypothesis_given(
    start=st.integers(0, 10**9), length=st.integers(1, 10**6), micros=st.integers(0, 999_999)
)
def test_days_are_those_that_the_span_touches(start: int, length: int, micros: int) -> None:
    first = datetime.fromtimestamp(start, UTC) + timedelta(microseconds=micros)
    end = first + timedelta(seconds=length)

    days = days_of(first, end)

    assert days[0] == first.date()
    assert days[-1] == (end - timedelta(microseconds=1)).date()
    assert days == sorted(set(days))
    assert all(after - before == DAY for before, after in pairwise(days))


def test_an_empty_span_touches_no_day() -> None:
    assert days_of(given.START, given.START) == []


def test_the_first_day_is_found_without_listing_everything(bucket: Store) -> None:
    assert first_day(bucket, "captures") is None
    for at in (datetime(2014, 1, 1, tzinfo=UTC), datetime(2013, 11, 30, 23, tzinfo=UTC)):
        deliver(bucket, [capture(1)], at)

    assert first_day(bucket, "captures") == date(2013, 11, 30)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_day_is_read_in_gzip_and_in_plain(bucket: Store, zipped: bool) -> None:
    deliver(bucket, [capture(1), capture(2)], given.START, zipped=zipped)

    found = read_day(bucket, "captures", NAME, given.START.date(), Capture, closed=False)

    assert found == [capture(1), capture(2)]


def test_a_day_without_records_is_empty_and_leaves_no_object(bucket: Store) -> None:
    assert read_day(bucket, "labels", NAME, given.START.date(), Label, closed=False) == []
    assert list(bucket.keys("")) == []


def test_a_day_has_the_records_of_its_endpoint_only(bucket: Store) -> None:
    deliver(bucket, [capture(1), capture(2, endpoint="other")], given.START)

    found = read_day(bucket, "captures", NAME, given.START.date(), Capture, closed=False)

    assert [record.id for record in found] == [given.prediction_id(1)]


def test_a_record_that_was_delivered_twice_is_read_once(bucket: Store) -> None:
    deliver(bucket, [capture(1), capture(1)], given.START, "a")
    deliver(bucket, [capture(1)], given.START + timedelta(hours=3), "b")

    assert read_day(bucket, "captures", NAME, given.START.date(), Capture, closed=False) == [
        capture(1)
    ]


def test_labels_of_one_id_that_differ_are_both_read(bucket: Store) -> None:
    deliver(bucket, [label(1, True), label(1, False), label(1, True)], given.START)

    found = read_day(bucket, "labels", NAME, given.START.date(), Label, closed=False)

    assert [record.label for record in found] == [False, True]


def test_of_a_record_that_was_repeated_the_earliest_is_read_wherever_it_arrived(
    bucket: Store,
) -> None:
    times = [given.START + timedelta(minutes=minutes) for minutes in (5, 3, 9)]
    for name, time in zip("abc", times, strict=True):
        deliver(bucket, [label(1, time=time), label(2, time=given.START)], given.START, name)

    found = read_day(bucket, "labels", NAME, given.START.date(), Label, closed=False)

    assert found == [label(2, time=given.START), label(1, time=times[1])]


@pytest.mark.parametrize(
    "odd",
    [
        gzip.compress(b"{}")[:-3],
        gzip.compress(b"{}") + b"rest",
        b"\x00\xff",
        msgspec.json.encode(capture(9)).replace(b"champion", b"\xff"),
        msgspec.json.encode(capture(9)).replace(b"1400.0", b"1e999"),
    ],
    ids=["cut off", "something after it", "binary", "no text", "a number beyond all"],
)
def test_an_object_or_line_that_cannot_be_read_costs_no_other(bucket: Store, odd: bytes) -> None:
    deliver(bucket, [capture(1)], given.START, "a")
    bucket.put(f"captures/{given.START:%Y/%m/%d/%H}/b.gz", odd)
    deliver(bucket, [capture(2)], given.START, "c")

    found = read_day(bucket, "captures", NAME, given.START.date(), Capture, closed=False)

    assert found == [capture(1), capture(2)]


def test_an_object_that_expired_after_it_was_listed_is_none(bucket: Store) -> None:
    deliver(bucket, [capture(1)], given.START, "a")
    gone = Fault(404, "NoSuchKey", key="captures/2013/")

    with injected(bucket.s3, "s3.GetObject", gone):
        found = read_day(bucket, "captures", NAME, given.START.date(), Capture, closed=False)

    assert (found, gone.hit) == ([], 1)


def test_a_day_that_was_read_before_is_read_with_one_request(bucket: Store) -> None:
    for number in range(5):
        deliver(bucket, [capture(number)], given.START, f"{number}")
    first = read_day(bucket, "captures", NAME, given.START.date(), Capture, closed=False)
    counter = Fault(first=99)

    with injected(bucket.s3, "s3.GetObject", counter):
        again = read_day(bucket, "captures", NAME, given.START.date(), Capture, closed=False)

    assert again == first
    assert counter.first == 98


def test_a_record_that_arrives_after_its_day_was_read_is_not_missed(bucket: Store) -> None:
    deliver(bucket, [capture(1)], given.START, "a")
    read_day(bucket, "captures", NAME, given.START.date(), Capture, closed=False)
    deliver(bucket, [capture(2)], given.START, "b")

    found = read_day(bucket, "captures", NAME, given.START.date(), Capture, closed=False)

    assert found == [capture(1), capture(2)]


def test_a_day_for_which_nothing_can_arrive_any_more_is_not_listed_again(bucket: Store) -> None:
    deliver(bucket, [capture(1)], given.START, "a")
    read_day(bucket, "captures", NAME, given.START.date(), Capture, closed=True)
    counter = Fault(first=99)

    with injected(bucket.s3, "s3.ListObjectsV2", counter):
        found = read_day(bucket, "captures", NAME, given.START.date(), Capture, closed=True)

    assert found == [capture(1)]
    assert counter.first == 99


def test_a_day_is_open_for_as_long_as_firehose_may_still_deliver_it(bucket: Store) -> None:
    """It tries for 24 hours: what came on the first may be written until the end of the second."""

    def read(hours: float) -> int:
        end = given.START + timedelta(hours=hours)
        return sum(len(day) for day in captures_of(bucket, NAME, given.START, end))

    deliver(bucket, [capture(1)], given.START, "a")
    assert read(47) == 1
    deliver(bucket, [capture(2)], given.START, "b")

    assert read(47.5) == 2


def test_what_was_reduced_may_be_deleted(bucket: Store) -> None:
    def read() -> int:
        end = given.START + 9 * DAY
        return sum(len(day) for day in captures_of(bucket, NAME, given.START, end))

    deliver(bucket, [capture(1)], given.START)
    assert read() == 1
    reduced = list(bucket.keys("days/"))
    assert reduced
    for key in reduced:
        bucket.s3.delete_object(Bucket="bucket", Key=key)

    assert read() == 1


def test_captures_are_those_made_in_the_span_even_if_they_arrived_an_hour_after_it(
    bucket: Store,
) -> None:
    end = given.START + DAY
    just_before = end - timedelta(microseconds=1)
    deliver(bucket, [capture(1, just_before), capture(2, end)], end + timedelta(hours=1))
    deliver(bucket, [capture(3, given.START)], given.START)
    deliver(bucket, [capture(4, given.START - timedelta(microseconds=1))], given.START, "b")

    found = [record.id for day in captures_of(bucket, NAME, given.START, end) for record in day]

    assert sorted(found) == [given.prediction_id(1), given.prediction_id(3)]


def test_labels_are_those_that_were_reported_by_the_end_of_the_span(bucket: Store) -> None:
    """A run that is retried in the evening must see what it saw in the morning."""
    noon = given.START + timedelta(hours=12)
    deliver(bucket, [label(1, time=given.START)], given.START)
    deliver(bucket, [label(2, time=noon + timedelta(minutes=1))], noon)

    found = [record.id for day in labels_of(bucket, NAME, given.START, noon) for record in day]

    assert found == [given.prediction_id(1)]
