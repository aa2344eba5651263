"""What must not leak: rows, labels and secrets, looked for in all that a deployment says.

Each value is a marker, found nowhere else. They are sent on every path, also where something fails
with them in its hands, and then looked for in logs, metrics, events, dead letters and the names of
objects. What is meant to hold them is not looked through: captures, labels and reports in the data
bucket, the history of decisions in the artifact bucket, and the answer to the caller itself.
"""

import ast
import dataclasses
import io
import json
import logging
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import time_machine
from botocore.exceptions import ClientError

import bootstrap as clients
import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.contract.errors import (
    EvergreenError,
    ExternalError,
    Fault,
    InvalidRequestError,
    unexpected,
    worded,
)
from evergreen.registry.manifest import Manifest
from evergreen.serving.external import External
from evergreen.serving.model import Model
from evergreen.serving.runtime_external import scorer
from evergreen.training import train_version
from evergreen.training.train_version import Trained
from local.plane.plane import Plane
from local.plane.process import CODE, Process
from local.template import Template, physical_name, queue_url
from tests.support import candidates, given
from tests.support.candidates import ONE, TWO
from tests.support.given import NAME, NOW, csv, injected
from tests.support.registries import registry_of
from tests.support.servers import Answered, listening
from tests.support.traffic import Announced, compact, outcomes, promoted, requests

PATH = f"/endpoints/{NAME}"
CONTROL = f"/control{PATH}"

TEXT = "ZQ7X"  # as long as a carrier's code may be
NUMBER = 731.0459  # of distance
LABEL = "LabelZq7Marker"
KEY = "KeyZq7Marker"
REASON = "ReasonZq7Marker"
QUERY = "QueryZq7Marker"
TOKEN = "TokenZq7Marker"  # noqa: S105 - a marker
HEADERS = {
    "Content-Type": "application/json",
    "Authorization": "AuthorizationZq7Marker",
    "X-Amz-Security-Token": "SessionZq7Marker",
    "Cookie": "session=CookieZq7Marker",
}
AWS = {
    "AWS_ACCESS_KEY_ID": "AKIAZQ7MARKER",
    "AWS_SECRET_ACCESS_KEY": "SecretZq7Marker",
    "AWS_SESSION_TOKEN": "StsZq7Marker",
}
MARKERS = [
    TEXT, str(NUMBER), LABEL, KEY, REASON, QUERY, TOKEN, *HEADERS.values(), *AWS.values(),
]  # fmt: skip
MARKERS.remove("application/json")
ROW = given.row(carrier=TEXT, distance=NUMBER)


