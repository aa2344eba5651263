"""A version that asks another service: what it sends, what it believes, when it stops asking."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import urllib3

from evergreen.aws import deadline, place
from evergreen.contract.errors import CandidateError, ExternalError, ModelUnavailableError
from evergreen.contract.rule import Rule, When, columns_from
from evergreen.contract.schema import Columns
from evergreen.serving import model, runtime_external
from evergreen.serving.external import MAX_CALLS, External
from evergreen.serving.runtime_external import FAILURES, MAX_BYTES, REST_SECONDS
from evergreen.training.train_version import Trained
from tests.support import given
from tests.support.servers import HOST, Answered, Asked, listening

FRAME = pd.DataFrame(
    {
        "hour": np.array([7, 8.1, np.nan], dtype=np.float32),
        "carrier": np.array(["EV", "", "UA"], dtype=object),
    }
)
COLUMNS: Columns = {name: FRAME[name].to_numpy() for name in FRAME.columns}
LATE = np.array([True, False, False])
MINUTES = np.array([10.0, 20.0, 60.0])
VARIABLE = "EXTERNAL_SCORES"
KIND = np.array(["a", "b", "c"], dtype=object)


def answering(*scores: Any, status: int = 200) -> Callable[[Asked], Answered]:
    return lambda _: Answered(json.dumps({"scores": scores}).encode(), status)


def fitted(host: str, labels: Any = LATE, **more: Any) -> External:
    return External(url=f"http://{host}/score", **more).fit(FRAME, labels)


def client(host: str, labels: Any = LATE, **more: Any) -> runtime_external.Client:
    """Return what the version of a candidate asks with."""
    body = fitted(host, labels, **more).artifact()
    found = runtime_external.scorer(body, list(FRAME.columns))
    assert isinstance(found, runtime_external.Client)
    return found


# What is asked and believed


def test_rows_are_sent_as_they_are_and_scores_come_back() -> None:
    asked: list[Asked] = []

    def answer(request: Asked) -> Answered:
        asked.append(request)
        return answering(0.1, 0.2, 1)(request)

    with listening(answer) as host:
        scores = client(host)(COLUMNS)

    assert scores.tolist() == [0.1, 0.2, 1.0]
    (request,) = asked
    assert (request.method, request.path) == ("POST", "/score")
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {
        "instances": [
            {"hour": 7, "carrier": "EV"},
            {"hour": 8.1, "carrier": None},
            {"hour": None, "carrier": "UA"},
        ]
    }
    assert b'"hour":7,' in request.body, "an integer is written as one"


def test_a_number_of_a_regression_and_the_probabilities_of_classes_are_scores_too() -> None:
    with listening(answering(-3.5, 0, 1e6)) as host:
        assert client(host, MINUTES)(COLUMNS).tolist() == [-3.5, 0.0, 1e6]
    with listening(answering({"a": 0.9, "c": 0.1}, {"b": 1}, {})) as host:
        found = client(host, KIND)(COLUMNS)

    assert found.tolist() == [[0.9, 0.0, 0.1], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


def test_the_token_comes_from_the_environment_and_stands_in_no_artifact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens: list[str | None] = []

    def answer(request: Asked) -> Answered:
        tokens.append(request.headers["Authorization"])
        return answering(0.1, 0.2, 0.3)(request)

    with listening(answer) as host:
        candidate = fitted(host, token_variable=VARIABLE)
        ask = runtime_external.scorer(candidate.artifact(), ["hour"])
        with pytest.raises(ExternalError, match=f"{VARIABLE} is not set"):
            ask(COLUMNS)
        monkeypatch.setenv(VARIABLE, "a secret")
        ask(COLUMNS)

    assert tokens == ["Bearer a secret"]
    assert b"a secret" not in candidate.artifact()


def test_many_rows_are_asked_for_in_several_requests() -> None:
    def answer(request: Asked) -> Answered:
        rows = json.loads(request.body)["instances"]
        return answering(*[row["hour"] / 10_000 for row in rows])(request)

    with listening(answer) as host:
        ask = client(host)
        hours = np.arange(2_500, dtype=np.float32)
        found = ask({"hour": hours, "carrier": np.array(["UA"] * 2_500, dtype=object)})

    assert found == pytest.approx(hours / 10_000)
    assert ask.calls == 3


WRONG: dict[str, tuple[Callable[[Asked], Answered | None], Any]] = {
    "500": (answering(0.1, 0.2, 0.3, status=500), LATE),
    "201": (answering(0.1, 0.2, 0.3, status=201), LATE),
    "too few": (answering(0.1, 0.2), LATE),
    "too many": (answering(0.1, 0.2, 0.3, 0.4), LATE),
    "a text": (answering(0.1, 0.2, "0.3"), LATE),
    "null": (answering(0.1, 0.2, None), LATE),
    "NaN": (lambda _: Answered(b'{"scores": [0.1, 0.2, NaN]}'), LATE),
    "infinity": (lambda _: Answered(b'{"scores": [0.1, 0.2, 1e999]}'), MINUTES),
    "no probability": (answering(0.1, 0.2, 1.5), LATE),
    "less than nothing": (answering(0.1, 0.2, -0.5), LATE),
    "not by class": (answering(0.1, 0.2, 0.3), KIND),
    "an unknown class": (answering({"a": 1}, {"b": 1}, {"z": 1}), KIND),
    "no probability of a class": (answering({"a": 1}, {"b": 1}, {"c": 2}), KIND),
    "no scores": (lambda _: Answered(b"{}"), LATE),
    "a list": (lambda _: Answered(b"[0.1, 0.2, 0.3]"), LATE),
    "no JSON": (lambda _: Answered(b"<html>"), LATE),
    "not text": (lambda _: Answered(b"\xff\xfe"), LATE),
    "empty": (lambda _: Answered(), LATE),
    "nested": (lambda _: Answered(b'{"more":' + b"[" * 100_000), LATE),
    "huge": (lambda _: Answered(b" " * (MAX_BYTES + 1) + b'{"scores": [0.1, 0.2, 0.3]}'), LATE),
    "zipped": (lambda _: Answered(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), LATE),
    "dead": (lambda _: None, LATE),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_answer_is_an_error_of_ours_that_names_the_service(name: str) -> None:
    answer, labels = WRONG[name]

    with listening(answer) as host, pytest.raises(ExternalError, match=host) as error:
        client(host, labels)(COLUMNS)

    assert error.value.asked


def test_a_redirect_is_not_followed() -> None:
    paths: list[str] = []

    def answer(request: Asked) -> Answered:
        paths.append(request.path)
        return Answered(status=307, headers={"Location": "/elsewhere"})

    with listening(answer) as host, pytest.raises(ExternalError, match="307"):
        client(host)(COLUMNS)

    assert paths == ["/score"]


def test_where_nobody_listens_it_is_an_error_of_ours() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        host = f"{HOST}:{taken.getsockname()[1]}"

        with pytest.raises(ExternalError, match=host):
            client(host)(COLUMNS)


def test_a_service_that_does_not_answer_costs_its_timeout_and_no_more() -> None:
    end = threading.Event()

    def answer(request: Asked) -> Answered:
        end.wait(20)
        return answering(0.1, 0.2, 0.3)(request)

    with listening(answer) as host:
        ask = client(host, timeout_seconds=0.2)
        start = monotonic()
        with pytest.raises(ExternalError, match="Timeout"):
            ask(COLUMNS)
        seconds = monotonic() - start
        end.set()

    assert 0.15 < seconds < 2


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@contextmanager
def dripping(first: bytes, interval: float) -> Iterator[str]:
    """Answer what is `first`, and then a byte at a time, each sooner than the timeout."""
    end = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(first)
            for _ in range(60):  # which is longer than a test waits
                try:
                    connection.sendall(b" ")
                except OSError:
                    return
                if end.wait(interval):
                    return

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        try:
            yield f"{HOST}:{listener.getsockname()[1]}"
        finally:
            end.set()
            thread.join()


@pytest.mark.parametrize(
    "first",
    [b"", HEAD[:20], HEAD[:-2] + b"X: ", HEAD, HEAD + b'{"scores": ['],
    ids=["the status line", "within it", "a header", "the body", "within it"],
)
def test_a_service_that_answers_byte_by_byte_is_cut_off(first: bytes) -> None:
    with dripping(first, 0.05) as host:
        ask = client(host, timeout_seconds=0.3)
        start = monotonic()
        with pytest.raises(ExternalError, match="Timeout"):
            ask(COLUMNS)
        seconds = monotonic() - start

    assert 0.2 < seconds < 1.5


def test_the_addresses_of_a_service_share_the_time_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times: list[float] = []

    def refuse(self: Any) -> None:
        times.append(self.timeout)
        raise urllib3.exceptions.NewConnectionError(self, "nobody is there")

    found = socket.getaddrinfo(HOST, 80, type=socket.SOCK_STREAM) * 4
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(urllib3.connection.HTTPConnection, "_new_conn", refuse)

    with pytest.raises(ExternalError):
        client(f"{HOST}:80", timeout_seconds=4)(COLUMNS)

    assert times == pytest.approx([1, 4 / 3, 2, 4], abs=0.5)  # of what is left, as none took any


def test_a_request_that_has_waited_for_others_leaves_a_service_what_is_left() -> None:
    with dripping(HEAD, 0.05) as host:
        ask = client(host, timeout_seconds=5)
        start = monotonic()
        with deadline.until(start + 0.2), pytest.raises(ExternalError, match="Timeout"):
            ask(COLUMNS)
        seconds = monotonic() - start

    assert seconds < 1.5


def test_a_service_is_not_asked_without_time_and_not_blamed_for_it() -> None:
    with listening(answering(0.1, 0.2, 0.3)) as host:
        ask = client(host)
        with deadline.until(monotonic()):
            for _ in range(FAILURES):
                with pytest.raises(ExternalError, match="no time") as error:
                    ask(COLUMNS)
                assert not error.value.asked

        assert ask(COLUMNS).tolist() == [0.1, 0.2, 0.3]


def test_what_is_left_of_a_bad_answer_is_not_taken_for_the_next() -> None:
    answers = iter([WRONG["huge"][0], answering(0.1, 0.2, 0.3)])

    with listening(lambda request: next(answers)(request)) as host:
        ask = client(host)
        with pytest.raises(ExternalError):
            ask(COLUMNS)

        assert ask(COLUMNS).tolist() == [0.1, 0.2, 0.3]


def test_one_connection_is_used_again() -> None:
    connections: list[Any] = []

    def answer(request: Asked) -> Answered:
        connections.append(request.connection)
        return answering(0.1, 0.2, 0.3)(request)

    with listening(answer) as host:
        ask = client(host)
        for _ in range(3):
            ask(COLUMNS)

    assert len(set(connections)) == 1


# The breaker


@pytest.fixture
def service() -> Iterator[tuple[str, dict[str, int]]]:
    """Return a service, and what it answers with and how often it was asked."""
    state = {"status": 500, "asked": 0}

    def answer(request: Asked) -> Answered:
        state["asked"] += 1
        return answering(0.1, 0.2, 0.3, status=state["status"])(request)

    with listening(answer) as host:
        yield host, state


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that lets the breaker's clock go on."""
    passed = [0.0]
    monkeypatch.setattr(
        "evergreen.serving.runtime_external.time.monotonic", lambda: monotonic() + passed[0]
    )

    def shift(seconds: float) -> None:
        passed[0] += seconds

    return shift


