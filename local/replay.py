"""A year of flights against a deployment on a virtual clock: ask, report outcomes, count."""

import resource
import tempfile
from collections.abc import Iterator
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

import boto3
import msgspec
import numpy as np
import pandas as pd
import time_machine

import endpoints
from evergreen.join import join
from evergreen.manifest import Manifest
from evergreen.model import Model, fetch
from evergreen.registry import Registry
from evergreen.report import CheckReport
from evergreen.schema import MAX_ROWS, schema_of
from evergreen.store import Store
from local import containers, flights, stack, template
from local.gateway import Answer
from local.plane import Plane
from local.summary import Event, Month, Summary, Tally

BASE_RATE_DAYS = 30
ENDPOINT_TTL = "10800"  # three hours: here they pass in a blink, and looking is dear
OUTCOMES_AT = clock_time(9)  # UTC: in New York the day before is over, and so are its flights
LAST_REPORT = timedelta(minutes=90)  # after the last hour: checked for drift, not yet retrained
# Between two checks nobody reads the histograms, and nobody reads a page a day.
SPARSE = {"ProfileSchedule": "cron(30 4 ? * 2 *)", "ReportPages": "alarms-and-months"}
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
    """One run of the demo."""

    plane: Plane
    clock: time_machine.Traveller
    endpoint: str
    events: list[Event] = field(default_factory=list)
    tallies: dict[int, Tally] = field(default_factory=dict)
    waiting: list[dict[str, Any]] = field(default_factory=list)
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

    def advance(self, to: datetime) -> None:
        """Let the time pass and the schedules fire."""
        self.plane.tick(to, self.clock.move_to)
        self.clock.move_to(to)

    def report_outcomes(self) -> None:
        """Report what became of the flights that were asked for since the last time."""
        for labels in batched(self.waiting, MAX_ROWS, strict=False):
            answer = self.post("feedback", {"labels": list(labels)})
            self.labels += answer.json()["accepted"] if answer.status == 202 else 0
        self.waiting.clear()

    def ask(self, hour: flights.Hour) -> np.ndarray[Any, Any] | None:
        """Ask for the flights of an hour; return their scores, or None without an answer."""
        self.sent += 1
        answer = self.post("predict", {"instances": hour.rows})
        if answer.status != 200:
            return None
        self.answered += 1
        predictions = answer.json()["predictions"]
        self.waiting += [
            {"id": prediction["id"], "label": late}
            for prediction, late in zip(predictions, hour.late, strict=True)
        ]
        return np.array([prediction["score"] for prediction in predictions])

    def post(self, action: str, body: dict[str, Any]) -> Answer:
        """Send a request to the API."""
        path = f"/endpoints/{self.endpoint}/{action}"
        return self.plane.request("POST", path, msgspec.json.encode(body), JSON)


@contextmanager
def replay(
    endpoint: str, start: datetime, seed: int, log: IO[str], runtime: str = "process"
) -> Iterator[Replay]:
    """Deploy the template into moto at a virtual time.

    runtime: where the functions run, in this `process` or in the containers of `sam` local; these
    have a clock of their own, so nothing that matters may come from it.
    """
    deployed = in_containers if runtime == "sam" else stack.deployed
    ttl = "0" if runtime == "sam" else ENDPOINT_TTL
    random = Random(seed)  # ids decide which rows are sampled: the same seed, the same summary
    with (
        patch("secrets.token_hex", lambda size: random.randbytes(size).hex()),
        time_machine.travel(start, tick=False) as clock,
        deployed(log, Seed=str(seed), EndpointTtl=ttl, **SPARSE) as plane,
    ):
        yield Replay(plane, clock, endpoint)


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


def summarize(replayed: Replay, start: datetime, seed: int) -> Summary:
    """Count what came of a replay that began at `start`, from what stands in the buckets."""
    written, distinct = _captured(replayed)
    schema = schema_of(replayed.endpoint, endpoints.load(replayed.endpoint).row)
    end = datetime.now(UTC) + timedelta(seconds=1)  # the last labels came this very moment
    joined = join(replayed.data, replayed.endpoint, schema, start, end)
    total = Tally()
    for tally in replayed.tallies.values():
        for name in ("rows", "frozen", "evergreen", "base_rate"):
            setattr(total, name, getattr(total, name) + getattr(tally, name))
    return Summary(
        endpoint=replayed.endpoint,
        seed=seed,
        months=[
            Month(month, tally.rows, tally.mean())
            for month, tally in sorted(replayed.tallies.items())
        ],
        log_loss=total.mean(),
        events=replayed.events,
        requests={
            "sent": replayed.sent,
            "answered": replayed.answered,
            "errors": replayed.sent - replayed.answered,
        },
        captures={"written": written, "distinct": distinct},
        labels={"sent": replayed.labels, "joined": joined.joined},
        alarms={},
        dead_letters=_dead_letters(),
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        seconds=0.0,
    )


class _Id(msgspec.Struct):
    id: str


def _captured(replayed: Replay) -> tuple[int, int]:
    """Return how many captures the stream wrote, and how many predictions they are of."""
    decoder = msgspec.json.Decoder(_Id)
    ids = [
        line.id
        for key in replayed.data.keys("captures/")
        if (stored := replayed.data.get(key))
        for line in decoder.decode_lines(stored.body)
    ]
    return len(ids), len(set(ids))


def _dead_letters() -> int:
    url = template.queue_url(template.physical_name("DeadLetterQueue"))
    answer = boto3.client("sqs").get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def reports(replayed: Replay) -> list[CheckReport]:
    """Return what every check found, oldest first, without the days that it carries."""
    keys = replayed.data.keys(f"drift/{replayed.endpoint}/")
    found = (replayed.data.get(key) for key in keys if key.endswith(".json"))
    decoded = (msgspec.json.decode(stored.body, type=CheckReport) for stored in found if stored)
    return [msgspec.structs.replace(each, performance=None, trend=[]) for each in decoded]


def pages(replayed: Replay) -> dict[str, bytes]:
    """Return the pages that checks wrote, by the name of a file."""
    prefix = f"drift/{replayed.endpoint}/"
    found = {key: replayed.data.get(key) for key in replayed.data.keys(prefix)}
    return {
        key.removeprefix(prefix): stored.body
        for key, stored in found.items()
        if stored and key.endswith(".html")
    }


def manifests_of(replayed: Replay) -> list[Manifest]:
    """Return the manifests of all versions, oldest first."""
    versions = replayed.registry.versions(replayed.endpoint)
    found = (replayed.registry.manifest(replayed.endpoint, version) for version in versions)
    return [manifest for manifest in found if manifest]
