"""A training that fails, however it fails, never changes what is served."""

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import time_machine
from sklearn.base import BaseEstimator, ClassifierMixin

import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from local.plane.plane import Plane
from tests.faults.wire import objects, restore
from tests.faults.world import World
from tests.support import given
from tests.support.candidates import document
from tests.support.given import NAME, NOW
from tests.support.rollouts import DAY

pytestmark = pytest.mark.usefixtures("remembered")


def train(plane: Plane, time: datetime = NOW + DAY, trigger: str = "schedule") -> dict[str, Any]:
    detail = {"endpoint": NAME, "time": time.isoformat(), "trigger": trigger}
    event = {"detail-type": "Retrain Requested", "detail": detail}
    found: dict[str, Any] = plane.invoke("TrainFunction", event, "one invocation")
    return found


def asked(plane: Plane) -> list[Any]:
    """Return what a caller gets, but for the ids, which are always new."""
    rows = given.features(given.table(20, seed=9))
    answer = plane.request(
        "POST",
        f"/endpoints/{NAME}/predict",
        given.body(*rows),
        {"Content-Type": "application/json"},
    )
    assert answer.status == 200
    found = answer.json()
    return [found["version"], *({**one, "id": ""} for one in found["predictions"])]


@dataclasses.dataclass(frozen=True)
class Served:
    """What callers get, of a function that is warm and of a new one, and from which bytes."""

    document: bytes
    objects: dict[str, bytes]
    answers: list[Any]


@pytest.fixture
def served(
    world: World, data: Store, artifacts: Store, clock: time_machine.Traveller
) -> Callable[[], Served]:
    """Let there be a champion, and data for another; return what tells what is served."""
    given.upload(data)
    world.act(lambda plane: train(plane, NOW))
    data.put(f"training/{NAME}/more.csv", given.csv(given.table(300, seed=3)))
    clock.shift(DAY)
    champion, warm = document(world.registry).champion, Plane(world.template)
    asked(warm)

    def read() -> Served:
        world.wire.whole()
        clock.shift(3600)  # the warm one looks again
        assert asked(warm) == asked(Plane(world.template))
        stored = {
            key: artifacts.get(key)
            for key in [f"endpoints/{NAME}.json", *artifacts.keys("models/")]
        }
        bodies = {key: found.body for key, found in stored.items() if found}
        text = bodies.pop(f"endpoints/{NAME}.json")
        kept = {key: body for key, body in bodies.items() if champion in key}
        assert kept
        return Served(text, kept, asked(warm))

    return read


class Broken(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A candidate that fails as it says."""

    def __init__(self, failure: str) -> None:
        self.failure = failure

    def fit(self, _: Any, labels: Any) -> "Broken":
        self.classes_ = np.unique(labels)
        if self.failure == "raises":
            raise ValueError("no such thing")
        if self.failure == "out of memory":
            raise MemoryError
        if self.failure == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        return self

    def predict_proba(self, rows: Any) -> Any:
        return np.full((len(rows), 2), np.nan)


@pytest.mark.parametrize("failure", ["raises", "out of memory", "killed", "answers NaN"])
def test_candidates_that_fail_leave_what_is_served_byte_for_byte(
    world: World, served: Callable[[], Served], monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    before = served()
    broken = dataclasses.replace(given.quick(), candidates=lambda _: {"broken": Broken(failure)})
    monkeypatch.setattr(flight_delay, "endpoint", broken)

    assert world.act(train)["outcome"] == "rejected"  # type: ignore[index]
    assert served() == before


@pytest.mark.parametrize(
    "columns", [{"arr_delay": -5.0}, {"hour": 99}, {"arr_delay": "late"}], ids=str
)
def test_bad_data_leaves_what_is_served_byte_for_byte(
    world: World, served: Callable[[], Served], data: Store, columns: dict[str, Any]
) -> None:
    before = served()
    data.s3.delete_object(Bucket=data.bucket, Key=f"training/{NAME}/2013-01.csv")
    bad = given.table(300, seed=1).assign(**columns)
    data.put(f"training/{NAME}/more.csv", given.csv(bad))

    run = world.act(train)

    assert run["outcome"] in ("skipped", "rejected")  # type: ignore[index]
    assert served() == before


def test_a_version_that_its_gate_refuses_leaves_who_answers_and_with_what(
    world: World, served: Callable[[], Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, answers = served(), document(world.registry)
    monkeypatch.setattr(flight_delay, "endpoint", given.quick(strength=1e-2, margin=0.0))

    run = world.act(train)

    after, found = served(), document(world.registry)
    assert run["outcome"] == "rejected"  # type: ignore[index]
    assert (after.objects, after.answers) == (before.objects, before.answers)
    assert (found.champion, found.since, found.arms) == (answers.champion, answers.since, {})


@pytest.mark.parametrize("outage", [500, 403])
def test_an_outage_that_begins_anywhere_in_a_training_leaves_who_answers_and_with_what(
    world: World, served: Callable[[], Served], outage: int
) -> None:
    before, start = served(), objects()
    world.act(train)
    calls, failures = world.wire.asked, []
    assert calls > 20

    for number in range(0, calls, 3 if outage == 500 else 7):
        restore(start)
        world.wire.whole()
        world.wire.down, world.wire.outage = number, outage
        failures.append(_failure(Plane(world.template)))

        after = served()
        where = f"from call {number} on: {failures[-1]!r}"
        assert (after.objects, after.answers) == (before.objects, before.answers), where
        decided = json.loads(after.document)["last"]["type"]
        assert after.document == before.document or decided == "candidate entered", where
    assert failures[0]
    assert sum(bool(failure) for failure in failures) > len(failures) * 0.7  # keys are kept


def _failure(plane: Plane) -> Exception | None:
    try:
        train(plane)
    except Exception as error:
        return error
    return None
