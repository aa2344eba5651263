"""Clients that ask at a rate, or as fast as they can, and note what comes back.

At a rate a request counts from the moment when it was due, whether or not a client was free: a
server that stalls is not spared the requests that would have come meanwhile.
"""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

from benchmarks.load.requests import Ask, Asks
from local.cloud.ports import HOST

ANSWER_SECONDS = 60


@dataclass(frozen=True)
class Sent:
    """One request: its kind, when it was due and when its answer was there, on one clock.

    fault: what was wrong with the answer, or that there was none.
    """

    kind: str
    due: float
    received: float
    status: int
    fault: str | None = None

    @property
    def seconds(self) -> float:
        """Return how long its caller waited."""
        return self.received - self.due


@dataclass(frozen=True)
class Answered:
    """Predictions of one request; rows: which of the pool, in the order of the predictions."""

    rows: range
    sent: float
    received: float
    version: str
    variant: str
    predictions: list[dict[str, Any]]


@dataclass
class Seen:
    """All that clients saw."""

    sent: list[Sent] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    accepted: dict[str, bool] = field(default_factory=dict)  # labels, by id


class Client:
    """One connection, which stays open where the server lets it."""

    def __init__(self, port: int, seconds: int = ANSWER_SECONDS) -> None:
        self._connection = HTTPConnection(HOST, port, timeout=seconds)

    def ask(self, ask: Ask) -> tuple[int, bytes]:
        """Return the status and body of an answer; 0 and the reason where there is none."""
        try:
            self._connection.request(ask.method, ask.path, ask.body, ask.headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException) as error:
            self._connection.close()  # the next request opens another
            return 0, repr(error).encode()

    def json(self, ask: Ask) -> Any:
        """Return what a request is answered; SystemExit where that is not what it should be."""
        status, body = self.ask(ask)
        if status != ask.status:
            raise SystemExit(f"{ask.method} {ask.path} was answered {status}: {body[:500]!r}")
        return json.loads(body)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass(frozen=True)
class Plan:
    """How many requests, by how many clients at once, and how many a second; None: at once."""

    requests: int
    clients: int
    rate: float | None = None


def play(
    port: int, plan: Plan, asks: Asks, seen: Seen, halfway: Callable[[], None]
) -> tuple[float, float]:
    """Send what a plan says, and return when it began and ended; halfway is called once.

    What happens halfway happens beside the requests, which go on.
    """
    lock, half, taken = threading.Lock(), threading.Event(), iter(range(plan.requests))

    def work() -> None:
        with closing(Client(port)) as own:
            while True:
                with lock:
                    index = next(taken, None)
                    ask = asks.next() if index is not None else None
                if index is None or ask is None:
                    return
                if index == plan.requests // 2:
                    half.set()
                due = begun + index / plan.rate if plan.rate else time.monotonic()
                time.sleep(max(0.0, due - time.monotonic()))
                answer(own, asks, ask, seen, due)

    def decide() -> None:
        half.wait()
        halfway()

    begun = time.monotonic()
    with ThreadPoolExecutor(plan.clients + 1) as pool:
        try:
            for job in as_completed(map(pool.submit, [decide, *[work] * plan.clients])):
                job.result()
        finally:
            half.set()  # where a client has failed before
    return begun, time.monotonic()


def answer(own: Client, asks: Asks, ask: Ask, seen: Seen, due: float) -> None:
    """Send a request, and keep what its answer says; what it should not say is a fault.

    Lists, deques and dictionaries take one more at a time from several threads.
    """
    sent = time.monotonic()
    status, body = own.ask(ask)
    received = time.monotonic()
    fault = None
    try:
        if status != ask.status:
            raise ValueError(f"{status} and not {ask.status}")
        found = json.loads(body)
        if ask.rows:
            seen.answered.append(_answered(ask, sent, received, found))
            asks.answered.extend(one["id"] for one in found["predictions"][:2])
        if ask.labels:
            if found["accepted"] != len(ask.labels):
                raise ValueError(f"{found['accepted']} of {len(ask.labels)} labels accepted")
            seen.accepted.update(ask.labels)
    except (ValueError, LookupError, TypeError) as error:
        fault = f"{ask.method} {ask.path}: {error}: {body[:300].decode(errors='replace')}"
    seen.sent.append(Sent(ask.kind, due, received, status, fault))


def _answered(ask: Ask, sent: float, received: float, found: Any) -> Answered:
    predictions = found["predictions"]
    if len(predictions) != len(ask.rows):
        raise ValueError(f"{len(predictions)} predictions of {len(ask.rows)} rows")
    return Answered(ask.rows, sent, received, found["version"], found["variant"], predictions)
