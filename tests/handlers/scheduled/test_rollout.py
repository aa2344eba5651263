"""The rollout: a challenger goes forward, or not, on what was recorded."""

import json
import os
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import time_machine

import bootstrap as aws_clients
import compact
import endpoints.flight_delay as flight_delay
import rollout
from evergreen.aws.s3 import Store
from evergreen.contract.errors import EvergreenError, UnexpectedError, UnknownEventError
from evergreen.registry.state import Document
from evergreen.serving.model import ONNX
from evergreen.training.train_version import Trained
from local.template import key_id, physical_name
from tests.support import candidates, given, rollouts
from tests.support.given import NAME, NOW, Fault, injected
from tests.support.registries import registry_of
from tests.support.rollouts import BAD, DAY, GOOD
from tests.support.traffic import Announced

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def good() -> Trained:
    return rollouts.trained_on(lie=False)


@pytest.fixture(scope="session")
def bad() -> Trained:
    return rollouts.trained_on(lie=True)


@pytest.fixture(autouse=True)
def level(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rollout._model.cache_clear()
    for name, value in {
        "ARTIFACT_BUCKET": physical_name("ArtifactBucket"),
        "DATA_BUCKET": physical_name("DataBucket"),
        "EVENT_BUS": physical_name("EventBus"),
        "MANIFEST_KEY": key_id("ManifestKey"),
        "SERVING_RUNTIME": "onnx",
        "MATURITY_LEVEL": "4",
        "RECALIBRATION": "on",
        "POWERTOOLS_METRICS_NAMESPACE": "Evergreen",
        "POWERTOOLS_SERVICE_NAME": "evergreen",
    }.items():
        monkeypatch.setitem(os.environ, name, value)
    policy: dict[str, Any] = {
        "label_days": 1,
        "shadow_days": 3,
        "canary_rows": 10,
        "canary_days": 1.0,
        "recalibrate": False,  # or a model of lies would soon tell the truth
    }
    monkeypatch.setattr(flight_delay, "endpoint", given.quick(**policy))


@pytest.fixture
def waiting(artifacts: Store, good: Trained, bad: Trained) -> Store:
    """Let a version that knows nothing serve, and one that knows the flights wait."""
    candidates.written(registry_of(artifacts), bad, BAD)
    candidates.written(registry_of(artifacts), good, GOOD, previous=BAD)
    candidates.move(registry_of(artifacts), "promoted", BAD)
    candidates.move(registry_of(artifacts), "candidate entered", GOOD)
    return artifacts


@pytest.fixture
def young(artifacts: Store, good: Trained, bad: Trained) -> Store:
    """Let a version that knows nothing have taken the place of one that knows the flights."""
    candidates.written(registry_of(artifacts), good, GOOD)
    candidates.written(registry_of(artifacts), bad, BAD)
    candidates.move(registry_of(artifacts), "promoted", GOOD)
    candidates.move(registry_of(artifacts), "promoted", BAD, time=NOW)
    return artifacts


@dataclass
class Ticks:
    """Ticks of the rollout, some days after NOW; said: the names of the events since."""

    clock: time_machine.Traveller
    announced: Announced
    said: list[str] = field(default_factory=list)

    def __call__(self, day: float) -> str | None:
        at = NOW + day * DAY
        self.clock.move_to(at)
        slot = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        compact.handler({"hour": slot}, Context())
        answer = rollout.handler({"endpoint": NAME, "slot": slot}, Context())
        self.said += [name for name, _ in self.announced()]
        found: str | None = answer["decided"][NAME]
        return found

    def until(self, days: range) -> list[str]:
        """Tick at each midnight; return what was decided."""
        return [found for day in days if (found := self(day + 0.5))]


@pytest.fixture
def ticked(clock: time_machine.Traveller, announced: Announced) -> Ticks:
    return Ticks(clock, announced)


class Context:
    function_name = "rollout"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:rollout"
    aws_request_id = "a"


@pytest.mark.usefixtures("shortcuts")
def test_a_better_candidate_goes_through_shadow_and_canary_and_becomes_champion(
    waiting: Store, data: Store, ticked: Ticks
) -> None:
    rollouts.days(data, range(1, 20), version=BAD)
    rollouts.days(data, range(5, 20), version=GOOD, variant="canary", first=5_000)

    steps = ticked.until(range(1, 20))

    assert steps == [
        "shadow started",
        "canary started",
        "canary widened",
        "canary widened",
        "promoted",
    ]
    document = document_of(waiting)
    assert (document.champion, document.previous, document.challenger) == (GOOD, BAD, None)
    assert document.statuses == {BAD: "retired", GOOD: "champion"}
    assert document.last.by == "rollout"
    assert document.last.figures["lower"] > 0
    assert document.last.policy["shadow_days"] == 3
    assert ticked.said == [*["Challenger Started"] * 4, "Model Promoted"]


@pytest.mark.usefixtures("shortcuts")
def test_a_worse_candidate_is_rejected_by_its_shadow_and_never_answers(
    artifacts: Store, data: Store, good: Trained, bad: Trained, ticked: Ticks
) -> None:
    candidates.written(registry_of(artifacts), good, GOOD)
    candidates.written(registry_of(artifacts), bad, BAD, previous=GOOD)
    candidates.move(registry_of(artifacts), "promoted", GOOD)
    candidates.move(registry_of(artifacts), "candidate entered", BAD)
    rollouts.days(data, range(1, 14), version=GOOD)

    assert ticked.until(range(1, 14)) == ["shadow started", "challenger rejected"]

    assert document_of(artifacts).statuses[BAD] == "rejected"
    assert ticked.said == ["Challenger Started", "Candidate Rejected"]
    assert "worse than the champion" in document_of(artifacts).last.reason


@pytest.mark.parametrize("lower", ["1", "2", "3"])
def test_below_level_four_a_candidate_waits_for_a_person(
    waiting: Store, lower: str, ticked: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "MATURITY_LEVEL", lower)
    before = document_of(waiting)

    assert ticked(2) is None

    assert document_of(waiting) == before


def test_a_paused_endpoint_stands_still(waiting: Store, data: Store, ticked: Ticks) -> None:
    candidates.move(registry_of(waiting), "paused", BAD)
    before = document_of(waiting)

    assert ticked(2) is None

    assert document_of(waiting) == before


@pytest.mark.usefixtures("shortcuts")
def test_without_labels_a_challenger_waits_and_is_inconclusive_in_the_end(
    waiting: Store, data: Store, ticked: Ticks
) -> None:
    rollouts.days(data, range(1, 25), version=BAD, labels=False, rows=5)

    assert [ticked(1.5), ticked(12.5), ticked(22.4)] == ["shadow started", None, None]
    assert ticked(23) == "challenger rejected"

    assert "inconclusive" in document_of(waiting).last.reason


@pytest.mark.parametrize("stage", ["candidate", "challenger"])
def test_a_candidate_that_cannot_be_loaded_never_answers(
    waiting: Store, ticked: Ticks, stage: str
) -> None:
    if stage == "challenger":
        assert ticked(1) == "shadow started"
        rollout._model.cache_clear()
    key = f"models/{NAME}/{GOOD}/{ONNX}"
    stored = waiting.get(key)
    assert stored
    waiting.put(key, stored.body[:-1])

    steps = [ticked(day) for day in (1.5, 2, 3)]

    assert "canary started" not in steps
    if stage == "challenger":
        assert steps[0] == "challenger rejected"
        assert "nothing was deserialized" in document_of(waiting).last.reason


@pytest.mark.usefixtures("shortcuts")
def test_what_has_become_corrupt_since_it_was_compared_is_not_promoted(
    waiting: Store, data: Store, ticked: Ticks
) -> None:
    rollouts.days(data, range(1, 20), version=BAD)
    rollouts.days(data, range(5, 20), version=GOOD, variant="canary", first=5_000)
    assert ticked.until(range(1, 11))[-2:] == ["canary widened"] * 2
    key = f"models/{NAME}/{GOOD}/{ONNX}"
    stored = waiting.get(key)
    assert stored
    waiting.put(key, stored.body[:-1])

    with pytest.raises(EvergreenError):
        ticked(11.5)

    assert ticked(11.6) == "challenger rejected"
    assert document_of(waiting).champion == BAD


@pytest.mark.usefixtures("shortcuts")
def test_a_young_champion_that_is_worse_is_rolled_back_and_not_tried_again(
    young: Store, data: Store, ticked: Ticks
) -> None:
    rollouts.days(data, range(14), version=BAD)

    assert ticked.until(range(14)) == ["rolled back"]

    document = document_of(young)
    assert document.champion == GOOD
    assert document.statuses == {GOOD: "champion", BAD: "rejected"}
    assert ticked.said == ["Model Rolled Back"]


def test_a_champion_that_was_promoted_long_ago_is_not_rolled_back(
    young: Store, data: Store, ticked: Ticks
) -> None:
    rollouts.days(data, range(8), version=BAD)

    assert ticked(15) is None


def test_failures_of_a_young_champion_roll_it_back_at_the_next_tick(
    artifacts: Store, data: Store, good: Trained, ticked: Ticks
) -> None:
    candidates.written(registry_of(artifacts), good, BAD)
    candidates.written(registry_of(artifacts), good, GOOD)
    candidates.move(registry_of(artifacts), "promoted", BAD)
    candidates.move(registry_of(artifacts), "promoted", GOOD, time=NOW)
    for number in range(20):  # requests of one row: what fails together counts once
        capture = msgspec.structs.replace(
            given.capture(number, NOW + DAY / 24), id=f"{number:032x}-000", failed=GOOD
        )
        given.deliver(data, [capture], NOW + DAY / 24, f"{number}")

    assert ticked(0.5) == "rolled back"

    assert "failed to answer 20 of 20 requests" in document_of(artifacts).last.reason


def test_a_tick_twice_late_or_out_of_order_decides_nothing_anew(
    waiting: Store, data: Store, ticked: Ticks
) -> None:
    assert ticked(2) == "shadow started"
    after = document_of(waiting)

    assert [ticked(2), ticked(1), ticked(0.1)] == [None, None, None]

    assert document_of(waiting) == after


def test_an_event_that_is_delivered_twice_is_decided_on_once(
    waiting: Store, data: Store, clock: time_machine.Traveller
) -> None:
    clock.move_to(NOW + 2 * DAY)
    detail = {"endpoint": NAME, "time": f"{NOW + 2 * DAY:%Y-%m-%dT%H:%M:%SZ}"}
    event = {"detail-type": "Rollout Requested", "detail": detail}
    message = {"Records": [{"messageId": "one", "body": json.dumps(event)}]}

    answers = [rollout.handler(message, Context())["decided"] for _ in range(2)]

    assert answers == [{NAME: "shadow started"}, {NAME: None}]


def test_of_two_ticks_at_the_same_moment_one_decides(
    waiting: Store, data: Store, ticked: Ticks
) -> None:
    def other() -> None:
        candidates.move(registry_of(waiting), "paused", BAD, time=NOW + DAY)

    with injected(
        aws_clients.s3(),
        "s3.PutObject",
        Fault(412, "PreconditionFailed", key=f"endpoints/{NAME}.json", meanwhile=once(other)),
    ):
        assert ticked(2) is None

    document = document_of(waiting)
    assert (document.paused, document.challenger) == ("given", None)


def once(action: Any) -> Any:
    """Return what does something the first time, as it writes where it is injected."""
    left = [action]

    def act() -> None:
        if left:
            left.pop()()

    return act


def test_a_decision_that_a_crash_kept_from_being_announced_is_announced_by_the_next_tick(
    waiting: Store, ticked: Ticks
) -> None:
    with (
        injected(aws_clients.events(), "events.PutEvents", Fault(500, times=9)),
        pytest.raises(UnexpectedError),
    ):
        ticked(2)
    assert document_of(waiting).challenger
    assert ticked.said == []

    assert ticked(2.1) is None

    assert ticked.said == ["Challenger Started"]
    assert registry_of(waiting).decision(NAME, 3) == document_of(waiting).last


def document_of(artifacts: Store) -> Document:
    return candidates.document(registry_of(artifacts))


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"slot": "2413-01-01T00:00:00Z"},
        {"endpoint": NAME, "slot": "2413-01-01T00:00:00Z"},
        {"detail-type": "Model Trained", "detail": {}},
        {"detail-type": "Performance Degraded", "detail": {}},
    ],
)
def test_an_event_that_is_not_for_it_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(UnknownEventError):
        rollout.handler(event, Context())


