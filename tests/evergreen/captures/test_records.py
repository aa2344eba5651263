"""Captures and labels on their way to S3."""

from itertools import pairwise
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

import bootstrap
from evergreen.aws.s3 import Store
from evergreen.captures import records
from evergreen.captures.records import Capture
from evergreen.contract.errors import DeliveryError
from local.template import physical_name
from tests.support import given
from tests.support.given import Fault, capture, injected

STREAM = physical_name("CaptureStream")


# Ids


def test_ids_of_one_request_are_distinct_in_order_and_such_as_feedback_takes() -> None:
    ids = records.new_ids(1_000, given.NOW)

    assert ids == sorted(set(ids))
    assert all(len(text) == 36 and text.isascii() and text.islower() for text in ids[:1] + ids[-1:])


def test_ids_of_two_requests_differ() -> None:
    assert not set(records.new_ids(10, given.NOW)) & set(records.new_ids(10, given.NOW))


# Sending


@pytest.fixture
def sent(data: Store) -> Any:
    def read() -> list[str]:
        found = []
        for key in data.keys("captures/"):
            stored = data.get(key)
            assert stored is not None
            found += [
                record.id for record in msgspec.json.Decoder(Capture).decode_lines(stored.body)
            ]
        return found

    return read


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 100])
def test_all_records_arrive_once_and_in_order(sent: Any, count: int) -> None:
    records.send(bootstrap.firehose(), STREAM, [capture(number) for number in range(count)])

    assert sent() == [given.prediction_id(number) for number in range(count)]


class Refusing:
    """A Firehose that answers 200 and refuses some records, as the real one may."""

    def __init__(self, *refused: set[int]) -> None:
        self.refused = list(refused)
        self.client = boto3.client("firehose")
        self.batches: list[int] = []
        self.sizes: list[int] = []

    def put_record_batch(self, **request: Any) -> Any:
        batch = request["Records"]
        refused = self.refused.pop(0) if self.refused else set()
        self.batches.append(len(batch))
        self.sizes += [len(record["Data"]) for record in batch]
        taken = [record for place, record in enumerate(batch) if place not in refused]
        if taken:
            self.client.put_record_batch(**{**request, "Records": taken})
        failure = {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "slow down"}
        return {
            "FailedPutCount": len(batch) - len(taken),
            "RequestResponses": [
                failure if place in refused else {"RecordId": "1"} for place in range(len(batch))
            ],
        }


def test_records_that_were_refused_in_a_successful_answer_are_sent_again_and_only_these(
    sent: Any,
) -> None:
    firehose: Any = Refusing({1, 3}, {0})

    records.send(firehose, STREAM, [capture(number) for number in range(32 * 4)])

    assert firehose.batches == [4, 2, 1]
    assert sorted(sent()) == [given.prediction_id(number) for number in range(32 * 4)]


def test_an_answer_that_does_not_say_what_was_taken_means_that_nothing_was() -> None:
    class Nobody:
        def put_record_batch(self, **_: Any) -> dict[str, Any]:
            return {}

    firehose: Any = Nobody()

    with pytest.raises(DeliveryError, match="refused 1 of 1 records"):
        records.send(firehose, STREAM, [capture(1)])


def test_records_that_are_refused_three_times_are_an_error_that_counts_them(sent: Any) -> None:
    firehose: Any = Refusing({0}, {0}, {0})

    with pytest.raises(
        DeliveryError, match=r"32 of 33 .* \(ServiceUnavailableException\)"
    ) as error:
        records.send(firehose, STREAM, [capture(number) for number in range(33)])

    assert firehose.batches == [2, 1, 1]
    assert error.value.failed == 32, "as many captures, which a record holds"


def test_a_batch_that_is_refused_does_not_keep_the_next_from_being_sent(sent: Any) -> None:
    firehose: Any = Refusing({0}, {0}, {0})
    large = [capture(n, features={"t": "x" * 800_000}) for n in range(7)]

    with pytest.raises(DeliveryError, match="1 of 7"):
        records.send(firehose, STREAM, large)

    assert firehose.batches == [4, 1, 1, 3]
    assert sorted(sent()) == [given.prediction_id(number) for number in range(1, 7)]


def test_more_records_than_a_batch_may_hold_go_in_several(sent: Any) -> None:
    firehose: Any = Refusing()

    records.send(firehose, STREAM, [capture(number) for number in range(32 * 500 + 1)])

    assert sum(firehose.batches) == 501
    assert len(firehose.batches) == 2  # by bytes, before the limit of 500 is reached


def test_no_record_is_larger_than_firehose_takes(sent: Any) -> None:
    firehose: Any = Refusing()
    text = "é" * 100_000

    records.send(firehose, STREAM, [capture(n, features={"t": text}) for n in range(40)])

    assert sorted(sent()) == [given.prediction_id(number) for number in range(40)]
    assert 800_000 < max(firehose.sizes) <= 900_000


def test_a_line_that_no_record_holds_is_lost_alone_and_counted(sent: Any) -> None:
    captures = [capture(n, features={"t": "x" * (n == 1) * 900_000}) for n in range(3)]

    with pytest.raises(DeliveryError, match=r"1 of 3 .* 900,000 bytes") as error:
        records.send(bootstrap.firehose(), STREAM, captures)

    assert error.value.failed == 1
    assert sent() == [given.prediction_id(number) for number in (0, 2)]


@hypothesis_given(
    sizes=st.lists(st.integers(0, 9)), most=st.integers(1, 5), most_bytes=st.integers(9, 20)
)
def test_groups_hold_all_in_order_and_are_as_full_as_they_may_be(
    sizes: list[int], most: int, most_bytes: int
) -> None:
    parts = [bytes([number]) * size for number, size in enumerate(sizes)]

    groups = list(records._grouped(parts, most, most_bytes))

    assert [part for group in groups for part in group] == parts
    for group in groups:
        assert 1 <= len(group) <= most
        assert len(b"".join(group)) <= most_bytes
    for group, (first, *_) in pairwise(groups):
        assert len(group) == most or len(b"".join([*group, first])) > most_bytes


def test_a_firehose_that_is_down_raises(sent: Any) -> None:
    firehose = bootstrap.firehose()

    with (
        injected(firehose, "firehose.PutRecordBatch", Fault(500, times=9)),
        pytest.raises(ClientError, match="PutRecordBatch"),
    ):
        records.send(firehose, STREAM, [capture(1)])


@hypothesis_given(
    key=st.none() | st.text(max_size=5),
    features=st.dictionaries(st.text(max_size=3), st.none() | st.text() | st.integers(-9, 9)),
    score=st.floats(0, 1),
)
def test_a_capture_survives_a_line_of_json(
    key: str | None, features: dict[str, Any], score: float
) -> None:
    record = msgspec.structs.replace(capture(1), key=key, features=features, score=score)

    line = msgspec.json.encode(record)

    assert b"\n" not in line
    assert msgspec.json.decode(line, type=Capture) == record
