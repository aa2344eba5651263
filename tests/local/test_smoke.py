import dataclasses
import json
import re
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace as Fake
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.session import Session

from cli.api import AddressError, api_of
from evergreen.aws.s3 import Store
from evergreen.training.train_version import Trained
from local import serve, smoke
from local.cloud.resources import CREDENTIALS
from local.plane.plane import Plane
from local.smoke import FAILED, NO_CHAMPION, OK, Outcome
from tests.support import given
from tests.support.registries import registry_of

URL = "https://abc123.execute-api.us-west-2.amazonaws.com"

Answers = Callable[[AWSPreparedRequest], tuple[int, bytes]]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let nothing but the environment name credentials and a region."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def answers(plane: Plane) -> Answers:
    """Return what answers as the template's functions do, to anybody; nothing is trained yet."""

    def answer(request: AWSPreparedRequest) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        body: Any = request.body
        found = plane.request(request.method, request.url.removeprefix(URL), body, headers)
        return found.status, found.body.encode()

    return answer


@pytest.fixture
def champion(plane: Plane, artifacts: Store, trained: Trained) -> None:
    registry = registry_of(artifacts)
    registry.write_version(trained.manifest, trained.artifacts)
    registry.write_document(given.document(trained.manifest.version), None)


def ask_all(answers: Answers) -> list[Outcome]:
    """Make every check of a deployed API, of which `answers` plays the other end."""

    def send(request: AWSPreparedRequest) -> Any:
        status, content = answers(request)
        return Fake(status_code=status, content=content)

    http: Any = Fake(send=send)
    api = dataclasses.replace(api_of(URL), http=http)
    return smoke.ask_all(api, given.NAME, (smoke.BODIES / f"{given.NAME}.json").read_bytes())


def closed(answers: Answers) -> Answers:
    """Refuse what is not signed, as API Gateway does."""
    credentials = Session().get_credentials()
    assert credentials
    auth = SigV4Auth(credentials, "execute-api", "us-west-2")

    def answer(request: AWSPreparedRequest) -> tuple[int, bytes]:
        if "Authorization" not in request.headers:
            return forbidden(request)
        names, signature = re.findall(
            r"(?:Headers|Signature)=([^,]+)", request.headers["Authorization"]
        )
        signed = {name: request.headers[name] for name in names.split(";") if name != "host"}
        again = AWSRequest(request.method, request.url, signed, request.body)
        again.context["timestamp"] = request.headers["x-amz-date"]
        text = auth.string_to_sign(again, auth.canonical_request(again))
        right = auth.signature(text, again) == signature
        return answers(request) if right else forbidden(request)

    return answer


def forbidden(_: AWSPreparedRequest) -> tuple[int, bytes]:
    return 403, b'{"message":"Forbidden"}'


def verdicts(outcomes: list[Outcome]) -> list[str]:
    return [outcome.verdict for outcome in outcomes]


# A deployed API


@pytest.mark.parametrize(
    ("gate", "expected", "advice"),
    [
        (closed, [OK] * 8, ""),
        (lambda answers: answers, [OK] * 7 + [FAILED], "AWS_IAM"),
        (lambda _: forbidden, [FAILED] * 6 + [OK], "execute-api:Invoke"),
    ],
)
def test_every_check_holds_only_where_signed_requests_and_no_others_are_answered(
    answers: Answers, champion: None, gate: Any, expected: list[str], advice: str
) -> None:
    outcomes = ask_all(gate(answers))

    assert verdicts(outcomes) == expected
    assert bool(advice) == bool(smoke.advice_on(outcomes, given.NAME))
    assert advice in smoke.advice_on(outcomes, given.NAME)


def test_nothing_that_it_asks_counts_for_drift_or_teaches(
    answers: Answers, champion: None, data: Store
) -> None:
    ask_all(answers)

    stored = [data.get(key) for key in data.keys("captures/")]
    captures = [json.loads(text) for found in stored if found for text in found.body.splitlines()]
    assert [capture["variant"] for capture in captures] == ["requested"] * 2
    assert not list(data.keys("labels/"))


