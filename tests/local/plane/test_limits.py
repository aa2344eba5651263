"""What Lambda and Firehose refuse, the event plane refuses too, and in the same way."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.cloud.shortcuts import taken
from local.plane.limits import (
    ANSWER_BYTES,
    EVENT_BYTES,
    REQUEST_BYTES,
    Invocation,
    LimitError,
    ThrottledError,
)
from local.plane.plane import Plane
from local.plane.process import Context, Process
from local.template import physical_name, queue_url

ONE = "CheckFunction"
STREAM = physical_name("CaptureStream")


@pytest.fixture
def ran(plane: Plane) -> list[Any]:
    """Let functions do nothing but remember their events."""
    seen: list[Any] = []
    answering(plane, lambda event: seen.append(event))
    return seen


def answering(plane: Plane, answer: Callable[[Any], Any]) -> None:
    plane.runtime = SimpleNamespace(invoke=lambda _, __, event, ___: answer(event))


def letters() -> list[Any]:
    url = queue_url(physical_name("DeadLetterQueue"))
    messages = boto3.client("sqs").receive_message(QueueUrl=url).get("Messages", ())
    return [json.loads(message["Body"]) for message in messages]


def limited(plane: Plane, resource: str, **properties: Any) -> None:
    """Let the template say more of a resource."""
    resources = plane.template.resources
    found = resources[resource]
    changed = found | {"Properties": found["Properties"] | properties}
    plane.template = replace(plane.template, resources={**resources, resource: changed})


# Sizes


def test_an_event_of_more_than_a_mebibyte_is_not_taken(plane: Plane, ran: list[Any]) -> None:
    most = EVENT_BYTES - len('{"x": ""}')

    plane.deliver(ONE, {"x": "a" * most})
    with pytest.raises(LimitError, match="smaller than 1048576 bytes"):
        plane.deliver(ONE, {"x": "a" * (most + 1)})

    assert len(ran) == plane.account["accepted"] == 1


def test_a_request_of_more_than_six_megabytes_reaches_no_function(
    plane: Plane, ran: list[Any]
) -> None:
    path, headers = "/endpoints/any/predict", {"Content-Type": "application/json"}

    answer = plane.request("POST", path, b"a" * REQUEST_BYTES, headers)

    assert (answer.status, ran) == (413, [])


def test_an_answer_of_more_than_six_megabytes_is_an_error_to_the_caller(plane: Plane) -> None:
    rest = len('{"statusCode": 200, "body": ""}')
    size = ANSWER_BYTES - rest
    answering(plane, lambda _: {"statusCode": 200, "body": "a" * size})

    assert plane.request("GET", "/endpoints").status == 200
    size += 1
    assert plane.request("GET", "/endpoints").status == 500


# Time


def test_the_time_that_is_left_runs_down() -> None:
    begun = Context("any", 128, "an id", timeout=10, began=time.perf_counter() - 4)
    ended = Context("any", 128, "an id", timeout=10, began=time.perf_counter() - 11)

    assert 5_000 < begun.get_remaining_time_in_millis() <= 6_000
    assert ended.get_remaining_time_in_millis() == 0


def test_a_function_that_takes_longer_than_its_timeout_has_failed(
    plane: Plane, tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text("def handler(event, context):\n    return 'done'\n")
    process, role = Process(code=tmp_path), plane.roles[ONE]
    properties = {"Handler": "slow.handler", "MemorySize": 128, "Timeout": 5, "Role": role}

    assert process.invoke("Any", properties, {}, "an id") == "done"
    with pytest.raises(LimitError, match=r"an id Task timed out after 0.00 seconds"):
        process.invoke("Any", properties | {"Timeout": 0}, {}, "an id")


# Concurrency


def test_no_more_of_a_function_run_at_once_than_are_reserved(plane: Plane) -> None:
    limited(plane, ONE, ReservedConcurrentExecutions=1)
    answering(plane, lambda event: plane.invoke(ONE, {}) if event else None)

    plane.invoke(ONE, {})
    with pytest.raises(ThrottledError, match="Rate Exceeded"):
        plane.invoke(ONE, {"asks": "for another"})


def test_an_event_whose_function_is_throttled_waits_and_has_not_been_tried(plane: Plane) -> None:
    limited(plane, ONE, ReservedConcurrentExecutions=1)
    tried: list[tuple[str, int]] = []
    waited: list[int] = []

    def run(event: dict[str, Any]) -> None:
        tried.append((event["name"], plane.account["processed"]))
        if tried == [("first", 0)]:
            plane.deliver(ONE, {"name": "second"})
            waited.extend(waiting.attempts for waiting in plane.waiting)

    answering(plane, run)

    plane.deliver(ONE, {"name": "first"})
    plane.settle()

    assert (tried, waited) == ([("first", 0), ("second", 1)], [0])


# Age


@pytest.mark.parametrize(("most", "hours"), [(None, 6), (3_600, 1)])
def test_an_event_that_has_waited_for_too_long_is_given_up_untried(
    plane: Plane, ran: list[Any], most: int | None, hours: int
) -> None:
    if most:
        limited(plane, f"{ONE}EventInvokeConfig", MaximumEventAgeInSeconds=most)
    now, age = datetime.now(UTC), timedelta(hours=hours)
    plane.waiting = [
        Invocation(ONE, {"name": "old"}, "an id", accepted=now - age - timedelta(seconds=1)),
        Invocation(ONE, {"name": "not so old"}, "an id", accepted=now - age),
    ]

    plane.settle()

    assert ran == [{"name": "not so old"}]
    (letter,) = letters()
    assert letter["requestPayload"] == {"name": "old"}
    assert letter["requestContext"]["condition"] == "EventAgeExceeded"
    assert letter["requestContext"]["approximateInvokeCount"] == 0


# Firehose


@pytest.fixture(params=["short", "long"])
def put(request: pytest.FixtureRequest, aws: None) -> Any:
    """Return what puts records of given sizes into a stream, by either way into moto."""

    def send(*sizes: int) -> Any:
        batch: list[Any] = [{"Data": b"a" * size} for size in sizes]
        return boto3.client("firehose").put_record_batch(DeliveryStreamName=STREAM, Records=batch)

    if request.param == "long":
        yield send
    else:
        with taken():
            yield send


def test_a_stream_takes_what_firehose_takes(put: Any) -> None:
    assert len(put(*[1] * 500)["RequestResponses"]) == 500
    assert len(put(1_024_000, *[1_000_000] * 3)["RequestResponses"]) == 4


@pytest.mark.parametrize(
    ("sizes", "code"),
    [
        ([1, 1_024_001], "ValidationException"),
        ([1] * 501, "ValidationException"),
        ([900_000] * 5, "InvalidArgumentException"),
    ],
)
def test_a_stream_refuses_a_batch_whole_that_firehose_refuses(
    put: Any, sizes: list[int], code: str
) -> None:
    with pytest.raises(ClientError) as error:
        put(*sizes)

    assert error.value.response["Error"]["Code"] == code
