"""A year of flights against a deployment on a virtual clock: ask, report outcomes, approve."""

import heapq
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from functools import cached_property
from itertools import batched
from pathlib import Path
from random import Random
from typing import IO, Any
from unittest.mock import patch

import msgspec
import numpy as np
import pandas as pd
import time_machine

from evergreen.aws.s3 import Store
from evergreen.contract.decoding import MAX_ROWS
from evergreen.registry.registry import Registry
from evergreen.serving.model import Model, fetch
from local.demo.injected import Injected
from local.demo.result import Event, Tally
from local.plane import containers, stack
from local.plane.gateway import Answer
from local.plane.plane import Plane
from local.samples import flights

BASE_RATE_DAYS = 30
ENDPOINT_TTL = "10800"  # three hours: here they pass in a blink, and looking is dear
OUTCOMES_AT = clock_time(9)  # UTC: in New York the day before is over, and so are its flights
LAST_REPORT = timedelta(minutes=90)  # after the last hour: checked for drift, not yet retrained
APPROVAL = timedelta(days=1)  # what a person takes to look at a candidate
# Between two checks nobody reads the histograms, and nobody reads a page a day; a rollout has
# something new to look at once a day, when the outcomes have come.
SPARSE = {
    "ProfileSchedule": "cron(30 4 ? * 2 *)",
    "ReportPages": "alarms-and-months",
    "RolloutSchedule": "cron(30 9 * * ? *)",
}
JSON = {"Content-Type": "application/json"}


class BaseRate:
    """The late rate of the thirty days whose outcomes are known: the simplest thing that adapts."""

    def __init__(self, table: pd.DataFrame) -> None:
        days = pd.to_datetime(table[["year", "month", "day"]]).dt.date
        late = table["arr_delay"] > flights.LATE_MINUTES
        self._days = late.groupby(days).agg(["sum", "size"])

    def at(self, day: date) -> float:
        """Return the share of late flights in the thirty days before a day."""
        known = self._days.loc[day - timedelta(days=BASE_RATE_DAYS) : day - timedelta(days=1)]
        return float(known["sum"].sum() / known["size"].sum())


