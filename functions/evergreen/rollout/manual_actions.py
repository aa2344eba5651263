"""What a decision of a person does, in which order, and how it goes on after a crash.

read the document    of the generation that was decided on; of another, announce what made it
load what may serve  its bytes verified, its golden rows repeated
say what changes     with what the last tick knew of a challenger, and no more
write the document   by compare-and-set, as registry.transitions allows; then announce it

One that was cut off before it was written has changed nothing, and can be asked for again. One that
was cut off after that has been made: who asks again names a generation that is gone, so it is
announced, kept in the history, and refused as DocumentChangedError.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from evergreen.aws.telemetry import logger
from evergreen.contract import errors
from evergreen.contract.errors import ForbiddenChangeError
from evergreen.contract.identifiers import is_version
from evergreen.contract.schema import not_accepted
from evergreen.registry import events
from evergreen.registry.experiments import Plan
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Seen
from evergreen.registry.state import Document, Experiment, Type
from evergreen.registry.transitions import Change, stale
from evergreen.rollout import decide, paired_comparison
from evergreen.rollout.evidence import PairedDay, figures, gain, standing
from evergreen.rollout.status import words
from evergreen.rollout.subject import Subject
from evergreen.serving.model import Model

PROMOTABLE = ("candidate", "shadow", "canary", "ab")
IN_THE_HISTORY = "see the history"  # what people give as a reason is not for logs


@dataclass(frozen=True)
class Order:
    """What each decision says: on which generation of the document, by whom, why, and when."""

    generation: int
    by: str
    reason: str
    at: datetime


def retrain(subject: Subject, by: str, at: datetime) -> str:
    """Ask for a training run; return what its name begins with. Asked again, it is another run."""
    event = events.RetrainRequested(endpoint=subject.name, time=at, trigger="manual")
    events.emit(subject.bus, event)
    logger.info("asked for a training", extra={"endpoint": subject.name, "by": by})
    return f"{at:%Y%m%dT%H%M%SZ}-manual"


def approve(subject: Subject, order: Order, version: str) -> Document:
    """Promote the candidate that waits, if its gate compared it with the present champion."""
    seen = _decided_on(subject, order)
    manifest, document = _loaded(subject, version).manifest, seen.document
    status = document.statuses.get(version)
    if status != "candidate":
        reason = f"{version} is {status or 'unknown'}, and no candidate that waits for approval"
        raise ForbiddenChangeError(subject.name, reason)
    if manifest.lineage.previous != document.champion:
        reason = stale(manifest.lineage.previous, document.champion)
        raise ForbiddenChangeError(subject.name, f"{version} is {reason}")
    return _promoted(subject, order, seen, manifest)


def promote(subject: Subject, order: Order, version: str) -> Document:
    """Promote a candidate or a challenger, whatever has been shown of it by now."""
    seen = _decided_on(subject, order)
    return _promoted(subject, order, seen, _loaded(subject, version).manifest)


def _promoted(subject: Subject, order: Order, seen: Seen, manifest: Manifest) -> Document:
    version = manifest.version
    status = seen.document.statuses.get(version)
    if status not in PROMOTABLE:
        what = "a retired one is rolled back to" if status == "retired" else "train again"
        only = f"only a version that is {', '.join(PROMOTABLE)} can be promoted; {what}"
        raise ForbiddenChangeError(subject.name, f"{version} is {status or 'not entered'}: {only}")
    return _ordered(subject, order, seen, "promoted", version, figures=manifest.metrics.figures)


def reject(subject: Subject, order: Order, version: str) -> Document:
    """Reject the candidate or the challenger, which is then not tried again."""
    seen = _decided_on(subject, order)
    stage = seen.document.statuses.get(version) or "unknown"
    return _ordered(subject, order, seen, "challenger rejected", version, figures={"stage": stage})


def roll_back(subject: Subject, order: Order, version: str | None) -> Document:
    """Return to the previous champion, or to a retired version."""
    seen = _decided_on(subject, order)
    version = version or seen.document.previous
    if version is None:
        reason = "it has no previous champion to roll back to: name a retired version"
        raise ForbiddenChangeError(subject.name, reason)
    _loaded(subject, version)
    return _ordered(subject, order, seen, "rolled back", version)


def switch(subject: Subject, order: Order, to: Literal["paused", "resumed"]) -> Document:
    """Let triggers and rollout stand still, or go on; predictions go on in any case."""
    seen = _decided_on(subject, order)
    return _ordered(subject, order, seen, to, seen.document.champion)


def start_experiment(subject: Subject, order: Order, plan: Plan) -> Document:
    """Begin an A/B test between two versions that can answer the same requests alike."""
    seen = _decided_on(subject, order)
    control = plan.control or seen.document.champion
    _check_alike(_loaded(subject, control).manifest, _loaded(subject, plan.treatment).manifest)
    asked = {name: getattr(plan, name) for name in Plan.__struct_fields__}
    asked |= {"control": control, "start": order.at}
    end = order.at + timedelta(days=asked.pop("days"))
    number = f"{order.at:%Y%m%dT%H%M%SZ}-{seen.document.generation + 1:08d}"
    experiment = Experiment(id=number, end=end, **asked)
    kind: Type = "experiment started"
    return _ordered(subject, order, seen, kind, plan.treatment, experiment=experiment)


def _check_alike(control: Manifest, treatment: Manifest) -> None:
    for one, other in ((control, treatment), (treatment, control)):
        if reason := not_accepted(one.schema, other.schema):
            said = f"{other.version} cannot answer what the other arm can: {reason}"
            raise ForbiddenChangeError(control.endpoint, said)
    kinds = control.problem.kind, treatment.problem.kind
    if kinds[0] != kinds[1]:
        said = f"one arm answers a {kinds[0]} problem, the other a {kinds[1]} one"
        raise ForbiddenChangeError(control.endpoint, said)


def stop_experiment(subject: Subject, order: Order) -> Document:
    """End the experiment with the verdict of this moment: inconclusive without enough labels."""
    seen = _decided_on(subject, order)
    document, policy = seen.document, subject.policy
    if document.experiment is None:
        raise ForbiddenChangeError(subject.name, "no experiment is running")
    evidence = subject.evidence(document, order.at)
    over = replace(evidence, at=max(evidence.at, document.experiment.end))
    running = msgspec.structs.replace(document, paused=None)
    change = decide.decide(running, over, policy, level=0)  # of this alone, whatever the level
    if change is None:
        raise ForbiddenChangeError(subject.name, "its experiment has no verdict yet")
    found = standing(evidence, decide.split(document, document.experiment), policy.alpha)
    reason = f"{order.reason} ({words(found)})"
    change = msgspec.structs.replace(change, by=order.by, reason=reason)
    return _written(subject, order, seen, change)


# The steps of each


def _decided_on(subject: Subject, order: Order) -> Seen:
    """Return the document, of the generation that a decision is about.

    Who asks again, as no answer came, may have decided already: that is announced by then.
    """
    seen = subject.seen()
    if order.generation != seen.document.generation:
        subject.registry.settle(seen.document, subject.announce)
        raise errors.DocumentChangedError(subject.name, order.generation)
    return seen


def _loaded(subject: Subject, version: str) -> Model:
    """Return a version that could answer now.

    Raises UnknownVersionError, and ForbiddenChangeError where it cannot be loaded.
    """
    try:
        if not (is_version(version) and subject.registry.manifest(subject.name, version)):
            raise errors.UnknownVersionError(subject.name, version)
        return subject.load(version)
    except errors.ModelUnavailableError as error:
        raise ForbiddenChangeError(subject.name, str(error)) from error


def _ordered(
    subject: Subject, order: Order, seen: Seen, kind: Type, version: str, **more: Any
) -> Document:
    """Write a decision; of the challenger, with what the last tick knew of it, and by which rules.

    Not more: a person who takes a bad canary back must not have to wait for evidence.
    """
    document, challenger = seen.document, seen.document.challenger
    change = Change(type=kind, version=version, by=order.by, reason=order.reason, **more)
    if challenger and challenger.version == version:
        days: list[PairedDay] = []
        with suppress(errors.ModelUnavailableError):
            names = (document.champion, version)
            both = [subject.registry.known(subject.name, name) for name in names]
            days = paired_comparison.known(subject.sources(document, order.at), *both)
        said = change.figures | {"comparison": figures(days, gain(days, subject.policy.alpha))}
        change = msgspec.structs.replace(change, figures=said, policy=subject.policy.rules)
    return _written(subject, order, seen, change)


def _written(subject: Subject, order: Order, seen: Seen, change: Change) -> Document:
    document = subject.registry.change(seen, change, order.at, subject.announce)
    told = msgspec.structs.replace(document.last, reason=IN_THE_HISTORY)
    logger.info("decided", extra={"endpoint": subject.name, "decision": told})
    return document
