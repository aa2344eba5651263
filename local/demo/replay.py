"""A life against a deployment on a virtual clock: ask, report outcomes, approve."""

import heapq
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import batched, count
from pathlib import Path
from random import Random
from typing import IO, Any
from unittest.mock import patch

import msgspec
import time_machine

from evergreen.aws.s3 import Store
from evergreen.contract.decoding import MAX_ROWS
from evergreen.contract.problem import Floats, Problem
from evergreen.registry.registry import Registry
from evergreen.serving.model import Model, fetch
from local.demo.life import Step
from local.demo.result import Event, Injected, Tally
from local.plane import containers, stack
from local.plane.gateway import Answer
from local.plane.plane import Plane

ENDPOINT_TTL = "10800"  # three hours: here they pass in a blink, and looking is dear
LAST_REPORT = timedelta(minutes=90)  # after the last step: checked for drift, not yet retrained
APPROVAL = timedelta(days=1)  # what a person takes to look at a candidate
# Nobody reads what was recorded between two checks, nor a page a day; a rollout has something new
# to look at once a day, when the outcomes have come.
SPARSE = {
    "CompactSchedule": "cron(20 5 * * ? *)",
    "ReportPages": "alarms-and-months",
    "RolloutSchedule": "cron(30 9 * * ? *)",
}
JSON = {"Content-Type": "application/json"}


@dataclass
class Replay:
    """One run of the demo at one level of maturity.

    hearing: who is told each event, once it is kept. waiting: labels by the time at which they are
        reported.
    agenda: what is to be done at which time, as a heap; the number keeps the order of equal times.
    """

    plane: Plane
    clock: time_machine.Traveller
    endpoint: str
    level: int
    events: list[Event] = field(default_factory=list)
    injected: list[Injected] = field(default_factory=list)
    tallies: dict[date, Tally] = field(default_factory=dict)
    hearing: list[Callable[[Event], None]] = field(default_factory=list)
    waiting: dict[datetime, list[dict[str, Any]]] = field(default_factory=dict)
    agenda: list[tuple[datetime, int, Callable[[], None]]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)
    sent: int = 0
    answered: int = 0
    labels: int = 0

    def __post_init__(self) -> None:
        self.plane.on_event = self.hear

    def hear(self, event: dict[str, Any]) -> None:
        """Keep an event of the endpoint, and tell it."""
        detail = dict(event["detail"])
        if detail["endpoint"] == self.endpoint:
            self.events.append(Event(datetime.now(UTC), event["detail-type"], detail))
            for told in self.hearing:
                told(self.events[-1])

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
            said = [e.detail["reason"] for e in self.events if "reason" in e.detail]
            why = "; ".join(said) or "see build/demo/level-N/lambda.log"
            raise SystemExit(
                f"no model came of the first part: {why}. Let it reach further with FIRST=date or "
                "FIRST=share, or change the endpoint's policy"
            )
        manifest = self.registry.manifest(self.endpoint, seen.document.champion)
        assert manifest is not None
        return fetch(self.registry, manifest, "onnx")

    def plan(self, time: datetime, act: Callable[[], None]) -> None:
        """Put something on the agenda."""
        heapq.heappush(self.agenda, (time, next(self.numbers), act))

    def advance(self, to: datetime) -> None:
        """Let the time pass, the schedules fire, and what is on the agenda be done."""
        while self.agenda and self.agenda[0][0] <= to:
            time, _, act = heapq.heappop(self.agenda)
            self._pass(time)
            act()
        self._pass(to)

    def _pass(self, to: datetime) -> None:
        self.plane.tick(to, self._move)
        self._move(to)

    def _move(self, to: datetime) -> None:
        if to > datetime.now(UTC):  # where the clock goes on by itself, work has taken its time
            self.clock.move_to(to)

    def report(self, due: datetime) -> None:
        """Report the labels that become known at a time, unless they have been."""
        for labels in batched(self.waiting.pop(due, ()), MAX_ROWS, strict=False):
            answer = self.post(f"/endpoints/{self.endpoint}/feedback", {"labels": list(labels)})
            self.labels += answer.json()["accepted"] if answer.status == 202 else 0

    def compact(self) -> None:
        """Let an hour pass, and make all that was recorded ready to be read."""
        self._move(datetime.now(UTC) + timedelta(hours=1))
        if self.level > 1:
            self.plane.invoke(
                "CompactFunction", {"hour": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
            )

    def inject(self, name: str, file: Path) -> None:
        """Upload a bad training file, let it be trained on, and delete it, as a person would."""
        before = len(self.events)
        stack.upload(self.plane, self.endpoint, file)
        self.data.s3.delete_object(
            Bucket=self.data.bucket, Key=f"training/{self.endpoint}/{file.name}"
        )
        trained = (e.detail["version"] for e in self.events[before:] if e.type == "Model Trained")
        self.injected.append(Injected(name, datetime.now(UTC), next(trained, None)))

    def look_at(self, event: Event) -> None:
        """Let a person look at each version that was trained, a day from now."""
        if event.type == "Model Trained":
            version = event.detail["version"]
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

    def ask(self, step: Step) -> list[dict[str, Any]] | None:
        """Ask for the rows of a step; return the predictions, or None without an answer."""
        self.sent += 1
        body = {"instances": step.rows, "key": f"{step.time:%Y-%m-%dT%H}"}
        answer = self.post(f"/endpoints/{self.endpoint}/predict", body)
        if answer.status != 200:
            return None
        self.answered += 1
        predictions: list[dict[str, Any]] = answer.json()["predictions"]
        if step.due not in self.waiting:
            self.plan(step.due, lambda: self.report(step.due))
        self.waiting.setdefault(step.due, []).extend(
            {"id": prediction["id"], "label": label}
            for prediction, label in zip(predictions, step.labels.tolist(), strict=True)
        )
        return predictions

    def post(self, path: str, body: dict[str, Any]) -> Answer:
        """Send a request to the API."""
        return self.plane.request("POST", path, msgspec.json.encode(body), JSON)


def scores_of(measured: Problem, answers: Sequence[dict[str, Any]]) -> Floats:
    """Return the scores of answers in the classes of a problem."""
    scores = ([answer["score"] for answer in answers], [a.get("scores") for a in answers])
    return measured.recorded(*scores)


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
