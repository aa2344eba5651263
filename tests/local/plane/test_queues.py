"""The queues between the bus and the functions: what a hundred events at once come to."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.plane.plane import Plane
from tests.local.plane.test_plane import put_on_bus
from tests.support import queues
from tests.support.given import NOW

AGE = timedelta(hours=6)  # after which Lambda drops an event that waits without a queue


@dataclass
class Runs:
    """Runs no function, and remembers what each was asked for and when; one takes so long."""

    ran: list[tuple[str, str, datetime]] = field(default_factory=list)
    take: Callable[[], object] = lambda: None
    broken: tuple[str, ...] = ()

    def invoke(self, function: str, _: Any, event: Any, __: str) -> None:
        (message,) = event["Records"]
        endpoint = json.loads(message["body"])["detail"]["endpoint"]
        self.ran.append((function, endpoint, datetime.now(UTC)))
        if function == "TrainFunction":
            self.take()
        if endpoint in self.broken:
            raise ValueError(endpoint)


@pytest.fixture
def runs(plane: Plane) -> Runs:
    found = plane.runtime = Runs()
    return found


def asked(kind: str, *names: str) -> None:
    more = {"trigger": "schedule"} if kind == "Retrain Requested" else {}
    for name in names:
        put_on_bus(kind, endpoint=name, time=f"{NOW:%Y-%m-%dT%H:%M:%SZ}", **more)


@pytest.mark.usefixtures("shortcuts")
def test_a_hundred_trainings_at_once_all_run_none_is_given_up_and_no_check_waits_for_them(
    plane: Plane, runs: Runs, clock: Any
) -> None:
    names = [f"endpoint-{number}" for number in range(100)]
    runs.take = lambda: clock.shift(timedelta(minutes=14))
    asked("Retrain Requested", *names)
    asked("Check Requested", "one")

    plane.settle()

    trained = [name for function, name, _ in runs.ran if function == "TrainFunction"]
    assert sorted(trained) == sorted(names)
    assert runs.ran[-1][2] - NOW > 3 * AGE
    assert ("CheckFunction", "one") in [one[:2] for one in runs.ran[:2]]
    assert queues.letters() == []
    assert [queues.counted(url) for url in queues.WORK] == [0, 0, 0]


def test_one_that_fails_is_tried_three_times_hours_apart_and_keeps_nobody_from_running(
    plane: Plane, runs: Runs, clock: Any
) -> None:
    plane.log, runs.broken = io.StringIO(), ("broken",)
    asked("Check Requested", "one", "broken", "two")

    plane.settle()
    assert [name for _, name, _ in runs.ran] == ["one", "broken", "two"]
    for _ in range(8):
        clock.shift(timedelta(hours=1))
        plane.settle()

    again = [(at - NOW) / timedelta(hours=1) for _, name, at in runs.ran if name == "broken"]
    assert again == [0, 2, 4]  # hidden for an hour and a half
    assert [letter["detail"]["endpoint"] for letter in queues.letters()] == ["broken"]
    assert plane.log.getvalue().count("CheckFunction failed") == 3


def test_a_message_that_was_handled_is_gone(plane: Plane, runs: Runs, clock: Any) -> None:
    asked("Rollout Requested", "one")
    plane.settle()
    clock.shift(timedelta(days=1))
    plane.settle()

    assert len(runs.ran) == 1


def test_a_role_that_may_not_read_its_queue_is_found(plane: Plane, runs: Runs) -> None:
    plane.roles["CheckFunction"] = plane.roles["RolloutFunction"]

    with pytest.raises(Exception, match=r"sqs:ReceiveMessage on .*checkqueue"):
        plane.settle()

    plane.roles["CheckFunction"].refused.clear()
