"""A life whose clock goes on by itself, and that a person moves ahead: what `make serve` shows.

POST /local/clock {"seconds": 86400}     let so much time pass; say what was announced meanwhile
PUT  /local/training/{endpoint}/{name}   put a training file where an upload would put it
PUT  /local/batch/in/{endpoint}/{name}   the same of a file to score

These routes are of this machine alone, and of no stack: a page of another site that is open in a
browser here must not reach them.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from evergreen.contract import endpoint_files
from local.demo.life import Step
from local.demo.replay import Replay
from local.demo.result import Event
from local.plane import stack
from local.plane.gateway import Answer

FILE = re.compile(r"/local/(training|batch/in)/([a-z0-9-]+)/([\w.-]+)")
HERE = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")
MOST_SECONDS = 86_400.0  # at once, so that whoever asks sees how it goes on


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    seconds: float = 0.0


@dataclass
class ByHand:
    """A replay whose time passes as the clock does; steps: what is asked for meanwhile.

    tell: called with each event, as it is announced.
    """

    replayed: Replay
    steps: Iterator[Step]
    tell: Callable[[Event], None]
    _ahead: Step | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.replayed.hearing.append(self.tell)
        self._ahead = next(self.steps, None)

    def pass_by(self, seconds: float = 0.0) -> list[Event]:
        """Let time pass, and what was to happen in it happen; return what was announced."""
        with self._lock:
            before, to = len(self.replayed.events), datetime.now(UTC) + timedelta(seconds=seconds)
            while self._ahead and self._ahead.time <= to:
                self.replayed.advance(self._ahead.time)
                self.replayed.ask(self._ahead)
                self._ahead = next(self.steps, None)
            self.replayed.advance(to)
            self.replayed.plane.settle()
            return self.replayed.events[before:]

    def halt(self, seconds: float) -> bool:
        """Let no more time pass; return whether what went on has ended within so many seconds."""
        return self._lock.acquire(timeout=seconds)

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """Answer a request to one of the local routes."""
        headers = {name.lower(): value for name, value in headers.items()}
        if not HERE.fullmatch(headers.get("host", "")) or "origin" in headers:
            return _refused(403, "forbidden", "only programs on this machine may ask for this")
        if method == "PUT" and (named := FILE.fullmatch(path)):
            if named[2] not in (known := endpoint_files.names()):
                said = f"{named[2]} is no endpoint here, only {', '.join(known)}"
                return _refused(404, "unknown_endpoint", said)
            time, key = datetime.now(UTC), named[0].removeprefix("/local/")
            with self._lock:
                stack.data().put(key, body or b"")
            return _answer(201, {"key": key, "time": time})
        if (method, path) != ("POST", "/local/clock"):
            return _refused(404, "not_found", "there is no such route")
        try:
            seconds = msgspec.json.decode(body or b"{}", type=_Asked).seconds
        except msgspec.DecodeError as error:
            return _refused(400, "invalid_request", str(error))
        if not 0 <= seconds <= MOST_SECONDS:
            said = "the clock goes forward, by a day at once at most: seconds from 0 to 86400"
            return _refused(400, "invalid_request", said)
        events = self.pass_by(seconds)
        more = self._ahead.time if self._ahead else None
        return _answer(200, {"time": datetime.now(UTC), "events": events, "next_rows": more})


def _answer(status: int, body: Any) -> Answer:
    return Answer(status, {}, msgspec.json.encode(body).decode())


def _refused(status: int, code: str, message: str) -> Answer:
    return _answer(status, {"error": {"code": code, "message": message}})