def fail(ask: runtime_external.Client, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ExternalError):
            ask(COLUMNS)


def test_after_five_failures_in_a_row_a_service_is_left_in_peace_for_half_a_minute(
    service: tuple[str, dict[str, int]], later: Callable[[float], None]
) -> None:
    host, state = service
    ask = client(host)

    fail(ask, FAILURES)
    assert state["asked"] == FAILURES
    with pytest.raises(ExternalError, match="5 times in a row") as error:
        ask(COLUMNS)
    assert not error.value.asked, "and costs nothing"
    later(REST_SECONDS - 1)
    fail(ask, 3)

    assert state["asked"] == FAILURES


def test_then_one_request_tries_and_closes_it_or_opens_it_again(
    service: tuple[str, dict[str, int]], later: Callable[[float], None]
) -> None:
    host, state = service
    ask = client(host)
    fail(ask, FAILURES)

    later(REST_SECONDS)
    fail(ask, 3)
    assert state["asked"] == FAILURES + 1, "one try"

    state["status"] = 200
    later(REST_SECONDS)
    assert [ask(COLUMNS).tolist() for _ in range(3)] == [[0.1, 0.2, 0.3]] * 3
    state["status"] = 500
    fail(ask, FAILURES - 1)
    assert state["asked"] == FAILURES + 1 + 3 + FAILURES - 1, "and it is as patient as at first"


