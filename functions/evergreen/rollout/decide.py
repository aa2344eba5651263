"""What the rollout does next: a function of a document, evidence and a policy.

    candidate -> shadow -> canary 5 -> 25 -> 50 % -> champion, watched for policy.watch_days

One change at a time, the most urgent first. Only autopilot (level 4) decides on challengers; the
verdict on an experiment, which a person asked for, falls at every level.
"""

from datetime import timedelta
from typing import Any

import msgspec

from evergreen.contract.endpoint import Policy
from evergreen.registry.state import Challenger, Document, Experiment, Type
from evergreen.registry.transitions import Change, stale
from evergreen.rollout.confidence_sequence import Bound
from evergreen.rollout.evidence import Evidence, faults, figures, gain, standing
from evergreen.rollout.expected_regret import SMALL, regret

AUTOPILOT = 4
EXPECTED_REGRET = "expected regret"
BY = "rollout"


def decide(document: Document, evidence: Evidence, policy: Policy, level: int) -> Change | None:
    """Return what should become of an endpoint now, or None to leave it as it is.

    A tie, too little evidence, or none, leaves the champion where it is, and so does evidence that
    is older than the last decision: that may have changed what it is about.
    """
    if document.paused or evidence.at < document.last.time:
        return None
    change = None
    if level >= AUTOPILOT:
        change = _watch(document, evidence, policy)
        if change is None and document.challenger:
            change = _compare(document, document.challenger, evidence, policy)
        if change is None and document.challenger is None:
            change = _admit(document, evidence)
    if change is None and document.experiment:
        change = _judge(document, document.experiment, evidence, policy)
    return change and msgspec.structs.replace(change, policy=policy.rules)


def _change(kind: Type, version: str, reason: str, **more: Any) -> Change:
    return Change(type=kind, version=version, by=BY, reason=reason, **more)


def _watch(document: Document, evidence: Evidence, policy: Policy) -> Change | None:
    """Roll back a young champion that turns out to be worse than the one before it.

    An alarm about its outcomes is no reason where the one before would surely have been worse yet.
    """
    if document.previous is None or document.previous in evidence.broken or evidence.one_way:
        return None
    if evidence.at > document.since + timedelta(days=policy.watch_days):
        return None
    back = gain(evidence.watched, policy.alpha)
    alarms = () if back and back.upper < 0 else evidence.alarms
    reasons = [*alarms, *faults(evidence.champion, policy)]
    if document.champion in evidence.broken:
        reasons.append(evidence.broken[document.champion])
    if back and back.lower > 0 and len(evidence.watched) >= policy.watch_min_days:
        gained = f"{back.mean:.4f}, at least {back.lower:.4f}, on {back.days} days"
        reasons.append(f"{document.previous} would have been better by {gained}")
    if not reasons:
        return None
    known = figures(evidence.watched, back) | {"champion": msgspec.to_builtins(evidence.champion)}
    return _change("rolled back", document.previous, "; ".join(reasons), figures=known)


def _compare(
    document: Document, challenger: Challenger, evidence: Evidence, policy: Policy
) -> Change | None:
    """Advance a challenger that has shown enough, and reject one that has shown too little."""
    found = gain(evidence.paired, policy.alpha)
    known = figures(evidence.paired, found)
    if challenger.stage == "canary":
        known |= {"canary": msgspec.to_builtins(evidence.canary)}

    def change(kind: Type, reason: str, share: float = 0.0) -> Change:
        return _change(kind, challenger.version, reason, figures=known, share=share)

    if challenger.version in evidence.broken:
        return change("challenger rejected", evidence.broken[challenger.version])
    if wrong := faults(evidence.canary, policy):
        return change("challenger rejected", "; ".join(wrong))
    enough = found is not None and found.days >= policy.shadow_days
    said = _said(found)
    won, lost = _shown(found, evidence, policy)
    if enough and lost:
        return change("challenger rejected", f"worse than the champion: {said}")
    # Nothing is to be found out about the champion's own recipe: the gate has compared them, and
    # they are watched.
    refreshed = evidence.refreshed and (found is None or found.upper >= 0)
    if (enough and won) or refreshed:
        if document.experiment:
            return None  # it has the traffic
        if step := _next_step(challenger, evidence, policy):
            shown = "refreshed" if evidence.refreshed else policy.promotion
            return change(step[0], f"{shown}: {said}", step[1])
    # A challenger without enough traffic or labels would be in the way of all later ones. Labels
    # that have begun to come are given the time that the policy allows them.
    longest = timedelta(days=policy.max_shadow_days + (policy.label_days if found else 0))
    days = found.days if found and not won else 0
    if days >= policy.max_shadow_days or evidence.at - challenger.since > longest:
        return change("challenger rejected", f"inconclusive: {said}")
    return None


