"""What moto answers by a short way is what it answers by the long one, as far as we look at it."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.events.models import EventPattern

from evergreen.aws.s3 import Store
from local import template
from local.cloud import resources, shortcuts

BUCKET, STREAM, QUEUE = "a-bucket", "a-stream", "a-queue"
Call = Callable[[], Any]


@pytest.fixture
def store() -> Iterator[Store]:
    """Return a bucket with versions, with something deleted in it."""
    with resources.started():
        s3 = boto3.client("s3")
        where: Any = {"LocationConstraint": template.REGION}
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        versions: Any = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versions)
        found = Store(s3, BUCKET)
        for key in ("a", "a/b", "a/c/d", "a/c/e", "a/gone", "b"):
            found.put(key, f"body of {key}".encode())
        found.put("a/b", b"another body")
        s3.delete_object(Bucket=BUCKET, Key="a/gone")
        yield found


def both_ways(call: Call) -> tuple[Any, Any]:
    long = call()
    with shortcuts.taken():
        return call(), long


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get("a/b"),
        lambda store: store.get("a/nothing"),
        lambda store: store.get("a/gone"),
        lambda store: store.changed("a/b", store.get("a/b").etag),
        lambda store: store.changed("a/b", store.get("b").etag),
        lambda store: store.changed("a/gone", store.get("b").etag),
        lambda store: list(store.keys("a")),
        lambda store: list(store.keys("a/")),
        lambda store: list(store.keys("a/", after="a/c/d")),
        lambda store: list(store.keys("c")),
        lambda store: list(store.names("a/")),
        lambda store: list(store.names("a/c/")),
        lambda store: (store.put("a/b", b"new"), store.get("a/b")),
        lambda store: store.create("a/b", b"a third body"),
        lambda store: store.replace("a/b", b"another body", store.get("a/b").etag),
    ],
)
def test_a_bucket_answers_the_same(store: Store, call: Callable[[Store], Any]) -> None:
    short, long = both_ways(lambda: call(store))

    assert short == long


def test_a_listing_knows_what_was_written_and_deleted_since(store: Store) -> None:
    with shortcuts.taken():
        before = list(store.keys("a/"))
        store.put("a/new", b"")
        store.s3.delete_object(Bucket=BUCKET, Key="a/b")

        assert list(store.keys("a/")) == [*[key for key in before if key != "a/b"], "a/new"]


def test_a_bucket_that_is_missing_is_the_same_error(store: Store) -> None:
    def missing() -> str:
        with pytest.raises(ClientError) as caught:
            Store(store.s3, "no-such-bucket").get("a")
        return str(caught.value.response["Error"]["Code"])

    short, long = both_ways(missing)

    assert short == long == "NoSuchBucket"


def test_a_stream_writes_what_it_is_sent_with_and_without(store: Store) -> None:
    destination: Any = {
        "RoleARN": f"arn:aws:iam::{template.ACCOUNT}:role/any",
        "BucketARN": f"arn:aws:s3:::{BUCKET}",
        "Prefix": "stream/",
    }
    client = boto3.client("firehose")
    client.create_delivery_stream(
        DeliveryStreamName=STREAM, ExtendedS3DestinationConfiguration=destination
    )

    def send() -> int:
        records: Any = [{"Data": b"one\n"}, {"Data": b"two\n"}]
        answer = client.put_record_batch(DeliveryStreamName=STREAM, Records=records)
        return int(answer["FailedPutCount"])

    short, long = both_ways(send)

    written = [store.get(key) for key in store.keys("stream/")]
    assert short == long == 0
    assert [each and each.body for each in written] == [b"one\ntwo\n"] * 2


def test_an_empty_queue_is_empty_and_a_full_one_gives_its_message() -> None:
    with resources.started():
        client = boto3.client("sqs")
        url = client.create_queue(QueueName=QUEUE)["QueueUrl"]

        def receive() -> list[str]:
            found = client.receive_message(QueueUrl=url, VisibilityTimeout=0)
            return [message["Body"] for message in found.get("Messages", ())]

        empty = both_ways(receive)
        client.send_message(QueueUrl=url, MessageBody="a message")
        full = both_ways(receive)

    assert empty == ([], [])
    assert full == (["a message"], ["a message"])


@pytest.mark.parametrize(
    "pattern",
    [
        {"source": ["aws.s3"], "detail": {"object": {"key": [{"prefix": "training/"}]}}},
        {"source": ["evergreen", "aws.s3"]},
        {"source": ["evergreen"]},
        {"source": [{"anything-but": {"prefix": "aws."}}]},
        {"source": ["evergreen", {"prefix": "aws."}]},
        {"detail-type": ["Object Created"]},
    ],
)
@pytest.mark.parametrize("source", ["aws.s3", "evergreen", "another"])
def test_a_rule_matches_the_same_events(pattern: dict[str, Any], source: str) -> None:
    event: Any = {
        "source": source,
        "detail-type": "Object Created",
        "detail": {"object": {"key": "training/a.csv"}},
    }

    short, long = both_ways(lambda: EventPattern(None, pattern).matches_event(event))

    assert short == long