def test_failures_that_are_not_in_a_row_do_not_open_it(service: tuple[str, dict[str, int]]) -> None:
    host, state = service
    ask = client(host)

    for _ in range(3):
        state["status"] = 500
        fail(ask, FAILURES - 1)
        state["status"] = 200
        ask(COLUMNS)

    assert state["asked"] == 3 * FAILURES


# What may be asked


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/score", "http://10.0.0.1/score", "http://127.0.0.1.example.com/",
        "http://localhost@example.com/", "https://user:password@example.com/", "ftp://127.0.0.1/",
        "file:///etc/passwd", "//example.com/", "example.com", "https://", "", "HTTP://example.com",
    ],
)  # fmt: skip
def test_another_url_is_refused_in_the_file_and_in_an_artifact(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several messages
        External(url=url)

    sound = json.loads(fitted("127.0.0.1:1").artifact())
    with pytest.raises(ValueError):  # noqa: PT011
        runtime_external.scorer(json.dumps(sound | {"url": url}).encode(), [])


@pytest.mark.parametrize(
    "url", ["https://example.com/score", "http://127.0.0.1:8000/", "http://localhost:1"]
)
def test_https_and_this_machine_may_be_asked(url: str) -> None:
    assert External(url=url).service().host in url


@pytest.mark.parametrize(
    "options",
    [
        {"timeout_seconds": 0}, {"timeout_seconds": 6}, {"timeout_seconds": float("nan")},
        {"cost_per_call": -1}, {"cost_per_call": float("nan")}, {"cost_per_call": float("inf")},
        {"token_variable": "AWS_SESSION_TOKEN"}, {"token_variable": "AWS_SECRET_ACCESS_KEY"},
        {"token_variable": "external_x"}, {"token_variable": ""},
    ],
    ids=str,
)  # fmt: skip
def test_options_that_would_harm_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several messages
        External(url="https://example.com", **options)


# As a candidate and as a version


@pytest.mark.slow
def test_a_training_asks_so_often_and_no_oftener() -> None:
    with listening(answering(0.1, 0.2, 0.3)) as host:
        candidate = fitted(host)
        for _ in range(MAX_CALLS):
            candidate.scores(columns_from(FRAME))

        with pytest.raises(CandidateError, match="200 times already"):
            candidate.scores(columns_from(FRAME))


def test_a_training_never_takes_the_rule_for_the_service() -> None:
    with listening(answering(0.1, 0.2, 0.3, status=500)) as host:
        candidate = fitted(host)

        with pytest.raises(CandidateError, match="500"):
            candidate.scores(columns_from(FRAME))


def loaded(trained: Trained, host: str, runtime: str = "onnx", **more: Any) -> model.Model:
    rule = Rule(When(("hour", ">=", 17), score=0.4), otherwise=0.2)
    candidate = External(url=f"http://{host}", rule=rule, **more)
    candidate.fit(given.table(), np.array([True, False] * 450))
    manifest = msgspec.structs.replace(
        trained.manifest, kind="external", external=candidate.service()
    )
    return model.load(manifest, candidate.artifact(), runtime)


@pytest.mark.parametrize("runtime", ["onnx", "sklearn"])
def test_a_version_is_loaded_without_asking_and_its_rule_scores_while_it_fails(
    trained: Trained, runtime: str
) -> None:
    found = loaded(trained, "127.0.0.1:9", runtime)
    rows = [given.whole(hour=7), given.whole(hour=17)]

    with pytest.raises(ExternalError):
        found.scores_of(rows)

    assert found.scores_instead(rows).tolist() == [0.2, 0.4]


def test_a_model_asks_no_service_and_so_has_nothing_instead(trained: Trained) -> None:
    found = model.load(trained.manifest, trained.artifacts[model.ONNX])

    with pytest.raises(TypeError):
        found.scores_instead([given.whole()])


@pytest.mark.parametrize("body", [b"", b"{}", b'{"url": "https://example.com"}'])
def test_bytes_that_are_no_service_cannot_be_loaded(trained: Trained, body: bytes) -> None:
    manifest = msgspec.structs.replace(trained.manifest, kind="external")

    with pytest.raises(ModelUnavailableError):
        model.load(manifest, body)


NEAR = [
    "localhost", "a.localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::1]", "0.0.0.0",  # noqa: S104 - it is refused
    "169.254.169.254", "[fe80::1]", "[::ffff:169.254.170.2]", "localhost.",
]  # fmt: skip


@pytest.mark.parametrize("host", NEAR)
def test_in_an_account_no_version_asks_the_machine_that_it_runs_on(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = External(url=f"https://{host}/score").fit(FRAME, LATE).artifact()
    monkeypatch.setattr(place, "in_an_account", lambda: True)

    with pytest.raises(ValueError, match="of the machine that asks"):
        runtime_external.scorer(asked, list(FRAME.columns))


def test_in_an_account_a_version_asks_services_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "in_an_account", lambda: True)

    for host in ("models.example.org", "10.0.0.7", "[2001:db8::1]"):
        assert External(url=f"https://{host}/score").fit(FRAME, LATE).artifact()
