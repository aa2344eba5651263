"""Every function that writes dies at, or does not hear of, each of its calls: what it leaves.

The calls are those of a run that nothing disturbs, so a new one is cut off like the others.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
import time_machine

import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.registry.state import Experiment
from evergreen.rollout import paired_comparison
from evergreen.rollout.evidence import ScoredDay
from evergreen.training.train_version import Trained
from local.plane.plane import Plane
from tests.faults.world import Act, World
from tests.support import given
from tests.support.candidates import ONE, TWO, document, move, written
from tests.support.given import NAME, NOW
from tests.support.memory import compacted
from tests.support.rollouts import DAY

LATER = NOW + 2.6 * DAY  # when the labels of a day after NOW have had their time
PATH = f"/control/endpoints/{NAME}"
JSON = {"Content-Type": "application/json"}


def called(calls: list[str]) -> str:
    """Return what calls were about: claim, version (its files), document, history, bus.

    Those that keep what was read once, and can be read again, are left out.
    """
    letters = {
        "runs/": "c", "models/": "v", "history/": "h", "endpoints/": "d", "PutEvents": "b",
        "evidence/": "", "recalibrations/": "",
    }  # fmt: skip
    found = [
        next((letter for part, letter in letters.items() if part in call), "?") for call in calls
    ]
    return re.sub("v+", "v", "".join(found))


# train


def training_at(time: Any) -> Act:
    """Return what Lambda does with an event: try it again, as the same invocation."""
    detail = {"endpoint": NAME, "time": time.isoformat(), "trigger": "schedule"}
    event = {"detail-type": "Retrain Requested", "detail": detail}
    return lambda plane: plane.invoke("TrainFunction", event, "one invocation")


@pytest.mark.usefixtures("remembered")
def test_a_first_training_that_is_cut_off_anywhere_ends_with_the_same_champion(
    world: World, data: Store
) -> None:
    given.upload(data)

    calls = world.converges(training_at(NOW))

    assert called(calls) == "cvbdbhc"
    (decision,) = world.state().decisions
    assert decision.type == "promoted"


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize("outcome", ["entered", "rejected", "skipped"])
def test_a_later_training_that_is_cut_off_anywhere_ends_the_same_and_leaves_the_champion(
    world: World,
    data: Store,
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
    outcome: str,
) -> None:
    given.upload(data)
    world.act(training_at(NOW))
    champion = document(world.registry).champion
    if outcome != "skipped":
        data.put(f"training/{NAME}/more.csv", given.csv(given.table(300, seed=3)))
    if outcome == "rejected":
        monkeypatch.setattr(flight_delay, "endpoint", given.quick(strength=1e-2, margin=0.0))
    clock.shift(DAY)

    calls = world.converges(training_at(NOW + DAY))

    ways = {"entered": "cvbdhc", "rejected": "cvbdhbc", "skipped": "cbc"}
    assert called(calls) == ways[outcome]
    assert [run.outcome for run in world.state().runs] == ["promoted", outcome]
    assert document(world.registry).champion == champion


# rollout


@pytest.fixture
def autopilot(
    world: World,
    data: Store,
    trained: Trained,
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """A champion, and a version beside it, of an endpoint that level 4 decides on."""
    policy: dict[str, Any] = {"label_days": 1, "shadow_days": 3, "canary_rows": 10}
    monkeypatch.setattr(flight_delay, "endpoint", given.quick(**policy))
    # Trained a week ago: the comparison has days to show, and one day is new.
    lineage = msgspec.structs.replace(trained.manifest.lineage, data_end=NOW - 8 * DAY)
    manifest = msgspec.structs.replace(trained.manifest, lineage=lineage)
    for name in (ONE, TWO):
        written(world.registry, replace(trained, manifest=manifest), name)
    move(world.registry, "promoted", ONE, time=NOW - 5 * DAY)
    captures = [
        msgspec.structs.replace(
            given.capture(n, NOW + DAY, features=row, variant="canary"), version=TWO
        )
        for n, row in enumerate(given.features(given.table(20)))
    ]
    given.deliver(data, captures, NOW + DAY)
    given.deliver(data, [given.capture(99, NOW)], NOW)  # the first day of which there are any
    compacted(data)
    clock.move_to(LATER)
    return world


def compared(data: Store, champion: str, other: str, gain: float) -> None:
    """Keep what the days before NOW have shown, as earlier ticks did."""
    for version, lost in ((champion, gain), (other, 0.0)):
        days = [
            ScoredDay(
                day=date(2013, 1, 27) + timedelta(n),
                rows=100,
                loss=0.5 + lost + (0.004 * (n % 3 - 1) if lost else 0.0),
            )
            for n in range(5)
        ]
        data.put(paired_comparison.key_of(NAME, version), msgspec.json.encode(days))


def canary_of(share: float) -> Callable[[World], None]:
    def begin(world: World) -> None:
        for kind in ("candidate entered", "shadow started"):
            move(world.registry, kind, TWO)
        if share:
            move(world.registry, "canary started", TWO, share=share)

    return begin


def candidate(world: World) -> None:
    move(world.registry, "candidate entered", TWO)


def young_champion(world: World) -> None:
    move(world.registry, "promoted", TWO, time=NOW - 4 * DAY)


def experiment(world: World) -> None:
    move(world.registry, "promoted", TWO, time=NOW - 30 * DAY)  # nobody watches it any more
    asked = Experiment(
        id="e1", control=TWO, treatment=ONE, share=0.5, hypothesis="", min_rows=200, start=NOW,
        end=NOW + DAY,
    )  # fmt: skip
    move(world.registry, "experiment started", ONE, experiment=asked)


TICKS: dict[str, tuple[Callable[[World], None], float, str]] = {
    "shadow started": (candidate, 0.0, "dbh"),
    "canary started": (canary_of(0), 0.05, "dbh"),
    "canary widened": (canary_of(0.05), 0.05, "dbh"),
    "promoted": (canary_of(0.5), 0.05, "dbh"),
    "challenger rejected": (canary_of(0), -0.05, "dbh"),
    "rolled back": (young_champion, 0.05, "dbh"),
    "experiment ended": (experiment, 0.0, "dbh"),
}


@pytest.mark.parametrize("kind", TICKS)
def test_a_tick_that_is_cut_off_anywhere_and_comes_again_decides_once_and_says_so(
    autopilot: World, data: Store, kind: str
) -> None:
    begin, gain, ways = TICKS[kind]
    begin(autopilot)
    if gain and kind == "rolled back":
        compared(data, TWO, ONE, gain)
    elif gain:
        compared(data, ONE, TWO, gain)
    before = document(autopilot.registry).generation

    calls = autopilot.converges(
        lambda plane: plane.invoke(
            "RolloutFunction", {"endpoint": NAME, "slot": f"{LATER:%Y-%m-%dT%H:%M:%SZ}"}
        )
    )

    assert called(calls) == ways
    found = document(autopilot.registry)
    assert (found.last.type, found.generation) == (kind, before + 1)


# control


def shadowed(world: World) -> None:
    canary_of(0)(world)


EXPERIMENT = {
    "treatment": TWO, "share": 0.5, "hypothesis": "better", "min_rows": 20, "days": 30,
}  # fmt: skip
ASKED: dict[str, tuple[Callable[[World], None], dict[str, Any], str]] = {
    "approve": (candidate, {"version": TWO}, "promoted"),
    "promote": (shadowed, {"version": TWO}, "promoted"),
    "reject": (shadowed, {"version": TWO}, "challenger rejected"),
    "rollback": (young_champion, {}, "rolled back"),
    "pause": (candidate, {}, "paused"),
    "experiments": (candidate, EXPERIMENT, "experiment started"),
    "experiments/stop": (experiment, {}, "experiment ended"),
}


@pytest.mark.parametrize("action", ASKED)
def test_a_decision_of_a_person_that_is_cut_off_anywhere_is_made_once_when_asked_for_again(
    autopilot: World, action: str
) -> None:
    begin, body, kind = ASKED[action]
    begin(autopilot)
    generation = document(autopilot.registry).generation
    asked: dict[str, Any] = {"generation": generation, **body}
    if action != "experiments":
        asked["reason"] = "because"

    def ask(plane: Plane) -> int:
        return plane.request("POST", f"{PATH}/{action}", json.dumps(asked).encode(), JSON).status

    def again(plane: Plane) -> None:
        assert ask(plane) in (200, 409)  # 409: it has happened, which the document shows

    calls = autopilot.converges(ask, again)

    assert called(calls) == "dbh"
    found = document(autopilot.registry)
    assert (found.last.type, found.generation) == (kind, generation + 1)


def test_a_training_that_a_person_asks_for_changes_nothing_by_itself_however_it_is_cut_off(
    autopilot: World,
) -> None:
    def ask(plane: Plane) -> object:
        return plane.request("POST", f"{PATH}/retrain", b"{}", JSON)

    calls = autopilot.converges(ask)

    assert called(calls) == "b"
