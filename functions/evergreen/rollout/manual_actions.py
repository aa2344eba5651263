"""What people may ask of an endpoint.

Each function returns the Change that a request asks for; registry.transitions then applies it, and
refuses what the state does not allow.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from evergreen.contract.endpoint import Policy
from evergreen.contract.errors import (
    ForbiddenChangeError,
    ModelUnavailableError,
    UnknownVersionError,
)
from evergreen.contract.identifiers import is_version
from evergreen.contract.schema import not_accepted
from evergreen.registry import lifecycle
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry
from evergreen.registry.state import Document, Experiment
from evergreen.registry.transitions import Change
from evergreen.rollout import decide
from evergreen.rollout.evidence import Evidence, PairedDay, figures, gain, standing
from evergreen.rollout.requests import Asked, ExperimentAsked, RollbackAsked, VersionAsked
from evergreen.rollout.status import words
from evergreen.serving.model import Model, fetch

Promotion = Callable[[Document, Manifest, VersionAsked, str], Change]
PROMOTABLE = ("candidate", "shadow", "canary", "ab")


def loaded(registry: Registry, endpoint: str, version: str, runtime: str) -> Model:
    """Return a version that could answer now: its bytes are verified, its golden rows replayed.

    Raises UnknownVersionError, and ForbiddenChangeError where it cannot be loaded.
    """
    try:
        manifest = registry.manifest(endpoint, version) if is_version(version) else None
        if manifest is None:
            raise UnknownVersionError(endpoint, version)
        return fetch(registry, manifest, runtime)
    except ModelUnavailableError as error:
        raise ForbiddenChangeError(endpoint, str(error)) from error


def approval(document: Document, manifest: Manifest, asked: VersionAsked, by: str) -> Change:
    """Promote the candidate that waits, if its gate compared it with the present champion."""
    status = document.statuses.get(asked.version)
    if status != "candidate":
        raise ForbiddenChangeError(
            document.endpoint,
            f"{asked.version} is {status or 'unknown'}, and no candidate that waits for approval",
        )
    if manifest.lineage.previous != document.champion:
        reason = lifecycle.stale(manifest.lineage.previous, document.champion)
        raise ForbiddenChangeError(document.endpoint, f"{asked.version} is {reason}")
    return promotion(document, manifest, asked, by)


def promotion(document: Document, manifest: Manifest, asked: VersionAsked, by: str) -> Change:
    """Promote a candidate or a challenger, whatever has been shown of it by now."""
    status = document.statuses.get(asked.version)
    if status not in PROMOTABLE:
        what = "a retired one is rolled back to" if status == "retired" else "train again"
        raise ForbiddenChangeError(
            document.endpoint,
            f"{asked.version} is {status or 'not entered'}: only a version that is "
            f"{', '.join(PROMOTABLE)} can be promoted; {what}",
        )
    return Change(
        type="promoted",
        version=asked.version,
        by=by,
        reason=asked.reason,
        figures=gate_figures(manifest),
    )


def gate_figures(manifest: Manifest) -> dict[str, Any]:
    """Return what a version showed when it was trained, as far as it is one number each."""
    known = msgspec.to_builtins(manifest.metrics)
    return {name: value for name, value in known.items() if isinstance(value, int | float | str)}


def rejection(document: Document, asked: VersionAsked, by: str) -> Change:
    """Reject the candidate or the challenger, which is then not tried again."""
    status = document.statuses.get(asked.version)
    return Change(
        type="challenger rejected",
        version=asked.version,
        by=by,
        reason=asked.reason,
        figures={"stage": status or "unknown"},
    )


def with_evidence(change: Change, days: Sequence[PairedDay], policy: Policy) -> Change:
    """Return a change that says what the comparison has shown by now, and by which rules."""
    known = {"comparison": figures(days, gain(days, policy.alpha))}
    return msgspec.structs.replace(change, figures=change.figures | known, policy=policy.rules)


def rollback_to(document: Document, asked: RollbackAsked) -> str:
    """Return the version that a rollback goes to."""
    version = asked.version or document.previous
    if version is None:
        raise ForbiddenChangeError(
            document.endpoint,
            "it has no champion before this one to roll back to: name a retired version",
        )
    return version


def experiment(document: Document, asked: ExperimentAsked, by: str, at: datetime) -> Change:
    """Begin an A/B test; who asks has loaded both arms."""
    control = asked.control or document.champion
    digest = hashlib.sha256(f"{control} {asked.treatment}".encode()).hexdigest()[:8]
    return Change(
        type="experiment started",
        version=asked.treatment,
        by=by,
        reason=asked.hypothesis,
        experiment=Experiment(
            id=f"{at:%Y%m%dT%H%M%SZ}-{digest}",
            control=control,
            treatment=asked.treatment,
            share=asked.share,
            hypothesis=asked.hypothesis,
            min_rows=asked.min_rows,
            start=at,
            end=at + timedelta(days=asked.days),
            promote=asked.promote,
        ),
    )


def check_alike(control: Manifest, treatment: Manifest) -> None:
    """Raise ForbiddenChangeError unless both arms can answer the same requests alike."""
    reasons = (
        not_accepted(control.schema, treatment.schema),
        not_accepted(treatment.schema, control.schema),
    )
    for version, reason in zip((treatment.version, control.version), reasons, strict=True):
        if reason:
            raise ForbiddenChangeError(
                control.endpoint, f"{version} cannot answer what the other arm can: {reason}"
            )
    kinds = control.problem.kind, treatment.problem.kind
    if kinds[0] != kinds[1]:
        raise ForbiddenChangeError(
            control.endpoint, f"one arm answers a {kinds[0]} problem, the other a {kinds[1]} one"
        )


def stop(document: Document, evidence: Evidence, policy: Policy, asked: Asked, by: str) -> Change:
    """End the experiment with the verdict of this moment: inconclusive without enough labels."""
    if document.experiment is None:
        raise ForbiddenChangeError(document.endpoint, "no experiment is running")
    over = replace(evidence, at=max(evidence.at, document.experiment.end))
    running = msgspec.structs.replace(document, paused=None)
    change = decide.decide(running, over, policy, level=0)  # of this alone, whatever the level
    if change is None:
        raise ForbiddenChangeError(document.endpoint, "its experiment has no verdict yet")
    found = standing(evidence, decide.split(document, document.experiment), policy.alpha)
    return msgspec.structs.replace(change, by=by, reason=f"{asked.reason} ({words(found)})")
