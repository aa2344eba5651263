"""Trainings after the first: what waits, what is stale, and what a run leaves behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import time_machine

import bootstrap as clients
import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.monitoring.earlier_checks import key_of
from evergreen.registry import transitions
from evergreen.registry.run_claims import Run
from evergreen.registry.state import Document
from evergreen.registry.transitions import Change
from evergreen.serving.model import REPORT, RULE
from evergreen.training import train_version
from local.plane.plane import Plane
from tests.support import checks, given
from tests.support.given import NAME, NOW, Fault, csv, injected
from tests.support.memory import compacted
from tests.support.registries import registry_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("remembered")]

Announced = Callable[[], list[tuple[str, dict[str, Any]]]]
LATER = NOW + timedelta(days=8)
MORE = f"training/{NAME}/more.csv"


def requested(at: Any = LATER, trigger: str = "schedule") -> dict[str, Any]:
    detail = {"endpoint": NAME, "time": at.isoformat(), "trigger": trigger}
    return {"source": "evergreen", "detail-type": "Retrain Requested", "detail": detail}


@pytest.fixture
def train(
    plane: Plane, data: Store, clock: time_machine.Traveller, announced: Announced
) -> Callable[..., Any]:
    """Train the first champion; a week later there is more data to train on."""

    def invoke(event: dict[str, Any], request_id: str = "") -> dict[str, Any]:
        result: dict[str, Any] = plane.invoke("TrainFunction", event, request_id)
        return result

    given.upload(data)
    assert invoke(requested(NOW))["outcome"] == "promoted"
    data.put(MORE, csv(given.table(300, seed=3)))
    announced()  # or the queue would drop them, as too old
    clock.move_to(LATER)
    return invoke


Train = Callable[..., Any]


def state(artifacts: Store) -> Document:
    seen = registry_of(artifacts).document(NAME)
    assert seen is not None
    return seen.document


def change(artifacts: Store, **fields: Any) -> None:
    """Let somebody change the document."""
    registry = registry_of(artifacts)
    seen = registry.document(NAME)
    assert seen is not None
    asked = Change(**{"by": "a person", "reason": "because", **fields})
    after = transitions.apply(seen.document, asked, LATER, seen.document.generation)
    registry.write_document(after, seen)


@contextmanager
def killed(key: str) -> Iterator[None]:
    """Cut a training off before it writes an object."""
    crash = Fault(error=KeyboardInterrupt(), key=key)
    with injected(clients.s3(), "s3.PutObject", crash), pytest.raises(KeyboardInterrupt):
        yield


# A candidate


def test_what_passes_beside_a_champion_is_entered_and_waits(
    train: Train, artifacts: Store, announced: Announced
) -> None:
    champion = state(artifacts).champion

    run = train(requested())

    found = state(artifacts)
    assert run["outcome"] == "entered"
    assert (found.champion, found.candidate) == (champion, run["version"])
    assert [kind for kind, _ in announced()] == ["Model Trained"]
    assert found.last.policy["margin"] == 0.05


def test_an_older_training_that_ends_after_a_newer_promotion_is_refused_as_stale(
    train: Train, artifacts: Store, announced: Announced
) -> None:
    newer = given.version(3)

    def promote() -> None:
        change(artifacts, type="promoted", version=newer)

    meanwhile = Fault(500, key=REPORT, meanwhile=promote)
    with injected(clients.s3(), "s3.PutObject", meanwhile):
        run = train(requested())

    found = state(artifacts)
    assert run["outcome"] == "rejected"
    assert run["reason"].startswith("stale")
    assert (found.champion, found.candidate) == (newer, None)
    assert found.statuses[run["version"]] == "rejected"
    assert [kind for kind, _ in announced()] == ["Model Trained", "Candidate Rejected"]


def test_a_model_is_announced_before_what_becomes_of_it(
    train: Train, artifacts: Store, announced: Announced
) -> None:
    with killed(f"endpoints/{NAME}.json"):
        train(requested(), "one invocation")

    assert [kind for kind, _ in announced()] == ["Model Trained"]
    assert state(artifacts).candidate is None


def test_a_retry_enters_the_version_that_was_written_and_does_not_train_again(
    train: Train, artifacts: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killed(f"endpoints/{NAME}.json"):
        train(requested(), "one invocation")
    versions = registry_of(artifacts).versions(NAME)
    monkeypatch.setattr(train_version, "train", None)

    run = train(requested(), "one invocation")

    assert run["outcome"] == "entered"
    assert registry_of(artifacts).versions(NAME) == versions
    assert run["candidate"] == "logistic-regression"


def test_a_retry_after_another_promotion_finds_its_version_stale(
    train: Train, artifacts: Store
) -> None:
    with killed(f"endpoints/{NAME}.json"):
        train(requested(), "one invocation")
    change(artifacts, type="promoted", version=given.version(3))

    run = train(requested(), "one invocation")

    assert run["outcome"] == "rejected"
    assert "stale" in run["reason"]


def test_a_rejection_that_was_cut_off_before_it_was_announced_is_announced_by_the_retry(
    train: Train, announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight_delay, "endpoint", given.quick(strength=1e-2, margin=0.0))
    with killed("history/000002"):
        train(requested(), "one invocation")
    announced()

    run = train(requested(), "one invocation")

    assert run["outcome"] == "rejected"
    assert [kind for kind, _ in announced()] == ["Candidate Rejected"]


# What waits


def skipped(run: dict[str, Any]) -> str:
    assert run["outcome"] == "skipped"
    return str(run["reason"])


def test_a_schedule_waits_for_the_candidate_and_a_person_does_not(
    train: Train, data: Store, artifacts: Store, clock: time_machine.Traveller
) -> None:
    waiting = train(requested())["version"]
    data.put(MORE, csv(given.table(320, seed=4)))
    clock.shift(60)

    assert f"{waiting} waits" in skipped(train(requested(LATER + timedelta(minutes=1))))
    assert train({"endpoint": NAME})["outcome"] == "entered"
    assert state(artifacts).statuses[waiting] == "rejected", "a newer one takes its place"


def test_a_candidate_that_has_become_stale_keeps_nobody_waiting(
    train: Train, data: Store, artifacts: Store, clock: time_machine.Traveller
) -> None:
    train(requested())
    first = state(artifacts)
    champion = registry_of(artifacts).manifest(NAME, first.champion)
    assert champion is not None
    again = msgspec.structs.replace(champion, version=given.version(8))
    folder = f"models/{NAME}/{champion.version}"
    files = {}
    for name in champion.artifacts:
        stored = artifacts.get(f"{folder}/{name}")
        assert stored is not None
        files[name] = stored.body
    registry_of(artifacts).write_version(again, files)
    change(artifacts, type="promoted", version=again.version)
    data.put(MORE, csv(given.table(320, seed=4)))
    clock.shift(60)

    assert train(requested(LATER + timedelta(minutes=1)))["outcome"] == "entered"


def test_a_schedule_waits_for_the_challenger(train: Train, artifacts: Store) -> None:
    change(artifacts, type="candidate entered", version=given.version(3))
    change(artifacts, type="shadow started", version=given.version(3))

    assert "is being compared" in skipped(train(requested()))


def test_a_paused_endpoint_trains_for_a_person_only(train: Train, artifacts: Store) -> None:
    change(artifacts, type="paused", version=state(artifacts).champion, reason="an audit")

    assert "paused: an audit" in skipped(train(requested()))
    assert train({"endpoint": NAME})["outcome"] == "entered"


@pytest.mark.parametrize(
    ("own", "days"), [(True, 0), (False, 0), (True, 60)], ids=["own", "another's", "for long"]
)
def test_a_schema_violation_that_the_newest_check_found_of_the_champion_stops_a_schedule(
    train: Train, data: Store, artifacts: Store, own: bool, days: int
) -> None:
    alarm = checks.alarm("schema", LATER - timedelta(days=days), ["visib"])
    stops = own and not days
    version = state(artifacts).champion if own else given.version(1)
    found = checks.healthy(version=version, end=LATER, alarms=[alarm])
    data.put(key_of(NAME, LATER), msgspec.json.encode(found))

    run = train(requested())

    assert run["outcome"] == ("skipped" if stops else "entered")
    assert not stops or "schema violated (visib)" in run["reason"]


# New labels


@pytest.mark.parametrize(
    ("labels", "ids", "asked"),
    [(1_000, 1_000, True), (999, 999, False), (3_000, 999, False)],
    ids=["enough", "too few", "a flood of the same"],
)
def test_the_daily_tick_asks_for_a_training_when_there_are_enough_new_labels(
    train: Train, data: Store, announced: Announced, labels: int, ids: int, asked: bool
) -> None:
    came = LATER - timedelta(hours=3)
    found = [given.label(n % ids, n // ids == 1, came) for n in range(labels)]
    given.deliver(data, found, came)
    compacted(data)

    result = train({"slot": LATER.isoformat()})

    assert result == {"requested": [NAME] if asked else []}
    assert [detail["trigger"] for _, detail in announced()] == ["labels"] * asked


def test_labels_from_before_the_last_training_are_not_new(train: Train, data: Store) -> None:
    came = NOW - timedelta(hours=3)
    given.deliver(data, [given.label(n, time=came) for n in range(2_000)], came)
    compacted(data)

    assert train({"slot": LATER.isoformat()}) == {"requested": []}


def test_new_labels_wait_for_the_cooldown(
    train: Train, data: Store, clock: time_machine.Traveller
) -> None:
    came = NOW + timedelta(days=1)
    given.deliver(data, [given.label(n, time=came) for n in range(2_000)], came)
    compacted(data)
    soon = NOW + timedelta(days=6)
    clock.move_to(soon)

    assert train({"slot": soon.isoformat()}) == {"requested": []}


# What a run leaves


def test_the_record_of_a_run_can_be_read_alone(train: Train, artifacts: Store) -> None:
    champion = state(artifacts).champion

    run = train(requested())

    stored = artifacts.get(f"runs/{NAME}/{run['run']}.json")
    assert stored is not None
    kept = msgspec.json.decode(stored.body, type=Run)
    assert (kept.trigger, kept.outcome, kept.previous) == ("schedule", "entered", champion)
    assert kept.data["rows"] == 1_200
    assert len(kept.data["sha256"]) == 64
    assert len(str(kept.code_sha256)) == 64
    assert "scikit-learn" in kept.libraries
    assert kept.parameters["C"] == 1.0
    assert kept.metrics["metric"] == "log-loss"
    assert kept.metrics["loss"] < kept.metrics["baseline"]
    assert kept.seconds is not None
    assert {gate.name for gate in kept.gates} >= {"data", "fit", "champion", "slices"}
    assert "improvement" in kept.reason


def test_the_first_training_writes_a_constant_to_fall_back_to_and_the_next_keeps_it(
    train: Train, artifacts: Store
) -> None:
    registry, fallback = registry_of(artifacts), state(artifacts).fallback
    assert fallback is not None
    manifest = registry.manifest(NAME, fallback)

    train(requested())

    assert manifest is not None
    assert manifest.kind == "rule"
    assert b'"otherwise"' in registry.artifact(manifest, RULE)
    assert state(artifacts).fallback == fallback
    kinds = [found.kind for v in registry.versions(NAME) if (found := registry.manifest(NAME, v))]
    assert sorted(kinds) == ["model", "model", "rule"]


def test_a_fallback_of_another_schema_is_replaced(train: Train, artifacts: Store) -> None:
    before = state(artifacts).fallback
    assert before is not None
    key, seal = f"models/{NAME}/{before}/manifest.json", registry_of(artifacts).seal
    stored = artifacts.get(key)
    assert stored is not None
    text = seal.open(key, stored.body)
    assert text is not None
    artifacts.put(key, seal.seal(key, text.replace(b"IATA code of the airline", b"another")))

    train(requested())

    assert state(artifacts).fallback != before
