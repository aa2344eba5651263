"""Move challengers forward, promote, roll back, and end experiments, on evidence.

Started by
    {"slot": "<time>"}       every hour: looks at each endpoint
    Performance Degraded     an event on the bus: looks at that endpoint now

Each tick reads the state and the evidence, decides with evergreen.rollout.decide, and writes by
compare-and-set: at most one change an endpoint. Running it twice, late, or cutting it off changes
nothing that the next tick would not do again.
"""

import os
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

import bootstrap
import endpoints
from evergreen.aws.telemetry import logger, measure, measure_stack, observed
from evergreen.contract.errors import DocumentChangedError, UnknownEventError, worded
from evergreen.contract.moments import time_of
from evergreen.registry import events
from evergreen.registry.manifest import version_time
from evergreen.registry.state import Decision, Document
from evergreen.rollout import gather_evidence, paired_comparison
from evergreen.rollout.decide import AUTOPILOT, decide
from evergreen.rollout.evidence import Evidence
from evergreen.serving import model
from evergreen.serving.model import Model

DAY = timedelta(days=1)


@observed
def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Look at every endpoint, or at the one that an event is about."""
    now = datetime.now(UTC)
    if "slot" in event:
        at = time_of(event["slot"])
        if at > now + events.CLOCK_SKEW:
            raise UnknownEventError("rollout", "a time that is not in the future")
        names = [
            name
            for name in bootstrap.registry(writes=True).endpoints()
            if name in endpoints.names()
        ]
        decided = _each(names, at)
        measure_stack(TicksRun=1)
        return {"decided": decided}
    if event.get("detail-type") == "Performance Degraded":
        detail = msgspec.convert(event["detail"], events.PerformanceDegraded)
        return {"decided": _each([detail.endpoint], now)}
    raise UnknownEventError("rollout", '{"slot": "<time>"} and Performance Degraded')


def _each(names: list[str], at: datetime) -> dict[str, str | None]:
    """Tick each endpoint; one that fails must not keep the others from it."""
    decided: dict[str, str | None] = {}
    failed = []
    for name in names:
        try:
            found = tick(name, at)
            decided[name] = found.type if found else None
        except Exception as error:  # whatever it is, it is raised below
            about = {"endpoint": name, "reason": worded(error)}
            logger.error("an endpoint was not looked at", extra=about)
            failed.append(error)
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(names)} endpoints were not looked at", failed)
    return decided


def tick(name: str, at: datetime) -> Decision | None:
    """Do the next thing that the evidence at a time asks for; return the decision, if any."""
    registry, policy = bootstrap.registry(writes=True), endpoints.load(name).policy
    seen = registry.document(name)
    if seen is None:
        return None
    document, announce = seen.document, events.announcer(bootstrap.events(), name)
    registry.settle(document, announce)
    if at < document.last.time:
        return None  # a late or repeated tick: what it would decide on has been overtaken
    evidence = gather_evidence.gather(bootstrap.data(), document, policy, loader(name), at)
    level = int(os.environ["MATURITY_LEVEL"])
    change = decide(document, evidence, policy, level)
    _measure(document, evidence, level)
    if change is None:
        return None
    if change.type in ("promoted", "rolled back"):
        _model.cache_clear()
        loader(name)(change.version)  # raises if what it is in S3 by now cannot serve
    try:
        changed = registry.change(seen, change, at, announce)
    except DocumentChangedError:  # somebody else was faster: the next tick decides on what they did
        logger.warning("overtaken", extra={"endpoint": name, "decision": change.type})
        return None
    logger.info("decided", extra={"endpoint": name, "decision": changed.last})
    if change.type == "rolled back":
        measure(name, RolledBack=1)
    return changed.last


def loader(name: str) -> paired_comparison.Load:
    """Return what loads the versions of an endpoint; those that cannot change are kept."""
    return lambda version: _model(name, version)


@lru_cache(maxsize=8)
def _model(name: str, version: str) -> Model:
    registry = bootstrap.registry(writes=True)
    return model.fetch(registry, registry.known(name, version), os.environ["SERVING_RUNTIME"])


def _measure(document: Document, evidence: Evidence, level: int) -> None:
    """Write what alarms look at: how long a person is waited for, and a comparison goes on."""
    figures: dict[str, float] = {}
    if evidence.broken:
        figures["BrokenVersions"] = len(evidence.broken)
    waiting = evidence.waiting
    if waiting and (level < AUTOPILOT or waiting.alone):
        figures["CandidateWaitsDays"] = (evidence.at - version_time(waiting.version)) / DAY
    if document.challenger:
        figures["ChallengerDays"] = (evidence.at - document.challenger.started) / DAY
    if figures:  # each is billed for the hours in which it is written
        measure(document.endpoint, **figures)
