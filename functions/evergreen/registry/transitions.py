"""How an endpoint document changes: the one place where a state becomes the next.

A training, the rollout or a person asks for a `Change`; `apply` refuses what is not allowed, and
returns the next document, in which the decision stands with its evidence.
"""

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from evergreen.contract.errors import DocumentChangedError, ForbiddenChangeError
from evergreen.registry import experiments, state
from evergreen.registry.state import Challenger, Decision, Document, Experiment, Status, Type

NONCE_BYTES = 16

# From each status, those that a version may have next; one that was rejected is not tried again.
MOVES: dict[Status | None, frozenset[Status]] = {
    None: frozenset({"candidate", "rejected", "champion"}),
    "candidate": frozenset({"shadow", "ab", "champion", "rejected"}),
    "shadow": frozenset({"canary", "champion", "rejected"}),
    "canary": frozenset({"champion", "rejected"}),
    "ab": frozenset({"candidate", "champion", "retired", "rejected"}),
    "champion": frozenset({"retired", "rejected"}),
    "retired": frozenset({"champion", "ab"}),
    "rejected": frozenset(),
}

# What the version must be that a change is about; a repetition of the same change finds it moved.
ABOUT: dict[Type, frozenset[Status | None]] = {
    "candidate entered": frozenset({None}),
    "candidate refused": frozenset({None}),
    "shadow started": frozenset({"candidate"}),
    "canary started": frozenset({"shadow"}),
    "canary widened": frozenset({"canary"}),
    "challenger rejected": frozenset({"candidate", "shadow", "canary"}),
    "promoted": frozenset({None, "candidate", "shadow", "canary", "ab"}),
    "rolled back": frozenset({"retired", "ab"}),
}
ADVICE: dict[Status | None, str] = {
    "ab": "; stop its experiment first",
    "champion": "; promote another or roll back",
    "retired": "; roll back to it, or train anew",
    "rejected": "; it is not tried again, train anew",
}


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
    verdict: state.Verdict | None = None


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
    _check(document, change.type, change.version)
    moves, fields = _effect(document, change, time)
    running = document.experiment if "experiment" in fields else None
    if running and change.verdict:
        change = _with(change, {"id": running.id})
    elif running:  # something else came in between
        change = _with(change, {"experiment": {"id": running.id, "verdict": "inconclusive"}})
    elif change.verdict:
        raise ForbiddenChangeError(document.endpoint, "there is a verdict, and no experiment ends")
    decision = _decision(change, seen + 1, document.champion, moves, time)
    return msgspec.structs.replace(
        document,
        generation=seen + 1,
        nonce=secrets.token_hex(NONCE_BYTES),
        last=decision,
        statuses=_moved(document, moves),
        fallback=change.fallback or document.fallback,
        **fields,
    )


def _check_time(endpoint: str, time: datetime) -> None:
    """Refuse a time without a zone, which could be compared with no other from then on."""
    if time.tzinfo is None:
        raise ForbiddenChangeError(endpoint, "a time has no zone: add one, such as Z for UTC")


def _with(change: Change, figures: dict[str, Any]) -> Change:
    return msgspec.structs.replace(change, figures=change.figures | figures)


def _decision(
    change: Change, generation: int, previous: str | None, moves: dict[str, Status], time: datetime
) -> Decision:
    verdict = {"verdict": change.verdict} if change.verdict else {}
    share = {"share": change.share} if change.share else {}
    started = {"experiment": msgspec.to_builtins(change.experiment)} if change.experiment else {}
    said = {name: getattr(change, name) for name in ("type", "version", "by", "reason")}
    said |= {"generation": generation, "previous": previous, "moves": moves, "time": time}
    figures = _as_read(change.figures | verdict | share | started)
    return Decision(figures=figures, policy=_as_read(change.policy), **said)


def _as_read(said: dict[str, Any]) -> dict[str, Any]:
    """Return figures as they will be read back, so that a writer can recognise its decision."""
    return msgspec.json.decode(msgspec.json.encode(said), type=dict[str, Any])


def _check(document: Document, kind: Type, version: str) -> None:
    """Raise ForbiddenChangeError for a change about a version that it cannot be about."""
    allowed, status = ABOUT.get(kind), document.statuses.get(version)
    if allowed is not None and status not in allowed:
        told = f"{version} is {status or 'unknown'}, and `{kind}` is for a version that is "
        said = f"{told}{_either(allowed)}{ADVICE.get(status, '')}"
        raise ForbiddenChangeError(document.endpoint, said)


