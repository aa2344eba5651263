"""Why a version serves, or why it does not: its training and each decision on it, in words.

All of it stands in the registry, so it can be told years later.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from itertools import chain, takewhile
from typing import Any

import msgspec

from evergreen.contract import errors
from evergreen.contract.identifiers import is_version
from evergreen.registry.events import CLOCK_SKEW, ended_by
from evergreen.registry.manifest import Evaluation, Manifest, version_time
from evergreen.registry.registry import Registry
from evergreen.registry.state import Decision, Document, Status

_RECORDED = ("candidate", "kind", "created", "lineage", "metrics", "libraries", "artifacts")
_TOLD = ("reason", "time", "generation", "by", "figures")  # of the decision that ends an experiment
MAX_DECISIONS = 1_000  # that are looked through for those on a version


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a version serves or not, for people in `paragraphs`, for machines in what follows."""

    endpoint: str
    version: str
    status: Status | None
    serves: bool
    paragraphs: list[str]
    training: dict[str, Any] | None
    decisions: list[Decision]


def explain(registry: Registry, document: Document, version: str | None, day: date) -> Explanation:
    """Return why a version of an endpoint serves, or not; of the champion where none is named.

    day: on which its scores are answered. Raises UnknownVersionError.
    """
    version = document.champion if version is None else version
    manifest = damage = None
    try:
        if is_version(version):
            manifest = registry.manifest(document.endpoint, version)
    except errors.ModelUnavailableError as error:
        damage = f"{error}."
    status = document.statuses.get(version)
    if manifest is None and damage is None and status is None and version != document.champion:
        raise errors.UnknownVersionError(document.endpoint, version)
    decisions = _decisions_on(registry, document, version)
    paragraphs = [
        _now(document, version, status),
        *_recalibrated(registry, document.endpoint, version, day),
        *(_training(manifest) if manifest else [damage or "Its manifest is gone."]),
        *(map(decided, decisions) if decisions else ["No decision on it stands in the history."]),
    ]
    return Explanation(
        endpoint=document.endpoint,
        version=version,
        status=status,
        serves=version == document.champion or version in document.arms,
        paragraphs=paragraphs,
        training={name: getattr(manifest, name) for name in _RECORDED} if manifest else None,
        decisions=decisions,
    )


def _decisions_on(registry: Registry, document: Document, version: str) -> list[Decision]:
    """Return the decisions that concern a version, oldest first: none is older than itself."""
    made = version_time(version) - CLOCK_SKEW
    oldest = max(0, document.generation - MAX_DECISIONS)
    earlier = (
        registry.decision(document.endpoint, generation)
        for generation in range(document.generation - 1, oldest, -1)
    )
    decisions = chain([document.last], filter(None, earlier))
    known = takewhile(lambda each: each.time >= made, decisions)
    return [each for each in known if version in _named(each)][::-1]


def _named(decision: Decision) -> set[str | None]:
    experiment = decision.figures.get("experiment", {})
    changed = decision.previous if decision.type in ("promoted", "rolled back") else None
    arms = experiment.get("control"), experiment.get("treatment")
    return {decision.version, *decision.moves, *arms, changed}


def _now(document: Document, version: str, status: Status | None) -> str:
    name, champion = document.endpoint, document.champion
    paused = f" The endpoint is paused: {document.paused}." if document.paused else ""
    when = f"generation {document.generation}"
    if version == champion:
        return f"{version} is the champion of {name} since {_at(document.since)} ({when}).{paused}"
    serves = f"{champion} is the champion of {name}"
    if version in document.arms:
        parts = {"canary": "in canary", "ab": "an arm of an experiment"}
        part = parts.get(status or "", f"{status}")
        share = f"{document.arms[version]:.0%} of the requests"
        return f"{version} is {part} and answers {share}; {serves} ({when}).{paused}"
    why = {
        "candidate": "it waits to be compared or approved",
        "shadow": "it is compared with the champion on recorded requests",
        "retired": "another version took its place",
        "rejected": "it was refused, and is not tried again",
    }.get(status or "", "it was never entered")
    if version == document.fallback:
        why = "it is the rule that answers where no model can be loaded"
    return f"{version} does not serve: {why}; {serves} ({when}).{paused}"