@dataclass
class Replay:
    """One run of the demo at one level of maturity.

    agenda: what is to be done at which time, as a heap; the number keeps the order of equal times.
    """

    plane: Plane
    clock: time_machine.Traveller
    endpoint: str
    level: int
    events: list[Event] = field(default_factory=list)
    injected: list[Injected] = field(default_factory=list)
    tallies: dict[int, Tally] = field(default_factory=dict)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    agenda: list[tuple[datetime, int, Callable[[], None]]] = field(default_factory=list)
    sent: int = 0
    answered: int = 0
    labels: int = 0

    @cached_property
    def registry(self) -> Registry:
        """Return the model registry of the stack."""
        return stack.registry()

    @cached_property
    def data(self) -> Store:
        """Return the data bucket of the stack."""
        return stack.data()

    def train_first(self, file: Path) -> Model:
        """Upload the first training data and return the champion that came of it."""
        stack.upload(self.plane, self.endpoint, file)
        seen = self.registry.document(self.endpoint)
        if seen is None:
            raise SystemExit(f"no model came of the first training: {self.events}")
        manifest = self.registry.manifest(self.endpoint, seen.document.champion)
        assert manifest is not None
        return fetch(self.registry, manifest, "onnx")

    def plan(self, time: datetime, act: Callable[[], None]) -> None:
        """Put something on the agenda."""
        heapq.heappush(self.agenda, (time, len(self.agenda), act))

    def advance(self, to: datetime) -> None:
        """Let the time pass, the schedules fire, and what is on the agenda be done."""
        while self.agenda and self.agenda[0][0] <= to:
            time, _, act = heapq.heappop(self.agenda)
            self._pass(time)
            act()
        self._pass(to)

    def _pass(self, to: datetime) -> None:
        self.plane.tick(to, self.clock.move_to)
        self.clock.move_to(to)

    def report_outcomes(self) -> None:
        """Report what became of the flights that were asked for since the last time."""
        for labels in batched(self.waiting, MAX_ROWS, strict=False):
            answer = self.post(f"/endpoints/{self.endpoint}/feedback", {"labels": list(labels)})
            self.labels += answer.json()["accepted"] if answer.status == 202 else 0
        self.waiting.clear()

    def inject(self, name: str, file: Path) -> None:
        """Upload a bad training file, let it be trained on, and delete it, as a person would."""
        before = len(self.events)
        stack.upload(self.plane, self.endpoint, file)
        self.data.s3.delete_object(
            Bucket=self.data.bucket, Key=f"training/{self.endpoint}/{file.name}"
        )
        trained = (e.detail["version"] for e in self.events[before:] if e.type == "Model Trained")
        self.injected.append(Injected(name, datetime.now(UTC), next(trained, None)))

    def approve_later(self, version: str) -> None:
        """Let a person look at a version a day from now."""
        self.plan(datetime.now(UTC) + APPROVAL, lambda: self._approve(version))

    def _approve(self, version: str) -> None:
        """Approve a version if it still waits; what has become stale meanwhile is rejected."""
        seen = self.registry.document(self.endpoint)
        if seen is None or seen.document.candidate != version:
            return
        body = {"version": version, "generation": seen.document.generation}
        path = f"/control/endpoints/{self.endpoint}"
        answer = self.post(f"{path}/approve", body | {"reason": "it passed its gate"})
        if answer.status == 409:
            answer = self.post(f"{path}/reject", body | {"reason": answer.json()["message"]})
        if answer.status != 200:
            raise RuntimeError(f"neither approved nor rejected: {answer.status} {answer.body}")
        self.plane.settle()

    def ask(self, hour: flights.Hour) -> np.ndarray[Any, Any] | None:
        """Ask for the flights of an hour; return their scores, or None without an answer."""
        self.sent += 1
        body = {"instances": hour.rows, "key": f"{hour.time:%Y-%m-%dT%H}"}
        answer = self.post(f"/endpoints/{self.endpoint}/predict", body)
        if answer.status != 200:
            return None
        self.answered += 1
        predictions = answer.json()["predictions"]
        self.waiting += [
            {"id": prediction["id"], "label": late}
            for prediction, late in zip(predictions, hour.late, strict=True)
        ]
        return np.array([prediction["score"] for prediction in predictions])

    def post(self, path: str, body: dict[str, Any]) -> Answer:
        """Send a request to the API."""
        return self.plane.request("POST", path, msgspec.json.encode(body), JSON)


@contextmanager
def replay(
    endpoint: str, level: int, start: datetime, seed: int, log: IO[str], runtime: str = "process"
) -> Iterator[Replay]:
    """Deploy the template into moto at a virtual time, at a level of maturity.

    runtime: where the functions run, in this `process` or in the containers of `sam` local; these
    have a clock of their own, so nothing that matters may come from it.
    """
    deployed = in_containers if runtime == "sam" else stack.deployed
    ttl = "0" if runtime == "sam" else ENDPOINT_TTL
    random = Random(seed)  # ids decide which rows are sampled: the same seed, the same summary
    parameters = SPARSE | {"Seed": str(seed), "EndpointTtl": ttl, "MaturityLevel": str(level)}
    with (
        patch("secrets.token_hex", lambda size: random.randbytes(size).hex()),
        time_machine.travel(start, tick=False) as clock,
        deployed(log, **parameters) as plane,
    ):
        yield Replay(plane, clock, endpoint, level)


@contextmanager
def in_containers(log: IO[str], **parameters: str) -> Iterator[Plane]:
    """Deploy the template, and run its functions in containers."""
    with (
        tempfile.TemporaryDirectory() as folder,
        containers.deployed(Path(folder) / "env.json", log, **parameters) as plane,
        containers.started(Path(folder) / "env.json", log) as runtime,
    ):
        plane.runtime = runtime
        yield plane