def _moved(document: Document, moves: Mapping[str, Status]) -> dict[str, Status]:
    """Return the statuses of all versions after some moves; raises ForbiddenChangeError."""
    statuses = dict(document.statuses)
    for version, status in moves.items():
        now = statuses.get(version)
        if status not in MOVES[now]:
            told = f"{version} is {now or 'unknown'} and cannot become {status}, only "
            raise ForbiddenChangeError(document.endpoint, told + (_either(MOVES[now]) or "nothing"))
        statuses[version] = status
    return statuses


def stale(compared_with: str | None, champion: str) -> str:
    """Return why a candidate's gate says nothing of the present champion."""
    return (
        f"stale: its gate compared it with {compared_with or 'no champion'}, and {champion} is the "
        "champion by now: train again"
    )


def _either(statuses: Iterable[Status | None]) -> str:
    return " or ".join(sorted(status or "new" for status in statuses))


# What versions become, and the fields of the document that change
_Effect = tuple[dict[str, Status], dict[str, Any]]


def _refused(document: Document, reason: str) -> ForbiddenChangeError:
    return ForbiddenChangeError(document.endpoint, reason)


def _effect(document: Document, change: Change, time: datetime) -> _Effect:
    version, challenger = change.version, document.challenger
    match change.type:
        case "candidate entered":  # one waits at a time: a newer one takes the place of an older
            older: dict[str, Status] = (
                {document.candidate: "rejected"} if document.candidate else {}
            )
            return older | {version: "candidate"}, {}
        case "candidate refused":
            return {version: "rejected"}, {}
        case "shadow started" | "canary started" | "canary widened":
            return _compare(document, change, time)
        case "challenger rejected":
            ours = challenger is not None and challenger.version == version
            return {version: "rejected"}, {"challenger": None if ours else challenger}
        case "promoted" | "rolled back":
            return _crown(document, change, time)
        case "experiment started":
            return _start_experiment(document, change, time)
        case "experiment ended":
            if document.experiment is None:
                raise _refused(document, "no experiment is running")
            return experiments.returned(document), {"experiment": None}
        case "paused":
            if document.paused:
                raise _refused(document, f"it is paused already: {document.paused}")
            return {}, {"paused": change.reason or "no reason was given"}
        case "resumed":
            if not document.paused:
                raise _refused(document, "it is not paused")
            return {}, {"paused": None}


def _compare(document: Document, change: Change, time: datetime) -> _Effect:
    challenger, version = document.challenger, change.version
    if change.type == "shadow started":
        if challenger:
            raise _refused(document, f"{challenger.version} is being compared already")
        number = document.generation + 1
        challenger = Challenger(
            version=version, stage="shadow", started=time, since=time, generation=number
        )
        return {version: "shadow"}, {"challenger": challenger}
    if challenger is None or challenger.version != version:
        raise _refused(document, f"{version} is no challenger")
    if document.experiment:
        reason = f"experiment {document.experiment.id} has the traffic: stop it first"
        raise _refused(document, reason)
    if not challenger.share < change.share < 1:
        reason = f"a canary of {challenger.share:.0%} cannot go to {change.share:.0%}"
        raise _refused(document, reason)
    moves: dict[str, Status] = {version: "canary"} if challenger.stage == "shadow" else {}
    wider = msgspec.structs.replace(
        challenger, stage="canary", canary=challenger.canary or time, since=time, share=change.share
    )
    return moves, {"challenger": wider}


def _crown(document: Document, change: Change, time: datetime) -> _Effect:
    """Make a version champion; what a rollback leaves will not be tried again."""
    version, back = change.version, change.type == "rolled back"
    retired = experiments.status_before(document, version) == "retired"
    if back and not retired:
        reason = f"{version} was never champion: a rollback goes to a version that was"
        raise _refused(document, reason)
    if retired and not back and change.verdict != "challenger wins":
        raise _refused(document, f"{version} is retired: roll back to it, or train anew")
    left: Status = "rejected" if back else "retired"
    moves = experiments.returned(document) | {document.champion: left, version: "champion"}
    if document.challenger and document.challenger.version != version:
        moves[document.challenger.version] = "rejected"  # it was compared with the one before
    previous = None if back else document.champion
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