def _said(found: Bound | None) -> str:
    if found is None:
        return "fewer than two days have labels"
    between = f"from {found.lower:+.4f} to {found.upper:+.4f}"
    return f"gain {found.mean:+.4f}, {between}, {found.days} days"


def _shown(found: Bound | None, evidence: Evidence, policy: Policy) -> tuple[bool, bool]:
    """Say whether a challenger has shown what the policy asks for, and whether it has lost.

    A tie is never enough; lost is what is worse beyond chance, or hardly can be better.
    """
    if found is None:
        return False, False
    if policy.promotion == EXPECTED_REGRET:
        at = regret([day.gain for day in evidence.paired], policy.margin)
        won, lost = (each < SMALL * policy.margin for each in (at.promoted, at.refused))
        return bool(won and found.mean > 0), bool(lost and found.mean < 0)
    needed = 0.0 if policy.promotion == "superior" else -policy.margin
    return found.lower > needed and found.mean > 0, found.upper < 0


def _next_step(
    challenger: Challenger, evidence: Evidence, policy: Policy
) -> tuple[Type, float] | None:
    in_canary = challenger.stage == "canary"
    waited = evidence.at - challenger.since >= timedelta(days=policy.canary_days)
    if in_canary and not (waited and evidence.canary.rows >= policy.canary_rows):
        return None
    wider = [share for share in sorted(policy.canary) if challenger.share < share < 1]
    if not wider:
        return "promoted", 0.0
    return "canary widened" if in_canary else "canary started", wider[0]


def _admit(document: Document, evidence: Evidence) -> Change | None:
    waiting, candidate = evidence.waiting, document.candidate
    if candidate is None:
        return None
    wrong = evidence.broken.get(candidate)
    if wrong is None:
        if waiting is None or waiting.version != candidate:
            return None
        if waiting.compared_with != document.champion:
            wrong = stale(waiting.compared_with, document.champion)
        elif waiting.alone:
            return None  # without a comparison a person has to say so
    if wrong:
        return _change("challenger rejected", candidate, wrong)
    return _change("shadow started", candidate, "it passed the gate against the champion")


def _judge(
    document: Document, experiment: Experiment, evidence: Evidence, policy: Policy
) -> Change | None:
    at = standing(evidence, split(document, experiment), policy.alpha)
    over = evidence.at >= experiment.end
    known: dict[str, Any] = {"id": experiment.id, "rows": at.rows, "labelled": at.labelled}
    said, won, lost, days = "no labelled day on both sides", False, False, 0
    if gained := at.gain:
        days, won, lost = gained.days, gained.lower > 0, gained.upper < 0
        known |= {"days": days, "gain": gained.mean, "lower": gained.lower, "upper": gained.upper}
        said = f"gain {gained.mean:+.4f} on {days} days"
    wins = experiment.promote and experiment.control == document.champion
    enough = min(at.labelled) >= experiment.min_rows and days >= policy.shadow_days

    def ended(verdict: Any, reason: str) -> Change:
        promoted = verdict == "challenger wins" and wins
        kind: Type = "promoted" if promoted else "experiment ended"
        return _change(kind, experiment.treatment, reason, figures=known, verdict=verdict)

    for arm in (experiment.control, experiment.treatment):
        if arm in evidence.broken:
            return ended("inconclusive", evidence.broken[arm])
    if enough and (won or lost) and not at.invalid:
        return ended("challenger wins" if won else "champion stays", said)
    why = f"invalid: {at.invalid}" if at.invalid else f"its time is over: {said}"
    return ended("inconclusive", why) if over else None


def split(document: Document, experiment: Experiment) -> tuple[float, float]:
    """Return the shares of the requests that control and treatment were to get."""
    treated = experiment.share
    return (1 - treated if experiment.control == document.champion else treated), treated
