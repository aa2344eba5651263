"""What a load asks, and clients that ask it at a rate, or as fast as they can.

Each request knows the status that must come back; any other is an error. At a rate a request counts
from the moment when it was due, whether or not a client was free: a server that stalls is not
spared the requests that would have come meanwhile.
"""

import json
import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple

from urllib3 import HTTPConnectionPool
from urllib3.exceptions import HTTPError

from benchmarks.serving.cloud import ENDPOINT, MONTH
from local.cloud.ports import HOST
from local.samples import flights

PATH = f"/endpoints/{ENDPOINT}"
PREDICT, FEEDBACK = f"{PATH}/predict", f"{PATH}/feedback"
MAX_ROWS = 1_000  # of the API, in a request
LARGE_ROWS = 100
POOL_ROWS = 1_000
# How often each kind comes, of 100 requests.
MIXED = {"predict": 55, "large": 3, "feedback": 18, "flood": 1, "page": 10, "refused": 13}
HARD = {"predict": 80, "feedback": 12, "page": 3, "refused": 5}  # of a burst
BARE = {"predict": 75, "large": 5, "page": 10, "refused": 10}  # which leave nothing behind
PAGES = (
    "/endpoints",
    PATH,
    f"{PATH}/versions",
    f"/control{PATH}/status?evidence=no",
    f"/control{PATH}/decisions",
)
LATE = 0.2  # of the outcomes, as of the flights
ROW, LABELS = '{"instances": [%s]}', '{"labels": [%s]}'
ANSWER_SECONDS = 300  # of a first answer, for which sam builds an image; and of serve's trainings


class Ask(NamedTuple):
    """A request, which is a POST if it has a body, and the status that must come back.

    rows: of the pool, those that a prediction is asked for. labels: what an outcome reports.
    """

    kind: str
    path: str
    status: int = 200
    body: str | None = None
    content: str = "application/json"
    rows: range = range(0)
    labels: Mapping[str, bool] = MappingProxyType({})


def pool(fields: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows to ask for: flights of the month after the training data."""
    rows = flights.rows(flights.flights(), fields, MONTH)
    return random.Random(0).sample(rows, POOL_ROWS)


def refused(row: dict[str, Any]) -> list[Ask]:
    """Return requests that must be refused, each for a reason of its own."""
    plain = json.dumps(row)
    many, label = ROW % ",".join([plain] * (MAX_ROWS + 1)), '{"id": "%s", "label": %s}'
    flood = ",".join([label % (new_id(), "true")] * (MAX_ROWS + 1))
    asks = [
        Ask("refused", path, status, body)
        for path, status, body in (
            (PREDICT, 400, ROW % json.dumps(row | {"no-such-field": 1})),
            (PREDICT, 400, ROW % json.dumps(row | {"origin": 7})),
            (PREDICT, 400, ROW % plain.replace("{", '{"distance": NaN, ', 1)),
            (PREDICT, 400, "{"),
            (PREDICT, 400, "[" * 5_000),
            (PREDICT, 400, ROW % ""),
            (PREDICT, 413, many),
            (PREDICT, 413, ROW % plain + " " * 1_000_000),
            (f"{PREDICT}?version=no-such-version", 404, ROW % plain),
            ("/endpoints/no-such-endpoint/predict", 404, ROW % plain),
            (FEEDBACK, 400, LABELS % (label % ("no-id", "true"))),
            (FEEDBACK, 400, LABELS % (label % (new_id(), '"late"'))),
            (FEEDBACK, 413, LABELS % flood),
            (f"{PATH}/versions/no-such-version", 404, None),
            ("/endpoints/no-such-endpoint", 404, None),
        )
    ]
    return [*asks, Ask("refused", PREDICT, 415, ROW % plain, "application/x-python-serialize")]


def new_id() -> str:
    """Return an id that no prediction has."""
    return f"{secrets.token_hex(16)}-000"


class Asks:
    """The requests of a load, in an order that a seed decides; not for several threads at once."""

    def __init__(self, rows: list[dict[str, Any]], kinds: dict[str, int]) -> None:
        self.rows = rows
        self.refused = refused(rows[0])
        self.answered: deque[str] = deque()  # ids whose outcome is still to be reported
        self._random = random.Random(0)
        self._kinds, self._weights = list(kinds), list(kinds.values())

    def next(self) -> Ask:
        """Return the next request."""
        (kind,) = self._random.choices(self._kinds, self._weights)
        match kind:
            case "predict" | "large":
                count = LARGE_ROWS if kind == "large" else self._random.randint(1, 3)
                start = self._random.randrange(len(self.rows) - count + 1)
                rows = range(start, start + count)
                return asked_for(kind, PREDICT, self.rows, rows, f"caller-{start}")
            case "feedback":
                return self.outcomes(kind, self._random.randint(1, 5))
            case "flood":
                return self.outcomes(kind, MAX_ROWS)
            case "page":
                return Ask(kind, self._random.choice(PAGES))
        return self._random.choice(self.refused)

    def outcomes(self, kind: str, count: int) -> Ask:
        """Return a report of outcomes; of nobody's predictions once those answered are used up."""
        known = 0 if kind == "flood" else min(count, len(self.answered))
        ids = [self.answered.popleft() if at < known else new_id() for at in range(count)]
        labels = {one: self._random.random() < LATE for one in ids}
        body = {"labels": [{"id": one, "label": label} for one, label in labels.items()]}
        return Ask(kind, FEEDBACK, 202, json.dumps(body), labels=labels)


def asked_for(
    kind: str, path: str, pool: list[dict[str, Any]], rows: range, key: str | None = None
) -> Ask:
    """Return the request for predictions of some rows of a pool."""
    body = {"instances": [pool[row] for row in rows]} | ({"key": key} if key else {})
    return Ask(kind, path, 200, json.dumps(body), rows=rows)


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
