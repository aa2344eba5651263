"""`evergreen proxy`: it signs what programs on this machine ask, and hands on nothing else."""

import http.client
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.credentials import Credentials

from cli.api import Api, Token, api_of
from cli.proxy import HOST, handler_of
from tests.support.servers import Answered, Asked, listening, running

SIGNATURE = SigV4Auth(Credentials("AKID", "secret"), "execute-api", "eu-west-1")


@pytest.fixture
def asked() -> list[Asked]:
    return []


@pytest.fixture
def client(asked: list[Asked]) -> Iterator[http.client.HTTPConnection]:
    def answer(one: Asked) -> Answered:
        asked.append(one)
        return Answered(b'{"ready": true}', status=200, headers={"X-Own": "kept back"})

    with listening(answer) as there:
        api = replace(api_of(f"http://{there}"), signature=SIGNATURE)
        with running(ThreadingHTTPServer((HOST, 0), handler_of(api))) as port:
            found = http.client.HTTPConnection(HOST, port, timeout=30)
            yield found
            found.close()


def send(
    client: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    client.request(method, path, body, named)
    answer = client.getresponse()
    assert answer.getheader("X-Own") is None
    return answer.status, answer.read()


def test_a_request_is_signed_and_otherwise_as_it_came(
    client: http.client.HTTPConnection, asked: list[Asked]
) -> None:
    body = b"{}\x00\xff"
    found = send(
        client,
        "POST",
        "/v2/models/a/infer",
        body,
        Inference_Header_Content_Length="2",
        Cookie="a=b",
    )

    assert found == (200, b'{"ready": true}')
    (one,) = asked
    assert (one.path, one.body) == ("/v2/models/a/infer", body)
    headers = {name.lower(): value for name, value in one.headers.items()}
    assert headers["inference-header-content-length"] == "2"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert "cookie" not in headers


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/control/endpoints/a/status", {}, 404),
        ("/endpoints/../control/endpoints", {}, 404),
        ("/endpoints/%2E%2e/control/endpoints", {}, 404),
        ("/endpoints-of-another", {}, 404),
        ("/endpoints", {"Origin": "https://elsewhere"}, 403),
        ("/endpoints", {"Host": "elsewhere"}, 403),
        ("/endpoints", {"Content_Length": "9999999"}, 413),
        ("/endpoints", {"Content_Length": "-1"}, 411),
    ],
)
def test_what_decides_and_what_comes_from_a_page_is_not_handed_on(
    client: http.client.HTTPConnection,
    asked: list[Asked],
    path: str,
    headers: dict[str, str],
    status: int,
) -> None:
    assert send(client, "GET", path, **headers)[0] == status
    assert asked == []


def test_a_service_that_is_away_is_a_502(client: http.client.HTTPConnection) -> None:
    away = handler_of(Api("http://127.0.0.1:9", "unsigned", api_of("http://127.0.0.1").http))
    server = ThreadingHTTPServer((HOST, 0), away)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    other = http.client.HTTPConnection(HOST, server.server_port, timeout=30)

    assert send(other, "GET", "/ping")[0] == 502
    other.close()
    thread.join()
    server.server_close()


def test_a_token_stands_in_place_of_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_TOKEN", "abc")

    api = api_of("https://abc.execute-api.eu-west-1.amazonaws.com")

    assert isinstance(api.signature, Token)
    assert api.how == "with a token"