def _recalibrated(registry: Registry, endpoint: str, version: str, day: date) -> Iterator[str]:
    """Tell what is made of its scores, where that is known; no other than ids stand in keys."""
    if not is_version(version):
        return
    try:
        found = registry.newest_recalibration(endpoint, version, day)
    except errors.CorruptDocumentError as error:
        yield f"Its scores are not recalibrated: {error}."
        return
    if found:
        intercept, slope = found.line
        yield (
            f"Where this stack recalibrates, its scores are by the map of {found.day}, learnt from "
            f"{found.rows:,} outcomes: about {slope:.3f} times the logit, {intercept:+.3f}."
        )


def _training(manifest: Manifest) -> Iterator[str]:
    lineage, metrics = manifest.lineage, manifest.metrics
    yield (
        f"It is {manifest.candidate} ({manifest.kind}), trained at {_at(manifest.created)} by run "
        f"{lineage.run}, trigger {lineage.trigger}, to predict: {manifest.target}. It was fitted "
        f"on {lineage.fitted_rows:,} rows until {_at(lineage.fitted_until)}, of "
        f"{lineage.data_rows:,} from {_at(lineage.data_start)} to {_at(lineage.data_end)}; data "
        f"{lineage.data_sha256[:12]}, code {lineage.code_sha256[:12]}, seed {lineage.seed}."
    )
    yield _measured(manifest.problem.metric, metrics, lineage.previous)
    for gate in metrics.gates:
        yield f"Gate {gate.name} {'passed' if gate.passed else 'refused it'}: {gate.said}."


def _measured(metric: str, metrics: Evaluation, champion: str | None) -> str:
    text = (
        f"On its holdout, {metrics.rows:,} rows from {_at(metrics.start)} to {_at(metrics.end)}, "
        f"its {metric} was {metrics.loss:.4f}, a constant's {metrics.baseline:.4f}"
    )
    if metrics.champion is None:
        return f"{text}; there was no champion to compare it with."
    text += f", that of the champion then, {champion}, {metrics.champion:.4f}"
    better, least = metrics.improvement, metrics.improvement_lower
    if better is None or least is None:
        return f"{text}."
    return f"{text}: better by {better:+.4f}, at least {least:+.4f} with 95 % confidence."


def decided(decision: Decision) -> str:
    """Return a decision as a paragraph: when, what, by whom, why, on which figures and rules."""
    when = f"Generation {decision.generation}, {_at(decision.time)}"
    text = f"{when}: {decision.type}, {decision.version}, by {decision.by}: {decision.reason}."
    if decision.moves:
        moves = ", ".join(f"{name} became {status}" for name, status in decision.moves.items())
        text += f" {moves}."
    for title, known in (("Figures", decision.figures), ("Policy", decision.policy)):
        if shown := ", ".join(_flat(known)):
            text += f" {title}: {shown}."
    return text


def _flat(known: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield figures as "name value", those of objects as "object.name value"."""
    for name, value in known.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            yield f"{prefix}{name} {value:.4g}"
        elif isinstance(value, int | str):
            yield f"{prefix}{name} {value}"
        elif isinstance(value, list) and not any(isinstance(each, dict | list) for each in value):
            yield f"{prefix}{name} {' / '.join(map(str, value))}"


def _at(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def experiments(history: list[Decision]) -> list[dict[str, Any]]:
    """Return the experiments that have ended, with what was asked and the verdict, oldest first."""
    started: dict[str, dict[str, Any]] = {}
    found = []
    for decision in history:
        if decision.type == "experiment started":
            started[decision.figures["experiment"]["id"]] = decision.figures["experiment"]
        elif ended := ended_by(decision):
            asked = started.get(ended["experiment"], {"id": ended["experiment"]})
            said = {name: getattr(decision, name) for name in _TOLD}
            found.append({"experiment": asked, "verdict": ended["verdict"], **said})
    return found
