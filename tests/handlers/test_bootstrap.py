"""The clients of a stack: made when they are needed, and new again after a snapshot."""

import time
from collections.abc import Callable, Iterator
from threading import Event
from time import monotonic
from typing import Any

import pytest
from botocore.exceptions import ClientError

import bootstrap
from evergreen.aws import deadline
from evergreen.aws.deadline import OutOfTimeError
from evergreen.aws.s3 import Store
from local.cloud.resources import CREDENTIALS
from tests.support.servers import SECONDS, Answered, Asked, listening

ABSENT = Answered(b"<Error><Code>NoSuchKey</Code></Error>", 404)
CLIENTS = (bootstrap.s3, bootstrap.firehose, bootstrap.events)


@pytest.fixture(autouse=True)
def no_clients_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for client in CLIENTS:
        client.cache_clear()
    yield
    for client in CLIENTS:
        if client.cache_info().currsize:
            client().close()
        client.cache_clear()


def test_a_reopened_client_opens_a_new_connection_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connections = []

    def answer(asked: Asked) -> Answered:
        connections.append(asked.connection)
        return ABSENT

    with listening(answer) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{address}")
        store = Store(bootstrap.s3(), "bucket")

        found = [store.get("key"), store.get("key")]
        bootstrap.reopen()
        found.append(store.get("key"))

        bootstrap.s3().close()

    first, second, third = connections
    assert first == second != third
    assert found == [None, None, None]


def test_reopening_makes_no_client_that_nobody_has_asked_for() -> None:
    bootstrap.reopen()

    assert [client.cache_info().currsize for client in CLIENTS] == [0, 0, 0]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_every_client_that_was_made_is_reopened(
    client: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    monkeypatch.setattr(client(), "close", lambda: closed.append("closed"))

    bootstrap.reopen()

    assert closed == ["closed"]


def test_nothing_is_asked_without_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Asked] = []

    def answer(request: Asked) -> Answered:
        asked.append(request)
        return ABSENT

    with listening(answer) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{address}")
        store = Store(bootstrap.s3(), "bucket")

        with deadline.until(monotonic()), pytest.raises(OutOfTimeError):
            store.get("key")
        with deadline.until(monotonic() + 5):
            assert store.get("key") is None

    assert len(asked) == 1


@pytest.mark.parametrize(("said", "attempts"), [(None, 2), ("8", 8)])
def test_a_service_that_is_busy_is_asked_again_as_often_as_a_function_says(
    monkeypatch: pytest.MonkeyPatch, said: str | None, attempts: int
) -> None:
    asked: list[Asked] = []

    def answer(request: Asked) -> Answered:
        asked.append(request)
        return Answered(b"<Error><Code>SlowDown</Code></Error>", 503)

    monkeypatch.setattr(time, "sleep", lambda _: None)
    if said:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", said)
    with listening(answer) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{address}")
        with pytest.raises(ClientError, match="SlowDown"):
            Store(bootstrap.s3(), "bucket").get("key")

    assert len(asked) == attempts


def test_after_a_write_that_had_no_answer_what_stands_there_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end = Event()

    def answer(request: Asked) -> Answered:
        if request.method == "PUT":
            end.wait(SECONDS)
        return Answered(b"ours", headers={"ETag": '"1"'})

    monkeypatch.setattr(bootstrap, "READ_SECONDS", 0.1)
    with listening(answer) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{address}")
        store = Store(bootstrap.s3(), "bucket")

        with deadline.until(monotonic() + SECONDS):
            assert store.create("key", b"ours")
        end.set()
