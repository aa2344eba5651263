"""What people decide about an endpoint, and how they see why it is as it is.

POST /control/endpoints/{endpoint}/retrain              ask for a training
POST .../approve, reject, promote, rollback             decide on a version
POST .../pause, resume                                  stop triggers and rollout; go on
POST .../experiments, .../experiments/stop              begin and end an A/B test
GET  .../status, explain, experiments                   what goes on, and why
GET  .../decisions[/{generation}], predictions/{id}     the history; a replay of one prediction

A decision names the generation of the endpoint document that it was made on, and is refused if the
world has moved since.
"""

import os
from datetime import UTC, datetime
from typing import Any

import msgspec

import bootstrap
import endpoints
from evergreen.aws.telemetry import logger, observed
from evergreen.contract.endpoint import Policy
from evergreen.contract.errors import (
    DocumentChangedError,
    Fault,
    InvalidRequestError,
    NoChampionError,
    UnknownDecisionError,
)
from evergreen.contract.identifiers import RUN, check_endpoint_file, check_endpoint_name
from evergreen.registry import events, explain, run_claims
from evergreen.registry.registry import Registry, Seen
from evergreen.registry.state import Document
from evergreen.registry.transitions import Change
from evergreen.rollout import gather_evidence, manual_actions, paired_comparison, requests, status
from evergreen.rollout.evidence import Evidence, PairedDay
from evergreen.rollout.requests import (
    Asked,
    ExperimentAsked,
    RetrainAsked,
    RollbackAsked,
    VersionAsked,
)
from evergreen.serving import replay
from evergreen.serving.model import Model, fetch
from evergreen.training import manifest_builder
from http_api import Answer, Request, answer, operations, respond
from routes import ROUTES

MAX_DECISIONS = 500
IN_THE_HISTORY = "see the history"  # what people give as a reason is not for logs


def retrain(request: Request) -> Answer:
    """Ask for a training; the name of its run begins with what is answered."""
    endpoint = _endpoint(request)
    check_endpoint_file(endpoint)
    _asked(request, RetrainAsked)
    time = datetime.now(UTC)
    event = events.RetrainRequested(endpoint=endpoint, time=time, trigger="manual")
    events.emit(bootstrap.events(), event)
    logger.info("asked for a training", extra={"endpoint": endpoint, "by": _caller(request)})
    return answer(202, {"endpoint": endpoint, "time": time, "run": f"{time:%Y%m%dT%H%M%SZ}-manual"})


def approve(request: Request) -> Answer:
    """Promote the candidate that waits, unless it has become stale."""
    return _promoted(request, manual_actions.approval)


def promote(request: Request) -> Answer:
    """Promote a candidate or a challenger at once."""
    return _promoted(request, manual_actions.promotion)


def _promoted(request: Request, change_of: manual_actions.Promotion) -> Answer:
    asked = _asked(request, VersionAsked)
    registry, seen = _seen(request, asked.generation)
    found = _loaded(registry, seen, asked.version)
    change = change_of(seen.document, found.manifest, asked, _caller(request))
    return _decided(registry, seen, _with_evidence(seen.document, change))


def reject(request: Request) -> Answer:
    """Reject a candidate or a challenger."""
    asked = _asked(request, VersionAsked)
    registry, seen = _seen(request, asked.generation)
    change = manual_actions.rejection(seen.document, asked, _caller(request))
    return _decided(registry, seen, _with_evidence(seen.document, change))


def roll_back(request: Request) -> Answer:
    """Return to the champion before, or to a retired version."""
    asked = _asked(request, RollbackAsked)
    registry, seen = _seen(request, asked.generation)
    version = manual_actions.rollback_to(seen.document, asked)
    _loaded(registry, seen, version)
    change = Change(type="rolled back", version=version, by=_caller(request), reason=asked.reason)
    return _decided(registry, seen, change)


