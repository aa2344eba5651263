"""What an endpoint knows of its versions by now, what it does next by itself, what it waits for."""

from datetime import timedelta
from typing import Any

from evergreen.contract.endpoint import Policy
from evergreen.registry.run_claims import Run
from evergreen.registry.state import Challenger, Document, Experiment
from evergreen.registry.transitions import stale
from evergreen.rollout import decide
from evergreen.rollout.evidence import Evidence, Standing, faults, figures, gain, standing

SHOWN = ("at", "waiting", "canary", "champion", "alarms", "broken")  # of the evidence, as it is


def seen(
    document: Document, evidence: Evidence, policy: Policy, level: int, newest: Run | None = None
) -> dict[str, Any]:
    """Return the evidence as figures, the change that the rollout would make, and what is missing.

    newest: the training run that began last. next: None where nothing is decided yet; below level
    4 the rollout ends experiments at most.
    """
    paired, watched = (
        figures(days, gain(days, policy.alpha)) for days in (evidence.paired, evidence.watched)
    )
    shown: dict[str, Any] = {name: getattr(evidence, name) for name in SHOWN}
    shown |= {"comparison": paired | {"by_day": evidence.paired}, "watched": watched}
    return {
        "level": level,
        "evidence": shown | {"faults": faults(evidence.canary, policy)},
        "next": decide.decide(document, evidence, policy, level),
        "waits": waits(document, evidence, policy, level, newest),
    }


def running(document: Document, evidence: Evidence, policy: Policy) -> dict[str, Any] | None:
    """Return how the experiment stands, or None where there is none."""
    if document.experiment is None:
        return None
    found = standing(evidence, decide.split(document, document.experiment), policy.alpha)
    return {"experiment": document.experiment, "standing": found, "says": words(found)}


def waits(
    document: Document, evidence: Evidence, policy: Policy, level: int, newest: Run | None
) -> list[str]:
    """Return what the endpoint waits for, the most urgent first."""
    if document.paused:
        return [f"paused ({document.paused}): a person has to resume it"]
    found = []
    if document.challenger:
        found.append(_challenger(document.challenger, evidence, policy, level))
    if document.candidate:
        found.append(_candidate(document.candidate, document, evidence, level))
    if document.experiment:
        found.append(_experiment(document, document.experiment, evidence, policy))
    if level >= decide.AUTOPILOT and document.previous:
        until = document.since + timedelta(days=policy.watch_days)
        if evidence.at <= until:
            watched = f"the champion is watched beside {document.previous} until "
            days = f"on {len(evidence.watched)} labelled days so far"
            found.append(f"{watched}{until:%Y-%m-%d %H:%M} UTC, {days}")
    skipped = newest and newest.outcome == "skipped" and newest.reason
    last = f"; the last training was skipped: {skipped}" if skipped else ""
    return found or [f"nothing: no version waits; the next training may bring one{last}"]


def _candidate(version: str, document: Document, evidence: Evidence, level: int) -> str:
    waiting = evidence.waiting
    if version in evidence.broken:
        return f"candidate {version} cannot be loaded: {evidence.broken[version]}"
    if waiting and waiting.compared_with != document.champion:
        return f"candidate {version} is {stale(waiting.compared_with, document.champion)}"
    if level < decide.AUTOPILOT:
        return f"candidate {version} waits for a person: approve or reject it"
    if waiting and waiting.alone:
        return f"candidate {version} waits for a person, as {waiting.alone}: approve or reject it"
    if document.challenger:
        return f"candidate {version} waits until {document.challenger.version} is decided on"
    return f"candidate {version} goes to shadow at the next tick"


def _challenger(challenger: Challenger, evidence: Evidence, policy: Policy, level: int) -> str:
    so_far = _so_far(evidence, policy)
    if challenger.stage == "canary":
        since = challenger.since + timedelta(days=policy.canary_days)
        rows = evidence.canary.rows
        days = (evidence.at - (challenger.canary or evidence.at)) / timedelta(days=1)
        left = (policy.canary_rows / rows - 1) * days if rows else 0.0
        rate = f" (about {left:.1f} more days at this rate)" if left > 0 else ""
        text = (
            f"{challenger.version} answers {challenger.share:.0%} of the requests until "
            f"{since:%Y-%m-%d %H:%M} UTC at least, {rows:,} of {policy.canary_rows:,} rows so "
            f"far{rate}; {so_far}"
        )
    elif evidence.refreshed:
        text = f"{challenger.version} goes to canary at the next tick of level 4: {so_far}"
    else:
        longest = f"inconclusive after {policy.max_shadow_days} days"
        text = f"{challenger.version} is compared in shadow: {so_far}; {longest}"
    return text if level >= decide.AUTOPILOT else f"{text}; a person has to promote or reject it"


def _so_far(evidence: Evidence, policy: Policy) -> str:
    found = gain(evidence.paired, policy.alpha)
    if evidence.refreshed:
        shown = f"gain {found.mean:+.4f} on {found.days} labelled days; " if found else ""
        return f"{shown}it is the champion's own recipe on newer data, and needs no proof in shadow"
    if found is None:
        return f"{len(evidence.paired)} labelled days of at least {policy.shadow_days}"
    enough = f"{0.0 if policy.promotion == 'superior' else -policy.margin:+.4f}"
    if policy.promotion == decide.EXPECTED_REGRET:
        enough = "an expected loss that is small"
    return (
        f"gain {found.mean:+.4f}, surely {found.lower:+.4f} or more, where {enough} is "
        f"needed, on {found.days} labelled days of at least {policy.shadow_days}"
    )


def _experiment(
    document: Document, experiment: Experiment, evidence: Evidence, policy: Policy
) -> str:
    said = words(standing(evidence, decide.split(document, experiment), policy.alpha))
    return (
        f"experiment {experiment.id} ends on {experiment.end:%Y-%m-%d %H:%M} UTC at the latest: "
        f"{said}, of {experiment.min_rows:,} rows for each arm and {policy.shadow_days} days"
    )


def words(found: Standing) -> str:
    """Return how an experiment stands, in words."""
    if found.invalid:
        return f"invalid: {found.invalid}"
    labelled = f"{found.labelled[0]:,} and {found.labelled[1]:,} labelled rows"
    if found.gain is None:
        return f"no gain to tell from {labelled}"
    over = found.gain
    between = f"from {over.lower:+.4f} to {over.upper:+.4f}"
    return f"gain {over.mean:+.4f}, {between}, on {over.days} days and {labelled}"
