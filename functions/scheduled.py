"""What functions share that ask on the bus for each endpoint, and get that from their queue."""

import json
from datetime import UTC, datetime
from typing import Any

import bootstrap
from evergreen.aws.telemetry import logger
from evergreen.contract import endpoint_files
from evergreen.contract.errors import UnknownEventError
from evergreen.contract.moments import time_of
from evergreen.registry import events


def taken(event: dict[str, Any], request: str) -> tuple[dict[str, Any], str]:
    """Return the event in a queue's message, or an event, and the id that its retries have."""
    if "Records" not in event:
        return event, request
    (message,) = event["Records"]  # as BatchSize in template.yaml
    logger.info("taken from the queue", extra={"asked": message["body"]})
    return json.loads(message["body"]), message["messageId"]


def ask(kind: type[events.CheckRequested], time: datetime) -> list[str]:
    """Ask on the bus for each endpoint that has a champion and a file; return their names."""
    names = with_champion()
    events.emit(bootstrap.events(), *(kind(endpoint=name, time=time) for name in names))
    return names


def slot_of(text: str, function: str) -> datetime:
    """Return the time that an event is for.

    Raises UnknownEventError for what is no time, or one in the future.
    """
    try:
        time = time_of(text)
    except (TypeError, ValueError) as error:
        raise UnknownEventError(function, "a time such as 2013-02-01T05:00:00Z") from error
    if time > datetime.now(UTC) + events.CLOCK_SKEW:
        raise UnknownEventError(function, "a time that is not in the future")
    return time


def with_champion() -> list[str]:
    """Return the names of the endpoints that have a champion and a file."""
    return [name for name in bootstrap.registry().endpoints() if name in endpoint_files.names()]
