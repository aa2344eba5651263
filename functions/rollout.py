"""Move challengers forward, promote, roll back, and end experiments, on evidence.

Started by
    {"slot": "<time>"}       every hour: looks at each endpoint
    Performance Degraded     an event on the bus: looks at that endpoint now

A tick may run late, run twice, or be cut off halfway; the next one then makes the same decision.
"""

import os
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

import bootstrap
from evergreen.aws.telemetry import measure_stack, observed
from evergreen.contract import endpoint_files
from evergreen.contract.errors import UnknownEventError
from evergreen.registry import events
from evergreen.registry.state import Decision
from evergreen.rollout.paired_comparison import Load
from evergreen.rollout.subject import Subject
from evergreen.rollout.tick import tick
from evergreen.serving.model import Model, fetch
from scheduled import each, slot_of, with_champion


@observed
def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Look at every endpoint, or at the one that an event is about."""
    if "slot" in event:
        at = slot_of(event["slot"], "rollout")
        decided = _looked_at(with_champion(), at)
        measure_stack(TicksRun=1)
        return {"decided": decided}
    if event.get("detail-type") == "Performance Degraded":
        detail = msgspec.convert(event["detail"], events.PerformanceDegraded)
        return {"decided": _looked_at([detail.endpoint], datetime.now(UTC))}
    raise UnknownEventError("rollout", '{"slot": "<time>"} and Performance Degraded')


def _looked_at(names: list[str], at: datetime) -> dict[str, str | None]:
    """Return what was decided on each endpoint."""
    found = each(names, lambda name: look_at(name, at), "not looked at")
    return {name: decision.type if decision else None for name, decision in found.items()}


def look_at(name: str, at: datetime) -> Decision | None:
    """Tick one endpoint."""
    policy = endpoint_files.load(name).policy
    subject = Subject(
        name=name,
        read_policy=lambda: policy,
        registry=bootstrap.registry(writes=True),
        data=bootstrap.data(),
        bus=bootstrap.events(),
        load=loader(name),
        level=int(os.environ["MATURITY_LEVEL"]),
    )
    return tick(subject, at, _model.cache_clear)


def loader(name: str) -> Load:
    """Return what loads the versions of an endpoint; those that cannot change are kept."""
    return lambda version: _model(name, version)


@lru_cache(maxsize=8)
def _model(name: str, version: str) -> Model:
    registry = bootstrap.registry(writes=True)
    return fetch(registry, registry.known(name, version), os.environ["SERVING_RUNTIME"])
