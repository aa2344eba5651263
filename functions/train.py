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
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import msgspec

import bootstrap
import endpoints
from evergreen.aws.telemetry import logger, measure, measure_stack, observed
from evergreen.captures.records import labels_of
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.errors import CandidateError, DataError, NoCandidateError, UnknownEventError
from evergreen.contract.schema import schema_of
from evergreen.monitoring import report
from evergreen.registry import events, transitions
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry, Run, Seen
from evergreen.registry.state import Type
from evergreen.registry.transitions import Change
from evergreen.rollout import decide
from evergreen.training import (
    dataset,
    gates,
    manifest_builder,
    run_records,
    train_version,
    triggers,
)
from evergreen.training.fitting import FALLBACK, Request

OUTCOMES: dict[Type, str] = {  # of a run, by the decision that it came to
    "candidate refused": "rejected",
    "candidate entered": "entered",
    "promoted": "promoted",
}


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
    requests, faulty = [], []
    for name in endpoints.names():
        try:
            if trigger := _due(name, slot):
                requests.append(events.RetrainRequested(endpoint=name, time=slot, trigger=trigger))
        except Exception as error:  # one endpoint must not keep the others from being trained
            faulty.append(error)
    events.emit(bootstrap.events(), *requests)
    measure_stack(TrainingsAsked=1)
    if faulty:  # after the others have been asked for
        raise ExceptionGroup("some endpoints cannot be trained", faulty)
    return [request.endpoint for request in requests]


def _due(name: str, slot: datetime) -> str | None:
    """Return what an endpoint should be trained for on a day, or None."""
    policy = endpoints.load(name).policy
    if policy.is_due(slot):
        return "schedule"
    last = (
        next(run_records.manifests(name, bootstrap.registry(writes=True)), None)
        if policy.new_labels is not None
        else None
    )
    if last is None or triggers.cools(slot, last, policy):
        return None
    found = {
        label.id
        for labels in labels_of(bootstrap.data(), name, last.created, slot)
        for label in labels
        if label.time > last.created
    }
    return "labels" if triggers.enough(len(found), last, policy) else None


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
        case "Drift Detected" | "Performance Degraded" as kind:
            noticed = _detail(detail, events.Noticed)
            at, trigger = noticed.time.astimezone(UTC), kind.split()[0].lower()
            return Start(noticed.endpoint, trigger, f"{at} {noticed.version}", at)
        case "Object Created":
            item = detail["object"]
            key = f"{item['key']} {item['sequencer']}"
            return Start(item["key"].split("/")[1], "upload", key, events.time_of(event["time"]))
        case None if "endpoint" in detail:
            own = detail.get("id", request_id)
            return Start(detail["endpoint"], "manual", f"manual-{own}", None)
    raise UnknownEventError(
        "train", '{"endpoint": "<name>"}, {"slot": "<time>"} and events of the bus'
    )


def _detail[E: events.Event](detail: Any, kind: type[E]) -> E:
    try:
        return msgspec.convert(detail, kind)
    except msgspec.ValidationError as error:
        raise UnknownEventError("train", f"a detail as in events/schemas.json ({error})") from error


def _train(start: Start, owner: str) -> Run:
    began = perf_counter()
    endpoint = endpoints.load(start.endpoint)
    registry = bootstrap.registry(writes=True)
    now = datetime.now(UTC)
    run = registry.claim(
        start.endpoint,
        Run(run=start.run, owner=owner, trigger=start.trigger, at=start.at or now, started=now),
    )
    if run.outcome is not None or run.owner != owner:
        return run  # a repetition of an event that has been, or is being, dealt with
    ended = _attempt(start.endpoint, endpoint, registry, run)
    ended = msgspec.structs.replace(ended, seconds=round(perf_counter() - began, 3))
    if not registry.finish(start.endpoint, ended):
        logger.warning("another invocation has taken the run over", extra={"run": run.run})
        return ended
    counts = {
        f"Training{str(ended.outcome).title()}": 1,
        "LabelsConflicting": len(ended.conflicting),
    }
    measure(start.endpoint, **counts)
    return ended


def _attempt(name: str, endpoint: Endpoint, registry: Registry, run: Run) -> Run:
    """Train, and enter what came of it; return how the run ended, which has been announced.

    Whatever an earlier attempt at this run did before it was cut off is not done again.
    """
    seen = registry.document(name)
    if seen:
        registry.settle(seen.document, events.announcer(bootstrap.events(), name))
    if ended := _decided(name, registry, run, seen):
        return ended
    version = run_records.written_by(run, name, registry)
    if version is None:
        run, trained = _new_version(name, endpoint, registry, run, seen)
        if trained is None:
            return run
        for written in (trained.fallback, trained):  # the rule first, so that it is never missing
            if written:
                registry.write_version(written.manifest, written.artifacts)
        version = trained.manifest
    run = run_records.described(run, version)
    events.emit(bootstrap.events(), _model_trained(name, run, version))
    return _enter(name, endpoint, registry, run, version)


def _decided(name: str, registry: Registry, run: Run, seen: Seen | None) -> Run | None:
    """Return how the run ended, where the document says so: by an attempt before, or beside, us."""
    done = run_records.decision_by(run, registry, seen)
    if done is None:
        return None
    found = registry.manifest(name, done.version)
    ended = run_records.described(run, found) if found else run
    return _ended(name, ended, OUTCOMES[done.type], done.reason, done.version)


