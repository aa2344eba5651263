"""Each kind of problem from its example to a check: train, predict, tell, look, train again."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pytest
import time_machine

from evergreen.aws.s3 import Store
from evergreen.captures.arrivals import HOUR
from evergreen.captures.recorded import META, Recorded
from evergreen.contract import endpoint_files
from evergreen.contract.problem import Problem, array
from evergreen.monitoring.earlier_checks import key_of
from evergreen.monitoring.report import CheckReport
from evergreen.pages.check_report import page
from local.plane import stack
from local.plane.plane import Plane
from tests.support.registries import registry_of
from tests.support.traffic import compact

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
ROWS = 40
JSON = {"Content-Type": "application/json"}
FEBRUARY = datetime(2013, 2, 1, 12, tzinfo=UTC)
STORIES = {  # of each kind: when it is asked, and a label that is not one
    "flight-delay": (FEBRUARY, "late"),
    "air-time": (FEBRUARY, True),
    "weather-tomorrow": (datetime(2016, 1, 1, 12, tzinfo=UTC), 1),
}


def asked_of(name: str, file: Path) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return rows as a request has them, the newest of a training file, and what became of them."""
    endpoint = endpoint_files.load(name)
    table = duckdb.connect().execute(f"FROM '{file}'").df()
    found = endpoint.examples(table).tail(ROWS)
    features = found[list(endpoint.row.__struct_fields__)]
    rows = features.astype(object).where(features.notna(), None).to_dict("records")
    plain = [{str(key): value for key, value in row.items()} for row in rows]
    return plain, found["label"].tolist()


def post(plane: Plane, path: str, body: Any) -> Any:
    return plane.request("POST", path, json.dumps(body).encode(), JSON)


def check_answers(problem: Problem, answers: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    """Return the scores of answers, after a look at their shape."""
    for answer in answers:
        label, score = answer["label"], answer["score"]
        if problem.kind == "binary":
            assert label is (score >= 0.5)
        elif problem.kind == "regression":
            assert label == score
            assert 10 < score < 800, "minutes"
        else:
            assert answer["scores"][label] == score == max(answer["scores"].values())
            assert sum(answer["scores"].values()) == pytest.approx(1)
            assert list(answer["scores"]) == problem.classes
    scores = [answer.get("scores") for answer in answers]
    return problem.recorded([answer["score"] for answer in answers], scores)


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.usefixtures("shortcuts")
def test_a_problem_is_trained_served_told_its_outcomes_checked_and_trained_again(
    name: str,
    plane: Plane,
    clock: time_machine.Traveller,
    artifacts: Store,
    data: Store,
    tmp_path: Path,
) -> None:
    at, wrong = STORIES[name]
    clock.move_to(at)

    file = stack.training_file(name, None, tmp_path)  # as `make train` without DATA
    data.put(f"training/{name}/{file.name}", file.read_bytes())
    plane.settle()

    registry = registry_of(artifacts)
    seen = registry.document(name)
    assert seen is not None, "the first version that passes is promoted"
    manifest = registry.manifest(name, seen.document.champion)
    assert manifest is not None
    problem = manifest.problem
    assert problem.kind == endpoint_files.load(name).problem
    assert manifest.metrics.loss < manifest.metrics.baseline

    rows, truth = asked_of(name, file)
    answered = post(plane, f"/endpoints/{name}/predict", {"instances": rows})
    assert answered.status == 200
    answers = answered.json()["predictions"]
    scores = check_answers(problem, answers)
    clock.move_to(at + HOUR)
    compact(plane)
    recorded = Recorded(data, name).predictions(at, at + DAY, meta=(*META, "unseen"))
    keys = set(answers[0]) - {"unseen"}
    for place, given_answer in enumerate(answers):
        assert {key: recorded[key][place] for key in keys} == {
            key: given_answer[key] for key in keys
        }

    ids = [answer["id"] for answer in answers]
    labels = [{"id": id_, "label": label} for id_, label in zip(ids, truth, strict=True)]
    told = post(plane, f"/endpoints/{name}/feedback", {"labels": labels})
    assert (told.status, told.json()["accepted"]) == (202, ROWS)
    refused = post(
        plane, f"/endpoints/{name}/feedback", {"labels": [{"id": ids[0], "label": wrong}]}
    )
    assert refused.status == 400
    assert refused.json()["error"]["faults"][0]["path"] == "$.labels[0].label"

    slot = at + 4 * DAY
    clock.move_to(slot)
    compact(plane)
    asked = {"endpoint": name, "slot": f"{slot:%Y-%m-%dT%H:%M:%SZ}"}
    plane.invoke("CheckFunction", asked)
    stored = data.get(key_of(name, slot))
    assert stored is not None
    report = msgspec.json.decode(stored.body, type=CheckReport)
    assert report.performance is not None
    assert report.performance.metric == problem.metric
    (day,) = report.performance.days
    assert (day.captured, day.labelled, day.closed) == (ROWS, ROWS, True)
    outcomes = array(problem.kind, truth)
    assert day.loss == pytest.approx(problem.losses(outcomes, scores).mean())
    assert day.bounded == pytest.approx(problem.bounded(outcomes, scores).mean())
    assert (day.accuracy is None) == (problem.kind == "regression")
    assert problem.metric in page(report)
    assert problem.bounded_metric in page(report)

    run = plane.invoke("TrainFunction", {"endpoint": name})
    assert run["labels"]["joined"] == ROWS
    assert run["labels"]["incompatible"] == 0
