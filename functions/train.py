"""Train a version, compare it with the champion, and promote it if the gate opens.

Started by
    {"slot": "<time>"}                     the daily schedule: asks for a training where one is due
    Retrain Requested, Drift Detected      events on the bus
    Object Created under training/         an upload of training data
    {"endpoint": "flight-delay"}           a person

Each of these names a run, and a run trains once, however often its event is delivered.
"""

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

import endpoints
from evergreen import aws, dataset, description, document, events, model, training
from evergreen.endpoint import Endpoint
from evergreen.errors import (
    DataError,
    EndpointFileError,
    ModelUnavailableError,
    NoCandidateError,
    UnknownEventError,
)
from evergreen.manifest import Evaluation, Manifest
from evergreen.registry import Registry, Run, Seen
from evergreen.schema import schema_of
from evergreen.telemetry import logger, measure, measure_stack, observed


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
    if "slot" in event:
        return {"requested": _request_due(events.time_of(event["slot"]))}
    if (key := _misplaced(event)) is not None:
        logger.warning("not training data: put it under training/<endpoint>/", extra={"key": key})
        return {"ignored": key}
    start = _start(event, context.aws_request_id)
    run = _train(start, context.aws_request_id)
    logger.info("training ended", extra={"run": run.run, "outcome": run.outcome})
    return dict(msgspec.to_builtins(run))


def _request_due(slot: datetime) -> list[str]:
    """Ask for a training of every endpoint that is due; each gets an invocation of its own."""
    due, faulty = [], []
    for name in endpoints.names():
        try:
            if endpoints.load(name).policy.is_due(slot):
                due.append(name)
        except EndpointFileError as error:
            faulty.append(error)
    requests = (
        events.RetrainRequested(endpoint=name, time=slot, trigger="schedule") for name in due
    )
    events.emit(aws.events(), *requests)
    measure_stack(TrainingsAsked=1)
    if faulty:  # after the others have been asked for
        raise ExceptionGroup("some endpoints cannot be trained", faulty)
    return due


def _misplaced(event: dict[str, Any]) -> str | None:
    """Return the key of an upload that is a folder, or lies in no endpoint's folder."""
    if event.get("detail-type") != "Object Created":
        return None
    key = str(event["detail"]["object"]["key"])
    return key if key.count("/") < 2 or key.endswith("/") else None


def _start(event: dict[str, Any], request_id: str) -> Start:
    detail = event.get("detail", event)
    match event.get("detail-type"):
        case "Retrain Requested":
            asked = _detail(detail, events.RetrainRequested)
            at = asked.time.astimezone(UTC)
            return Start(asked.endpoint, asked.trigger, f"{at}", at)
        case "Drift Detected":
            drift = _detail(detail, events.DriftDetected)
            at = drift.time.astimezone(UTC)
            return Start(drift.endpoint, "drift", f"{at} {drift.version}", at)
        case "Object Created":
            item = detail["object"]
            key = f"{item['key']} {item['sequencer']}"
            return Start(item["key"].split("/")[1], "upload", key, events.time_of(event["time"]))
        case None if "endpoint" in detail:
            return Start(detail["endpoint"], "manual", f"manual-{request_id}", None)
    raise UnknownEventError(
        "train", '{"endpoint": "<name>"}, {"slot": "<time>"} and events of the bus'
    )


def _detail[E: events.Event](detail: Any, kind: type[E]) -> E:
    try:
        return msgspec.convert(detail, kind)
    except msgspec.ValidationError as error:
        raise UnknownEventError("train", f"a detail as in events/schemas.json ({error})") from error


def _train(start: Start, owner: str) -> Run:
    endpoint = endpoints.load(start.endpoint)
    registry = aws.registry()
    now = datetime.now(UTC)
    run = registry.claim(
        start.endpoint,
        Run(run=start.run, owner=owner, trigger=start.trigger, at=start.at or now, started=now),
    )
    if run.outcome is not None or run.owner != owner:
        return run  # a repetition of an event that has been, or is being, dealt with
    ended, announcements = _attempt(start.endpoint, endpoint, registry, run)
    events.emit(aws.events(), *announcements)
    registry.finish(start.endpoint, ended)
    counts = {
        f"Training{str(ended.outcome).title()}": 1,
        "LabelsConflicting": len(ended.conflicting),
    }
    measure(start.endpoint, **counts)
    return ended


def _attempt(
    name: str, endpoint: Endpoint, registry: Registry, run: Run
) -> tuple[Run, list[events.Event]]:
    """Train, and promote what passes; return how the run ended and what to announce."""
    seen = registry.document(name)
    if done := _promotion_by(run, registry, seen):
        ended = _ended(run, "promoted", done.reason, done.version)
        manifest = registry.manifest(name, done.version)
        trained_before = [_trained(name, run, manifest)] if manifest else []
        return ended, [*trained_before, _promoted(name, done)]
    try:
        last = _last(name, registry, run)
        if reason := _reason_to_skip(endpoint, run, last):
            return _skipped(name, run, reason)
        schema = schema_of(name, endpoint.row)
        data = dataset.read(aws.data(), name, endpoint, schema, run.at)
        run = msgspec.structs.replace(run, labels=data.labels, conflicting=data.conflicting)
        code = endpoints.code(name)
        runtime = os.environ["SERVING_RUNTIME"]
        if run.trigger != "manual" and last and _same(last, data.sha256, code, runtime):
            return _skipped(name, run, "nothing has been added to the data since the last training")
        champion = _champion(name, registry, seen, runtime)
        seed = int(os.environ["SEED"])
        request = training.Request(name, run.run, run.trigger, run.at, seed, code, runtime)
        trained = training.train(request, endpoint, schema, data.examples, champion)
    except DataError as error:
        return _skipped(name, run, str(error))
    except NoCandidateError as error:
        return _rejected(name, run, str(error), None)
    registry.write_version(trained.manifest, trained.artifacts)
    announced = _trained(name, run, trained.manifest)
    ended, verdict = _promote(name, registry, run, seen, trained)
    return ended, [announced, *verdict]


