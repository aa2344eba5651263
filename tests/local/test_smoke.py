import http.client
import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import Session

import endpoints
from evergreen.registry import Registry
from evergreen.schema import RowDecoder, schema_of
from evergreen.store import Store
from evergreen.training import Trained
from local import serve, smoke
from local.plane import Plane
from local.smoke import Answer, Request, Send, SmokeError, Target
from tests import given

URL = "https://abc123.execute-api.us-west-2.amazonaws.com"
KEYS = Credentials("AKIDEXAMPLE", "a secret")
SIGNED = Target(URL, local=False, region="us-west-2", signature=SigV4Auth(KEYS, "", ""))
BODY = smoke.EXAMPLE.read_bytes()


@pytest.fixture
def send(plane: Plane) -> Send:
    """Return what asks the template's own functions, none of which has a champion yet."""

    def ask(request: Request) -> Answer:
        headers = {"Content-Type": "application/json"}
        found = plane.request(request.method, request.path, request.body, headers)
        return Answer(found.status, found.body.encode(), 1.0)

    return ask


@pytest.fixture
def champion(plane: Plane, artifacts: Store, trained: Trained) -> None:
    registry = Registry(artifacts)
    registry.write_version(trained.manifest, trained.artifacts)
    registry.write_document(given.document(trained.manifest.version), None)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave no credentials and no region to be found."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def somebody(nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS.secret_key)


def outcomes(send: Send, body: bytes | None = BODY, *, signed: bool = False) -> list[Any]:
    return list(smoke.results(send, given.NAME, body, signed=signed))


def verdicts(found: list[Any]) -> list[str]:
    return [result.verdict for result in found]


# Against the real functions


def test_every_check_holds_where_a_champion_answers(send: Send, champion: None) -> None:
    found = outcomes(send)

    assert verdicts(found) == ["ok"] * 6
    assert [result.answer.status for result in found] == [200, 200, 200, 400, 400, 404]
    assert smoke.summary(found, given.NAME) == "6 of 6 checks hold."
    assert smoke.advices(found, SIGNED, given.NAME) == []
    assert smoke.exit_code(found, allow_no_champion=False) == 0


def test_a_row_made_from_the_schema_is_predicted(send: Send, champion: None) -> None:
    found = outcomes(send, None)

    assert verdicts(found) == ["ok"] * 6
    assert "predict?version=" in found[2].check.name
    assert "1 row:" in smoke.line(found[2])


def test_nothing_that_it_asks_counts_for_drift_or_teaches(
    send: Send, champion: None, data: Store
) -> None:
    outcomes(send)

    stored = [data.get(key) for key in data.keys("captures/")]
    captures = [json.loads(text) for found in stored if found for text in found.body.splitlines()]
    assert [capture["variant"] for capture in captures] == ["requested"] * 2
    assert not list(data.keys("labels/"))


def test_without_a_champion_no_prediction_is_asked_for_and_the_rest_is_checked(send: Send) -> None:
    found = outcomes(send)

    assert verdicts(found) == ["ok", "no champion", "no champion", "ok", "ok"]
    assert not any("version=" in result.check.name for result in found)
    assert "has no champion" in smoke.summary(found, given.NAME)


def test_no_champion_is_forgiven_only_to_those_who_say_so(send: Send) -> None:
    found = outcomes(send)

    assert smoke.exit_code(found, allow_no_champion=False) == 1
    assert smoke.exit_code(found, allow_no_champion=True) == 0


def test_no_champion_is_told_once_with_how_to_train_one(send: Send) -> None:
    (advice,) = smoke.advices(outcomes(send), SIGNED, given.NAME)

    assert "first deployment" in advice
    assert "training/flight-delay/" in advice


def test_an_endpoint_that_is_not_deployed_is_named(send: Send) -> None:
    found = list(smoke.results(send, "my-problem", None, signed=False))

    (advice,) = smoke.advices(found, SIGNED, "my-problem")
    assert smoke.exit_code(found, allow_no_champion=True) == 1
    assert "functions/endpoints/my_problem.py" in advice


def test_a_request_that_the_schema_refuses_leads_to_another_body(
    send: Send, champion: None
) -> None:
    found = outcomes(send, b'{"instances": [{"carrier": 1}]}')

    assert verdicts(found)[2] == "FAILED"
    assert "$.instances[0].carrier" in smoke.line(found[2])
    assert any("BODY=file.json" in advice for advice in smoke.advices(found, SIGNED, given.NAME))


# Against APIs that are not as they should be


def test_an_api_that_answers_without_a_signature_fails(send: Send, champion: None) -> None:
    found = outcomes(send, signed=True)

    assert verdicts(found) == ["ok"] * 6 + ["FAILED"]
    assert any("AWS_IAM" in advice for advice in smoke.advices(found, SIGNED, given.NAME))


