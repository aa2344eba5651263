"""What starts a training by itself, and what keeps one from starting."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from evergreen.aws.s3 import Store
from evergreen.captures.recorded import Recorded
from evergreen.contract.endpoint import Policy
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry
from evergreen.registry.state import Document
from evergreen.training import run_records

COOLED = frozenset({"drift", "performance", "labels"})  # that wait for policy.cooldown_days
AUTOMATIC = COOLED | {"schedule"}  # all others are a person's, and `upload`
MIN_LABELS = 1_000


@dataclass(frozen=True)
class State:
    """What a training finds when it starts.

    last: the newest version, whatever became of it. in_flight: why another version would have to
    wait, or None. violated: the fields for which the newest check found the schema violated, and
        not for as long as policy.cooldown_days: by then the world is so, and training is the mend.
    """

    now: datetime
    document: Document | None = None
    last: Manifest | None = None
    in_flight: str | None = None
    violated: tuple[str, ...] = ()


def by_hand(trigger: str) -> bool:
    """Say whether a person asks, who may train anything at any time."""
    return trigger not in AUTOMATIC | {"upload"}


def due(name: str, policy: Policy, slot: datetime, registry: Registry, data: Store) -> str | None:
    """Return what an endpoint should be trained for on a day, or None."""
    if policy.is_due(slot):
        return "schedule"
    counted = policy.new_labels is not None
    last = next(run_records.manifests(name, registry), None) if counted else None
    if last is None or cools(slot, last, policy):
        return None
    told = Recorded(data, name).told_since(last.created, slot)
    return "labels" if enough(told, last, policy) else None


def enough(labels: int, last: Manifest, policy: Policy) -> bool:
    """Say whether so many labels since a training are worth the next."""
    if policy.new_labels is None:
        return False
    return labels >= max(MIN_LABELS, policy.new_labels * last.lineage.data_rows)


def cools(at: datetime, last: Manifest, policy: Policy) -> bool:
    """Say whether the last training is too short ago for another that nobody asked for."""
    return at - last.created < timedelta(days=policy.cooldown_days)


def reason_to_skip(trigger: str, at: datetime, policy: Policy, state: State) -> str | None:
    """Return why there is no training at this time, or None; before any data is read.

    at: the time of the event, after which nothing is known to the training.
    """
    paused = state.document.paused if state.document else None
    if at > state.now:
        return f"its time, {at:%Y-%m-%d %H:%M} UTC, is in the future"
    if state.last and at < state.last.created:
        return f"it is older than the last training, {state.last.created:%Y-%m-%d %H:%M} UTC"
    if paused and not by_hand(trigger):
        return f"the endpoint is paused: {paused}"
    if trigger not in AUTOMATIC:
        return None
    if trigger in COOLED and state.last and cools(at, state.last, policy):
        days = f"policy.cooldown_days={policy.cooldown_days}"
        return f"the last training, {state.last.created:%Y-%m-%d}, is less than {days} ago"
    if state.violated:
        said = f"the newest check found the schema violated ({', '.join(state.violated)})"
        lasting = f"what lasts for policy.cooldown_days={policy.cooldown_days}"
        way_out = f"mend the data, or train by hand; {lasting} no longer holds trainings up"
        return f"{said}: {way_out}"
    return state.in_flight
