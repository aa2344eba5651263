"""What one level leaves behind: its losses, events and decisions, and what stands in its buckets.

Each level runs in a process of its own, and writes this to build/demo/level-N/result.json.
"""

import resource
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import numpy as np

from evergreen.captures.label_join import join
from evergreen.captures.recorded import Recorded
from evergreen.contract import endpoint_files
from evergreen.contract.problem import Problem
from evergreen.contract.schema import schema_of
from evergreen.monitoring.report import CheckReport
from evergreen.registry.state import Decision

if TYPE_CHECKING:
    from local.demo.replay import Replay

EVERY_DECISION = 1_000_000


class Losses(msgspec.Struct):
    """The mean loss of the three on the same rows."""

    frozen: float
    evergreen: float
    base_rate: float


class Event(msgspec.Struct):
    """Something that the system announced on its bus."""

    time: datetime
    type: str
    detail: dict[str, Any]

    @property
    def about(self) -> str:
        """Return why it came, or what it is about."""
        return str(self.detail.get("reason") or ", ".join(self.detail.get("features", ())))


class Injected(msgspec.Struct, frozen=True):
    """What was wrong on purpose, when it came, and the version that came of it, if one did."""

    name: str
    time: datetime
    version: str | None


@dataclass
class Tally:
    """The losses of one period as they come in: of the answers, and of two beside them."""

    rows: int = 0
    frozen: float = 0.0
    evergreen: float = 0.0
    base_rate: float = 0.0

    def add(
        self, measured: Problem, labels: np.ndarray[Any, Any], **scores: np.ndarray[Any, Any]
    ) -> None:
        """Add the rows of one request, by the losses of a problem."""
        self.rows += len(labels)
        for name, values in scores.items():
            setattr(self, name, getattr(self, name) + float(measured.losses(labels, values).sum()))

    def mean(self) -> Losses:
        """Return the losses per row."""
        rows = max(self.rows, 1)
        return Losses(self.frozen / rows, self.evergreen / rows, self.base_rate / rows)


class Result(msgspec.Struct, kw_only=True):
    """What a level comes to.

    tallies: by the first day of their period. kinds: the candidate of each version. decisions: the
    history of the endpoint, oldest first. reports: what each check found, oldest first, without the
    days that it carries.
    """

    level: int
    tallies: dict[date, Tally]
    events: list[Event]
    decisions: list[Decision]
    injected: list[Injected]
    kinds: dict[str, str]
    reports: list[CheckReport]
    requests: dict[str, int]
    captures: dict[str, int]
    labels: dict[str, int]
    dead_letters: int
    peak_memory_mb: int
    seconds: float

    @property
    def injected_names(self) -> dict[str | None, str]:
        """Return what was wrong on purpose with a version, by its id."""
        return {each.version: each.name for each in self.injected if each.version}

    @property
    def total(self) -> Tally:
        """Return the tally of all periods."""
        parts = map(astuple, self.tallies.values())
        return Tally(*map(sum, zip(*parts, strict=True)))


def collect(replayed: "Replay", start: datetime, seconds: float) -> Result:
    """Return what came of a replay that began at `start`."""
    written, distinct = _captured(replayed)
    seen = replayed.registry.document(replayed.endpoint)
    return Result(
        level=replayed.level,
        tallies=replayed.tallies,
        events=replayed.events,
        decisions=replayed.registry.history(seen.document, EVERY_DECISION) if seen else [],
        injected=replayed.injected,
        kinds=_kinds(replayed),
        reports=_reports(replayed),
        requests={
            "sent": replayed.sent,
            "answered": replayed.answered,
            "errors": replayed.sent - replayed.answered,
        },
        captures={"written": written, "distinct": distinct},
        labels={"sent": replayed.labels, "joined": _joined(replayed, start) if written else 0},
        dead_letters=_dead_letters(),
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        seconds=seconds,
    )


def pages(replayed: "Replay") -> dict[str, bytes]:
    """Return the pages that checks wrote, by the name of a file."""
    return _written(replayed, ".html")


def _written(replayed: "Replay", ending: str) -> dict[str, bytes]:
    """Return what checks wrote, oldest first, by the name of a file."""
    prefix = f"drift/{replayed.endpoint}/"
    names = [key for key in replayed.data.keys(prefix) if key.endswith(ending)]
    found = {name: replayed.data.get(name) for name in names}
    return {name.removeprefix(prefix): stored.body for name, stored in found.items() if stored}


def _joined(replayed: "Replay", start: datetime) -> int:
    """Return how many labels met their predictions."""
    found = endpoint_files.load(replayed.endpoint)
    schema = schema_of(replayed.endpoint, found.row)
    end = datetime.now(UTC) + timedelta(seconds=1)  # the last labels came this very moment
    recorded = Recorded(replayed.data, replayed.endpoint)
    return join(recorded, schema, start, end, found.problem).joined


class _Id(msgspec.Struct):
    id: str


def _captured(replayed: "Replay") -> tuple[int, int]:
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
    sqs, seen, hidden = boto3.client("sqs"), "ApproximateNumberOfMessages", "NotVisible"
    urls = [url for url in sqs.list_queues()["QueueUrls"] if "/inbox-" not in url]
    found: list[Any] = [sqs.get_queue_attributes(QueueUrl=u, AttributeNames=["All"]) for u in urls]
    each = (one["Attributes"] for one in found)  # what will be tried again has failed too
    return sum(int(one[seen]) + int(one[seen + hidden]) for one in each)


def _reports(replayed: "Replay") -> list[CheckReport]:
    bodies = _written(replayed, ".json").values()
    found = (msgspec.json.decode(body, type=CheckReport) for body in bodies)
    return [msgspec.structs.replace(each, performance=None, trend=[]) for each in found]


def _kinds(replayed: "Replay") -> dict[str, str]:
    versions = replayed.registry.versions(replayed.endpoint)
    found = (replayed.registry.manifest(replayed.endpoint, version) for version in versions)
    return {manifest.version: manifest.candidate for manifest in found if manifest}