def test_an_api_that_refuses_only_unsigned_requests_passes(send: Send, champion: None) -> None:
    def gateway(request: Request) -> Answer:
        return send(request) if request.signed else forbidden(request)

    assert verdicts(outcomes(gateway, signed=True)) == ["ok"] * 7


def forbidden(_: Request) -> Answer:
    return Answer(403, b'{"message":"Forbidden"}', 1.0)


def test_who_signs_and_may_not_is_told_the_permission_once() -> None:
    found = outcomes(forbidden, signed=True)

    (advice,) = smoke.advices(found, SIGNED, given.NAME)
    assert verdicts(found) == ["FAILED"] * 5 + ["ok"]
    assert "execute-api:Invoke" in advice
    assert "us-west-2" in advice


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (Answer(404, b'{"message":"Not Found"}', 1.0), "ApiUrl"),
        (Answer(429, b'{"message":"Too Many Requests"}', 1.0), "throttled"),
        (Answer(500, b'{"message":"Internal Server Error"}', 1.0), "log groups"),
        (Answer(502, b"<html>\xff", 1.0), "log groups"),
    ],
)
def test_what_is_not_evergreen_s_answer_leads_to_what_to_do(answer: Answer, advice: str) -> None:
    found = outcomes(lambda _: answer)

    assert set(verdicts(found)) == {"FAILED"}
    assert [advice in said for said in smoke.advices(found, SIGNED, given.NAME)] == [True]


def changed(send: Send, old: bytes, new: bytes) -> Send:
    """Return an API that says something else in place of what it should."""

    def ask(request: Request) -> Answer:
        answer = send(request)
        body, count = re.subn(old, new, answer.body)
        return Answer(answer.status, body if count else answer.body, 1.0)

    return ask


@pytest.mark.parametrize(
    ("old", "new", "index", "told"),
    [
        (rb'"endpoints":', b'"other":', 0, "missing required field"),
        (rb'"schema":\{', b'"other":{', 1, "missing required field"),
        (rb'"score":0', b'"score":7', 2, "<= 1.0"),
        (rb'"id":"\w+-\d+"', b'"id":"same"', 2, "2 predictions for 2 rows"),
        (rb'\{"id":"[^}]+\},', b"", 2, "1 predictions for 2 rows"),
        (rb'"version":"[^"]+","variant"', b'"version":"another","variant"', 2, "another answered"),
        (rb"no-such-field", b"elsewhere", 3, "$.instances[0].no-such-field"),
        (rb"\$.labels\[0\].label", b"$.labels", 4, "$.labels[0].label"),
        (rb'"unknown_endpoint"', b'"unknown_route"', 5, "unknown_route"),
    ],
)
def test_an_answer_of_another_content_fails_its_check(
    send: Send, champion: None, old: bytes, new: bytes, index: int, told: str
) -> None:
    found = outcomes(changed(send, old, new))

    assert found[index].verdict == "FAILED"
    assert told in smoke.line(found[index])


# Rows from schemas


@pytest.mark.parametrize("name", endpoints.names())
def test_a_row_can_be_made_for_every_endpoint_here(name: str) -> None:
    schema = schema_of(name, endpoints.load(name).row)

    row = smoke.row_of(schema)

    assert RowDecoder(schema).fault(row) is None


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "integer", "minimum": 3, "multipleOf": 7},
        {"type": "integer", "exclusiveMinimum": -3, "exclusiveMaximum": -1},
        {"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 0.6},
        {"type": "number", "maximum": -4.5},
        {"type": "boolean"},
        {"type": "string", "minLength": 3, "maxLength": 3},
        {"type": "string", "pattern": "^[0-9]{4}$", "examples": ["2013"]},
        {"anyOf": [{"type": "null"}, {"enum": ["EWR", "JFK"]}]},
        {"enum": [None, "EWR"]},
    ],
)
def test_a_field_gets_a_value_that_its_limits_allow(spec: dict[str, Any]) -> None:
    schema = {"properties": {"field": spec, "free": {"type": "string"}}, "required": ["field"]}

    row = smoke.row_of(schema)

    assert list(row) == ["field"]
    assert row["field"] is not None
    assert RowDecoder(schema).fault(row) is None


def test_a_field_whose_value_cannot_be_guessed_leads_to_a_body() -> None:
    schema = {"properties": {"code": {"type": "string", "pattern": "^[x-z]{9}$"}}}

    with pytest.raises(SmokeError, match=r"`code`.*BODY=file.json"):
        smoke.row_of(schema | {"required": ["code"]})