def pause(request: Request) -> Answer:
    """Let triggers and rollout stand still; predictions go on."""
    return _switch(request, "paused")


def resume(request: Request) -> Answer:
    """Let triggers and rollout go on."""
    return _switch(request, "resumed")


def _switch(request: Request, kind: Any) -> Answer:
    asked = _asked(request, Asked)
    registry, seen = _seen(request, asked.generation)
    version = seen.document.champion
    change = Change(type=kind, version=version, by=_caller(request), reason=asked.reason)
    return _decided(registry, seen, change)


def start_experiment(request: Request) -> Answer:
    """Begin an A/B test between two versions that can answer the same requests."""
    asked = _asked(request, ExperimentAsked)
    registry, seen = _seen(request, asked.generation)
    control = _loaded(registry, seen, asked.control or seen.document.champion)
    treatment = _loaded(registry, seen, asked.treatment)
    manual_actions.check_alike(control.manifest, treatment.manifest)
    change = manual_actions.experiment(seen.document, asked, _caller(request), datetime.now(UTC))
    return _decided(registry, seen, change)


def stop_experiment(request: Request) -> Answer:
    """End the A/B test with the verdict that its figures give now."""
    asked = _asked(request, Asked)
    registry, seen = _seen(request, asked.generation)
    found, policy = _evidence(registry, seen.document)
    change = manual_actions.stop(seen.document, found, policy, asked, _caller(request))
    return _decided(registry, seen, change)


def experiments(request: Request) -> Answer:
    """Show the A/B test that runs with its statistics so far, and the verdicts of those before."""
    registry, seen = _seen(request)
    running = status.running(seen.document, *_evidence(registry, seen.document))
    past = explain.experiments(registry.history(seen.document, MAX_DECISIONS))
    return answer(200, {"endpoint": seen.document.endpoint, "running": running, "past": past})


def show_status(request: Request) -> Answer:
    """Show the document, the evidence so far, and what would be next.

    ?evidence=no leaves out what takes long; ?run=name adds how that training run goes.
    """
    wanted, run = request.query, request.query.get("run")
    if wanted.get("evidence", "yes") not in ("yes", "no"):
        raise InvalidRequestError([Fault("?evidence", "expected yes or no")])
    if run is not None and not RUN.fullmatch(run):
        raise InvalidRequestError([Fault("?run", "expected the beginning of a run's name")])
    registry, seen = _seen(request)
    body: dict[str, Any] = {"document": seen.document}
    if wanted.get("evidence") != "no":
        found, policy = _evidence(registry, seen.document)
        level = int(os.environ["MATURITY_LEVEL"])
        body |= status.seen(seen.document, found, policy, level)
    if run is not None:
        body["run"] = run_claims.find(registry.store, seen.document.endpoint, run)
    return answer(200, body)


def decisions(request: Request) -> Answer:
    """Show the last decisions, oldest first."""
    text = request.query.get("limit", "50")
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
    if not 1 <= limit <= MAX_DECISIONS:
        raise InvalidRequestError(
            [Fault("?limit", f"expected a whole number from 1 to {MAX_DECISIONS}")]
        )
    registry, seen = _seen(request)
    found = registry.history(seen.document, limit)[-limit:]
    return answer(200, {"endpoint": seen.document.endpoint, "decisions": found})


def decision(request: Request) -> Answer:
    """Show one decision."""
    text = request.parameters["generation"]
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise InvalidRequestError([Fault("generation", "expected a whole number")])
    registry, seen = _seen(request)
    generation, document = int(text), seen.document
    if generation == document.generation:
        return answer(200, document.last)
    found = registry.decision(document.endpoint, generation) if generation > 0 else None
    if found is None:
        raise UnknownDecisionError(document.endpoint, generation)
    return answer(200, found)


def explained(request: Request) -> Answer:
    """Say why a version serves, or why it does not; the champion where none is named."""
    version = request.query.get("version")
    registry, seen = _seen(request)
    return answer(200, explain.explain(registry, seen.document, version))


