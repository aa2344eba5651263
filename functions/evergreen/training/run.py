"""What a training run does, in which order, and how it goes on after a crash.

claim the run            one invocation at a time; a repetition of its event finds it claimed
settle the document      announce a decision that a crash left unannounced
is the run decided?      by an attempt before, or beside, this one: then only say so
has it a version?        that an earlier attempt wrote: then no other is trained
skip, or train one       read, fit, gate, render the card; write the rule first, manifests last
announce the version     again, where an attempt was cut off after it: delivery is at least once
enter it                 as the candidate, the first champion, or refused, by compare-and-set
finish the record        unless another invocation has taken the run over
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from evergreen.aws.s3 import Store
from evergreen.aws.telemetry import logger, measure
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.errors import CandidateError, DataError, NoCandidateError
from evergreen.contract.schema import schema_of
from evergreen.monitoring import earlier_checks
from evergreen.registry import events, run_claims, transitions
from evergreen.registry.manifest import FALLBACK, Manifest
from evergreen.registry.registry import Registry, Seen
from evergreen.registry.run_claims import Run
from evergreen.registry.state import Type
from evergreen.registry.transitions import Change
from evergreen.training import dataset, gates, manifest_builder, run_records, train_version
from evergreen.training.fitting import Request
from evergreen.training.train_version import Trained
from evergreen.training.triggers import AUTOMATIC, State, by_hand, reason_to_skip

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

OUTCOMES: dict[Type, str] = {  # of a run, by the decision that it came to
    "candidate refused": "rejected",
    "candidate entered": "entered",
    "promoted": "promoted",
}


@dataclass(frozen=True)
class Job:
    """An endpoint to train for, and what a run of it works with.

    code: SHA-256 of all code that versions are made with. card: makes the card of a version, HTML.
    until: the moment of time.monotonic() until which candidates may be fitted.
    """

    name: str
    endpoint: Endpoint
    registry: Registry
    data: Store
    bus: "EventBridgeClient"
    code: str
    runtime: str
    seed: int
    card: Callable[[Trained, Endpoint], str]
    until: float = math.inf


def carry_out(job: Job, asked: Run) -> Run:
    """Train for a run that an event asks for, once however often it asks; return its record."""
    began = perf_counter()
    run = run_claims.claim(job.registry.store, job.name, asked)
    if run.outcome is not None or run.owner != asked.owner:
        return run  # a repetition of an event that has been, or is being, dealt with
    ended = msgspec.structs.replace(_attempt(job, run), seconds=round(perf_counter() - began, 3))
    if not run_claims.finish(job.registry.store, job.name, ended):
        logger.warning("another invocation has taken the run over", extra={"run": run.run})
        return ended
    counts = {f"Training{str(ended.outcome).title()}": 1}
    measure(job.name, **counts, LabelsConflicting=len(ended.conflicting))
    return ended


def _attempt(job: Job, run: Run) -> Run:
    """Train, and enter what came of it; return how the run ended, which has been announced."""
    seen = job.registry.document(job.name)
    if seen:
        job.registry.settle(seen.document, events.announcer(job.bus, job.name))
    if ended := _decided(job, run, seen):
        return ended
    version = run_records.written_by(run, job.name, job.registry)
    if version is None:
        run, trained = _train(job, run, seen)
        if trained is None:
            return run
        for written in (trained.fallback, trained):  # the rule first, so that it is never missing
            if written:
                job.registry.write_version(written.manifest, written.artifacts)
        version = trained.manifest
    run = run_records.described(run, version)
    about = {"endpoint": job.name, "run": run.run, "trigger": run.trigger}
    about |= {"version": version.version, "candidate": version.candidate}
    loss, metric = version.metrics.loss, version.problem.metric
    events.emit(job.bus, events.ModelTrained(metric=metric, loss=loss, **about))
    return _enter(job, run, version)


def _decided(job: Job, run: Run, seen: Seen | None) -> Run | None:
    """Return how the run ended, where the document says so: by an attempt before, or beside, us."""
    history = job.registry.history(seen.document) if seen else []
    done = next((found for found in history if found.by == run.run), None)
    if done is None:
        return None
    found = job.registry.manifest(job.name, done.version)
    ended = run_records.described(run, found) if found else run
    return _ended(job, ended, OUTCOMES[done.type], done.reason, done.version)


def _train(job: Job, run: Run, seen: Seen | None) -> tuple[Run, Trained | None]:
    """Train a version; where none comes of it, the run that is returned has ended."""
    newest = run_records.manifests(job.name, job.registry)
    last = next((found for found in newest if found.candidate != FALLBACK), None)
    state = _state(job, run, seen, last)
    if reason := reason_to_skip(run.trigger, run.at, job.endpoint.policy, state):
        return _ended(job, run, "skipped", reason), None
    libraries, schema = manifest_builder.libraries(), schema_of(job.name, job.endpoint.row)
    run = msgspec.structs.replace(run, code_sha256=job.code, libraries=libraries)
    try:
        data = dataset.read(job.data, job.name, job.endpoint, schema, run.at)
        run = msgspec.structs.replace(run, labels=data.labels, conflicting=data.conflicting)
        if data.examples:
            run = msgspec.structs.replace(run, data=run_records.data_of(data.examples))
        made_from = data.sha256, job.code, libraries
        again = run_records.made_from_same(last, made_from, job.runtime)
        if again and not by_hand(run.trigger):
            reason = "nothing has been added to the data since the last training"
            return _ended(job, run, "skipped", reason), None
        champion = run_records.champion_of(job.name, job.registry, seen, job.runtime)
        asked = job.name, run.run, run.trigger, run.at, job.seed, job.code, job.runtime
        fallback = run_records.needs_fallback(job.registry, seen, schema, job.endpoint.problem)
        rule = seen.document.fallback if seen else None
        request = Request(*asked, fallback=fallback, rule=rule, until=job.until)
        rows, tell = data.examples, logger.info
        trained = train_version.train(request, job.endpoint, schema, rows, champion, tell)
        return run, trained.with_card(job.card(trained, job.endpoint))
    except DataError as error:
        return _ended(job, run, "skipped", str(error)), None
    except (NoCandidateError, CandidateError) as error:  # or a service went away meanwhile
        return _ended(job, run, "rejected", str(error)), None


def _state(job: Job, run: Run, seen: Seen | None, last: Manifest | None) -> State:
    document = seen.document if seen else None
    violated: list[str] = []
    if document and run.trigger in AUTOMATIC:
        checked = earlier_checks.previous(job.data, job.name, run.at + timedelta(hours=1))
        if checked and checked.version == document.champion:
            long_ago = run.at - timedelta(days=job.endpoint.policy.cooldown_days)
            violated = [part for alarm in checked.alarms if alarm.kind == "schema"
                        and alarm.since > long_ago for part in alarm.about]  # fmt: skip
    now = datetime.now(UTC) + events.CLOCK_SKEW
    in_flight = run_records.in_flight(job.registry, document) if document else None
    return State(now, document, last, in_flight, tuple(violated))


def _enter(job: Job, run: Run, version: Manifest) -> Run:
    """Enter a version as the candidate, the first champion, or refused, once for a run."""
    seen = job.registry.document(job.name)
    if ended := _decided(job, run, seen):
        return ended
    champion = seen.document.champion if seen else None
    verdict = gates.verdict(version.metrics.gates)
    if champion and verdict.passed and version.lineage.previous != champion:
        verdict = gates.Verdict(False, transitions.stale(version.lineage.previous, champion))
    outcome = "rejected"
    if verdict.passed:
        outcome = "entered" if seen else "promoted"
    change = Change(
        type=next(kind for kind, found in OUTCOMES.items() if found == outcome),
        version=version.version,
        by=run.run,
        reason=verdict.reason,
        figures=version.metrics.figures,
        policy=job.endpoint.policy.rules,
        fallback=version.fallback,
    )
    now, announce = datetime.now(UTC), events.announcer(job.bus, job.name)
    if seen:  # DocumentChangedError: a retry decides anew
        job.registry.change(seen, change, now, announce)
    elif outcome == "promoted":
        job.registry.write_document(transitions.first(job.name, change, now), None, announce)
    return _ended(job, run, outcome, verdict.reason, version.version)


def _ended(job: Job, run: Run, outcome: str, reason: str, version: str | None = None) -> Run:
    """Return how a run ended, after announcing it; entering and promoting have been by then."""
    about = {"endpoint": job.name, "run": run.run, "trigger": run.trigger, "reason": reason}
    if outcome == "skipped":
        events.emit(job.bus, events.TrainingSkipped(**about))
    if outcome == "rejected":
        events.emit(job.bus, events.CandidateRejected(**about, stage="training", version=version))
    return msgspec.structs.replace(run, outcome=outcome, reason=reason, version=version)
