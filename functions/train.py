"""Train a version, compare it with the champion, and enter it as the candidate if its gates open.

Started by
    {"slot": "<time>"}                 the daily schedule: asks for a training where one is due
    Retrain Requested, Drift Detected,
    Performance Degraded               events on the bus
    Object Created under training/     an upload of training data
    {"endpoint": "flight-delay"}       a person; its "id" names the run where it is sent again

Each of these names a run, and a run trains once, however often its event is delivered.
"""

import hashlib
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

import bootstrap
from evergreen.aws.telemetry import logger, measure_stack, observed
from evergreen.contract import endpoint_files
from evergreen.contract.errors import UnknownEventError, worded
from evergreen.contract.moments import time_of
from evergreen.pages import model_card
from evergreen.registry import events
from evergreen.registry.run_claims import Run
from evergreen.training import triggers
from evergreen.training.run import Job, carry_out
from evergreen.training.tables import folders
from scheduled import slot_of, taken

RESERVE = 60.0  # seconds of an invocation, to compare and write what has been fitted


@dataclass(frozen=True)
class Start:
    """What an event asks for. at: the newest moment the run may know; None is now."""

    endpoint: str
    trigger: str
    key: str
    at: datetime | None

    @property
    def run(self) -> str:
        """Return the run's name, the same for every delivery of the same event."""
        digest = hashlib.sha256(self.key.encode()).hexdigest()[:8]
        return f"{self.at:%Y%m%dT%H%M%SZ}-{self.trigger}-{digest}" if self.at else self.key


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Train for what the event asks, or ask for what is due."""
    event, owner = taken(event, context.aws_request_id)
    if "slot" in event:
        return {"requested": _request_due(slot_of(event["slot"], "train"))}
    if (key := _no_data(event)) is not None:
        said = "no training data: a marker, hidden, a folder, or not under training/<endpoint>/"
        logger.warning(said, extra={"key": key})
        return {"ignored": key}
    start = _start(event, owner)
    left = context.get_remaining_time_in_millis() / 1000 - RESERVE
    run = _train(start, owner, time.monotonic() + left)
    logger.info("training ended", extra={"run": run.run, "outcome": run.outcome})
    return dict(msgspec.to_builtins(run))


def _request_due(slot: datetime) -> list[str]:
    registry, data = bootstrap.registry(writes=True), bootstrap.data()
    requests, faulty = [], []
    for name in endpoint_files.names():
        try:
            policy = endpoint_files.load(name).policy
            if trigger := triggers.due(name, policy, slot, registry, data):
                requests.append(events.RetrainRequested(endpoint=name, time=slot, trigger=trigger))
        except Exception as error:  # one endpoint must not keep the others from being trained
            logger.error("cannot be trained", extra={"endpoint": name, "reason": worded(error)})
            faulty.append(error)
    events.emit(bootstrap.events(), *requests)
    measure_stack(TrainingsAsked=1)
    if faulty:  # after the others have been asked for
        raise faulty[0]
    return [request.endpoint for request in requests]


def _no_data(event: dict[str, Any]) -> str | None:
    """Return the key of an upload that no training reads."""
    if event.get("detail-type") != "Object Created":
        return None
    key = str(event["detail"]["object"]["key"])
    return None if folders.is_data(key) else key


def _start(event: dict[str, Any], request_id: str) -> Start:
    detail = event.get("detail", event)
    match event.get("detail-type"):
        case "Retrain Requested":
            asked = _detail(detail, events.RetrainRequested)
            at = asked.time.astimezone(UTC)
            return Start(asked.endpoint, asked.trigger, f"{at}", at)
        case "Drift Detected" | "Performance Degraded" as kind:
            noticed = _detail(detail, events.Noticed)
            at, trigger = noticed.time.astimezone(UTC), kind.split()[0].lower()
            return Start(noticed.endpoint, trigger, f"{at} {noticed.version}", at)
        case "Object Created":
            item = detail["object"]
            key = f"{item['key']} {item['sequencer']}"
            return Start(item["key"].split("/")[1], "upload", key, time_of(event["time"]))
        case None if "endpoint" in detail:
            own = detail.get("id", request_id)
            return Start(detail["endpoint"], "manual", f"manual-{own}", None)
    known = '{"endpoint": "<name>"}, {"slot": "<time>"} and events of the bus'
    raise UnknownEventError("train", known)


def _detail[E: events.Event](detail: Any, kind: type[E]) -> E:
    try:
        return msgspec.convert(detail, kind)
    except msgspec.ValidationError as error:
        raise UnknownEventError("train", f"a detail as in events/schemas.json ({error})") from error


def _train(start: Start, owner: str, until: float) -> Run:
    now = datetime.now(UTC)
    job = Job(
        name=start.endpoint, endpoint=endpoint_files.load(start.endpoint),
        registry=bootstrap.registry(writes=True), data=bootstrap.data(), bus=bootstrap.events(),
        code=endpoint_files.code(start.endpoint), runtime=os.environ["SERVING_RUNTIME"],
        seed=int(os.environ["SEED"]), until=until,
        card=lambda made, endpoint: model_card.page(
            made.manifest, made.best, endpoint, made.slices
        ),
    )  # fmt: skip
    run = Run(run=start.run, owner=owner, trigger=start.trigger, at=start.at or now, started=now)
    return carry_out(job, run)
