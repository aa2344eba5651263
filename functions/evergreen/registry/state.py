"""The endpoint document: which version answers, which is compared with it, and what each became.

It is the only mutable state of an endpoint; registry.transitions makes the next one from it.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

Status = Literal["candidate", "shadow", "canary", "ab", "champion", "retired", "rejected"]
Type = Literal[
    "candidate entered", "candidate refused", "shadow started", "canary started", "canary widened",
    "challenger rejected", "promoted", "rolled back", "experiment started", "experiment ended",
    "paused", "resumed",
]  # fmt: skip
Verdict = Literal["challenger wins", "champion stays", "inconclusive"]


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An A/B test that a person asked for: two versions answer real requests, split by key.

    share: of the requests that each arm gets which is not the champion; the champion answers all
    others. end: without a verdict by then it is inconclusive. min_rows: labelled predictions that
    each arm must have before there is one. promote: whether a treatment that wins becomes champion.
    before: what each arm was, and becomes again.
    """

    id: str
    control: str
    treatment: str
    share: float
    hypothesis: str
    min_rows: int
    start: datetime
    end: datetime
    promote: bool = False
    before: dict[str, Status] = {}


class Challenger(msgspec.Struct, frozen=True, kw_only=True):
    """The version that is compared with the champion.

    started: when the comparison began; canary: when it began to answer requests; since: when its
    stage, or the width of its canary, did. share: of the requests that it answers, 0 in shadow.
    generation: of the document in which the comparison began; 0 where an older Evergreen began it.
    """

    version: str
    stage: Literal["shadow", "canary"]
    started: datetime
    since: datetime
    canary: datetime | None = None
    share: float = 0.0
    generation: int = 0


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One change of an endpoint document, kept for good in its history.

    generation: of the document that it made. previous: the previous champion. moves: what each
    version became by it. by: the run, the rollout or the person that decided. figures: the
    evidence, and policy the rules, that it was decided by.
    """

    generation: int
    type: Type
    version: str
    previous: str | None
    moves: dict[str, Status] = {}
    time: datetime
    by: str
    reason: str
    figures: dict[str, Any] = {}
    policy: dict[str, Any] = {}


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one endpoint.

    generation: rises by one with each change. nonce: fresh with each change, so that no two states
    have the same bytes, and the writer of a state can recognise it as its own. previous: the
    champion before, to which a rollback returns. statuses: of every version that was ever entered.
    fallback: the rule that answers when no model can be loaded. paused: why the rollout and all
    triggers stand still, or None.
    """

    endpoint: str
    generation: int
    nonce: str
    champion: str
    since: datetime
    last: Decision
    previous: str | None = None
    statuses: dict[str, Status] = {}
    challenger: Challenger | None = None
    experiment: Experiment | None = None
    fallback: str | None = None
    paused: str | None = None

    @property
    def candidate(self) -> str | None:
        """Return the version that waits to be compared or approved; there is at most one."""
        return next((v for v, status in self.statuses.items() if status == "candidate"), None)

    @property
    def arms(self) -> dict[str, float]:
        """Return the versions that get a share of the requests beside the champion."""
        if self.experiment:
            both = (self.experiment.control, self.experiment.treatment)
            return {arm: self.experiment.share for arm in both if arm != self.champion}
        if self.challenger and self.challenger.share:
            return {self.challenger.version: self.challenger.share}
        return {}
