"""Attacks that have worked on services of this kind: one line each, and what becomes of it."""

import gzip
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import time_machine

import bootstrap as clients
from evergreen.aws.s3 import Store
from evergreen.contract import identifiers
from evergreen.contract.errors import ExternalError
from evergreen.monitoring.report import CheckReport
from evergreen.registry.manifest import Manifest
from http_api.dispatch import CODES, MAX_BYTES
from local.plane.gateway import Answer
from local.plane.plane import Plane
from tests.evergreen.serving.test_external import COLUMNS, VARIABLE, client
from tests.faults.attacks.hostile import (
    BODIES,
    CONTROL,
    DECISION,
    FEEDBACK,
    IN_BODIES,
    IN_PATHS,
    IN_QUERIES,
    METHODS,
    NAMES,
    ODD,
    OWN,
    POSTS,
    PREDICT,
    TYPES,
    instances,
)
from tests.faults.wire import objects, restore
from tests.handlers.requests.test_feedback import stored
from tests.handlers.requests.test_predict import JSON, example
from tests.support import given, traffic
from tests.support.given import NAME, prediction_id, row
from tests.support.servers import Answered, Asked, listening


@pytest.fixture
def touched(candidate: Manifest) -> Iterator[list[str]]:
    """Return the keys and prefixes of all buckets that are asked for."""
    found: list[str] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        found.append(params.get("Key") or params.get("Prefix") or "")

    events = clients.s3().meta.events
    events.register("provide-client-params.s3", note)
    yield found
    events.unregister("provide-client-params.s3", note)


IN_WORDS = {400: "invalid_request", 404: "unknown_endpoint", 413: "too_large"}


def refused(answer: Answer, *statuses: int) -> str:
    """Return the code of a refusal: `gateway` where no function was asked."""
    assert answer.status in statuses, answer.body[:500]
    assert len(answer.body) < 50_000
    found = json.loads(answer.body)
    if set(found) == {"message"}:
        return "gateway"
    if isinstance(found["error"], str):  # of the Open Inference Protocol
        return IN_WORDS[answer.status]
    assert CODES[found["error"]["code"]] == answer.status
    return str(found["error"]["code"])


# Names that are paths, or would be if somebody believed them


def asked_for(plane: Plane, key: str, name: str, text: str, body: bytes) -> Iterator[Answer]:
    """Ask a route for a text in place of a name: in the path as it is, encoded, and by an event.

    API Gateway may decode what it hands on, so the event has it as it is and encoded, too.
    """
    method, path = key.split(" ")
    fixed = {
        "endpoint": NAME,
        "version": given.version(1),
        "generation": "1",
        "id": prediction_id(1),
    }
    for each, value in fixed.items():
        path = path.replace(f"{{{each}}}", value if each != name else f"{{{name}}}")
    sent = {quote(text, safe=safe, errors="surrogatepass") for safe in ("", "/;:%*{}")}
    for part in sorted(sent):
        yield plane.request(method, path.replace(f"{{{name}}}", part), body, JSON)
    function = next(
        route.function for route in plane.routes if f"{route.method} {route.path}" == key
    )
    for part in sorted(sent | {text}):
        event = example("predict") | {"routeKey": key, "body": body.decode(), "headers": JSON}
        event["pathParameters"] = fixed | {name: part}
        found = plane.invoke(function, event)
        yield Answer(found["statusCode"], found["headers"], found["body"])


def test_what_is_no_name_of_an_endpoint_reaches_no_bucket(
    plane: Plane, touched: list[str], subtests: pytest.Subtests
) -> None:
    routes = [
        f"{route.method} {route.path}" for route in plane.routes if "{endpoint}" in route.path
    ]
    bodies = {key.replace(NAME, "{endpoint}"): body for key, body in POSTS.items()}

    for name, text in NAMES.items():
        with subtests.test(name):
            for key in routes:
                body = bodies.get(key.partition(" ")[2], b'{"generation":2,"reason":"x"}')
                for answer in asked_for(plane, key, "endpoint", text, body):
                    code = refused(answer, 400, 404)
                    assert code in ("unknown_endpoint", "invalid_request", "gateway")

    assert touched == []


