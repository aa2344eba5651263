"""How an endpoint document changes: the one place where a state becomes the next.

A training, the rollout or a person asks for a `Change`; `apply` refuses what is not allowed, and
returns the next document, in which the decision stands with its evidence.
"""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

import msgspec

from evergreen.contract.errors import DocumentChangedError, ForbiddenChangeError
from evergreen.registry import experiments, lifecycle
from evergreen.registry.state import (
    Challenger,
    Decision,
    Document,
    Experiment,
    Status,
    Type,
    Verdict,
)

NONCE_BYTES = 16


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to become of an endpoint: the fields are those of a Decision.

    share: of the requests, for a canary. experiment: the one that starts. fallback: the rule that
    stands in for a version which becomes champion. verdict: of the experiment that ends.
    """

    type: Type
    version: str
    by: str
    reason: str
    figures: dict[str, Any] = {}
    policy: dict[str, Any] = {}
    share: float = 0.0
    experiment: Experiment | None = None
    fallback: str | None = None
    verdict: Verdict | None = None


def first(endpoint: str, change: Change, time: datetime) -> Document:
    """Return the first document of an endpoint, in which the version is the champion."""
    if change.type != "promoted":
        raise ForbiddenChangeError(endpoint, f"it has no champion: {change.type} must wait for one")
    _check_time(endpoint, time)
    decision = _decision(change, 1, None, {change.version: "champion"}, time)
    return Document(
        endpoint=endpoint,
        generation=1,
        nonce=secrets.token_hex(NONCE_BYTES),
        champion=change.version,
        since=time,
        last=decision,
        statuses={change.version: "champion"},
        fallback=change.fallback,
    )


def apply(document: Document, change: Change, time: datetime, seen: int) -> Document:
    """Return the document after a change that was decided on the generation `seen`.

    Raises DocumentChangedError where the document is of another generation, and
    ForbiddenChangeError, which says why, where the change is not allowed in this state.
    """
    if document.generation != seen:
        raise DocumentChangedError(document.endpoint, seen)
    _check_time(document.endpoint, time)
    lifecycle.check(document, change.type, change.version)
    moves, fields = _CHANGES[change.type](document, change, time)
    if document.experiment and "experiment" in fields:
        change = _with_verdict(document.experiment, change)
    elif change.verdict:
        raise ForbiddenChangeError(document.endpoint, "there is a verdict, and no experiment ends")
    decision = _decision(change, seen + 1, document.champion, moves, time)
    return msgspec.structs.replace(
        document,
        generation=seen + 1,
        nonce=secrets.token_hex(NONCE_BYTES),
        last=decision,
        statuses=lifecycle.moved(document, moves),
        fallback=change.fallback or document.fallback,
        **fields,
    )


def _check_time(endpoint: str, time: datetime) -> None:
    """Refuse a time without a zone, which could be compared with no other from then on."""
    if time.tzinfo is None:
        raise ForbiddenChangeError(endpoint, "a time has no zone: add one, such as Z for UTC")


def _with_verdict(experiment: Experiment, change: Change) -> Change:
    """Return a change by which an experiment ends, with its id and verdict in the figures."""
    if change.verdict:
        ended: dict[str, Any] = {"id": experiment.id}
    else:  # something else came in between
        ended = {"experiment": {"id": experiment.id, "verdict": "inconclusive"}}
    return msgspec.structs.replace(change, figures=change.figures | ended)


def _decision(
    change: Change, generation: int, previous: str | None, moves: dict[str, Status], time: datetime
) -> Decision:
    verdict = {"verdict": change.verdict} if change.verdict else {}
    share = {"share": change.share} if change.share else {}
    started = {"experiment": msgspec.to_builtins(change.experiment)} if change.experiment else {}
    return Decision(
        generation=generation,
        type=change.type,
        version=change.version,
        previous=previous,
        moves=moves,
        time=time,
        by=change.by,
        reason=change.reason,
        figures=_as_read(change.figures | verdict | share | started),
        policy=_as_read(change.policy),
    )


def _as_read(said: dict[str, Any]) -> dict[str, Any]:
    """Return figures as they will be read back, so that a writer can recognise its decision."""
    return msgspec.json.decode(msgspec.json.encode(said), type=dict[str, Any])


# Each returns what versions become, and the fields of the document that change.
_Effect = tuple[dict[str, Status], dict[str, Any]]


def _refused(document: Document, reason: str) -> ForbiddenChangeError:
    return ForbiddenChangeError(document.endpoint, reason)


def _enter(document: Document, change: Change, _: datetime) -> _Effect:
    """One candidate waits at a time: a newer one takes the place of an older."""
    older: dict[str, Status] = {document.candidate: "rejected"} if document.candidate else {}
    return older | {change.version: "candidate"}, {}


def _refuse(_: Document, change: Change, __: datetime) -> _Effect:
    return {change.version: "rejected"}, {}


def _shadow(document: Document, change: Change, time: datetime) -> _Effect:
    if document.challenger:
        raise _refused(document, f"{document.challenger.version} is being compared already")
    challenger = Challenger(
        version=change.version,
        stage="shadow",
        started=time,
        since=time,
        generation=document.generation + 1,
    )
    return {change.version: "shadow"}, {"challenger": challenger}


def _canary(document: Document, change: Change, time: datetime) -> _Effect:
    """Start a canary, or widen it; the status is the same in both."""
    challenger = document.challenger
    if challenger is None or challenger.version != change.version:
        raise _refused(document, f"{change.version} is no challenger")
    if document.experiment:
        reason = f"experiment {document.experiment.id} has the traffic: stop it first"
        raise _refused(document, reason)
    if not challenger.share < change.share < 1:
        reason = f"a canary of {challenger.share:.0%} cannot go to {change.share:.0%}"
        raise _refused(document, reason)
    moves: dict[str, Status] = {change.version: "canary"} if challenger.stage == "shadow" else {}
    wider = msgspec.structs.replace(
        challenger, stage="canary", canary=challenger.canary or time, since=time, share=change.share
    )
    return moves, {"challenger": wider}


def _reject(document: Document, change: Change, _: datetime) -> _Effect:
    challenger = document.challenger
    ours = challenger is not None and challenger.version == change.version
    return {change.version: "rejected"}, {"challenger": None if ours else challenger}


def _promote(document: Document, change: Change, time: datetime) -> _Effect:
    won = change.verdict == "challenger wins"
    if not won and experiments.status_before(document, change.version) == "retired":
        raise _refused(document, f"{change.version} is retired: roll back to it, or train anew")
    return _crown(document, change.version, time, "retired")


def _roll_back(document: Document, change: Change, time: datetime) -> _Effect:
    """Return to a version that was champion before; what is left will not be tried again."""
    if experiments.status_before(document, change.version) != "retired":
        reason = f"{change.version} was never champion: a rollback goes to a version that was"
        raise _refused(document, reason)
    return _crown(document, change.version, time, "rejected")


def _crown(
    document: Document, version: str, time: datetime, left: Literal["retired", "rejected"]
) -> _Effect:
    """Make a version champion; left: what the one before it becomes."""
    moves = experiments.returned(document) | {document.champion: left, version: "champion"}
    if document.challenger and document.challenger.version != version:
        moves[document.challenger.version] = "rejected"  # it was compared with the one before
    previous = document.champion if left == "retired" else None
    fields = {"champion": version, "since": time, "previous": previous}
    return moves, fields | {"challenger": None, "experiment": None}


def _start_experiment(document: Document, change: Change, time: datetime) -> _Effect:
    found = change.experiment
    if found is None:
        raise _refused(document, "an experiment must say what it compares")
    if reason := experiments.why_not(document, found, time):
        raise _refused(document, reason)
    arms = experiments.arms_of(document, found)
    before = {arm: document.statuses[arm] for arm in arms if arm in document.statuses}
    kept = msgspec.structs.replace(found, before=before)
    return dict.fromkeys(arms, "ab"), {"experiment": kept}


def _end_experiment(document: Document, _: Change, __: datetime) -> _Effect:
    if document.experiment is None:
        raise _refused(document, "no experiment is running")
    return experiments.returned(document), {"experiment": None}


def _pause(document: Document, change: Change, _: datetime) -> _Effect:
    if document.paused:
        raise _refused(document, f"it is paused already: {document.paused}")
    return {}, {"paused": change.reason or "no reason was given"}


def _resume(document: Document, _: Change, __: datetime) -> _Effect:
    if not document.paused:
        raise _refused(document, "it is not paused")
    return {}, {"paused": None}


_CHANGES: dict[Type, Callable[[Document, Change, datetime], _Effect]] = {
    "candidate entered": _enter,
    "candidate refused": _refuse,
    "shadow started": _shadow,
    "canary started": _canary,
    "canary widened": _canary,
    "challenger rejected": _reject,
    "promoted": _promote,
    "rolled back": _roll_back,
    "experiment started": _start_experiment,
    "experiment ended": _end_experiment,
    "paused": _pause,
    "resumed": _resume,
}