# Where to, and signed by whom


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "which API"),
        ("abc123.execute-api.us-west-2.amazonaws.com", "is not the URL of an API"),
        ("ftp://127.0.0.1", "is not the URL of an API"),
        ("https://", "is not the URL of an API"),
        ("http://[", "is not a URL"),
        ("http://127.0.0.1:many", "is not a URL"),
        (f"{URL}?stage=1", "without anything behind"),
        (f"{URL}#here", "without anything behind"),
        ("https://me:secret@host", "a user or a password"),
        ("http://abc123.execute-api.us-west-2.amazonaws.com", "not encrypted"),
    ],
)
def test_what_is_not_the_url_of_an_api_is_refused(url: str, told: str, somebody: None) -> None:
    with pytest.raises(SmokeError, match=told):
        smoke.target_of(url, Session())


def test_the_region_is_that_of_the_url(somebody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")

    assert smoke.target_of(f"{URL}/", Session()).how == "signed for us-west-2"
    assert smoke.target_of("https://flights.example", Session()).how == "signed for eu-west-1"


def test_a_url_that_does_not_say_its_region_needs_one(somebody: None) -> None:
    with pytest.raises(SmokeError, match="AWS_DEFAULT_REGION"):
        smoke.target_of("https://flights.example", Session())


def test_without_credentials_a_deployed_api_is_not_asked(nobody: None) -> None:
    with pytest.raises(SmokeError, match="AWS_PROFILE"):
        smoke.target_of(URL, Session())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_without_credentials_this_machine_is_asked_unsigned_and_that_is_said(
    nobody: None, host: str
) -> None:
    target = smoke.target_of(f"http://{host}:8000/", Session())

    assert target.signature is None
    assert not target.closed
    assert target.how.startswith("unsigned")
    assert not target.url.endswith("/")


# Over HTTP


@pytest.fixture
def received() -> list[tuple[str, str, http.client.HTTPMessage, bytes]]:
    return []


@pytest.fixture
def url(received: list[Any]) -> Iterator[str]:
    """Serve something that keeps what it gets, and answers with a redirect."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.command, self.path, self.headers, body))
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    yield from served(Handler)


def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer((serve.HOST, 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://{serve.HOST}:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


REQUEST = Request("POST", "/endpoints/a/predict?version=b", b'{"instances": []}')


def test_what_arrives_is_what_was_signed(
    url: str, received: list[Any], somebody: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with smoke.client(smoke.target_of(url, Session())) as send:
        send(REQUEST)

    ((method, path, headers, body),) = received
    scope, signed, signature = re.findall(r"=([^,]+)", headers["Authorization"])
    again = AWSRequest(
        method, url + path, {name: headers[name] for name in signed.split(";")}, body
    )
    again.context["timestamp"] = headers["X-Amz-Date"]
    auth = SigV4Auth(KEYS, "execute-api", "us-west-2")
    assert scope == f"AKIDEXAMPLE/{headers['X-Amz-Date'][:8]}/us-west-2/execute-api/aws4_request"
    assert signature == auth.signature(
        auth.string_to_sign(again, auth.canonical_request(again)), again
    )


def test_a_request_that_shall_not_be_signed_is_not(
    url: str, received: list[Any], somebody: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with smoke.client(smoke.target_of(url, Session())) as send:
        send(Request("POST", "/endpoints", b"{}", signed=False))

    assert "Authorization" not in received[0][2]


def test_a_redirect_is_an_answer_and_nothing_is_sent_after_it(
    url: str, received: list[Any], nobody: None
) -> None:
    with smoke.client(smoke.target_of(url, Session())) as send:
        assert send(REQUEST).status == 302

    assert len(received) == 1


def test_the_command_checks_what_make_serve_serves(
    plane: Plane,
    champion: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for url in served(serve.handler_of(plane)):
        monkeypatch.setattr(sys, "argv", ["smoke", "--url", url])
        with pytest.raises(SystemExit) as ended:
            smoke.main()

    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "6 of 6 checks hold." in out
    assert "signed for eu-west-1" in out


def test_where_nothing_answers_the_command_says_what_to_look_at(
    nobody: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadingHTTPServer((serve.HOST, 0), BaseHTTPRequestHandler) as gone:
        port = gone.server_port
    monkeypatch.setattr(sys, "argv", ["smoke", "--url", f"http://{serve.HOST}:{port}"])

    with pytest.raises(SystemExit, match=r"does not answer.*make serve"):
        smoke.main()


# What is sent


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"instances": {}}', "\xff"])
def test_a_body_that_is_no_request_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(text.encode("latin-1"))

    with pytest.raises(SmokeError, match="is not a request"):
        smoke.body_of("my-problem", file)


def test_a_body_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SmokeError, match="cannot be read"):
        smoke.body_of("my-problem", tmp_path / "none")


def test_a_name_that_no_endpoint_may_have_is_refused() -> None:
    with pytest.raises(SmokeError, match="is not the name of an endpoint"):
        smoke.body_of("../flight", None)


def test_only_flight_delay_has_an_example_of_its_own() -> None:
    assert smoke.body_of("flight-delay", None) == BODY
    assert smoke.body_of("my-problem", None) is None
