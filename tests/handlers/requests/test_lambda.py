"""The HTTP functions within an environment of Lambda: after the answer, snapshots, and metrics."""

import gc
import importlib.util
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import snapshot_restore_py as snapshots

import bootstrap as clients
from evergreen.aws.s3 import Store
from evergreen.training.train_version import Trained
from local.plane.plane import Plane
from local.plane.process import CODE, Context, Process
from local.template import Template, load
from tests.handlers.requests.test_predict import ask, captures, example, write
from tests.support import given
from tests.support.given import Fault, injected, row, version
from tests.support.registries import registry_of
from tests.support.servers import SECONDS, ExtensionsApi, extensions_api


@pytest.fixture
def champion(aws: None, artifacts: Store, trained: Trained) -> str:
    return write(registry_of(artifacts), trained, version(1), promoted=True)


@pytest.fixture
def api() -> Iterator[ExtensionsApi]:
    with extensions_api() as found:
        yield found


class Environment:
    """One environment of a function: its variables stay, and what it has registered is its own."""

    def __init__(self, function: str, template: Template, patch: pytest.MonkeyPatch) -> None:
        properties = template.of_type("AWS::Lambda::Function")[function]
        for name, value in properties["Environment"]["Variables"].items():
            patch.setenv(name, value)
        patch.setattr(snapshots, "_before_snapshot_registry", [])
        patch.setattr(snapshots, "_after_restore_registry", [])
        name = properties["Handler"].removesuffix(".handler")
        spec = importlib.util.spec_from_file_location(name, CODE / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        self.module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)

    def invoke(self, function: str, _: dict[str, Any], event: Any, request_id: str) -> Any:
        return self.module.handler(event, Context(function, 1024, request_id))


def run(hooks: list[Any]) -> None:
    for hook, arguments, named in hooks:
        hook(*arguments, **named)


Start = Callable[..., Environment]