def test_a_degraded_performance_is_looked_at_at_once(
    waiting: Store, data: Store, clock: time_machine.Traveller
) -> None:
    detail = {
        "endpoint": NAME,
        "version": BAD,
        "time": f"{NOW.isoformat()}",
        "since": f"{NOW.isoformat()}",
        "features": [],
        "report": "drift/x",
    }
    event = {"detail-type": "Performance Degraded", "detail": detail}

    assert rollout.handler(event, Context())["decided"] == {NAME: "shadow started"}


@pytest.mark.usefixtures("shortcuts")
@pytest.mark.parametrize("lower", ["3", "4"])
def test_each_morning_what_scores_mean_by_now_is_written_for_all_that_may_answer(
    waiting: Store, data: Store, ticked: Ticks, monkeypatch: pytest.MonkeyPatch, lower: str
) -> None:
    monkeypatch.setitem(os.environ, "MATURITY_LEVEL", lower)
    endpoint = given.quick(label_days=1, shadow_days=30, max_shadow_days=60)
    monkeypatch.setattr(flight_delay, "endpoint", endpoint)
    rollouts.days(data, range(1, 12), version=BAD)
    registry, generation = registry_of(waiting), document_of(waiting).generation

    ticked.until(range(1, 12))
    ticked(12)

    today = (NOW + 12 * DAY).date()
    maps = [registry.recalibration(NAME, version, today) for version in (BAD, GOOD)]
    liar, good = (found.lines[-1] for found in maps if found)
    assert liar[1] < 0.7 < good[1]  # what it has learnt is the opposite of the truth
    assert document_of(waiting).generation == generation + (lower == "4")  # its shadow
    assert registry.recalibration(NAME, BAD, NOW.date()) is None  # before any outcomes
