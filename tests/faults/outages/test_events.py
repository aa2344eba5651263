"""No asynchronous event vanishes silently, and to send one again changes nothing."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

import bootstrap as clients
from evergreen.aws.s3 import Store
from evergreen.contract.errors import DeliveryError
from evergreen.registry import events, run_claims
from evergreen.registry.manifest import Manifest
from local import redrive
from local.cloud.permissions import check_refused
from local.destroy import StackError
from local.plane.plane import Plane
from local.template import Template, physical_name, queue_url
from tests.faults.wire import objects
from tests.local.plane.test_plane import at_level, put_on_bus
from tests.support import given, queues
from tests.support.faults import Faults, FaultyPlane
from tests.support.given import NAME, NOW
from tests.support.registries import registry_of

QUEUE = queue_url(physical_name("DeadLetterQueue"))
DAY = timedelta(days=1)


@pytest.fixture(scope="session")
def template() -> Template:
    return at_level("4")


@pytest.fixture
def plane(clock: Any, aws: None, template: Template) -> Iterator[FaultyPlane]:
    """Return the deployment, which does what it is told to do to events on their way."""
    found = FaultyPlane(template)
    yield found
    check_refused(found.roles)


@pytest.fixture
def queue(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what reads the queue of dead letters, of which nobody waits for more."""
    monkeypatch.setattr(redrive, "LISTEN_SECONDS", 0)
    queues.tell_origins(monkeypatch)
    return boto3.client("sqs")


@dataclass
class Lambda:
    """Takes events for the functions of a plane, and delivers them `times`."""

    plane: Plane
    times: int = 1

    def invoke(self, *, FunctionName: str, Payload: bytes, **more: Any) -> None:  # noqa: N803 - its names
        assert more == {"InvocationType": "Event"}
        names = {physical_name(name): name for name in self.plane._functions}
        for _ in range(self.times):
            self.plane.deliver(names[FunctionName], json.loads(Payload))


@dataclass
class Runs:
    """Runs no function; those that are asked for what is bad fail."""

    ran: list[int] = field(default_factory=list)

    def invoke(self, *asked: Any) -> None:
        event = asked[2]
        if event["bad"]:
            raise ValueError("bad")
        self.ran.append(event["number"])