def prediction(request: Request) -> Answer:
    """Replay one prediction."""
    endpoint = _endpoint(request)
    check_endpoint_file(endpoint)
    wanted, now = request.parameters["id"], datetime.now(UTC)
    captures = replay.request_of(bootstrap.data(), endpoint, wanted, now)
    runtime, libraries = os.environ["SERVING_RUNTIME"], manifest_builder.libraries()
    return answer(
        200, replay.replay(bootstrap.registry(writes=True), captures, wanted, runtime, libraries)
    )


# What all of them need


def _endpoint(request: Request) -> str:
    endpoint = request.parameters["endpoint"]
    check_endpoint_name(endpoint)
    return endpoint


def _seen(request: Request, generation: int | None = None) -> tuple[Registry, Seen]:
    """Return the registry and the document; raises DocumentChangedError for another generation.

    Who asks again, as no answer came, may have decided already: that is announced by then.
    """
    endpoint, registry = _endpoint(request), bootstrap.registry(writes=True)
    seen = registry.document(endpoint)
    if seen is None:
        check_endpoint_file(endpoint)
        raise NoChampionError(endpoint)
    if generation not in (None, seen.document.generation):
        registry.settle(seen.document, events.announcer(bootstrap.events(), endpoint))
        raise DocumentChangedError(endpoint, generation or 0)
    return registry, seen


def _asked[Body: msgspec.Struct](request: Request, kind: type[Body]) -> Body:
    return requests.asked(request.json_body(), kind)


def _caller(request: Request) -> str:
    """Return who signed the request; nobody does on a local stack."""
    authorizer = request.event["requestContext"].get("authorizer") or {}
    return str((authorizer.get("iam") or {}).get("userArn") or "local")


def _loaded(registry: Registry, seen: Seen, version: str) -> Model:
    return manual_actions.loaded(
        registry, seen.document.endpoint, version, os.environ["SERVING_RUNTIME"]
    )


def _evidence(registry: Registry, document: Document) -> tuple[Evidence, Policy]:
    policy = endpoints.load(document.endpoint).policy

    def load(version: str) -> Model:
        manifest = registry.known(document.endpoint, version)
        return fetch(registry, manifest, os.environ["SERVING_RUNTIME"])

    return gather_evidence.gather(
        bootstrap.data(), document, policy, load, datetime.now(UTC)
    ), policy


def _with_evidence(document: Document, change: Change) -> Change:
    """Let a decision on the challenger say what the last tick knew of it.

    Not more: a person who takes a bad canary back must not have to wait for evidence.
    """
    if document.challenger is None or document.challenger.version != change.version:
        return change
    key = paired_comparison.key_of(document.endpoint, document.champion, change.version)
    days = paired_comparison.kept_days(bootstrap.data(), key, PairedDay)
    policy = endpoints.load(document.endpoint).policy
    return manual_actions.with_evidence(change, [day for day in days if day.rows], policy)


def _decided(registry: Registry, seen: Seen, change: Change) -> Answer:
    """Write what was decided, unless it is not allowed or somebody else was faster."""
    endpoint, now = seen.document.endpoint, datetime.now(UTC)
    document = registry.change(seen, change, now, events.announcer(bootstrap.events(), endpoint))
    told = msgspec.structs.replace(document.last, reason=IN_THE_HISTORY)
    logger.info("decided", extra={"endpoint": endpoint, "decision": told})
    return answer(
        200, {"endpoint": endpoint, "generation": document.generation, "decision": document.last}
    )


OPERATIONS = operations(
    retrain, approve, reject, promote, roll_back, pause, resume, start_experiment, stop_experiment,
    experiments, show_status, decisions, decision, explained, prediction,
)  # fmt: skip


@observed
def handler(event: dict[str, Any], context: Any) -> Answer:
    """Answer one request."""
    return respond(ROUTES["control"], OPERATIONS, event, context)
