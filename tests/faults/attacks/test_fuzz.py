"""Requests that nobody would write: each is answered, with a 4xx where it is wrong, and no NaN."""

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.registry.manifest import Manifest
from http_api import openapi
from http_api.dispatch import CODES
from local.plane.plane import Plane
from local.template import ROOT
from tests.handlers.requests.test_predict import JSON, example
from tests.support import candidates, given
from tests.support.given import NAME, prediction_id

FUZZ = settings(max_examples=300, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
RUNS = 20_000  # of the decoder that libFuzzer guides

WORDS = (
    "NaN",
    "1e400",
    "null",
    "instances",
    "labels",
    r"\xff",
    r"\\ud800",
)  # libFuzzer's dictionary

METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
TEXT = st.text(st.characters(), max_size=40)  # also with lone surrogates
UNICODE = st.text(st.characters(codec="utf-8"), max_size=40)
VALID = [
    given.body(),
    given.body(given.row(hour=23, temp=None), key="somebody"),
    json.dumps({"labels": [{"id": prediction_id(1), "label": True}]}).encode(),
    b'{"generation": 2, "reason": "why not", "version": "20130201T020000Z-00000002"}',
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | UNICODE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(UNICODE, inner, max_size=4),
    max_leaves=12,
)
TOKENS = st.sampled_from(
    [b"NaN", b"-Infinity", b"1e400", b"-0", b"9" * 5_000, b'"\\ud800"', b"[" * 2_000, b'"', b"\x00"]
)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Return a valid body in which something stands in place of something else."""
    body = draw(st.sampled_from(VALID))
    start, length = draw(st.integers(0, len(body))), draw(st.integers(0, 12))
    return body[:start] + draw(TOKENS | st.binary(max_size=8)) + body[start + length :]


BODIES = (
    st.none()
    | st.binary(max_size=200)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | VALUES.map(lambda value: json.dumps({"instances": [value], "labels": [value]}).encode())
    | broken()
    | st.sampled_from(VALID)
)
TYPES = st.sampled_from(["application/json"] * 4 + ["", "text/json", "application/json, a/b"])
NAMES = st.sampled_from([NAME, candidates.ONE, candidates.TWO, "1", prediction_id(1), ".."])
PATHS = st.sampled_from(list(openapi.description({})["paths"]))


@st.composite
def targets(draw: st.DrawFn) -> str:
    """Return a path with a query: of a route mostly, with names of its own or any text."""
    parts = draw(PATHS).split("/")
    for place, part in enumerate(parts):
        if part == "{endpoint}" and draw(st.integers(0, 3)):
            parts[place] = NAME
        elif part.startswith("{"):
            parts[place] = quote(draw(NAMES | UNICODE), safe=draw(st.sampled_from(["", "/;%"])))
    known = st.sampled_from(["version", "status", "evidence", "run", "limit"])
    pairs = draw(st.lists(st.tuples(known | UNICODE, NAMES | UNICODE), max_size=3))
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    return "/".join(parts) + ("?" + query if pairs else "")


def no_number(text: str) -> NoReturn:
    raise AssertionError(f"{text} is no number, and was answered")


def check(status: int, body: str) -> None:
    assert status < 500, body
    if status < 400:
        return
    found = json.loads(body, parse_constant=no_number)
    if "message" not in found:  # which API Gateway says in place of a function
        of_v2 = isinstance(found["error"], str)
        assert of_v2 or CODES[found["error"]["code"]] == status


def test_whatever_is_sent_over_http_is_answered(url: str, candidate: Manifest) -> None:
    statuses: set[int] = set()
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)

    connection.request("GET", "/endpoints")  # what is drawn may miss all that is right
    answer = connection.getresponse()
    answer.read()
    statuses.add(answer.status)

    @FUZZ
    @hypothesis_given(METHODS | st.just("POST"), targets(), BODIES, TYPES)
    def ask(method: str, target: str, body: bytes | None, content_type: str) -> None:
        connection.request(method, target, body, {"Content-Type": content_type})
        answer = connection.getresponse()
        text = answer.read().decode()
        statuses.add(answer.status)
        check(answer.status, text or '{"message": ""}')  # to HEAD there is no body

    try:
        ask()
    finally:
        connection.close()

    assert statuses >= {200, 400, 404, 415}


@pytest.mark.parametrize("route", ["predict", "feedback"])
def test_whatever_a_body_is_the_decoder_answers_or_refuses_it(
    plane: Plane, candidate: Manifest, route: str
) -> None:
    statuses: set[int] = set()

    @FUZZ
    @hypothesis_given(BODIES)
    def ask(body: bytes | None) -> None:
        answer = plane.request("POST", f"/endpoints/{NAME}/{route}", body, JSON)
        statuses.add(answer.status)
        json.loads(answer.body, parse_constant=no_number)
        check(answer.status, answer.body)

    ask()

    assert statuses == {200 if route == "predict" else 202, 400}


@pytest.mark.parametrize(
    ("function", "name"), [("PredictFunction", "predict"), ("FeedbackFunction", "feedback")]
)
def test_whatever_an_event_says_is_answered(
    plane: Plane, candidate: Manifest, function: str, name: str
) -> None:
    """Also what no HTTP can carry, such as half a character."""

    @FUZZ
    @hypothesis_given(
        st.fixed_dictionaries(
            {},
            optional={
                "pathParameters": st.fixed_dictionaries({"endpoint": TEXT | st.just(NAME)}),
                "queryStringParameters": st.none() | st.dictionaries(TEXT, TEXT, max_size=2),
                "headers": st.just({"content-type": "application/json"})
                | st.dictionaries(TEXT, TEXT, max_size=2),
                "body": TEXT | st.none(),
                "isBase64Encoded": st.booleans(),
            },
        )
    )
    def ask(changes: dict[str, Any]) -> None:
        answer = plane.invoke(function, example(name) | changes)
        answer["body"].encode()
        check(answer["statusCode"], answer["body"])

    ask()


@pytest.mark.parametrize("decoder", ["predict", "feedback"])
def test_bytes_that_are_made_to_reach_every_line_of_a_decoder_are_answered_or_refused(
    tmp_path: Path, decoder: str
) -> None:
    pytest.importorskip("atheris", reason="atheris installs on Linux only")
    for number, body in enumerate(VALID):
        (tmp_path / f"{number}").write_bytes(body)
    (tmp_path / "words").write_text(
        "\n".join(
            f'"{word}"' for word in ("NaN", "1e400", "null", "\\xff", "\\\\ud800", "instances")
        )
    )

    found = subprocess.run(
        [sys.executable, "-m", "tests.faults.attacks.fuzzed", decoder, f"-runs={RUNS}", "-seed=1",
         "-timeout=5", "-max_len=4000", "-len_control=0", f"-dict={tmp_path / 'words'}",
         f"-artifact_prefix={tmp_path}/", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": f"functions{os.pathsep}."},
        check=False,
    )  # fmt: skip

    assert found.returncode == 0, found.stdout[-2_000:] + found.stderr[-4_000:]
    assert f"Done {RUNS} runs" in found.stderr