@pytest.fixture
def start(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return what starts an environment for the plane's requests."""

    def started(function: str = "PredictFunction", api: ExtensionsApi | None = None) -> Environment:
        if api:
            monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", api.address)
        environment = Environment(function, plane.template, monkeypatch)
        plane.runtime = environment
        return environment

    yield started
    gc.unfreeze()  # it lives on beside other tests


def test_what_was_initialized_is_left_alone_by_the_collection_of_garbage_which_goes_on(
    api: ExtensionsApi, start: Start
) -> None:
    start(api=api)

    assert gc.isenabled()
    assert gc.get_freeze_count()


# After the answer


@pytest.fixture
def held(aws: None) -> Iterator[threading.Event]:
    """Return what lets requests to Firehose go on; until then they wait."""
    go_on = threading.Event()

    def hold(**_: Any) -> None:
        assert go_on.wait(SECONDS)

    client = clients.firehose()
    client.meta.events.register_first("before-send.firehose.PutRecordBatch", hold)
    yield go_on
    go_on.set()
    client.meta.events.unregister("before-send.firehose.PutRecordBatch", hold)


def test_a_caller_is_answered_before_the_capture_is_sent_and_lambda_freezes_after_it(
    plane: Plane,
    champion: str,
    data: Store,
    api: ExtensionsApi,
    start: Start,
    held: threading.Event,
) -> None:
    start(api=api)
    api.wait_until_idle()
    api.begin()

    answer = ask(plane, given.body(row(), row(hour=21)))

    assert answer.status == 200
    assert captures(data) == []
    held.set()
    api.wait_until_idle()
    assert [capture.id for capture in captures(data)] == [
        prediction["id"] for prediction in answer.json()["predictions"]
    ]


def test_after_a_request_that_is_refused_lambda_may_freeze_too(
    plane: Plane, data: Store, api: ExtensionsApi, start: Start
) -> None:
    start(api=api)
    for body in (b"{", given.body(row(hour=99)), given.body()):
        api.wait_until_idle()
        api.begin()
        assert ask(plane, body).status >= 400, "there is no champion"

    api.wait_until_idle()

    assert captures(data) == []


@pytest.fixture(scope="module")
def capture_off() -> Template:
    return load({"Capture": "off"})


def test_with_capture_off_predictions_are_answered_and_nothing_is_sent(
    plane: Plane, champion: str, capture_off: Template, data: Store
) -> None:
    plane.template = capture_off

    with injected(clients.firehose(), "firehose.PutRecordBatch", Fault(first=99)) as counter:
        answer = ask(plane, given.body())

    assert (answer.status, counter.first) == (200, 99)
    assert captures(data) == []


@pytest.mark.parametrize(("capture", "registered"), [("on", 1), ("off", 0)])
def test_lambda_waits_for_an_extension_where_there_is_something_to_capture(
    plane: Plane,
    template: Template,
    capture_off: Template,
    api: ExtensionsApi,
    start: Start,
    capture: str,
    registered: int,
) -> None:
    plane.template = {"on": template, "off": capture_off}[capture]

    start(api=api)

    assert len(api.registered) == registered


# Cold starts and snapshots


@pytest.mark.parametrize("in_lambda", [True, False])
def test_the_runtime_is_imported_while_lambda_initializes(
    api: ExtensionsApi, start: Start, in_lambda: bool
) -> None:
    environment = start(api=api if in_lambda else None)

    assert environment.module.serving.cache_info().currsize == in_lambda


def test_a_snapshot_holds_the_champion(plane: Plane, champion: str, start: Start) -> None:
    start()

    run(snapshots.get_before_snapshot())

    with injected(clients.s3(), "s3.GetObject", Fault(500, times=99)) as down:
        answer = ask(plane, given.body())
    assert (answer.status, answer.json()["version"], down.hit) == (200, champion, 0)


def test_after_a_restore_the_champion_of_now_answers(
    plane: Plane, champion: str, artifacts: Store, trained: Trained, start: Start
) -> None:
    start()
    run(snapshots.get_before_snapshot())
    write(registry_of(artifacts), trained, version(2), promoted=True)
    assert ask(plane, given.body()).json()["version"] == champion

    run(snapshots.get_after_restore())

    assert ask(plane, given.body()).json()["version"] == version(2)


@pytest.mark.parametrize("function", ["PredictFunction", "FeedbackFunction"])
def test_after_a_restore_no_connection_is_taken_for_open(
    start: Start, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    closed: list[str] = []
    monkeypatch.setattr(clients.s3(), "close", lambda: closed.append("s3"))
    monkeypatch.setattr(clients.firehose(), "close", lambda: closed.append("firehose"))
    start(function)

    run(snapshots.get_after_restore())

    assert closed == ["s3", "firehose"]


# Metrics


def test_the_metrics_of_a_prediction_name_its_version_and_request(
    plane: Plane, champion: str
) -> None:
    log = io.StringIO()
    plane.runtime = Process(log)
    event = example("predict")

    plane.invoke("PredictFunction", event)

    (line,) = given.metrics(log)
    (declared,) = line["_aws"]["CloudWatchMetrics"]
    assert line["version"] == champion
    assert line["request"] == event["requestContext"]["requestId"]
    assert (line["Predictions"], line["UnseenCategories"]) == ([2.0], [1.0])
    assert {metric["Name"] for metric in declared["Metrics"]} == {"Predictions", "UnseenCategories"}
    assert declared["Dimensions"] == [["service"], ["service", "endpoint"]]


def test_a_request_that_cannot_be_answered_is_counted_with_its_code(plane: Plane) -> None:
    log = io.StringIO()
    plane.runtime = Process(log)
    event = example("predict")

    plane.invoke("PredictFunction", event)
    with injected(clients.s3(), "s3.GetObject", Fault(500, times=99)):
        plane.invoke("PredictFunction", event)

    told = [(m["endpoint"], m["code"], m["RequestsFailed"]) for m in given.metrics(log)]
    assert told == [(given.NAME, "no_champion", [1.0]), (given.NAME, "unavailable", [1.0])]
    requests = {line["request"] for line in given.metrics(log)}
    assert requests == {event["requestContext"]["requestId"]}


@pytest.mark.parametrize("path", ["/endpoints/other/predict", "/endpoints/flight-delay/predict"])
def test_a_request_that_is_wrong_counts_as_nobodys_failure(
    plane: Plane, champion: str, path: str
) -> None:
    log = io.StringIO()
    plane.runtime = Process(log)

    answer = ask(plane, b"{", path)

    assert answer.status in (400, 404)
    assert given.metrics(log) == []
