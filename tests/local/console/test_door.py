"""The door to the console: who may come in, and what a person decides through it."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from cli.api import Api, api_of
from evergreen.aws.s3 import Store
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry
from evergreen.registry.state import Document
from local.console.door import Console
from local.plane.gateway import Answer
from local.plane.plane import Plane
from tests.support import candidates, given
from tests.support.candidates import ONE, TWO
from tests.support.given import NAME
from tests.support.registries import registry_of

HOST = "127.0.0.1:8000"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OWN = {"Host": HOST, "Origin": f"http://{HOST}"}
PATH = f"/console/{NAME}"
APPROVE = {"generation": "2", "version": TWO, "reason": "better"}

Ask = Callable[..., Answer]


@pytest.fixture
def api(url: str) -> Api:
    return api_of(url)


@pytest.fixture
def put() -> list[Any]:
    return []


@pytest.fixture
def console(api: Api, put: list[Any]) -> Console:
    return Console(api, frozenset([HOST]), "here", lambda *asked: put.append(asked))


@pytest.fixture
def ask(console: Console) -> Ask:
    def asked(path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return console.answer(method, path, {"Host": HOST} | named, body)

    return asked


def post(console: Console, path: str, **fields: str) -> Answer:
    return console.answer("POST", f"{PATH}/{path}", OWN | FORM, urlencode(fields).encode())


@pytest.fixture
def registry(artifacts: Store) -> Registry:
    return registry_of(artifacts)


def document(registry: Registry) -> Document:
    return candidates.document(registry)


# Who may come in


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:8001"},
        {"Host": HOST, "Origin": "https://evil.example"},
        {"Host": HOST, "Origin": "null"},
        {"Host": HOST, "Origin": "http://127.0.0.1:8001"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_foreign_host_or_origin_is_not_answered(
    console: Console, candidate: Manifest, registry: Registry, method: str, headers: dict[str, str]
) -> None:
    sure = urlencode(APPROVE | {"sure": "yes"}).encode()

    answer = console.answer(method, f"{PATH}/act/approve", headers | FORM, sure)

    assert answer.status == 403
    assert document(registry).champion == ONE


@pytest.mark.parametrize(
    "headers",
    [{"Host": HOST}, OWN | {"Sec-Fetch-Site": "cross-site"}, OWN | {"Sec-Fetch-Site": "same-site"}],
)
def test_a_form_of_another_site_decides_nothing(
    console: Console, candidate: Manifest, registry: Registry, headers: dict[str, str]
) -> None:
    sure = urlencode(APPROVE | {"sure": "yes"}).encode()

    answer = console.answer("POST", f"{PATH}/act/approve", headers | FORM, sure)

    assert answer.status == 403
    assert document(registry).champion == ONE


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD"])
def test_no_other_method_is_answered(ask: Ask, plane: Plane, method: str) -> None:
    assert ask("/", method).status == 403


def test_no_page_may_be_framed_run_a_script_or_be_kept(ask: Ask, champion: Manifest) -> None:
    for path in ("/", PATH, f"{PATH}/versions/{ONE}", "/console/no-such"):
        headers = ask(path).headers

        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


def locked(api: Api) -> Console:
    return Console(api, frozenset([HOST]), "a stack", lambda *_: None, token="once")  # noqa: S106 - of a test


def enter(console: Console, path: str, **headers: str) -> Answer:
    return console.answer("GET", path, {"Host": HOST} | headers, None)


def test_a_token_opens_the_door_once_and_its_cookie_keeps_it_open(
    api: Api, champion: Manifest
) -> None:
    console = locked(api)

    first = enter(console, "/?token=once")
    again = enter(console, "/?token=once")
    cookie = first.headers["set-cookie"]
    inside = enter(console, "/", Cookie=f"a=b; {cookie.partition(';')[0]}")

    assert (first.status, first.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert (again.status, inside.status) == (403, 200)
    assert NAME in inside.body


def test_a_wrong_token_closes_the_door_for_good(api: Api, plane: Plane) -> None:
    console = locked(api)

    assert enter(console, "/?token=guess").status == 403
    assert enter(console, "/?token=once").status == 403


@pytest.mark.parametrize("cookie", ["", "evergreen-8000=", "evergreen-8000=once", "token=once"])
def test_without_its_cookie_a_locked_door_shows_nothing(
    api: Api, champion: Manifest, cookie: str
) -> None:
    answer = enter(locked(api), PATH, Cookie=cookie)

    assert answer.status == 403
    assert ONE not in answer.body


# What is shown


def test_every_page_of_an_endpoint_is_there(ask: Ask, candidate: Manifest) -> None:
    pages = ("", "/quality", "/drift", "/decisions", "/explain", "/requests", f"/versions/{ONE}")

    for page in pages:
        answer = ask(PATH + page)

        assert answer.status == 200, page
        assert len(answer.body) < 100_000


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console/", 404),
        ("/console/no-such", 404),
        ("/console/..%2F..%2Fcontrol", 404),
        (f"{PATH}/none", 404),
        (f"{PATH}/act/none", 404),
        (f"{PATH}/check", 404),
        (f"{PATH}/versions/none", 404),
        (f"{PATH}/requests/none", 400),
        (f"{PATH}/requests?day=tomorrow", 400),
        (f"{PATH}/explain?version=none", 404),
    ],
)
def test_what_is_not_there_is_said_so_on_a_page(
    ask: Ask, champion: Manifest, path: str, status: int
) -> None:
    answer = ask(path)

    assert answer.status == status
    assert "<h1>" in answer.body


def test_a_stack_without_endpoints_says_what_to_do_first(ask: Ask, plane: Plane) -> None:
    assert "evergreen upload" in ask("/").body


def test_an_endpoint_without_a_champion_says_what_to_do_first(ask: Ask, plane: Plane) -> None:
    body = ask(PATH).body

    assert "has no champion yet" in body
    assert "evergreen upload" in body


def test_an_api_that_does_not_answer_is_said_so() -> None:
    console = Console(api_of("http://127.0.0.1:9"), frozenset([HOST]), "nowhere", lambda *_: None)

    answer = console.answer("GET", "/", {"Host": HOST}, None)

    assert answer.status == 502
    assert "does not answer" in answer.body


# What is decided


def test_a_decision_is_made_after_a_reason_and_a_second_question(
    console: Console, ask: Ask, candidate: Manifest, registry: Registry
) -> None:
    form = ask(f"{PATH}/act/approve?generation=2&version={TWO}").body
    question = post(console, "act/approve", **APPROVE)
    before = document(registry).champion
    done = post(console, "act/approve", **APPROVE, sure="yes")

    assert 'name="reason"' in form
    assert "Are you sure?" not in form
    assert "Are you sure?" in question.body
    assert f"{TWO}: it becomes champion, {ONE} retires" in question.body
    assert before == ONE
    assert (done.status, done.headers["location"]) == (303, f"{PATH}?done=1")
    assert (document(registry).champion, document(registry).last.reason) == (TWO, "better")
    assert "Generation 3: promoted" in ask(f"{PATH}?done=1").body


def test_to_be_sure_without_a_reason_is_not_enough(
    console: Console, candidate: Manifest, registry: Registry
) -> None:
    answer = post(console, "act/approve", generation="2", version=TWO, sure="yes", reason=" ")

    assert "Are you sure?" not in answer.body
    assert document(registry).champion == ONE


def test_a_decision_on_another_generation_is_refused_on_a_page(
    console: Console, candidate: Manifest, registry: Registry
) -> None:
    answer = post(console, "act/approve", **APPROVE | {"generation": "1"}, sure="yes")

    assert answer.status == 409
    assert "Look again" in answer.body
    assert document(registry).champion == ONE


SURE = {"reason": "because", "sure": "yes"}


@pytest.mark.parametrize(
    ("action", "fields", "type_"),
    [
        ("reject", {"version": TWO}, "challenger rejected"),
        ("promote", {"version": TWO}, "promoted"),
        ("pause", {}, "paused"),
        (
            "experiment-start",
            {"version": TWO, "share": "0.2", "hypothesis": "h", "min_rows": "9", "days": "3"},
            "experiment started",
        ),
    ],
)
def test_each_decision_reaches_the_endpoint(
    console: Console,
    candidate: Manifest,
    registry: Registry,
    action: str,
    fields: dict[str, str],
    type_: str,
) -> None:
    answer = post(console, f"act/{action}", **SURE, **fields, generation="2")

    assert answer.status == 303, answer.body
    assert document(registry).last.type == type_


def test_an_endpoint_is_resumed_and_rolled_back(
    console: Console, candidate: Manifest, registry: Registry
) -> None:
    steps = [("promote", {"version": TWO}), ("pause", {}), ("resume", {}), ("rollback", {})]
    for generation, (action, fields) in enumerate(steps, 2):
        answer = post(console, f"act/{action}", **SURE, **fields, generation=str(generation))
        assert answer.status == 303, answer.body

    assert document(registry).champion == ONE


def test_a_training_is_asked_for(console: Console, champion: Manifest) -> None:
    assert "Are you sure?" in post(console, "act/retrain", generation="1").body
    assert post(console, "act/retrain", generation="1", sure="yes").status == 303


@pytest.mark.parametrize("field", ["share", "days", "min_rows", "generation"])
def test_what_is_no_number_is_refused_on_a_page(
    console: Console, candidate: Manifest, field: str
) -> None:
    fields = {"version": TWO, "share": "0.2", "hypothesis": "h", "min_rows": "9", "days": "3"}
    answer = post(
        console, "act/experiment-start", **SURE | fields | {"generation": "2", field: "x<y"}
    )

    assert answer.status == 400
    assert "x&lt;y" in answer.body


def upload(console: Console, name: str, content: bytes) -> Answer:
    head = f'Content-Disposition: form-data; name="file"; filename="{name}"'
    parts = [
        b'--B\r\nContent-Disposition: form-data; name="sure"\r\n\r\nyes',
        f"--B\r\n{head}\r\n\r\n".encode() + content,
        b"--B--\r\n",
    ]
    kind = {"Content-Type": "multipart/form-data; boundary=B"}
    return console.answer("POST", f"{PATH}/act/upload", OWN | kind, b"\r\n".join(parts))


def test_a_file_is_put_where_a_training_finds_it(
    console: Console, champion: Manifest, put: list[Any]
) -> None:
    answer = upload(console, "C:\\files\\../new.csv", b"a,b\r\n1,\xff\r\n")

    assert answer.status == 303
    assert put == [(NAME, "new.csv", b"a,b\r\n1,\xff\r\n")]


@pytest.mark.parametrize("name", ["", "notes.txt", "_hidden.csv", ".csv", "a b\x01.csv"])
def test_a_file_that_no_training_would_read_is_refused(
    console: Console, champion: Manifest, put: list[Any], name: str
) -> None:
    assert upload(console, name, b"a").status == 400
    assert put == []


def test_a_prediction_is_found_and_replayed(
    console: Console, ask: Ask, champion: Manifest, plane: Plane
) -> None:
    json = {"Content-Type": "application/json"}
    body = given.body(given.row())
    asked = plane.request("POST", f"/endpoints/{NAME}/predict", body, json).json()
    prediction = asked["predictions"][0]["id"]

    listed = ask(f"{PATH}/requests").body
    found = ask(f"{PATH}/requests?id={prediction}").body
    shown = ask(f"{PATH}/requests/{prediction}").body
    replayed = post(console, f"requests/{prediction}").body

    assert prediction in listed
    assert re.findall(r"<code>([0-9a-f]{32}-\d{3})</code></a>", found) == [prediction]
    assert "Replay this prediction" in shown
    assert "the same answer, to the last bit" in replayed
