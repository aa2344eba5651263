"""What Lambda limits, and how it says so; the figures are those of its documentation.

Memory is not among them: functions of one process share it. In containers Docker ends what takes
more than MemorySize, and sam local what takes more than Timeout.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Semaphore
from typing import Any

from evergreen.contract.decoding import payload_bytes
from local.template import ACCOUNT, REGION, physical_name

REQUEST_BYTES = 6_291_456
ANSWER_BYTES = 6_291_556
EVENT_BYTES = 1_048_576  # for which nobody waits
EVENT_SECONDS = 21_600  # after which it is given up, unless the template says less
CONCURRENCY = 1_000  # of a function, unless the template says less


class LimitError(Exception):
    """Lambda refuses an event or an answer, or has ended a function."""


class ThrottledError(LimitError):
    """As many invocations of a function go on as may; it is no attempt."""


class EventAgeError(LimitError):
    """An event has waited for too long; it is not tried any more."""


@dataclass(frozen=True)
class Invocation:
    """An event that waits for a function, or a queue of this ARN; attempts: those that failed."""

    function: str
    event: dict[str, Any]
    request_id: str
    attempts: int = 0
    receipt: dict[str, str] | None = None  # deletes its message, where it came from a queue
    accepted: datetime = field(default_factory=lambda: datetime.now(UTC))


def check_size(payload: Any, most: int, said: str) -> None:
    """Raise LimitError where a payload has more bytes."""
    if payload_bytes(payload) > most:
        raise LimitError(f"{said} {most} bytes")


def check_age(accepted: datetime, config: dict[str, Any]) -> None:
    """Raise EventAgeError for what was accepted longer ago than an EventInvokeConfig lets wait."""
    seconds = (datetime.now(UTC) - accepted).total_seconds()
    if seconds > config.get("MaximumEventAgeInSeconds", EVENT_SECONDS):
        raise EventAgeError(f"it has waited for {seconds:.0f} seconds")


@contextmanager
def running(free: dict[str, Semaphore], function: str, said: dict[str, Any]) -> Iterator[None]:
    """Count an invocation while it goes on. Raises ThrottledError where as many as may do."""
    most = said.get("ReservedConcurrentExecutions", CONCURRENCY)
    more = free.setdefault(function, Semaphore(most))
    if not more.acquire(blocking=False):
        raise ThrottledError("Rate Exceeded.")
    try:
        yield
    finally:
        more.release()


def letter(failed: Invocation, error: Exception) -> dict[str, Any]:
    """Return what Lambda sends to a dead-letter queue of an event that it has given up."""
    condition = "EventAgeExceeded" if isinstance(error, EventAgeError) else "RetriesExhausted"
    name = physical_name(failed.function)
    return {
        "version": "1.0",
        "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "requestContext": {
            "requestId": failed.request_id,
            "functionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": failed.attempts,
        },
        "requestPayload": failed.event,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {"errorType": type(error).__name__, "errorMessage": str(error)},
    }
