"""AWS at an address: for other processes, and for whatever this one makes within it."""

import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from moto.s3.models import S3Backend

from evergreen.aws.s3 import Store
from local.cloud import server
from local.template import REGION

HOST = "127.0.0.1"
THREADS = 8


@pytest.fixture
def url() -> Iterator[str]:
    with server.served(HOST) as found:
        yield found


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    yield Store(s3, "bucket")
    s3.close()


def test_boto3_in_this_process_finds_it_and_credentials_that_are_nobodys(
    url: str, store: Store
) -> None:
    store.put("key", b"body")

    found = store.get("key")

    assert found is not None
    assert found.body == b"body"
    assert store.s3.meta.endpoint_url == url == os.environ["AWS_ENDPOINT_URL"]


def test_at_its_end_the_environment_is_as_it_was_and_nobody_listens() -> None:
    before = dict(os.environ)

    with server.served(HOST) as url:
        port = int(url.rpartition(":")[2])

    assert os.environ == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))


def test_what_an_earlier_one_had_is_gone() -> None:
    for _ in range(2):
        with server.served(HOST):
            s3 = boto3.client("s3")
            assert s3.list_buckets()["Buckets"] == []
            s3.create_bucket(
                Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION}
            )
            s3.close()


def test_a_port_that_is_in_use_says_what_to_do(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(SystemExit) as caught, server.served(HOST, port):
            pass

    assert f"{HOST}:{port} cannot be used (Address already in use)" in str(caught.value)
    assert str(caught.value).endswith(f"try PORT={port + 1}")
    assert capfd.readouterr() == ("", ""), "one message is enough"


def test_of_many_conditional_writes_at_once_one_wins(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moto looks whether an object is there, and writes it, in two steps."""
    another = threading.Event()
    writes: list[Any] = []
    put_object = S3Backend.put_object

    def late(*arguments: Any, **named: Any) -> Any:
        writes.append(arguments)
        if len(writes) == 1:
            another.wait(0.2)  # for one who has looked too, which nobody has
        else:
            another.set()
        return put_object(*arguments, **named)

    monkeypatch.setattr(S3Backend, "put_object", late)
    ready = threading.Barrier(THREADS)

    def write(number: int) -> bool:
        ready.wait()
        return store.create("key", b"%d" % number)

    with ThreadPoolExecutor(THREADS) as threads:
        won = list(threads.map(write, range(THREADS)))

    found = store.get("key")
    assert found is not None
    assert [number for number in range(THREADS) if won[number]] == [int(found.body)]
    assert len(writes) == 1
