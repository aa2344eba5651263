"""Each slot of the schedule leads to at most one accepted model, however its event comes."""

import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
import time_machine

import train
from evergreen.aws.s3 import Store
from evergreen.registry import run_claims
from evergreen.registry.registry import Registry
from evergreen.registry.run_claims import RUN_LIMIT, Run
from evergreen.registry.state import Decision
from evergreen.training import train_version
from local.plane.plane import Plane
from local.plane.process import Context
from tests.faults.wire import KilledError, objects, restore
from tests.faults.world import World
from tests.support import given
from tests.support.given import NAME, NOW
from tests.support.rollouts import DAY

pytestmark = pytest.mark.usefixtures("remembered")

ACCEPTED = ("promoted", "candidate entered")


def event(time: datetime = NOW, trigger: str = "schedule") -> dict[str, Any]:
    detail = {"endpoint": NAME, "time": time.isoformat(), "trigger": trigger}
    return {"detail-type": "Retrain Requested", "detail": detail}


def trained_by(plane: Plane, time: datetime, owner: str) -> dict[str, Any]:
    found: dict[str, Any] = plane.invoke("TrainFunction", event(time), owner)
    return found


def accepted(world: World) -> list[Decision]:
    return [found for found in world.state().decisions if found.type in ACCEPTED]


@pytest.fixture
def flights(data: Store) -> None:
    given.upload(data)


@pytest.fixture
def later(world: World, flights: None, data: Store, clock: time_machine.Traveller) -> World:
    """Let there be a champion, and data that another version can be trained on."""
    world.act(lambda plane: trained_by(plane, NOW, "the first"))
    data.put(f"training/{NAME}/more.csv", given.csv(given.table(300, seed=3)))
    clock.shift(DAY)
    return world


def test_ten_events_of_each_of_three_slots_in_any_order_train_once_a_slot_at_most(
    later: World, clock: time_machine.Traveller
) -> None:
    clock.shift(3 * DAY)
    slots = [NOW + n * DAY for n in (1, 2, 3)] * 10
    random.Random(0).shuffle(slots)

    for n, slot in enumerate(slots):
        later.act(lambda plane: trained_by(plane, slot, f"invocation {n}"))  # noqa: B023

    entered = [found for found in later.state().decisions if found.type == "candidate entered"]
    assert 1 <= len(entered) <= 3
    assert len({found.by for found in entered}) == len(entered)
    assert len(later.state().runs) == 4
    assert all(run.outcome for run in later.state().runs)


def test_ten_ticks_of_one_morning_ask_for_the_same_run(later: World) -> None:
    runs = set()
    for _ in range(10):
        later.act(lambda plane: plane.invoke("TrainFunction", {"slot": "2013-02-01T06:00:00Z"}))
    for kind, detail in later.announced():
        if kind == "Retrain Requested" and detail["endpoint"] == NAME:
            runs.add(train._start({"detail-type": kind, "detail": detail}, "any").run)

    assert len(runs) == 1


@pytest.fixture
def handler(plane: Plane, template: Any) -> Iterator[Callable[[dict[str, Any], str], Any]]:
    """The handler itself, which the plane would call one at a time."""
    properties = template.of_type("AWS::Lambda::Function")["TrainFunction"]
    variables = properties["Environment"]["Variables"]
    with patch.dict("os.environ", {name: str(value) for name, value in variables.items()}):
        yield lambda asked, owner: train.handler(asked, Context("train", 1024, owner))


def test_of_ten_invocations_at_the_same_moment_one_trains(
    world: World, flights: None, handler: Callable[[dict[str, Any], str], Any]
) -> None:
    before, start = sys.getswitchinterval(), Barrier(10)
    sys.setswitchinterval(1e-5)

    def invoke(owner: str) -> str | None:
        start.wait(timeout=60)
        outcome: str | None = handler(event(), owner)["outcome"]
        return outcome

    with ThreadPoolExecutor(10) as pool:
        outcomes = list(pool.map(invoke, [f"invocation {n}" for n in range(10)]))
    sys.setswitchinterval(before)

    assert outcomes.count("promoted") >= 1
    assert set(outcomes) <= {"promoted", None}  # None: somebody else is at it
    assert len(accepted(world)) == 1
    assert world.state().document.generation == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("retried", [True, False], ids=["retried", "not retried"])
