"""How long an invocation goes on asking others: AWS, and the services that versions ask.

A client's timeouts are those of one attempt, and Lambda ends a function at its own timeout without
an answer. So there is a moment after which nothing is asked or waited for anymore, except in
functions that no caller waits for.
"""

import io
import math
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPResponse
from typing import Any

from botocore.exceptions import BotoCoreError

_end: ContextVar[float] = ContextVar("end", default=math.inf)


class OutOfTimeError(BotoCoreError):
    """There is no time left to ask, or what is asked did not answer a moment ago."""

    fmt = "not asked: {reason}"


@contextmanager
def until(end: float) -> Iterator[None]:
    """Go on asking until a moment of time.monotonic()."""
    token = _end.set(end)
    try:
        yield
    finally:
        _end.reset(token)


def end() -> float:
    """Return the moment of time.monotonic() until which others are asked."""
    return _end.get()


def left() -> float:
    """Return for how many seconds others are asked; infinity where nobody waits."""
    return _end.get() - time.monotonic()


class _Arriving(io.RawIOBase):
    """What a socket receives; its own timeout begins anew with each byte, and a drip has no end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._raw = sock, sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        seconds = left()
        if seconds <= 0:
            raise TimeoutError
        if seconds < (self._sock.gettimeout() or math.inf):
            self._sock.settimeout(seconds)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Response(HTTPResponse):
    """An answer over HTTP of which nothing is waited for once there is no time left."""

    def __init__(self, sock: socket.socket, *more: Any, **named: Any) -> None:
        super().__init__(sock, *more, **named)
        self.fp.close()
        self.fp = io.BufferedReader(_Arriving(sock))
