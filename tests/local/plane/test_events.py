"""The files of events/: each is what it says, and starts what it is for."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import time_machine

from evergreen.aws.s3 import Store
from evergreen.registry import events
from evergreen.registry.manifest import Manifest
from local.plane.plane import Plane
from local.template import ROOT
from tests.support import given

pytestmark = pytest.mark.slow

FOLDER = ROOT / "events"
FILES = sorted(path.stem for path in FOLDER.glob("*.json") if path.stem != "schemas")
STARTS = [
    ("batch-file", "BatchFunction"),
    ("predict", "PredictFunction"),
    ("endpoints", "PredictFunction"),
    ("endpoint", "PredictFunction"),
    ("feedback", "FeedbackFunction"),
    ("train-schedule", "TrainFunction"),
    ("train-by-hand", "TrainFunction"),
    ("data-uploaded", "TrainFunction"),
    ("retrain-requested", "TrainFunction"),
    ("drift-detected", "TrainFunction"),
    ("performance-degraded", "TrainFunction"),
    ("check-schedule", "CheckFunction"),
    ("check-requested", "CheckFunction"),
    ("compact-schedule", "CompactFunction"),
    ("rollout-tick", "RolloutFunction"),
    ("rollout-requested", "RolloutFunction"),
    ("performance-degraded", "RolloutFunction"),
    ("status", "ControlFunction"),
    ("retrain", "ControlFunction"),
    ("approve", "ControlFunction"),
    ("experiment", "ControlFunction"),
    ("pause", "ControlFunction"),
]
REFUSED = {"approve", "experiment"}  # they name a version and a generation that are nobody's here
ANNOUNCED = {
    "model-trained", "model-promoted", "model-rolled-back", "candidate-rejected",
    "training-skipped", "schema-violated", "challenger-started", "experiment-started",
    "experiment-ended", "endpoint-paused", "endpoint-resumed",
}  # fmt: skip


def read(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_bytes())


def test_each_file_is_listed_once_as_what_starts_a_function_or_is_announced() -> None:
    assert set(FILES) == {name for name, _ in STARTS} | ANNOUNCED
    readme = (FOLDER / "README.md").read_text()
    assert all(f"`{name}.json`" in readme for name in FILES)


def test_a_file_to_score_is_what_the_first_step_of_a_batch_takes(
    plane: Plane, champion: Manifest
) -> None:
    found = plane.invoke("BatchFunction", {"plan": read("batch-file")["detail"]})

    assert (found["status"], found["reason"]) == ("refused", "it is empty, or gone")


@pytest.mark.parametrize(("name", "function"), STARTS)
@pytest.mark.usefixtures("shortcuts")
def test_each_event_is_handled_by_the_function_that_it_is_for(
    plane: Plane,
    remembered: None,
    data: Store,
    clock: time_machine.Traveller,
    name: str,
    function: str,
) -> None:
    given.upload(data)
    plane.settle()
    clock.move_to(datetime(2013, 3, 2, tzinfo=UTC))

    answer = plane.invoke(function, read(name))

    assert answer.get("statusCode", 200) in ((409,) if name in REFUSED else (200, 202))


@pytest.mark.parametrize("name", sorted(events.TYPES))
def test_each_event_of_ours_has_an_example_that_has_its_type(name: str) -> None:
    example = read(name.lower().replace(" ", "-"))

    msgspec.convert(example["detail"], events.TYPES[name], strict=False)
    assert (example["detail-type"], example["source"]) == (name, events.SOURCE)
    known = events.schemas()[name]["$defs"][events.TYPES[name].__name__]["properties"]
    assert set(example["detail"]) <= set(known)


def test_the_schemas_on_file_are_those_of_the_code() -> None:
    assert read("schemas") == events.schemas(), "run `make schemas`"


@pytest.mark.parametrize(("name", "file"), [("predict", "flight-delay"), ("feedback", "feedback")])
def test_the_body_of_a_request_stands_in_bodies_too(name: str, file: str) -> None:
    body = json.loads((FOLDER / "bodies" / f"{file}.json").read_bytes())

    assert json.loads(read(name)["body"]) == body
