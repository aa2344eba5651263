"""Servers on 127.0.0.1 that play what Evergreen talks to."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from queue import Queue
from typing import Any
from unittest.mock import patch

from evergreen.aws import extension

HOST = "127.0.0.1"
SECONDS = 20  # nothing here takes as long; what is waited for in vain has failed


@dataclass(frozen=True)
class Asked:
    """A request, and the client's end of the connection that it came by."""

    method: str
    path: str
    headers: Message
    body: bytes
    connection: tuple[str, int]


@dataclass(frozen=True)
class Answered:
    """An answer; wait: goes on for a while, before each byte of the body, which is sent alone."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: Callable[[], object] | None = None


@contextmanager
def listening(answer: Callable[[Asked], Answered | None]) -> Iterator[str]:
    """Answer requests, and yield host and port; None closes a connection without an answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, self.path, self.headers, body, self.client_address)
            found = answer(asked)
            self.close_connection = found is None
            if found:
                self.send_response(found.status)
                for name, value in found.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(found.body)))
                self.end_headers()
                with suppress(ConnectionError):  # who asked may have gone
                    for part in _parts(found):
                        self.wfile.write(part)

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - its names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    with running(_Server((HOST, 0), Handler)) as port:
        yield f"{HOST}:{port}"


@contextmanager
def running(server: HTTPServer) -> Iterator[int]:
    """Let a server answer in a thread of its own, and yield its port."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # who asked may go at any time
            super().handle_error(request, client_address)


def _parts(answered: Answered) -> Iterator[bytes]:
    if answered.wait is None:
        yield answered.body
        return
    for byte in answered.body:
        answered.wait()
        yield bytes([byte])


class _EndedError(Exception):
    pass


class ExtensionsApi:
    """Lambda as an extension sees it: event/next waits until the test begins an invocation."""

    identifier = "the identifier of an extension"

    def __init__(self, registration: Answered | None = None) -> None:
        self.address = ""
        self.registered: list[Asked] = []
        self.exits: list[int] = []
        self._registration = registration
        self._waiting: Queue[Asked] = Queue()
        self._answers: Queue[Answered | None] = Queue()

    def answer(self, asked: Asked) -> Answered | None:
        match asked.method, asked.path:
            case "POST", "/2020-01-01/extension/register":
                self.registered.append(asked)
                named = {"Lambda-Extension-Identifier": self.identifier}
                return self._registration or Answered(headers=named)
            case "GET", "/2020-01-01/extension/event/next":
                self._waiting.put(asked)
                return self._answers.get()
        return Answered(status=404)

    def wait_until_idle(self, seconds: float = SECONDS) -> Asked:
        """Wait until the extension asks for its next event, which lets Lambda freeze everything."""
        return self._waiting.get(timeout=seconds)

    def begin(self) -> None:
        """Begin an invocation."""
        self._answers.put(Answered())

    def fail(self, answer: Answered | None) -> None:
        """Answer the extension once as a Lambda that has failed."""
        self._answers.put(answer)

    def end(self, answer: Answered | None) -> None:
        """Answer the extension as a Lambda that has failed for good; it asks twice."""
        self.fail(answer)
        self.fail(answer)


@contextmanager
def extensions_api(registration: Answered | None = None) -> Iterator[ExtensionsApi]:
    """Play Lambda's Extensions API; what would end this process ends the extension's thread."""
    api = ExtensionsApi(registration)
    before = set(threading.enumerate())
    hook = threading.excepthook

    def exit_thread(status: int) -> None:
        api.exits.append(status)
        raise _EndedError

    def except_for_exits(caught: threading.ExceptHookArgs) -> None:
        if caught.exc_type is not _EndedError:
            hook(caught)

    with (
        patch.object(os, "_exit", exit_thread),
        patch.object(threading, "excepthook", except_for_exits),
        listening(api.answer) as api.address,
    ):
        try:
            yield api
        finally:
            for thread in set(threading.enumerate()) - before:
                if thread.name == extension.NAME:
                    api.end(None)
                    thread.join(SECONDS)
