"""Clients that ask at a rate, or as fast as they can, and note what comes back.

At a rate a request counts from the moment when it was due, whether or not a client was free: a
server that stalls is not spared the requests that would have come meanwhile.
"""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from urllib3 import HTTPConnectionPool
from urllib3.exceptions import HTTPError

from benchmarks.load.requests import Ask, Asks
from local.cloud.ports import HOST

ANSWER_SECONDS = 300  # of a first answer, for which sam builds an image; and of serve's trainings


class Answer(NamedTuple):
    """A request and what came back: when it was due, sent and answered, on one clock.

    found: the JSON of the answer. fault: what was wrong with it, or that there was none.
    """

    ask: Ask
    due: float
    sent: float
    received: float
    found: Any = None
    fault: str | None = None


class Phase(NamedTuple):
    """A part of a load: so many requests of some kinds, by so many clients at once.

    rate: a second; None for as fast as they can. decision: what a person does in its middle.
    """

    name: str
    requests: int
    clients: int
    kinds: dict[str, int]
    rate: float | None = None
    decision: str | None = None


def connect(port: int, clients: int = 1) -> HTTPConnectionPool:
    """Return connections to a server of this machine, which stay open where it lets them."""
    return HTTPConnectionPool(HOST, port, maxsize=clients, timeout=ANSWER_SECONDS, retries=False)


def answer(http: HTTPConnectionPool, ask: Ask, due: float | None = None) -> Answer:
    """Send a request, now if it is not known since when it is due; see what its answer says."""
    sent = time.monotonic()
    found, fault, body = None, None, b""
    method, headers = ("GET", {}) if ask.body is None else ("POST", {"Content-Type": ask.content})
    try:
        response = http.request(method, ask.path, body=ask.body, headers=headers)
        body = response.data
        if response.status != ask.status:
            raise ValueError(f"{response.status} and not {ask.status}")
        found = json.loads(body)
        if ask.rows and len(found["predictions"]) != len(ask.rows):
            raise ValueError(f"{len(found['predictions'])} predictions of {len(ask.rows)} rows")
        if ask.labels and found["accepted"] != len(ask.labels):
            raise ValueError(f"{found['accepted']} of {len(ask.labels)} labels accepted")
    except (HTTPError, ValueError, LookupError, TypeError) as error:
        fault = f"{method} {ask.path}: {error!r}: {body[:300].decode(errors='replace')}"
    return Answer(ask, sent if due is None else due, sent, time.monotonic(), found, fault)


def told(http: HTTPConnectionPool, ask: Ask) -> Any:
    """Return what a request is answered; SystemExit where that is not what it should be."""
    found = answer(http, ask)
    if found.fault:
        raise SystemExit(found.fault)
    return found.found


def play(
    http: HTTPConnectionPool, phase: Phase, asks: Asks, halfway: Callable[[], None]
) -> list[Answer]:
    """Send what a phase says, and return the answers; halfway is called once, beside them."""
    lock, begun = threading.Lock(), time.monotonic()
    decided: list[Future[None]] = []

    def work(index: int) -> Answer:
        if index == phase.requests // 2:
            decided.append(person.submit(halfway))
        due = begun + index / phase.rate if phase.rate else time.monotonic()
        time.sleep(max(0.0, due - time.monotonic()))
        with lock:
            ask = asks.next()
        found = answer(http, ask, due)
        if ask.rows and not found.fault:
            asks.answered.extend(one["id"] for one in found.found["predictions"][:2])
        return found

    with ThreadPoolExecutor(1) as person, ThreadPoolExecutor(phase.clients) as clients:
        answers = list(clients.map(work, range(phase.requests)))
        decided[0].result()
    return answers