def test_without_a_champion_no_prediction_is_asked_for_and_the_rest_is_checked(
    answers: Answers,
) -> None:
    outcomes = ask_all(closed(answers))

    assert verdicts(outcomes) == [NO_CHAMPION, OK, OK, OK, NO_CHAMPION, OK, OK]
    assert "training/flight-delay/" in smoke.advice_on(outcomes, given.NAME)


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize(
    "body", [b'{"message":"Not Found"}', b"[]", b"3", b"", b'{"error":"it"}', b"<html>\xff"]
)
def test_what_is_no_answer_of_evergreen_fails_every_check(status: int, body: bytes) -> None:
    assert set(verdicts(ask_all(lambda _: (status, body)))) == {FAILED}


@pytest.mark.parametrize(
    ("old", "new", "index"),
    [
        (rb'"champion":', b'"other":', 0),
        (rb'"endpoints":', b'"other":', 1),
        (rb'"unknown_endpoint"', b'"unknown_route"', 2),
        (rb'"unknown_endpoint"', b'"unknown_route"', 3),
        (rb"\[0\].no-such-field", b"", 4),
        (rb"\$.labels\[0\].label", b"$.labels", 5),
        (rb'"score":[0-9.]+', b'"score":null', 6),
        (rb'"id":"\w+-\d+"', b'"id":"same"', 6),
        (rb'\{"id":"[^}]+\},', b"", 6),
        (rb'"version":"[^"]+","variant"', b'"version":"another","variant"', 6),
    ],
)
def test_an_answer_of_another_content_fails_its_check(
    answers: Answers, champion: None, old: bytes, new: bytes, index: int
) -> None:
    def changed(request: AWSPreparedRequest) -> tuple[int, bytes]:
        status, body = answers(request)
        return status, re.sub(old, new, body)

    assert verdicts(ask_all(closed(changed)))[index] == FAILED


# Where to, and signed by whom


@pytest.mark.parametrize(
    "url",
    [
        "",
        "abc123.execute-api.us-west-2.amazonaws.com",
        "ftp://127.0.0.1",
        "https://",
        f"{URL}?stage=1",
        "https://me:secret@host",
        "http://abc123.execute-api.us-west-2.amazonaws.com",
        "http://127.0.0.1.example",
    ],
)
def test_what_is_not_the_url_of_an_api_or_not_encrypted_is_refused(url: str) -> None:
    with pytest.raises(AddressError, match="is not that of an API"):
        api_of(url)


def test_the_region_is_that_of_the_host_or_else_the_configured_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert api_of(f"{URL}/").how == "signed for us-west-2"
    assert api_of("https://flights.example").how == "signed for eu-west-1"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(AddressError, match="AWS_DEFAULT_REGION"):
        api_of("https://flights.example")


def test_without_credentials_only_this_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(AddressError, match="AWS_PROFILE"):
        api_of(URL)

    assert api_of("http://localhost:8000/").url == "http://localhost:8000"
    assert api_of("http://127.0.0.1:8000").signature is None


# The command, over HTTP


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """Return what the command exits with."""
    monkeypatch.setattr(sys, "argv", ["smoke", "--endpoint", given.NAME, *arguments])
    with pytest.raises(SystemExit) as ended:
        smoke.main()
    return ended.value.code


def test_the_command_sends_make_serve_the_body_that_it_is_given(
    url: str,
    champion: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "body.json"
    file.write_bytes(given.body(given.row(), given.row(hour=99)))

    assert run(monkeypatch, "--url", url) == 0
    assert "7 of 7 checks hold." in capsys.readouterr().out
    assert run(monkeypatch, "--url", url, "--body", str(file)) == 1
    assert "$.instances[1].hour" in capsys.readouterr().out
    assert "No such file" in run(monkeypatch, "--url", url, "--body", str(tmp_path / "none"))


def test_no_champion_is_forgiven_only_to_those_who_say_so_and_nothing_else_is(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--url", url) == 1
    assert run(monkeypatch, "--url", url, "--allow-no-champion") == 0
    assert run(monkeypatch, "--url", url, "--allow-no-champion", "--endpoint", "unknown") == 1
    assert "BODY=file.json" in capsys.readouterr().out


def test_where_nothing_answers_the_command_says_what_to_look_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ThreadingHTTPServer((serve.HOST, 0), BaseHTTPRequestHandler) as gone:
        port = gone.server_port

    assert "make serve" in run(monkeypatch, "--url", f"http://{serve.HOST}:{port}")
