import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from evergreen.aws.s3 import Store
from local.plane.plane import Plane
from local.plane.process import Process
from local.template import (
    ROOT,
    Template,
    TemplateError,
    physical_name,
    queue_url,
    resolve,
    translate,
)
from tests.support import given
from tests.support.registries import registry_of

pytestmark = pytest.mark.slow

JSON = {"Content-Type": "application/json"}


TRANSLATED = translate()


def at_level(level: str) -> Template:
    """Return the template of a level, with what runs every hour once a day: not 700 a month."""
    daily = {"CompactSchedule": "cron(20 4 * * ? *)", "RolloutSchedule": "cron(40 5 * * ? *)"}
    return resolve(TRANSLATED, {"MaturityLevel": level} | daily)


@pytest.fixture(scope="session")
def template() -> Template:
    return at_level("4")


def without(template: Template, name: str) -> Template:
    assert name in template.resources
    return replace(template, resources={k: v for k, v in template.resources.items() if k != name})


def put_on_bus(name: str, **detail: Any) -> None:
    boto3.client("events").put_events(
        Entries=[
            {
                "EventBusName": physical_name("EventBus"),
                "Source": "evergreen",
                "DetailType": name,
                "Detail": json.dumps(detail),
            }
        ]
    )


def dead_letters() -> list[Any]:
    url = queue_url(physical_name("DeadLetterQueue"))
    answer = boto3.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    letters = [json.loads(message["Body"]) for message in answer.get("Messages", ())]
    return [letter["requestPayload"] for letter in letters]


def test_an_upload_of_training_data_ends_in_a_champion(
    plane: Plane, quick: None, data: Store, artifacts: Store
) -> None:
    given.upload(data)

    plane.settle()

    assert registry_of(artifacts).document(given.NAME) is not None
    assert dead_letters() == []


def test_an_object_elsewhere_in_the_bucket_trains_nothing(
    plane: Plane, data: Store, artifacts: Store
) -> None:
    data.put("captures/2013/02/01/10/x.jsonl", b"")

    plane.settle()

    assert list(artifacts.keys("runs/")) == []


def test_a_command_on_the_bus_trains(plane: Plane, quick: None, artifacts: Store) -> None:
    put_on_bus("Retrain Requested", endpoint=given.NAME, time="2013-02-01T06:00:00Z", trigger="me")

    plane.settle()

    assert len(list(artifacts.keys(f"runs/{given.NAME}/"))) == 1


def test_without_its_rule_in_the_template_a_command_trains_nothing(
    plane: Plane, template: Template, quick: None, artifacts: Store
) -> None:
    plane.template = without(template, "TrainFunctionRetrainRequested")
    put_on_bus("Retrain Requested", endpoint=given.NAME, time="2013-02-01T06:00:00Z", trigger="me")

    plane.settle()

    assert list(artifacts.keys("runs/")) == []


def test_the_daily_schedule_retrains_on_the_first_of_the_month_alone(
    plane: Plane, quick: None, artifacts: Store, clock: Any
) -> None:
    for day in (datetime(2013, 2, 28, 12, tzinfo=UTC), datetime(2013, 3, 2, 12, tzinfo=UTC)):
        plane.tick(day, clock.move_to)

    runs = [key.rpartition("/")[2] for key in artifacts.keys(f"runs/{given.NAME}/")]

    assert [name[:16] for name in runs] == ["20130301T060000Z"]


@pytest.mark.parametrize("missing", ["TrainFunctionDaily", "TrainFunctionRetrainRequested"])
def test_without_its_schedule_or_rule_nothing_retrains_at_the_first_of_the_month(
    plane: Plane, template: Template, quick: None, artifacts: Store, clock: Any, missing: str
) -> None:
    plane.template = without(template, missing)

    plane.tick(datetime(2013, 3, 2, 12, tzinfo=UTC), clock.move_to)

    assert list(artifacts.keys("runs/")) == []


@pytest.mark.parametrize("template", [at_level("2")], ids=["2"])
def test_a_schedule_that_is_disabled_never_fires(plane: Plane) -> None:
    due = {name for _, name in plane.due(given.NOW + timedelta(days=2))}

    assert due == {"CompactFunctionHourly", "CheckFunctionDaily", "RolloutFunctionTick"}


@pytest.mark.parametrize(
    ("template", "runs"), [(at_level("2"), 0), (at_level("3"), 1)], ids=["2", "3"]
)
def test_drift_trains_from_the_level_on_at_which_its_rule_is_enabled(
    plane: Plane, quick: None, artifacts: Store, runs: int
) -> None:
    event = json.loads((ROOT / "events" / "drift-detected.json").read_text())
    put_on_bus("Drift Detected", **event["detail"])

    plane.settle()

    assert len(list(artifacts.keys("runs/"))) == runs