def test_what_is_no_version_run_or_id_reaches_nothing_but_the_endpoint_s_own(
    plane: Plane, touched: list[str], subtests: pytest.Subtests
) -> None:
    for name, text in NAMES.items():
        with subtests.test(name):
            in_place_of_a_version(plane, text)

    assert touched
    assert [key for key in touched if not key.startswith(OWN)] == []
    assert not [key for key in touched if ".." in key or "\x00" in key or "%" in key]


def in_place_of_a_version(plane: Plane, text: str) -> None:
    encoded = quote(text, errors="surrogatepass")
    for key, (parameter, code) in IN_PATHS.items():
        for answer in asked_for(plane, key, parameter, text, b""):
            assert refused(answer, 400, 404) in (code, "gateway")
    for key, code in IN_QUERIES.items():
        method, path = key.split(" ")
        if not ("run=" in path and identifiers.RUN.fullmatch(text)):
            answer = plane.request(method, path + encoded, given.body(), JSON)
            assert refused(answer, 400, 404) == code
    for path, (field, more) in IN_BODIES.items():
        asked = DECISION | {field: text} if not more else {"generation": 2, field: text} | more
        answer = plane.request("POST", path, json.dumps(asked).encode(), JSON)
        refused(answer, 400, 409 if path.endswith("reject") else 404)


def test_the_longest_name_of_a_run_looks_for_it_among_the_endpoint_s_own(
    plane: Plane, touched: list[str]
) -> None:
    answer = plane.request("GET", f"{CONTROL}/status?evidence=no&run={'a' * 80}")

    assert (answer.status, answer.json()["run"]) == (200, None)
    assert [key for key in touched if not key.startswith(OWN)] == []


# Bodies that would be something else to another reader


def test_no_content_type_selects_another_decoder(
    plane: Plane, candidate: Manifest, data: Store, subtests: pytest.Subtests
) -> None:
    for content_type in TYPES:
        with subtests.test(content_type):
            for path, body in POSTS.items():
                answer = plane.request("POST", path, body, {"Content-Type": content_type})
                assert refused(answer, 415) == "wrong_content_type"

    assert stored(data) == []


def test_a_header_that_comes_twice_is_both_and_so_no_content_type(
    plane: Plane, candidate: Manifest
) -> None:
    headers = {"Content-Type": "application/json", "content-type": "application/x-npy"}

    assert refused(plane.request("POST", PREDICT, given.body(), headers), 415)


def test_a_parameter_that_comes_twice_is_both_and_so_no_version(
    plane: Plane, candidate: Manifest
) -> None:
    version = candidate.version

    answer = plane.request("POST", f"{PREDICT}?version={version}&version={version}", b"", JSON)

    assert refused(answer, 404) == "unknown_version"


def test_a_pickle_that_says_it_is_json_is_not_loaded(
    plane: Plane, candidate: Manifest, tmp_path: Path
) -> None:
    bomb = given.Bomb(tmp_path / "loaded")
    body = bomb.pickled()

    for path in POSTS:
        assert refused(plane.request("POST", path, body, JSON), 400) == "invalid_request"

    assert not bomb.file.exists()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x-gzip"])
def test_a_packed_body_is_not_unpacked(plane: Plane, candidate: Manifest, encoding: str) -> None:
    headers = JSON | {"Content-Encoding": encoding}

    for path, body in POSTS.items():
        answer = plane.request("POST", path, gzip.compress(body), headers)
        assert refused(answer, 400) == "invalid_request"


def test_a_body_that_is_made_to_break_its_reader_is_refused_with_few_words(
    plane: Plane, touched: list[str], data: Store, subtests: pytest.Subtests
) -> None:
    for name, body in BODIES.items():
        with subtests.test(name):
            for path in POSTS:
                answer = plane.request("POST", path, body, JSON)
                assert refused(answer, 400) == "invalid_request"
                assert len(answer.body) < 20_000

    assert stored(data) == []