class Said:
    """All that a deployment has said."""

    def __init__(
        self, plane: Plane, log: io.StringIO, caplog: pytest.LogCaptureFixture, *stores: Store
    ) -> None:
        self.plane, self.log, self.caplog, self.stores = plane, log, caplog, stores
        self.failures: list[str] = []

    def ask(self, method: str, path: str, body: Any = None) -> int:
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return self.plane.request(method, path, sent, HEADERS).status

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Run a function; keep what Lambda would log and trace of the error that ends it."""
        try:
            return self.plane.invoke(function, event)
        except Exception as error:
            self.failures += [repr(error), *traceback.format_exception(error)]
            return None

    def leaks(self, events: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
        """Return the markers that are found, and where."""
        names = [key for store in self.stores for key in store.keys("")]
        said = {
            "log": self.log.getvalue(),
            "another log": self.caplog.text,
            "failure": "\n".join(self.failures),
            "event": json.dumps(events),
            "name": "\n".join(names),
        }
        return {
            marker: f"{place}: …{text[max(0, text.index(marker) - 200) :][:260]}…"
            for marker in MARKERS
            for place, text in said.items()
            if marker in text
        }


@pytest.fixture
def said(
    clock: time_machine.Traveller,
    aws: None,
    template: Template,
    monkeypatch: pytest.MonkeyPatch,
    artifacts: Store,
    data: Store,
    caplog: pytest.LogCaptureFixture,
) -> Said:
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EXTERNAL_TOKEN", TOKEN)
    caplog.set_level(logging.INFO)
    log = io.StringIO()
    return Said(Plane(template, log, runtime=Process(log)), log, caplog, artifacts, data)


@pytest.fixture
def serving(said: Said, artifacts: Store, trained: Trained) -> Manifest:
    return promoted(artifacts, trained, ONE)


def raising(_: Any) -> Any:
    raise ValueError(f"could not convert {TEXT!r}, {NUMBER}, {LABEL}")


# Every path


def test_predictions_of_all_kinds_and_failures_leave_no_marker(
    said: Said, serving: Manifest, announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, path = {"instances": [ROW], "key": KEY}, f"{PATH}/predict"

    assert said.ask("POST", path, good) == 200
    assert said.ask("POST", f"{path}?version={ONE}", good) == 200
    for odd in (
        {"instances": [ROW | {"origin": TEXT}]},
        {"instances": [ROW | {"hour": TEXT}]},
        {"instances": [ROW | {TEXT: NUMBER}]},
        {"instances": [ROW | {"distance": TEXT}], KEY: KEY},
        f'{{"instances": [{TEXT}'.encode(),
    ):
        assert said.ask("POST", path, odd) == 400
    assert said.ask("POST", f"{path}?secret={QUERY}", good) == 400
    assert said.ask("POST", f"{path}?version={QUERY}", good) == 404
    assert said.ask("POST", f"/endpoints/{QUERY}/predict", good) == 404
    down = given.Fault(500, code=f"Internal{TEXT}"[:8], times=99)
    with injected(clients.firehose(), "firehose.PutRecordBatch", down):
        assert said.ask("POST", path, good) == 200
    with monkeypatch.context() as patched:
        patched.setattr(Model, "scores_of", lambda *_: raising(None))
        assert said.ask("POST", path, good) == 503

    assert "captures were lost" in said.log.getvalue()
    assert "ValueError" in said.log.getvalue()
    assert '"_aws"' in said.log.getvalue()
    assert said.leaks(announced()) == {}


def test_a_stream_that_quotes_what_it_refuses_is_not_quoted(
    said: Said, serving: Manifest, announced: Announced, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {
        "FailedPutCount": 1,
        "RequestResponses": [{"ErrorCode": "Slow", "ErrorMessage": f"not taken: {TEXT} {NUMBER}"}],
    }
    firehose = clients.firehose()
    monkeypatch.setattr(type(firehose), "put_record_batch", lambda *_, **__: refused, raising=False)

    assert said.ask("POST", f"{PATH}/predict", {"instances": [ROW]}) == 200
    labels = {"labels": [{"id": given.prediction_id(1), "label": True}]}
    assert said.ask("POST", f"{PATH}/feedback", labels) == 503

    assert "Slow" in said.log.getvalue()
    assert said.leaks(announced()) == {}


def test_an_arm_that_cannot_read_a_request_does_not_quote_it(
    said: Said, serving: Manifest, artifacts: Store, trained: Trained, announced: Announced
) -> None:
    """The champion answers in its place, and the log says which kind of error the arm made."""
    schema = json.loads(json.dumps(trained.manifest.schema))
    schema["properties"]["carrier"] = {"enum": ["AA", "UA"]}
    registry = registry_of(artifacts)
    candidates.entered(registry, trained, TWO, schema=schema)
    candidates.move(registry, "shadow started", TWO)
    candidates.move(registry, "canary started", TWO, share=0.99)

    for number in range(4):
        body = {"instances": [ROW], "key": f"{KEY}{number}"}
        assert said.ask("POST", f"{PATH}/predict", body) == 200

    assert "the champion answers for an arm" in said.log.getvalue()
    assert said.leaks(announced()) == {}


def test_feedback_leaves_no_marker(said: Said, serving: Manifest, announced: Announced) -> None:
    one = given.prediction_id(1)
    for labels, status in (
        ([{"id": one, "label": True}], 202),
        ([{"id": one, "label": LABEL}], 400),
        ([{"id": LABEL, "label": True}], 400),
        ([{"id": one, "label": True, LABEL: 1}], 400),
    ):
        assert said.ask("POST", f"{PATH}/feedback", {"labels": labels}) == status
    with injected(clients.firehose(), "firehose.PutRecordBatch", given.Fault(500, times=99)):
        assert said.ask("POST", f"{PATH}/feedback", {"labels": [{"id": one, "label": True}]}) == 503

    assert said.leaks(announced()) == {}


def test_what_people_decide_is_logged_without_their_words(
    said: Said, serving: Manifest, artifacts: Store, trained: Trained, announced: Announced
) -> None:
    """The history holds their reasons, and the event that announces a decision, by design."""
    candidates.entered(registry_of(artifacts), trained, TWO)
    body = {"generation": 2, "reason": REASON}

    assert said.ask("POST", f"{CONTROL}/pause", body) == 200
    assert said.ask("POST", f"{CONTROL}/resume", body | {"generation": 3}) == 200
    assert said.ask("POST", f"{CONTROL}/pause", body | {REASON: REASON}) == 400
    assert said.ask("POST", f"{CONTROL}/approve", body | {"version": QUERY}) in (404, 409)
    assert said.ask("GET", f"{CONTROL}/status?run={QUERY}") in (200, 400, 404)
    assert said.ask("GET", f"{CONTROL}/status?{QUERY}=1") == 400
    wanted = {"generation": 4, "version": TWO, "reason": REASON}
    assert said.ask("POST", f"{CONTROL}/approve", wanted) == 200

    announced()
    assert '"paused"' in said.log.getvalue()
    assert said.leaks([]) == {}
    assert candidates.document(registry_of(artifacts)).last.reason == REASON


BAD: dict[str, Callable[[], bytes]] = {
    "a text among numbers": lambda: csv(given.table(300).assign(temp=TEXT)),
    "a choice that is none": lambda: csv(given.table(300).assign(origin=TEXT)),
    "a number out of range": lambda: csv(given.table(300).assign(hour=NUMBER)),
    "a label that is none": lambda: csv(given.table(300).assign(arr_delay=LABEL)),
    "a time that is none": lambda: csv(given.table(300).assign(time_hour=LABEL)),
    "rows without a head": lambda: f"{TEXT},{LABEL}\n".encode() * 50,
    "a line that is broken": lambda: csv(given.table(300)) + f'"{TEXT}",{LABEL}\n'.encode() * 3,
    "a file that is none": lambda: f"\xff{TEXT}\0{LABEL}".encode("utf-16"),
    "bytes that are no text": lambda: csv(given.table(30)) + TEXT.encode() + b"\xff\xfe,\x80\n",
}


@pytest.mark.usefixtures("quick", "serving")
@pytest.mark.parametrize("what", BAD)
def test_a_training_file_that_is_refused_is_not_quoted(
    said: Said, data: Store, announced: Announced, artifacts: Store, what: str
) -> None:
    data.put(f"training/{NAME}/a.csv", BAD[what]())

    run = said.invoke("TrainFunction", {"endpoint": NAME})

    assert run["outcome"] == "skipped"
    assert "a.csv" in run["reason"]
    assert not [marker for marker in MARKERS if marker in json.dumps(run)]
    assert said.leaks(announced()) == {}


def in_examples(patched: pytest.MonkeyPatch) -> None:
    endpoint = dataclasses.replace(flight_delay.endpoint, examples=raising)
    patched.setattr(flight_delay, "endpoint", endpoint)


def in_candidates(patched: pytest.MonkeyPatch) -> None:
    class Raising:
        fit = predict_proba = lambda *_: raising(None)

    endpoint = dataclasses.replace(
        flight_delay.endpoint, candidates=lambda _: {"raising": Raising()}
    )
    patched.setattr(flight_delay, "endpoint", endpoint)


def in_the_machinery(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(train_version, "check", lambda *_, **__: raising(None))


@pytest.mark.usefixtures("quick", "serving")
@pytest.mark.parametrize("where", [in_examples, in_candidates, in_the_machinery])
def test_an_error_of_a_training_with_a_row_in_its_message_is_not_quoted(
    said: Said,
    data: Store,
    announced: Announced,
    monkeypatch: pytest.MonkeyPatch,
    where: Callable[[pytest.MonkeyPatch], None],
) -> None:
    data.put(f"training/{NAME}/a.csv", csv(given.table(600, start=NOW - timedelta(days=31))))
    where(monkeypatch)

    run = said.invoke("TrainFunction", {"endpoint": NAME})
    said.plane.deliver("TrainFunction", {"endpoint": NAME})

    told = json.dumps(run) if run else "".join(said.failures)
    assert "ValueError" in told, "the kind is said"
    assert not [marker for marker in MARKERS if marker in told]
    assert not [marker for marker in MARKERS if marker in dead_letters()]
    assert said.leaks(announced()) == {}


def dead_letters() -> str:
    """Return what waits in the dead-letter queue, with its attributes."""
    found = boto3.client("sqs").receive_message(
        QueueUrl=queue_url(physical_name("DeadLetterQueue")),
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
    )
    return json.dumps(found.get("Messages", []))


@pytest.mark.parametrize("function", ["CheckFunction", "RolloutFunction"])
def test_a_check_or_a_tick_that_fails_on_a_row_does_not_quote_it(
    said: Said,
    serving: Manifest,
    announced: Announced,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
) -> None:
    slot = {"endpoint": NAME, "slot": f"{NOW:%Y-%m-%dT%H:%M:%SZ}"}
    for broken in (
        "evergreen.monitoring.assessment.assess",
        "evergreen.rollout.gather_evidence.gather",
    ):
        monkeypatch.setattr(broken, lambda *_, **__: raising(None))

    assert said.invoke(function, slot) is None

    assert "ValueError" in said.failures[0]
    assert "evergreen" in said.failures[0]
    assert said.leaks(announced()) == {}


def test_a_check_of_rows_with_markers_names_features_and_no_values(
    said: Said, serving: Manifest, data: Store, announced: Announced, clock: time_machine.Traveller
) -> None:
    """A report shows categories, which is what it is for; logs, metrics and events do not."""
    slot = NOW + timedelta(days=7)
    requests(data, range(7), version=ONE, carrier=TEXT, distance=NUMBER)
    outcomes(data, range(7), 300, lambda n: n % 3 == 0)
    given.deliver(data, [given.label(300, LABEL, NOW)], NOW, "odd")
    clock.move_to(slot)
    compact(said.plane)

    asked = {"endpoint": NAME, "slot": f"{slot:%Y-%m-%dT%H:%M:%SZ}"}
    found = said.invoke("CheckFunction", asked)

    assert found["checked"][NAME] != "insufficient data"
    assert "feature checked" in said.log.getvalue()
    assert said.leaks(announced()) == {}


# A service of somebody else


ODD = {
    "that repeats what it got": lambda asked: Answered(asked.body),
    "that repeats the token": lambda asked: Answered(
        json.dumps({"scores": [asked.headers["Authorization"]]}).encode()
    ),
    "of other classes": lambda _: Answered(json.dumps({"scores": [{LABEL: 1}]}).encode()),
    "that fails": lambda asked: Answered(asked.body, 500),
}


@pytest.mark.parametrize("kind", ODD)
def test_a_service_that_answers_oddly_is_not_quoted(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTERNAL_TOKEN", TOKEN)
    rows = flight_delay.examples(given.table(30))
    columns = {"carrier": rows["carrier"].to_numpy(dtype=object)[:1]}
    columns["carrier"][0] = TEXT
    with listening(ODD[kind]) as host:
        service = External(url=f"http://{host}/s?key={QUERY}", token_variable="EXTERNAL_TOKEN")  # noqa: S106 - a name
        service.fit(rows[["carrier"]], rows["label"].to_numpy(dtype=bool))
        ask = scorer(service.artifact(), ["carrier"])

        with pytest.raises(ExternalError) as refused:
            ask(columns)

    assert not [marker for marker in MARKERS if marker in worded(refused.value)]


def test_a_token_that_cannot_be_a_header_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """http.client puts the header into its error."""
    monkeypatch.setenv("EXTERNAL_TOKEN", f"{TOKEN}\n")
    rows = flight_delay.examples(given.table(30))
    with listening(lambda _: Answered(b"")) as host:
        service = External(url=f"http://{host}/s", token_variable="EXTERNAL_TOKEN")  # noqa: S106 - a name
        service.fit(rows[["carrier"]], rows["label"].to_numpy(dtype=bool))
        ask = scorer(service.artifact(), ["carrier"])

        with pytest.raises(ExternalError) as refused:
            ask({"carrier": rows["carrier"].to_numpy(dtype=object)[:1]})

    assert TOKEN not in str(refused.value)


# The one place that words an error


def test_an_error_of_ours_keeps_its_words_and_others_keep_their_kind_and_place() -> None:
    own = EvergreenError("do this next")
    with pytest.raises(KeyError) as found:
        flight_delay.examples(given.table(3).drop(columns="carrier"))

    assert worded(own) == "do this next"
    assert unexpected(own) is own
    assert worded(found.value).startswith("KeyError in endpoints/flight_delay.py:")
    assert worded(unexpected(found.value)) == worded(found.value)
    assert worded(InvalidRequestError([Fault("$", TEXT)])) == "InvalidRequestError"


def test_an_error_of_aws_is_its_code_and_a_missing_permission_names_what_is_missing() -> None:
    slow = ClientError({"Error": {"Code": "Slow", "Message": TEXT}}, "PutRecordBatch")
    message = "not authorized to perform: s3:PutObject"
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": message}}, "PutObject")

    assert worded(slow) == "PutRecordBatch was answered with Slow"
    assert "s3:PutObject" in worded(denied)


SOURCES = sorted(CODE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_function_logs_a_traceback_or_traces_what_it_gets(path: Path) -> None:
    """A traceback ends in the words of its error, and a tracer records arguments and answers."""
    tree = ast.parse(path.read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    tracebacks = [
        call
        for call in calls
        if ast.unparse(call.func).endswith(".exception")
        or any(word.arg == "exc_info" for word in call.keywords)
    ]
    imported = {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }

    assert not {"Tracer", "aws_xray_sdk", "log_event"} & imported
    assert [ast.unparse(call) for call in tracebacks] == (
        ["_whole.debug('%s', type(error).__name__, exc_info=error)"]
        if path.stem == "errors"
        else []
    )


def test_the_deployment_logs_no_debug_lines_no_events_and_of_requests_no_words(
    template: Template,
) -> None:
    for function in template.of_type("AWS::Lambda::Function").values():
        variables = function["Environment"]["Variables"]
        assert function["LoggingConfig"]["ApplicationLogLevel"] == "INFO"
        assert not [name for name in variables if "LOG_EVENT" in name or "DEBUG" in name]
    (stage,) = template.of_type("AWS::ApiGatewayV2::Stage").values()
    written = stage["AccessLogSettings"]["Format"]
    assert json.loads(written).keys() == {
        "requestId", "route", "status", "latency", "error", "caller", "source",
    }  # fmt: skip