def _new_version(
    name: str, endpoint: Endpoint, registry: Registry, run: Run, seen: Seen | None
) -> tuple[Run, train_version.Trained | None]:
    """Train a version; where none comes of it, the run that is returned has ended."""
    last = next((m for m in run_records.manifests(name, registry) if m.candidate != FALLBACK), None)
    state = _state(name, registry, run, seen, last)
    if reason := triggers.reason_to_skip(run.trigger, run.at, endpoint.policy, state):
        return _ended(name, run, "skipped", reason), None
    code, runtime = endpoints.code(name), os.environ["SERVING_RUNTIME"]
    libraries, schema = manifest_builder.libraries(), schema_of(name, endpoint.row)
    run = msgspec.structs.replace(run, code_sha256=code, libraries=libraries)
    try:
        data = dataset.read(bootstrap.data(), name, endpoint, schema, run.at)
        run = msgspec.structs.replace(run, labels=data.labels, conflicting=data.conflicting)
        if data.examples:
            run = msgspec.structs.replace(run, data=run_records.data_of(data.examples))
        again = last is not None and run_records.made_from_same(
            last, data.sha256, code, libraries, runtime
        )
        if again and not triggers.by_hand(run.trigger):
            reason = "nothing has been added to the data since the last training"
            return _ended(name, run, "skipped", reason), None
        champion = run_records.champion_of(name, registry, seen, runtime)
        wanted = run_records.needs_fallback(registry, seen, schema, endpoint)
        rule = seen.document.fallback if seen else None
        seed = int(os.environ["SEED"])
        request = Request(
            name, run.run, run.trigger, run.at, seed, code, runtime, fallback=wanted, rule=rule
        )
        return run, train_version.train(request, endpoint, schema, data.examples, champion)
    except DataError as error:
        return _ended(name, run, "skipped", str(error)), None
    except (NoCandidateError, CandidateError) as error:  # or a service went away meanwhile
        return _ended(name, run, "rejected", str(error)), None


def _state(
    name: str, registry: Registry, run: Run, seen: Seen | None, last: Manifest | None
) -> triggers.State:
    document = seen.document if seen else None
    violated: list[str] = []
    if document and run.trigger in triggers.AUTOMATIC:
        checked = report.previous(bootstrap.data(), name, run.at + timedelta(hours=1))
        if checked and checked.version == document.champion:
            violated = [part for alarm in checked.alarms if alarm.kind == "schema"
                        for part in alarm.about]  # fmt: skip
    return triggers.State(
        now=datetime.now(UTC) + events.CLOCK_SKEW,
        document=document,
        last=last,
        in_flight=run_records.in_flight(registry, document) if document else None,
        violated=tuple(violated),
    )


def _enter(
    name: str,
    endpoint: Endpoint,
    registry: Registry,
    run: Run,
    version: Manifest,
) -> Run:
    """Enter a version as the candidate, or as the first champion, or as refused.

    Once for a run, whoever else has taken it over: the document is compared and set.
    """
    seen = registry.document(name)
    if ended := _decided(name, registry, run, seen):
        return ended
    champion = seen.document.champion if seen else None
    verdict = gates.verdict(version.metrics.gates)
    if champion and verdict.passed and version.lineage.previous != champion:
        verdict = gates.Verdict(False, decide.stale(version.lineage.previous, champion))
    outcome = "rejected"
    if verdict.passed:
        outcome = "entered" if seen else "promoted"
    change = Change(
        type=next(kind for kind, found in OUTCOMES.items() if found == outcome),
        version=version.version,
        by=run.run,
        reason=verdict.reason,
        figures=run_records.figures_of(version.metrics),
        policy=decide.rules(endpoint.policy),
        fallback=version.fallback,
    )
    now, announce = datetime.now(UTC), events.announcer(bootstrap.events(), name)
    if seen:  # DocumentChangedError: a retry decides anew
        registry.change(seen, change, now, announce)
    elif outcome == "promoted":
        registry.write_document(transitions.first(name, change, now), None, announce)
    return _ended(name, run, outcome, verdict.reason, version.version)


def _ended(name: str, run: Run, outcome: str, reason: str, version: str | None = None) -> Run:
    """Return how a run ended, after announcing it; entering and promoting have been by then."""
    about = {"endpoint": name, "run": run.run, "trigger": run.trigger, "reason": reason}
    if outcome == "skipped":
        events.emit(bootstrap.events(), events.TrainingSkipped(**about))
    if outcome == "rejected":
        rejected = events.CandidateRejected(**about, stage="training", version=version)
        events.emit(bootstrap.events(), rejected)
    return msgspec.structs.replace(run, outcome=outcome, reason=reason, version=version)


def _model_trained(name: str, run: Run, manifest: Manifest) -> events.Event:
    return events.ModelTrained(
        endpoint=name,
        run=run.run,
        trigger=run.trigger,
        version=manifest.version,
        candidate=manifest.candidate,
        metric=manifest.problem.metric,
        loss=manifest.metrics.loss,
    )