@pytest.mark.parametrize(
    ("template", "asked"),
    [
        (at_level("2"), set()),
        (at_level("3"), {"TrainFunction"}),
        (at_level("4"), {"TrainFunction", "RolloutFunction"}),
    ],
    ids=["2", "3", "4"],
)
def test_worse_answers_train_from_the_third_level_on_and_roll_back_at_the_fourth(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, asked: set[str]
) -> None:
    seen: set[str] = set()
    monkeypatch.setattr(plane, "invoke", lambda function, *_: seen.add(function))
    event = json.loads((ROOT / "events" / "performance-degraded.json").read_text())
    put_on_bus("Performance Degraded", **event["detail"])

    plane.settle()

    assert seen == asked


@pytest.mark.parametrize("template", [at_level("1")], ids=["1"])
def test_at_the_first_level_an_upload_trains_and_nothing_is_due(
    plane: Plane, quick: None, data: Store, artifacts: Store
) -> None:
    given.upload(data)

    plane.settle()

    assert registry_of(artifacts).document(given.NAME) is not None
    assert plane.due(given.NOW + timedelta(days=31)) == []


def test_a_tick_fires_what_was_due_in_order_and_once(plane: Plane, clock: Any) -> None:
    seen: list[datetime] = []
    until = datetime(2013, 2, 3, 5, 30, tzinfo=UTC)

    def move(time: datetime) -> None:
        seen.append(time)
        clock.move_to(time)

    plane.tick(until, move)
    plane.tick(until, move)

    assert [f"{time:%d %H%M}" for time in seen] == [
        "02 0420", "02 0530", "02 0540", "02 0600", "03 0420", "03 0530",
    ]  # fmt: skip


def test_a_function_that_fails_is_tried_three_times_and_its_event_kept(plane: Plane) -> None:
    plane.log = io.StringIO()
    event = {"endpoint": "no-such-endpoint"}

    plane.deliver("TrainFunction", event)

    assert plane.log.getvalue().count("TrainFunction failed") == 3
    assert dead_letters() == [event]


def test_a_function_without_a_dead_letter_queue_may_not_be_a_target(plane: Plane) -> None:
    with pytest.raises(TemplateError, match="PredictFunction has no dead-letter queue"):
        plane.deliver("PredictFunction", {})


def test_a_function_gets_the_environment_that_the_template_gives_it(
    plane: Plane, tmp_path: Any
) -> None:
    (tmp_path / "predict.py").write_text(
        "import os\ndef handler(event, context):\n"
        "    return [os.environ['CAPTURE_STREAM'], context.function_name, event]\n"
    )
    plane.runtime = Process(code=tmp_path)

    assert plane.invoke("PredictFunction", {"a": 1}) == [
        "evergreen-capturestream",
        "evergreen-predictfunction",
        {"a": 1},
    ]


def test_a_handler_that_raises_is_a_500_that_says_nothing_about_it(
    plane: Plane, tmp_path: Any
) -> None:
    (tmp_path / "predict.py").write_text("def handler(event, context):\n    1 / 0\n")
    plane.runtime = Process(code=tmp_path)

    answer = plane.request("GET", "/endpoints")

    assert (answer.status, "division" in answer.body) == (500, False)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("PUT", "/endpoints"), ("GET", "/endpoints/a/predict"), ("POST", "/endpoints")],
)
def test_a_route_that_is_not_in_the_template_is_not_found(
    plane: Plane, method: str, path: str
) -> None:
    assert plane.request(method, path).status == 404


def test_everything_on_the_bus_is_shown_once_whoever_else_it_is_for(
    plane: Plane, quick: None
) -> None:
    seen: list[str] = []
    plane.on_event = lambda event: seen.append(event["detail-type"])
    put_on_bus("Retrain Requested", endpoint=given.NAME, time="2013-02-01T06:00:00Z", trigger="me")

    plane.settle()

    assert seen == ["Retrain Requested", "Training Skipped"]


def test_what_functions_print_goes_to_the_log_and_nowhere_else(
    plane: Plane, capsys: pytest.CaptureFixture[str]
) -> None:
    log = io.StringIO()
    plane.runtime = Process(log)

    plane.request("POST", f"/endpoints/{given.NAME}/predict", b"{}", JSON)

    assert "no_champion" in log.getvalue()
    assert capsys.readouterr().out == ""


def test_what_a_users_file_prints_is_shown_and_what_functions_log_is_not(
    plane: Plane, tmp_path: Any
) -> None:
    code = """
print("imported", "once")
def handler(event, _):
    print('{"level": "INFO"}')
    print("rows", 3)
    return {}
"""
    (tmp_path / "feedback.py").write_text(code)
    log, shown = io.StringIO(), io.StringIO()
    plane.runtime = Process(log, shown, code=tmp_path)

    plane.invoke("FeedbackFunction", {})

    assert shown.getvalue() == "imported once\nrows 3\n"
    assert log.getvalue() == 'imported once\n{"level": "INFO"}\nrows 3\n'


def test_the_clock_of_a_schedule_is_moved_before_its_function_runs(
    plane: Plane, clock: Any, announced: Callable[[], list[Any]]
) -> None:
    plane.tick(given.NOW + timedelta(days=1), clock.move_to)

    assert datetime.now(UTC) == datetime(2013, 2, 2, 6, tzinfo=UTC)
