"""Move challengers forward, promote, roll back, and end experiments, on evidence.

Started by
    {"slot": "<time>"}       every hour: asks on the bus for a tick of each endpoint
    Rollout Requested        an event on the bus: a tick of that endpoint
    Performance Degraded     an event on the bus: looks at that endpoint now
    {"endpoint": "flight-delay", "slot": "<time>"}    a person: a tick

A tick may run late, run twice, or be cut off halfway; the next one then makes the same decision.
"""

import os
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

import bootstrap
from evergreen.aws.telemetry import measure_stack, observed
from evergreen.contract import endpoint_files
from evergreen.contract.errors import UnknownEventError
from evergreen.registry import events
from evergreen.registry.state import Decision
from evergreen.rollout.subject import Subject
from evergreen.rollout.tick import tick
from evergreen.serving.model import Model, fetch
from scheduled import ask, slot_of, taken


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Ask for a tick of every endpoint that has a champion, or look at one."""
    event, _ = taken(event, context.aws_request_id)
    match event:
        case {"detail-type": "Performance Degraded", "detail": {"endpoint": name}}:
            at = datetime.now(UTC)
        case {"detail": {"endpoint": name, "time": time}} | {"endpoint": name, "slot": time}:
            at = slot_of(time, "rollout")
        case {"slot": time}:
            requested = ask(events.RolloutRequested, slot_of(time, "rollout"))
            measure_stack(TicksRun=not requested)  # with nothing to look at, nothing was missed
            return {"requested": requested}
        case _:
            raise UnknownEventError("rollout", '{"slot": "<time>"} and events of the bus')
    decision = look_at(name, at)
    measure_stack(TicksRun=1)
    return {"decided": {name: decision.type if decision else None}}


def look_at(name: str, at: datetime) -> Decision | None:
    """Tick one endpoint."""
    policy = endpoint_files.load(name).policy
    subject = Subject(
        name=name, read_policy=lambda: policy, registry=bootstrap.registry(writes=True),
        data=bootstrap.data(), bus=bootstrap.events(), load=partial(_model, name),
        level=int(os.environ["MATURITY_LEVEL"]),
        recalibration=os.environ["RECALIBRATION"] == "on",
    )  # fmt: skip
    return tick(subject, at, _model.cache_clear)


@lru_cache(maxsize=8)  # of what cannot change
def _model(name: str, version: str) -> Model:
    registry = bootstrap.registry(writes=True)
    return fetch(registry, registry.known(name, version), os.environ["SERVING_RUNTIME"])
