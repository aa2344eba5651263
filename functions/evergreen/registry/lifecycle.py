"""Which status a version may have next, and which changes may be about it."""

from collections.abc import Iterable, Mapping

from evergreen.contract.errors import ForbiddenChangeError
from evergreen.registry.state import Document, Status, Type

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


def check(document: Document, kind: Type, version: str) -> None:
    """Raise ForbiddenChangeError for a change about a version that it cannot be about."""
    allowed, status = ABOUT.get(kind), document.statuses.get(version)
    if allowed is not None and status not in allowed:
        told = f"{version} is {status or 'unknown'}, and `{kind}` is for a version that is "
        said = f"{told}{_either(allowed)}{ADVICE.get(status, '')}"
        raise ForbiddenChangeError(document.endpoint, said)


def moved(document: Document, moves: Mapping[str, Status]) -> dict[str, Status]:
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
