"""The events that Evergreen puts on its bus, and the commands that it takes from it.

Delivery is at least once and unordered: whoever handles one of them reads the state anew.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from evergreen.errors import DeliveryError
from evergreen.records import Moment

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "evergreen"
CLOCK_SKEW = timedelta(minutes=5)  # that an event may be ahead of our clock by
ENTRIES_PER_CALL = 10  # the limit of PutEvents


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all have; the name of a class, in words, is its detail type."""

    endpoint: str


class RetrainRequested(Event, frozen=True, kw_only=True):
    """A schedule or a person asks for a training; `time` is the same in every repetition."""

    time: Moment
    trigger: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z-]{0,19}\Z")]


class TrainingSkipped(Event, frozen=True, kw_only=True):
    """A training did not start, or stopped at the data."""

    run: str
    trigger: str
    reason: str


class ModelTrained(Event, frozen=True, kw_only=True):
    """A version was written; whether it serves is another event."""

    run: str
    trigger: str
    version: str
    candidate: str
    log_loss: float


class CandidateRejected(Event, frozen=True, kw_only=True):
    """A training ended without a version that may serve."""

    run: str
    trigger: str
    reason: str
    version: str | None = None


class ModelPromoted(Event, frozen=True, kw_only=True):
    """A version is champion now."""

    version: str
    previous: str | None
    generation: int
    reason: str


class Noticed(Event, frozen=True, kw_only=True):
    """What a check announces when an alarm begins, and again while it goes on.

    time: the end of the window, the same in every repetition. since: the end of the first window
        that showed it. features: what it is about. report: its key in the data bucket.
    """

    version: str
    time: Moment
    since: Moment
    features: list[str]
    report: str


class DriftDetected(Noticed, frozen=True, kw_only=True):
    """The requests are no longer like the training data, in two windows in a row."""


class SchemaViolated(Noticed, frozen=True, kw_only=True):
    """More requests lack a value, or have one that training never saw, than can be chance."""


class PerformanceDegraded(Noticed, frozen=True, kw_only=True):
    """The labels say that the champion is worse than it was on its holdout."""


TYPES: dict[str, type[Event]] = {
    "Retrain Requested": RetrainRequested,
    "Training Skipped": TrainingSkipped,
    "Model Trained": ModelTrained,
    "Candidate Rejected": CandidateRejected,
    "Model Promoted": ModelPromoted,
    "Drift Detected": DriftDetected,
    "Schema Violated": SchemaViolated,
    "Performance Degraded": PerformanceDegraded,
}
_NAMES = {kind: name for name, kind in TYPES.items()}


def time_of(text: str) -> datetime:
    """Return a time that an event names, in UTC; one without a zone is meant so."""
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def emit(client: "EventBridgeClient", *events: Event) -> None:
    """Put events on the bus of this stack; raises DeliveryError unless it took all of them."""
    for batch in batched(events, ENTRIES_PER_CALL, strict=False):
        _put(client, batch)


def _put(client: "EventBridgeClient", events: Sequence[Event]) -> None:
    answer = client.put_events(
        Entries=[
            {
                "EventBusName": os.environ["EVENT_BUS"],
                "Source": SOURCE,
                "DetailType": _NAMES[type(event)],
                "Detail": msgspec.json.encode(event).decode(),
            }
            for event in events
        ]
    )
    if answer["FailedEntryCount"]:
        reasons = {entry.get("ErrorMessage", "") for entry in answer["Entries"]} - {""}
        raise DeliveryError("the event bus", answer["FailedEntryCount"], len(events), str(reasons))


def schemas() -> dict[str, Any]:
    """Return the JSON Schema of each detail type."""
    return {name: msgspec.json.schema(kind) for name, kind in TYPES.items()}