@pytest.mark.parametrize("call", [0, 1, 5, 6, 7])
def test_an_invocation_that_ran_out_of_time_leaves_its_slot_to_its_retry_or_to_a_later_duplicate(
    later: World, clock: time_machine.Traveller, call: int, retried: bool
) -> None:
    slot = NOW + DAY
    later.wire.cut_at(call, "after")
    with pytest.raises(KilledError):
        trained_by(Plane(later.template), slot, "ours")
    in_between = later.act(lambda plane: trained_by(plane, slot, "a duplicate"))
    if retried:
        later.act(lambda plane: trained_by(plane, slot, "ours"))
    clock.shift(RUN_LIMIT + timedelta(seconds=1))

    outcomes = [
        later.act(lambda plane: trained_by(plane, slot, owner))["outcome"]  # type: ignore[index] # noqa: B023
        for owner in ("another duplicate", "ours", "a duplicate")
    ]

    assert in_between["outcome"] is None  # type: ignore[index]
    assert outcomes == ["entered"] * 3
    assert [found.type for found in accepted(later)] == ["promoted", "candidate entered"]


def test_a_retry_holds_its_claim_as_long_as_lambda_lets_it_run(registry: Registry) -> None:
    claimed = Run(run="slot", owner="ours", trigger="schedule", at=NOW, started=NOW)
    again = msgspec.structs.replace(claimed, started=NOW + 0.9 * RUN_LIMIT)
    other = msgspec.structs.replace(claimed, owner="other", started=NOW + 1.5 * RUN_LIMIT)
    run_claims.claim(registry.store, NAME, claimed)
    run_claims.claim(registry.store, NAME, again)

    assert run_claims.claim(registry.store, NAME, other).owner == "ours"


def test_an_owner_that_is_late_does_not_write_over_the_record_of_who_took_its_run_over(
    registry: Registry,
) -> None:
    first = Run(run="slot", owner="ours", trigger="schedule", at=NOW, started=NOW)
    late = msgspec.structs.replace(first, owner="other", started=NOW + 2 * RUN_LIMIT)
    run_claims.claim(registry.store, NAME, first)
    run_claims.claim(registry.store, NAME, late)

    assert not run_claims.finish(
        registry.store, NAME, msgspec.structs.replace(first, outcome="skipped")
    )
    assert run_claims.finish(registry.store, NAME, msgspec.structs.replace(late, outcome="entered"))

    found = run_claims.find(registry.store, NAME, "slot")
    assert found is not None
    assert (found.owner, found.outcome) == ("other", "entered")


def test_a_late_owner_and_who_took_its_run_over_enter_one_model_between_them(
    later: World, data: Store, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot, real, before = NOW + DAY, train_version.train, objects()
    data.put(f"training/{NAME}/even-more.csv", given.csv(given.table(300, seed=4)))
    uploaded = {data.bucket: objects()[data.bucket]}
    restore(before)

    def slow(*args: Any) -> train_version.Trained:
        """Train for longer than a claim holds, while another trains on what has come since."""
        monkeypatch.setattr(train_version, "train", real)
        clock.shift(RUN_LIMIT + timedelta(seconds=1))
        restore(uploaded)
        other = Plane(later.template).invoke("TrainFunction", event(slot), "other")
        assert other["outcome"] == "entered"
        found: train_version.Trained = real(*args)
        return found

    monkeypatch.setattr(train_version, "train", slow)

    late = later.act(lambda plane: trained_by(plane, slot, "ours"))

    versions = {run.version for run in later.state().runs}
    assert len(later.state().versions) - len(versions) >= 2  # its own was written, and the rule
    assert [found.type for found in accepted(later)] == ["promoted", "candidate entered"]
    assert late["version"] == accepted(later)[-1].version  # type: ignore[index]
    assert [run.owner for run in later.state().runs] == ["the first", "other"]