def test_a_body_over_the_limit_is_refused_before_it_is_decoded(
    plane: Plane, candidate: Manifest
) -> None:
    for path in POSTS:
        answer = plane.request("POST", path, b" " * (MAX_BYTES + 1), JSON)
        assert refused(answer, 413) == "too_large"


@pytest.mark.parametrize(
    ("text", "same"), [("-0", "0"), ('8,"hour":7', "7")], ids=["-0", "a name twice"]
)
def test_of_what_may_be_written_in_two_ways_there_is_one_reading(
    plane: Plane, candidate: Manifest, text: str, same: str
) -> None:
    one, other = (
        plane.request("POST", PREDICT, instances(each), JSON).json()["predictions"][0]["score"]
        for each in (text, same)
    )

    assert one == other


# Where a model comes from


@pytest.mark.parametrize("field", ["model", "uri", "source"])
def test_no_request_says_where_a_model_comes_from(
    plane: Plane, touched: list[str], field: str
) -> None:
    called: list[Asked] = []

    def answer(asked: Asked) -> Answered:
        called.append(asked)
        return Answered()

    with listening(answer) as host:
        address = f"http://{host}/model.onnx"
        for path, body in POSTS.items():
            found = json.loads(body) | {field: address}
            again = plane.request("POST", path, json.dumps(found).encode(), JSON)
            assert refused(again, 400) == "invalid_request"
        for route in plane.routes:
            path = route.path.replace("{endpoint}", NAME)
            asked = f"{path}?{field}={quote(address)}"
            again = plane.request(route.method, asked, POSTS.get(path, b"{}"), JSON)
            assert refused(again, 400) == "invalid_request"

    assert called == []
    assert [key for key in touched if not key.startswith(OWN)] == []


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_service_cannot_send_its_token_to_another(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv(VARIABLE, "a secret")
    called: list[Asked] = []

    def elsewhere(asked: Asked) -> Answered:
        called.append(asked)
        return Answered(b'{"scores": [0.1, 0.2, 0.3]}')

    with listening(elsewhere) as other:
        moved = {"Location": f"http://{other}/score"}
        with listening(lambda _: Answered(status=status, headers=moved)) as host:
            ask = client(host, token_variable=VARIABLE)
            with pytest.raises(ExternalError, match=f"it answered {status}"):
                ask(COLUMNS)

    assert called == []


# Routes and methods that nobody has declared


def test_what_is_not_declared_asks_no_function(
    plane: Plane, touched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = {(route.method, route.path) for route in plane.routes}
    monkeypatch.setattr(plane, "invoke", None)  # which would not be forgiven
    paths = {path for _, path in declared} | {
        "/", "/docs", "/metrics", "/control", "/control/endpoints", f"{CONTROL}/retrain/",
        "/openapi.json/", "//endpoints", "/endpoints/", f"{PREDICT}/", "/ENDPOINTS", "/invocations",
        "/2.0/mlflow/model-versions/get", "/models", "/.env", "/endpoints/%2e%2e/control",
    }  # fmt: skip

    for path in paths:
        for method in METHODS:
            if (method, path) not in declared:
                named = path.replace("{endpoint}", NAME)
                assert refused(plane.request(method, named, b"{}", JSON), 404) == "gateway"


# Labels that nobody asked for


def told(plane: Plane, *labels: Any, path: str = FEEDBACK) -> Answer:
    return plane.request("POST", path, json.dumps({"labels": labels}).encode(), JSON)


def label(number: int, value: bool = True) -> dict[str, Any]:
    return {"id": prediction_id(number), "label": value}


@pytest.mark.parametrize("count", [1_001, 10_000])
def test_a_flood_of_labels_in_one_request_is_refused_whole(
    plane: Plane, candidate: Manifest, data: Store, count: int
) -> None:
    assert refused(told(plane, *map(label, range(count))), 413) == "too_large"
    assert stored(data) == []


def test_labels_of_predictions_that_there_are_not_or_of_another_endpoint_move_no_figure(
    plane: Plane, candidate: Manifest, data: Store, clock: time_machine.Traveller
) -> None:
    traffic.requests(data, range(7), version=candidate.lineage.previous or "")
    traffic.outcomes(data, range(7), 300, lambda n: n % 3 == 0)
    unknown = [[label(10**9 + 1_000 * k + n, n % 2 == 0) for n in range(1_000)] for k in range(3)]
    lies = [label(60_000 + n, n % 3 != 0) for n in range(300)]  # of all of the last day
    given_ = objects()

    def after(*told_first: tuple[str, list[dict[str, Any]]]) -> CheckReport:
        restore(given_)
        clock.move_to(traffic.SLOT - traffic.DAY)
        for path, labels in told_first:
            assert told(plane, *labels, path=path).json()["accepted"] == len(labels)
        clock.move_to(traffic.SLOT)
        return checked(plane, data)

    clean = after()
    other = "/endpoints/air-time/feedback"
    foreign = after((other, lies), *((FEEDBACK, labels) for labels in unknown))
    own = after((FEEDBACK, lies))

    assert clean.performance
    assert foreign.performance
    assert foreign.performance.days == clean.performance.days
    assert foreign.alarms == clean.alarms
    assert own.performance
    assert own.performance.days != clean.performance.days  # so it is not too late to be seen


def checked(plane: Plane, data: Store) -> CheckReport:
    traffic.compact(plane)
    slot = f"{traffic.SLOT:%Y-%m-%dT%H:%M:%SZ}"
    plane.invoke("CheckFunction", {"endpoint": NAME, "slot": slot})
    return traffic.stored_report(data, traffic.SLOT)


# Lines of the log


def speak_in_a_reason(plane: Plane) -> None:
    body = json.dumps(DECISION | {"reason": ODD}).encode()
    assert plane.request("POST", f"{CONTROL}/pause", body, JSON).status == 200


def speak_in_a_key(plane: Plane) -> None:
    assert plane.request("POST", PREDICT, given.body(key=ODD), JSON).status == 200


def speak_in_a_name(plane: Plane) -> None:
    for path in (f"/endpoints/{quote(ODD)}", f"/endpoints/{NAME}/versions/{quote(ODD, safe='')}"):
        refused(plane.request("GET", path), 404)


def speak_in_a_row(plane: Plane) -> None:
    refused(plane.request("POST", PREDICT, given.body(row(**{ODD: ODD, "origin": ODD})), JSON), 400)


def speak_in_the_key_of_an_upload(plane: Plane) -> None:
    detail = {"bucket": {"name": "data"}, "object": {"key": f"training/{ODD}", "sequencer": "0"}}
    event = {"detail-type": "Object Created", "time": "2013-02-01T12:00:00Z", "detail": detail}
    assert "ignored" in plane.invoke("TrainFunction", event)


@pytest.mark.parametrize(
    "speak",
    [
        speak_in_the_key_of_an_upload,
        speak_in_a_reason,
        speak_in_a_key,
        speak_in_a_name,
        speak_in_a_row,
    ],
)
def test_nobody_writes_a_line_of_the_log_but_the_function(
    plane: Plane, candidate: Manifest, speak: Callable[[Plane], None]
) -> None:
    log = io.StringIO()
    plane.runtime.log = log  # type: ignore[attr-defined]  # of local.plane.process.Process

    speak(plane)
    plane.request("GET", f"/endpoints/{NAME}")
    plane.request("POST", PREDICT, given.body(), JSON)

    lines = log.getvalue().splitlines()
    assert lines
    for line in lines:
        assert isinstance(json.loads(line), dict)
        assert line.isprintable()
    assert "forged" not in [json.loads(line).get("message") for line in lines]
