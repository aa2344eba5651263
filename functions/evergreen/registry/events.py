"""The events that Evergreen puts on its bus, and the commands that it takes from it.

Delivery is at least once and unordered: whoever handles one of them reads the state anew.
"""

import os
import re
from collections.abc import Callable
from datetime import timedelta
from itertools import batched
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from evergreen.contract.errors import DeliveryError
from evergreen.contract.moments import Moment
from evergreen.registry.state import Decision

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient as EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

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


class CheckRequested(Event, frozen=True, kw_only=True):
    """A schedule asks for the daily check of an endpoint, over the days until `time`."""

    time: Moment


class RolloutRequested(CheckRequested, frozen=True, kw_only=True):
    """A schedule asks for a tick of an endpoint's rollout, for `time`."""


class TrainingSkipped(Event, frozen=True, kw_only=True):
    """A training did not start, or stopped at the data."""

    run: str
    trigger: str
    reason: str


class ModelTrained(Event, frozen=True, kw_only=True):
    """A version was written, with a loss on its holdout; what becomes of it is another event."""

    run: str
    trigger: str
    version: str
    candidate: str
    metric: str
    loss: float


class CandidateRejected(Event, frozen=True, kw_only=True):
    """A version will not serve: by its gate (stage `training`), a comparison, or a person.

    run, trigger: of the training, where that rejected it; version: None where none came of it.
    """

    stage: str
    reason: str
    version: str | None = None
    run: str | None = None
    trigger: str | None = None


class ModelPromoted(Event, frozen=True, kw_only=True):
    """A version is champion now."""

    version: str
    previous: str | None
    generation: int
    reason: str


class ModelRolledBack(ModelPromoted, frozen=True, kw_only=True):
    """A version that was champion before is champion again; `previous` will not be tried again."""


class ChallengerStarted(Event, frozen=True, kw_only=True):
    """A version is compared with the champion: in `shadow`, or with a share of the requests."""

    version: str
    stage: str
    share: float
    reason: str


class ExperimentStarted(Event, frozen=True, kw_only=True):
    """A person has begun an A/B test."""

    experiment: str
    control: str
    treatment: str
    share: float
    hypothesis: str


class ExperimentEnded(Event, frozen=True, kw_only=True):
    """An A/B test has its verdict, or was stopped."""

    experiment: str
    verdict: str
    reason: str


class EndpointPaused(Event, frozen=True, kw_only=True):
    """A person has stopped triggers and rollout; predictions go on."""

    reason: str


class EndpointResumed(Event, frozen=True, kw_only=True):
    """A person lets triggers and rollout go on."""

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


_KINDS: tuple[type[Event], ...] = (
    RetrainRequested, CheckRequested, RolloutRequested, TrainingSkipped, ModelTrained,
    CandidateRejected, ModelPromoted, ModelRolledBack, ChallengerStarted, ExperimentStarted,
    ExperimentEnded, EndpointPaused, EndpointResumed, DriftDetected, SchemaViolated,
    PerformanceDegraded,
)  # fmt: skip
_NAMES = {kind: re.sub(r"\B(?=[A-Z])", " ", kind.__name__) for kind in _KINDS}
TYPES: dict[str, type[Event]] = {name: kind for kind, name in _NAMES.items()}


def emit(client: "EventBridgeClient", *events: Event) -> None:
    """Put events on the bus of this stack; raises DeliveryError unless it took all of them."""
    for batch in batched(events, ENTRIES_PER_CALL, strict=False):
        entries: list[PutEventsRequestEntryTypeDef] = [
            {
                "EventBusName": os.environ["EVENT_BUS"],
                "Source": SOURCE,
                "DetailType": _NAMES[type(event)],
                "Detail": msgspec.json.encode(event).decode(),
            }
            for event in batch
        ]
        answer = client.put_events(Entries=entries)
        if answer["FailedEntryCount"]:
            said = {entry.get("ErrorMessage", "") for entry in answer["Entries"]} - {""}
            raise DeliveryError("the event bus", answer["FailedEntryCount"], len(batch), str(said))


def announcer(client: "EventBridgeClient", endpoint: str) -> Callable[[Decision], None]:
    """Return what puts a decision about an endpoint on the bus, as far as it is an event."""

    def announce(decision: Decision) -> None:
        emit(client, *announcements(endpoint, decision))

    return announce


def announcements(endpoint: str, decision: Decision) -> list[Event]:
    """Return the events that a decision is; entering and refusing are those of its training."""
    said, reason = decision.figures, decision.reason
    about: dict[str, Any] = {"endpoint": endpoint, "version": decision.version, "reason": reason}
    found: list[Event] = []
    match decision.type:
        case "promoted" | "rolled back":
            kind = ModelPromoted if decision.type == "promoted" else ModelRolledBack
            about |= {"previous": decision.previous, "generation": decision.generation}
            found.append(kind(**about))
        case "shadow started" | "canary started" | "canary widened":
            stage, share = decision.type.split()[0], said.get("share", 0.0)
            found.append(ChallengerStarted(stage=stage, share=share, **about))
        case "challenger rejected":
            found.append(CandidateRejected(stage=said.get("stage", "comparison"), **about))
        case "experiment started":
            asked = said["experiment"]
            asked = asked | {"endpoint": endpoint, "experiment": asked["id"]}
            names = ExperimentStarted.__struct_fields__
            found.append(ExperimentStarted(**{name: asked[name] for name in names}))
        case "paused" | "resumed":
            switched = EndpointPaused if decision.type == "paused" else EndpointResumed
            found.append(switched(endpoint=endpoint, reason=reason))
    if ended := ended_by(decision):
        found.append(ExperimentEnded(endpoint=endpoint, reason=reason, **ended))
    return found


def ended_by(decision: Decision) -> dict[str, str] | None:
    """Return the experiment that ended by a decision, and its verdict."""
    figures = decision.figures
    ended = figures if "verdict" in figures else figures.get("experiment", {})
    return {"experiment": ended["id"], "verdict": ended["verdict"]} if "verdict" in ended else None


def schemas() -> dict[str, Any]:
    """Return the JSON Schema of each detail type."""
    return {name: msgspec.json.schema(kind) for name, kind in TYPES.items()}
