"""The train function: what starts it, when it trains, and that nothing else moves the champion."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
import time_machine

import bootstrap as clients
import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.contract import endpoint_files
from evergreen.contract.errors import (
    DocumentChangedError,
    ModelUnavailableError,
    UnexpectedError,
    UnknownEndpointError,
    UnknownEventError,
)
from evergreen.registry.state import Document
from evergreen.serving.model import ONNX
from evergreen.training.train_version import Trained
from local.plane.plane import Plane
from tests.support import given
from tests.support.given import NAME, NOW, Fault, csv, injected
from tests.support.memory import compacted
from tests.support.registries import registry_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("remembered")]

Announced = Callable[[], list[tuple[str, dict[str, Any]]]]
MANUAL = {"endpoint": NAME}
DOCUMENT = f"endpoints/{NAME}.json"
FIRST = f"training/{NAME}/2013-01.csv"


def requested(at: datetime = NOW, trigger: str = "schedule") -> dict[str, Any]:
    detail = {"endpoint": NAME, "time": at.isoformat(), "trigger": trigger}
    return {"source": "evergreen", "detail-type": "Retrain Requested", "detail": detail}


def drifted(at: datetime = NOW, kind: str = "Drift Detected") -> dict[str, Any]:
    detail = {
        "endpoint": NAME,
        "version": "v1",
        "time": at.isoformat(),
        "since": at.isoformat(),
        "features": ["hour"],
        "report": "drift/x.json",
    }
    return {"source": "evergreen", "detail-type": kind, "detail": detail}


def uploaded(key: str = FIRST, at: datetime = NOW) -> dict[str, Any]:
    return {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": at.isoformat(),
        "detail": {"object": {"key": key, "sequencer": "1"}},
    }


@pytest.fixture
def train(plane: Plane) -> Callable[..., dict[str, Any]]:
    def invoke(event: dict[str, Any], request_id: str = "") -> dict[str, Any]:
        result: dict[str, Any] = plane.invoke("TrainFunction", event, request_id)
        return result

    return invoke


Train = Callable[..., dict[str, Any]]


@pytest.fixture
def flights(data: Store) -> None:
    data.put(FIRST, csv(given.table()))


def kinds(announced: Announced) -> list[str]:
    return [kind for kind, _ in announced()]


def document(artifacts: Store) -> bytes | None:
    found = artifacts.get(DOCUMENT)
    return found.body if found else None


def state(artifacts: Store) -> Document:
    seen = registry_of(artifacts).document(NAME)
    assert seen is not None
    return seen.document


# A training


def test_the_first_training_promotes_and_announces_it(
    train: Train, flights: None, artifacts: Store, announced: Announced
) -> None:
    run = train(MANUAL)

    assert (run["outcome"], run["trigger"]) == ("promoted", "manual")
    seen = registry_of(artifacts).document(NAME)
    assert seen is not None
    assert seen.document.champion == run["version"]
    assert seen.document.last.by == run["run"]
    trained, promoted = announced()
    assert (trained[0], promoted[0]) == ("Model Trained", "Model Promoted")
    assert trained[1]["version"] == promoted[1]["version"] == run["version"]
    assert promoted[1]["previous"] is None


@pytest.mark.usefixtures("shortcuts")
def test_labelled_captures_train_the_next_version(
    train: Train, flights: None, data: Store, artifacts: Store, clock: time_machine.Traveller
) -> None:
    first = train(requested())
    later = given.table(300, seed=5, start=NOW, days=3)
    rows = later.astype(object).where(later.notna(), None).to_dict("records")
    features = [{str(k): row[k] for k in flight_delay.Flight.__struct_fields__} for row in rows]
    times = [datetime.fromisoformat(row["time_hour"]) for row in rows]
    for n, (feature, time, row) in enumerate(zip(features, times, rows, strict=True)):
        given.deliver(data, [given.capture(n, time, features=feature)], time, f"{n}")
        late = row["arr_delay"] > 15
        given.deliver(data, [given.label(n, late, time + timedelta(hours=1))], time, f"{n}")
    clock.shift(timedelta(days=7))
    compacted(data)

    second = train(requested(NOW + timedelta(days=7)))

    assert second["labels"] == {"joined": 300, "unlabelled": 0, "pending": 0, "incompatible": 0}
    assert second["version"] > first["version"]
    manifest = registry_of(artifacts).manifest(NAME, second["version"])
    assert manifest is not None
    assert manifest.lineage.data_rows == 1_200
    assert manifest.lineage.previous == first["version"]
    assert manifest.metrics.improvement is not None


@pytest.mark.parametrize(
    ("event", "trigger"),
    [(requested(), "schedule"), (requested(trigger="person"), "person"), (drifted(), "drift"),
     (drifted(kind="Performance Degraded"), "performance"), (uploaded(), "upload"),
     (MANUAL, "manual")],
    ids=["schedule", "person", "drift", "performance", "upload", "manual"],
)  # fmt: skip
def test_each_trigger_trains_and_is_kept_in_the_lineage(
    train: Train, flights: None, artifacts: Store, event: dict[str, Any], trigger: str
) -> None:
    run = train(event)

    assert (run["outcome"], run["trigger"]) == ("promoted", trigger)
    manifest = registry_of(artifacts).manifest(NAME, run["version"])
    assert manifest is not None
    assert manifest.lineage.trigger == trigger
    assert manifest.lineage.run == run["run"]


@pytest.mark.parametrize("day", [1, 2, 31])
def test_the_daily_tick_asks_for_what_is_due_and_trains_nothing_itself(
    train: Train, announced: Announced, clock: time_machine.Traveller, day: int
) -> None:
    slot = f"2013-03-{day:02d}T06:00:00Z"
    clock.move_to(datetime.fromisoformat(slot))

    result = train({"slot": slot})

    due = endpoint_files.names() if day == 1 else []
    assert result == {"requested": due}
    found = announced()
    assert [kind for kind, _ in found] == ["Retrain Requested"] * len(due)
    assert {detail["endpoint"] for _, detail in found} == set(due)
    assert all(detail["time"] == slot for _, detail in found)


@pytest.mark.parametrize(
    "event",
    [{}, {"detail-type": "Model Trained", "detail": {"endpoint": NAME}}, {"detail": {}}],
    ids=str,
)
def test_an_event_that_is_not_handled_is_an_error(train: Train, event: dict[str, Any]) -> None:
    with pytest.raises(UnknownEventError, match="train does not handle"):
        train(event)


def test_an_endpoint_without_a_file_is_an_error(train: Train) -> None:
    with pytest.raises(UnknownEndpointError):
        train({"endpoint": "other"})


# Repetitions


@pytest.mark.parametrize("event", [requested(), drifted(), uploaded()], ids=str)
def test_an_event_that_is_delivered_twice_trains_once(
    train: Train, flights: None, artifacts: Store, announced: Announced, event: dict[str, Any]
) -> None:
    first = train(event)
    before = document(artifacts), registry_of(artifacts).versions(NAME)
    announced()

    second = train(event)

    assert second == first
    assert (document(artifacts), registry_of(artifacts).versions(NAME)) == before
    assert announced() == []


def test_a_repetition_while_the_first_is_still_training_is_sent_back(
    train: Train, flights: None, artifacts: Store
) -> None:
    crash = Fault(error=KeyboardInterrupt(), key="/models/")
    with injected(clients.s3(), "s3.PutObject", crash), pytest.raises(KeyboardInterrupt):
        train(requested(), "first")

    assert train(requested(), "second")["outcome"] is None
    assert document(artifacts) is None


def test_a_claim_whose_invocation_was_ended_is_taken_over(
    train: Train, flights: None, clock: time_machine.Traveller
) -> None:
    crash = Fault(error=KeyboardInterrupt(), key="/models/")
    with injected(clients.s3(), "s3.PutObject", crash), pytest.raises(KeyboardInterrupt):
        train(requested(), "first")
    clock.shift(timedelta(minutes=16))

    assert train(requested(), "second")["outcome"] == "promoted"


KEYS = [
    "rule.json", "model.onnx", "model.joblib", "report.html", "manifest.json", DOCUMENT,
    "history/000001", "runs/",
]  # fmt: skip


@pytest.mark.parametrize("happens", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("key", KEYS)
def test_a_drifts_run_that_is_cut_off_at_any_write_promotes_when_lambda_tries_it_again(
    train: Train, flights: None, artifacts: Store, key: str, happens: bool
) -> None:
    crash = Fault(error=KeyboardInterrupt(), key=key, happens=happens)
    with injected(clients.s3(), "s3.PutObject", crash), pytest.raises(KeyboardInterrupt):
        train(drifted(), "one invocation")

    run = train(drifted(), "one invocation")  # which its own first attempt does not let wait

    assert run["outcome"] == "promoted"
    seen = registry_of(artifacts).document(NAME)
    assert seen is not None
    assert (seen.document.champion, seen.document.generation) == (run["version"], 1)


def test_a_run_whose_events_were_not_taken_announces_them_when_it_is_tried_again(
    train: Train, flights: None, announced: Announced
) -> None:
    down = Fault(500, times=9)
    with injected(clients.events(), "eventbridge.PutEvents", down), pytest.raises(UnexpectedError):
        train(requested(), "one invocation")

    run = train(requested(), "one invocation")

    assert run["outcome"] == "promoted"
    assert "Model Promoted" in kinds(announced)


# Nothing to do


def test_a_schedule_without_new_data_is_skipped_with_the_reason(
    train: Train,
    flights: None,
    artifacts: Store,
    announced: Announced,
    clock: time_machine.Traveller,
) -> None:
    train(requested())
    before = document(artifacts)
    announced()
    clock.shift(timedelta(days=1))

    run = train(requested(NOW + timedelta(days=1)))

    assert run["outcome"] == "skipped"
    assert "nothing has been added" in run["reason"]
    assert announced() == [
        (
            "Training Skipped",
            {"endpoint": NAME, "run": run["run"], "trigger": "schedule", "reason": run["reason"]},
        )
    ]
    assert document(artifacts) == before


def test_a_person_may_train_again_on_the_same_data_but_the_same_model_is_no_promotion(
    train: Train, flights: None, clock: time_machine.Traveller
) -> None:
    train(requested())
    clock.shift(60)

    run = train(MANUAL)

    assert run["outcome"] == "rejected"
    assert "same model as the champion" in run["reason"]


def test_an_old_event_does_not_train_after_a_newer_champion(
    train: Train, flights: None, artifacts: Store
) -> None:
    train(requested())
    before = document(artifacts)

    run = train(requested(NOW - timedelta(days=3)))

    assert (run["outcome"], document(artifacts)) == ("skipped", before)
    assert "older than the last training" in run["reason"]


def test_an_event_from_the_future_does_not_train(
    train: Train, flights: None, artifacts: Store
) -> None:
    run = train(requested(NOW + timedelta(days=1)))

    assert (run["outcome"], document(artifacts)) == ("skipped", None)
    assert "in the future" in run["reason"]


@pytest.mark.parametrize(
    "key",
    ["training/x.csv", "training/", f"training/{NAME}/", f"training/{NAME}/day/_SUCCESS",
     f"training/{NAME}/.DS_Store", f"training/{NAME}/._a.csv"],
)  # fmt: skip
def test_an_upload_that_is_no_training_data_of_an_endpoint_is_ignored(
    plane: Plane, artifacts: Store, key: str
) -> None:
    detail = {"object": {"key": key, "sequencer": "1"}}
    event = {"detail-type": "Object Created", "time": NOW.isoformat(), "detail": detail}

    assert plane.invoke("TrainFunction", event) == {"ignored": key}
    assert list(artifacts.keys("runs/")) == []


@pytest.mark.parametrize("trigger", ["../../endpoints/x", "", "a\n"])
def test_a_trigger_that_is_no_word_is_refused_before_it_names_a_run(
    plane: Plane, trigger: str
) -> None:
    with pytest.raises(UnknownEventError, match="trigger"):
        plane.invoke("TrainFunction", requested(trigger=trigger))


@pytest.mark.parametrize(("days", "outcome"), [(0, "skipped"), (6, "skipped"), (7, "entered")])
def test_a_drift_waits_for_the_cooldown(
    train: Train, flights: None, data: Store, clock: time_machine.Traveller, days: int, outcome: str
) -> None:
    train(requested())
    data.put(f"training/{NAME}/more.csv", csv(given.table(300, seed=3)))
    clock.shift(timedelta(days=days, seconds=1))

    run = train(drifted(NOW + timedelta(days=days)))

    assert run["outcome"] == outcome
    assert outcome == "entered" or "policy.cooldown_days=7" in run["reason"]


def test_a_schedule_does_not_wait_for_the_cooldown(
    train: Train, flights: None, data: Store, clock: time_machine.Traveller
) -> None:
    train(requested())
    data.put(f"training/{NAME}/more.csv", csv(given.table(300, seed=3)))
    clock.shift(3600)

    assert train(requested(NOW + timedelta(hours=1)))["outcome"] == "entered"


# Bad data: a reason, an event, and the champion as it was


def bad(**columns: Any) -> bytes:
    return csv(given.table(300, seed=1).assign(**columns))


BAD = {
    "nothing": (None, "no labelled data"),
    "an empty file": (b"", "2013-02.csv"),
    "a head without rows": (csv(pd.DataFrame(given.table(1)).iloc[:0]), ""),
    "one class": (bad(arr_delay=-5.0), "labels are true"),
    "a label that is NaN": (bad(arr_delay=[np.nan, *[30.0] * 299]), "the label is missing"),
    "labels that are all NaN": (bad(arr_delay=np.nan), "2013-02.csv"),
    "a label that is text": (bad(arr_delay=["late", *["1"] * 299]), "2013-02.csv"),
    "a time in the future": (csv(given.table(300, start=NOW + timedelta(days=9))), "future"),
    "a value out of range": (bad(hour=99), "hour"),
    "an infinite value": (bad(temp=np.inf), "2013-02.csv"),
    "no such column": (csv(given.table(300).drop(columns="hour")), "hour"),
    "a feature that leaks": (
        csv(given.table(300, seed=1).assign(temp=lambda table: (table["arr_delay"] > 15) * 1.0)),
        "temp alone predicts",
    ),
    "too few rows": (csv(given.table(20)), "fewer than policy.min_rows"),
    "no text": (b"\xff\xfe\x00\x01", "2013-02.csv"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(
    "event", [requested(NOW + timedelta(days=1)), MANUAL], ids=["event", "person"]
)
def test_bad_data_ends_in_a_reason_and_leaves_the_champion_byte_for_byte(
    train: Train,
    flights: None,
    data: Store,
    artifacts: Store,
    announced: Announced,
    clock: time_machine.Traveller,
    trained: Trained,
    name: str,
    event: dict[str, Any],
) -> None:
    body, message = BAD[name]
    registry = registry_of(artifacts)
    registry.write_version(trained.manifest, trained.artifacts)
    registry.write_document(given.document(trained.manifest.version), None)
    before = document(artifacts)
    data.s3.delete_object(Bucket=data.bucket, Key=FIRST)
    if body is not None:
        data.put(f"training/{NAME}/2013-02.csv", body)
    clock.shift(timedelta(days=1))

    run = train(event)

    assert run["outcome"] in ("skipped", "rejected")
    assert message in run["reason"]
    ((kind, detail),) = announced()
    assert kind == {"skipped": "Training Skipped", "rejected": "Candidate Rejected"}[run["outcome"]]
    assert detail["reason"] == run["reason"]
    assert document(artifacts) == before


def test_a_candidate_that_is_worse_is_rejected_and_the_champion_stays(
    train: Train,
    flights: None,
    data: Store,
    artifacts: Store,
    announced: Announced,
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    champion = train(requested())["version"]
    announced()
    data.put(f"training/{NAME}/more.csv", csv(given.table(300, seed=3)))
    monkeypatch.setattr(flight_delay, "endpoint", given.quick(strength=1e-2, margin=0.0))
    clock.shift(timedelta(days=1))

    run = train(requested(NOW + timedelta(days=1)))

    assert run["outcome"] == "rejected"
    assert "worse than the champion" in run["reason"]
    (trained, _), (rejected, detail) = announced()
    assert (trained, rejected) == ("Model Trained", "Candidate Rejected")
    assert detail["version"] == run["version"] != champion
    found = state(artifacts)
    assert (found.champion, found.candidate) == (champion, None)
    assert found.statuses[run["version"]] == "rejected"


def test_a_promotion_by_another_run_meanwhile_is_not_overwritten_and_a_retry_decides_anew(
    train: Train, flights: None, artifacts: Store
) -> None:
    registry = registry_of(artifacts)

    def another_is_faster() -> None:
        race.times = 0
        registry.write_document(given.document(), None)

    race = Fault(409, "ConditionalRequestConflict", key=DOCUMENT, meanwhile=another_is_faster)
    with (
        injected(clients.s3(), "s3.PutObject", race),
        pytest.raises(DocumentChangedError, match="moved on"),
    ):
        train(requested())

    seen = registry.document(NAME)
    assert seen is not None
    assert seen.document.champion == given.version(1)


def test_a_champion_that_cannot_be_loaded_is_not_replaced_unseen(
    train: Train, flights: None, data: Store, artifacts: Store, clock: time_machine.Traveller
) -> None:
    champion = train(requested())["version"]
    before = document(artifacts)
    artifacts.put(f"models/{NAME}/{champion}/{ONNX}", b"damaged")
    data.put(f"training/{NAME}/more.csv", csv(given.table(300, seed=3)))
    clock.shift(timedelta(days=1))

    with pytest.raises(ModelUnavailableError):
        train(requested(NOW + timedelta(days=1)))

    assert document(artifacts) == before