def _promotion_by(run: Run, registry: Registry, seen: Seen | None) -> document.Transition | None:
    """Return the promotion that an earlier attempt at this run made before it was cut off."""
    history = registry.history(seen.document) if seen else []
    return next((found for found in history if found.by == run.run), None)


def _last(name: str, registry: Registry, run: Run) -> Manifest | None:
    """Return the newest version, apart from what an earlier attempt at this run may have left."""
    found = (registry.manifest(name, version) for version in reversed(registry.versions(name)))
    return next((last for last in found if last and last.lineage.run != run.run), None)


def _reason_to_skip(endpoint: Endpoint, run: Run, last: Manifest | None) -> str | None:
    """Return why there is nothing to train for at this time, or None."""
    if run.at > datetime.now(UTC) + events.CLOCK_SKEW:
        return f"its time, {run.at:%Y-%m-%d %H:%M} UTC, is in the future"
    if last is None:
        return None
    if run.at < last.created:
        return f"it is older than the last training, {last.created:%Y-%m-%d %H:%M} UTC"
    days = endpoint.policy.cooldown_days
    if run.trigger == "drift" and run.at - last.created < timedelta(days=days):
        return (
            f"the last training, {last.created:%Y-%m-%d}, is less than "
            f"policy.cooldown_days={days} ago"
        )
    return None


def _same(last: Manifest, data_sha256: str | None, code_sha256: str, runtime: str) -> bool:
    """Say whether a training would be from what the last one was from, for the same runtime."""
    made_from = (last.lineage.data_sha256, last.lineage.code_sha256, last.libraries)
    served = model.ARTIFACTS[runtime] in last.artifacts
    return served and made_from == (data_sha256, code_sha256, description.libraries())


def _champion(name: str, registry: Registry, seen: Seen | None, runtime: str) -> model.Model | None:
    """Return the champion to beat; one that cannot be loaded must not be replaced unseen."""
    if seen is None:
        return None
    manifest = registry.manifest(name, seen.document.champion)
    if manifest is None:
        raise ModelUnavailableError(name, seen.document.champion, "its manifest is missing")
    if model.ARTIFACTS[runtime] not in manifest.artifacts:
        runtime = "sklearn"  # every version has its pipeline
    return model.fetch(registry, manifest, runtime, to_serve=False)


def _promote(
    name: str, registry: Registry, run: Run, seen: Seen | None, trained: training.Trained
) -> tuple[Run, list[events.Event]]:
    manifest, verdict = trained.manifest, trained.verdict
    if not verdict.passed:
        return _rejected(name, run, verdict.reason, manifest.version)
    promoted = document.promote(
        name,
        seen.document if seen else None,
        version=manifest.version,
        seen=seen.document.generation if seen else 0,
        time=datetime.now(UTC),
        by=run.run,
        reason=verdict.reason,
        figures=_figures(manifest.metrics),
    )
    registry.write_document(promoted, seen)  # DocumentChangedError: a retry compares anew
    ended = _ended(run, "promoted", verdict.reason, manifest.version)
    return ended, [_promoted(name, promoted.last)]


def _figures(metrics: Evaluation) -> dict[str, Any]:
    return {
        name: value
        for name, value in msgspec.to_builtins(metrics).items()
        if name not in ("candidates", "failed")
    }


def _ended(run: Run, outcome: str, reason: str, version: str | None = None) -> Run:
    return msgspec.structs.replace(run, outcome=outcome, reason=reason, version=version)


def _skipped(name: str, run: Run, reason: str) -> tuple[Run, list[events.Event]]:
    event = events.TrainingSkipped(endpoint=name, run=run.run, trigger=run.trigger, reason=reason)
    return _ended(run, "skipped", reason), [event]


def _rejected(
    name: str, run: Run, reason: str, version: str | None
) -> tuple[Run, list[events.Event]]:
    event = events.CandidateRejected(
        endpoint=name, run=run.run, trigger=run.trigger, reason=reason, version=version
    )
    return _ended(run, "rejected", reason, version), [event]


def _trained(name: str, run: Run, manifest: Manifest) -> events.Event:
    return events.ModelTrained(
        endpoint=name,
        run=run.run,
        trigger=run.trigger,
        version=manifest.version,
        candidate=manifest.candidate,
        log_loss=manifest.metrics.log_loss,
    )


def _promoted(name: str, transition: document.Transition) -> events.Event:
    return events.ModelPromoted(
        endpoint=name,
        version=transition.version,
        previous=transition.previous,
        generation=transition.generation,
        reason=transition.reason,
    )