def letters(sqs: Any) -> list[Any]:
    """Return the dead letters' events, and leave no letter."""
    found = []
    while messages := sqs.receive_message(QueueUrl=QUEUE, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"])["requestPayload"])
            sqs.delete_message(QueueUrl=QUEUE, ReceiptHandle=message["ReceiptHandle"])
    return found


def send_again(plane: Plane, sqs: Any, clock: Any, times: int = 1) -> None:
    """Redrive as a person does, once all that waits has ended or came among the letters."""
    for _ in range(4):
        clock.shift(timedelta(hours=2))
        plane.settle()
    targets = {*queues.WORK, *(physical_name(name) for name in plane._functions)}
    redrive.redrive(sqs, Lambda(plane, times), QUEUE, targets, lambda _: True)
    for _ in range(times):
        plane.settle()


shares = st.sampled_from([0.0, 0.3, 0.8])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@hypothesis_given(
    faults=st.builds(
        Faults,
        seed=st.integers(0, 1000),
        lost=shares,
        duplicated=shares,
        delayed=shares,
        crashed=shares,
        reordered=st.booleans(),
    ),
    bad=st.lists(st.booleans(), max_size=8),
)
def test_what_was_accepted_is_processed_waits_is_dead_lettered_or_was_lost_by_the_bus(
    plane: FaultyPlane, queue: Any, faults: Faults, bad: list[bool]
) -> None:
    runs = plane.runtime = Runs()
    plane.faults, plane.waiting, plane.account = faults, [], Counter()
    sent = [{"number": number, "bad": is_bad} for number, is_bad in enumerate(bad)]

    for event in sent[::2]:
        plane.deliver("CheckFunction", event)
    for event in sent[1::2]:
        plane.deliver("TrainFunction", event)
    plane.settle()

    dead, account = letters(queue), plane.account
    assert len(dead) == account["dead-lettered"]
    assert account["accepted"] == (
        account["processed"] + len(plane.waiting) + len(dead) + account["lost"]
    )
    seen = [*runs.ran, *(one["number"] for one in dead)]
    seen += [one.event["number"] for one in plane.waiting]
    assert len(sent) - len(set(seen)) <= account["lost"]
    assert faults.crashed or {one["number"] for one in dead} <= {
        one["number"] for one in sent if one["bad"]
    }


def happenings(plane: Plane, data: Store, clock: Any) -> None:
    """Let happen what starts functions: an upload, commands, a person, and schedules."""
    given.upload(data)
    plane.settle()
    for hour in (13, 14):
        put_on_bus(
            "Retrain Requested", endpoint=NAME, time=f"2013-02-01T{hour}:00:00Z", trigger="me"
        )
    clock.move_to(NOW + timedelta(hours=3))
    plane.deliver("TrainFunction", {"endpoint": NAME})
    plane.settle()
    plane.tick(NOW + 2 * DAY, clock.move_to)


@pytest.mark.parametrize("seed", range(1, 4))
def test_after_any_faults_redriving_ends_all_and_redriving_twice_changes_nothing(
    plane: FaultyPlane,
    remembered: None,
    data: Store,
    artifacts: Store,
    clock: Any,
    queue: Any,
    seed: int,
) -> None:
    plane.faults = Faults(seed, duplicated=0.3, delayed=0.2, crashed=0.6, reordered=True)
    happenings(plane, data, clock)

    accepted, waiting = plane.account["accepted"], len(plane.waiting)
    waiting += sum(queues.counted(url) for url in queues.WORK)
    dead = queues.counted(queues.LETTERS)
    assert accepted == plane.account["processed"] + waiting + dead
    assert dead, "nothing was given up: this seed tries nothing"

    plane.faults = Faults()
    kept = _copied(queue)
    send_again(plane, queue, clock)

    assert plane.waiting == []
    assert letters(queue) == []
    registry, before = registry_of(artifacts), objects()[artifacts.bucket]
    runs = [
        run_claims.find(registry.store, NAME, key.split("/")[2][:-5])
        for key in artifacts.keys(f"runs/{NAME}/")
    ]
    assert all(run and run.outcome for run in runs)
    versions = [run.version for run in runs if run and run.version]
    assert len(versions) == len(set(versions))
    made = [registry.known(NAME, version) for version in registry.versions(NAME)]
    assert {one.version for one in made if one.candidate != "fallback"} == set(versions)
    seen = registry.document(NAME)
    assert seen is not None
    decided = Counter(one.by for one in registry.history(seen.document) if one.by in _names(runs))
    assert set(decided.values()) <= {1}

    for copied in kept * 2:
        queue.send_message(QueueUrl=QUEUE, **copied)
    send_again(plane, queue, clock, times=2)

    assert letters(queue) == []
    assert objects()[artifacts.bucket] == before


def _copied(sqs: Any) -> list[dict[str, Any]]:
    """Return what sends each dead letter once more; they stay."""
    found = sqs.receive_message(
        QueueUrl=QUEUE,
        MaxNumberOfMessages=10,
        VisibilityTimeout=1,
        MessageSystemAttributeNames=["All"],
    )
    copies = []
    for message in found.get("Messages", ()):
        origin = message["Attributes"].get("DeadLetterQueueSourceArn")
        target = {"TARGET_ARN": {"DataType": "String", "StringValue": origin}} if origin else {}
        copies.append({"MessageBody": message["Body"], "MessageAttributes": target})
    return copies


def _names(runs: list[Any]) -> set[str]:
    return {run.run for run in runs}


def test_an_event_that_is_sent_again_too_early_is_not_taken_for_a_repetition(
    plane: FaultyPlane, remembered: None, data: Store, artifacts: Store, clock: Any, queue: Any
) -> None:
    given.upload(data)
    plane.faults = Faults(crashed=1.0)
    plane.deliver("TrainFunction", {"endpoint": NAME})
    functions = {physical_name(name) for name in plane._functions}
    plane.faults = Faults()

    with pytest.raises(StackError, match="1 left"):
        redrive.redrive(queue, Lambda(plane), QUEUE, functions, lambda _: True)
    send_again(plane, queue, clock)

    assert registry_of(artifacts).document(NAME) is not None


# What the bus loses is noticed


def test_ticks_that_never_came_are_made_up_for_by_the_next(
    plane: FaultyPlane, candidate: Manifest, artifacts: Store, clock: Any
) -> None:
    plane.faults = Faults(lost=1.0)
    plane.tick(NOW + 3 * DAY, clock.move_to)
    lost, stood = plane.account["lost"], registry_of(artifacts).document(NAME)

    plane.faults = Faults()
    plane.tick(NOW + 4 * DAY, clock.move_to)

    found = registry_of(artifacts).document(NAME)
    assert lost >= 3
    assert stood
    assert found
    assert (stood.document.last.type, found.document.last.type) == (
        "candidate entered",
        "shadow started",
    )


# What the services refuse is an error, and so is tried again


@dataclass
class Refusing:
    """A client that takes only some of what it is sent, and answers with HTTP 200."""

    refused: int
    taken: list[Any] = field(default_factory=list)

    def put_events(self, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803 - its name
        self.taken += Entries[self.refused :]
        said = [{"ErrorCode": "ThrottlingException"}] * self.refused
        return {"FailedEntryCount": self.refused, "Entries": said}


def test_an_event_that_the_bus_refuses_with_200_is_an_error_of_the_function(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENT_BUS", "bus")
    asked = events.RetrainRequested(endpoint=NAME, time=NOW, trigger="schedule")
    client: Any = Refusing(1)

    with pytest.raises(DeliveryError, match="1 of 2"):
        events.emit(client, asked, asked)


def test_a_decision_whose_announcement_was_refused_is_announced_by_the_retry(
    plane: Plane,
    remembered: None,
    data: Store,
    artifacts: Store,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put, refusals = clients.events().put_events, [2]

    def refuse(**said: Any) -> Any:
        if said["Entries"][0]["DetailType"] != "Model Promoted" or not refusals[0]:
            return put(**said)
        refusals[0] -= 1
        return Refusing(1).put_events(said["Entries"])

    monkeypatch.setattr(clients.events(), "put_events", refuse)
    said: list[str] = []
    plane.on_event = lambda event: said.append(event["detail-type"])
    given.upload(data)

    for _ in range(3):
        plane.settle()
        clock.shift(timedelta(hours=2))

    assert refusals == [0]
    assert queues.counted(queues.LETTERS) == 0
    assert said.count("Model Promoted") == 1
