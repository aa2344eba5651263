"""Replay a year of real flights through the stack: predict, record, check drift, retrain, promote.

January is the training data. From February on, each scheduled hour's flights are one request, and
what became of them is reported the next morning. Beside it, on the same requests: the January
model, left alone, and the late rate of the last thirty days.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from functools import cached_property
from itertools import batched
from pathlib import Path
from typing import IO, Any

import boto3
import msgspec
import numpy as np
import pandas as pd
import time_machine
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import endpoints
from evergreen.drift_report import DriftReport
from evergreen.gate import losses
from evergreen.join import join
from evergreen.manifest import Manifest
from evergreen.model import ONNX, Model, load
from evergreen.registry import Registry
from evergreen.schema import MAX_ROWS, schema_of
from evergreen.store import Store
from local import flights, report, stack, template
from local.plane import Answer, Plane

BUILD = template.ROOT / "build" / "demo"
ENDPOINTS = ("flight-delay",)  # those that there is a year of real data for
BASE_RATE_DAYS = 30
ENDPOINT_TTL = (
    "10800"  # three hours: here they pass in a blink, and each look costs as much as ever
)
OUTCOMES_AT = clock_time(9)  # UTC: in New York the day before is over, and so are its flights
LAST_REPORT = timedelta(minutes=90)  # after the last hour: checked for drift, not yet retrained
JSON = {"Content-Type": "application/json"}


class LogLoss(msgspec.Struct):
    """Mean log-loss in nats of the three on the same rows."""

    frozen: float
    evergreen: float
    base_rate: float


class Month(msgspec.Struct):
    """One month of the replay."""

    month: int
    rows: int
    log_loss: LogLoss


class Event(msgspec.Struct):
    """Something that the system announced on its bus."""

    time: datetime
    type: str
    detail: dict[str, Any]


class Summary(msgspec.Struct, kw_only=True):
    """What is written to summary.json; `log_loss` is over all rows."""

    endpoint: str
    seed: int
    months: list[Month]
    log_loss: LogLoss
    events: list[Event]
    requests: dict[str, int]
    captures: dict[str, int]
    labels: dict[str, int]
    dead_letters: int
    peak_memory_mb: int
    seconds: float


@dataclass
class Tally:
    """The losses of one month, as they come in."""

    rows: int = 0
    frozen: float = 0.0
    evergreen: float = 0.0
    base_rate: float = 0.0

    def add(self, late: np.ndarray[Any, Any], **scores: np.ndarray[Any, Any]) -> None:
        """Add the rows of one request."""
        self.rows += len(late)
        for name, values in scores.items():
            setattr(self, name, getattr(self, name) + float(losses(late, values).sum()))

    def mean(self) -> LogLoss:
        """Return the losses per row."""
        rows = max(self.rows, 1)
        return LogLoss(self.frozen / rows, self.evergreen / rows, self.base_rate / rows)


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
        return load(manifest, self.registry.artifact(manifest, ONNX))

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
def replay(endpoint: str, start: datetime, seed: int, log: IO[str]) -> Iterator[Replay]:
    """Deploy the template into moto at a virtual time."""
    with (
        time_machine.travel(start, tick=False) as clock,
        stack.deployed(log, Seed=str(seed), EndpointTtl=ENDPOINT_TTL) as plane,
    ):
        yield Replay(plane, clock, endpoint)


def main() -> None:
    """Run the demo and show what it was worth."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--months", type=int, default=11, help="how many, from February (1-11)")
    parser.add_argument("--endpoint", choices=ENDPOINTS, default=ENDPOINTS[0])
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same summary")
    arguments = parser.parse_args()
    if not 1 <= arguments.months <= 11:
        parser.error("--months must be from 1 to 11")
    BUILD.mkdir(parents=True, exist_ok=True)
    console = Console()
    with (BUILD / "lambda.log").open("w") as log:
        summary, reports, manifests = run(
            console, log, arguments.endpoint, arguments.months, arguments.seed
        )
    (BUILD / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary)))
    report.write(BUILD, summary, reports, manifests)
    console.print(closing_table(summary))
    console.print(closing_lines(summary), highlight=False)
    if summary.requests["errors"] or summary.dead_letters:
        sys.exit("some requests or events failed: see build/demo/lambda.log")


def run(
    console: Console, log: IO[str], endpoint: str, months: int, seed: int
) -> tuple[Summary, list[DriftReport], list[Manifest]]:
    """Replay the months and return what happened, the drift reports and the versions."""
    began = time.monotonic()
    console.print("Reading the flights of 2013 …")
    table = flights.flights()
    base_rate = BaseRate(table)
    first = datetime(2013, 2, 1, 8, tzinfo=UTC)  # three in the morning in New York
    with replay(endpoint, first, seed, log) as replayed, bar(console) as progress:
        replayed.plane.on_event = _announcer(replayed, progress.console)
        with tempfile.TemporaryDirectory() as folder:
            frozen = replayed.train_first(flights.january(table, Path(folder)))
        task = progress.add_task("", total=len(table[table["month"].between(2, months + 1)]))
        today = None
        for hour in flights.hours(table, list(frozen.manifest.schema["properties"]), 2, months + 1):
            if hour.day != today:
                today, rate = hour.day, base_rate.at(hour.day)
                replayed.advance(datetime.combine(today, OUTCOMES_AT, UTC))
                replayed.report_outcomes()
            replayed.advance(hour.time)
            scores = replayed.ask(hour)
            progress.update(task, advance=len(hour.rows), description=f"{hour.time:%d %b %Y}")
            if scores is None:
                continue
            replayed.tallies.setdefault(hour.day.month, Tally()).add(
                np.array(hour.late),
                frozen=frozen.scores_of(hour.rows),
                evergreen=scores,
                base_rate=np.full(len(hour.rows), rate),
            )
        replayed.advance(hour.time + LAST_REPORT)
        replayed.report_outcomes()
        summary = _summary(replayed, first, seed)
        reports, manifests = _drift_reports(replayed), _manifests(replayed)
    summary.seconds = round(time.monotonic() - began, 1)
    return summary, reports, manifests


def bar(console: Console) -> Progress:
    """Return a progress bar that shows the virtual date."""
    return Progress(
        TextColumn("{task.description:>11}"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:>7,.0f} flights"),
        TimeElapsedColumn(),
        console=console,
    )


def _announcer(replayed: Replay, console: Console) -> Any:
    def announce(event: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        detail = dict(event["detail"])
        replayed.events.append(Event(now, event["detail-type"], detail))
        shown = detail.get("reason") or ", ".join(detail.get("features", ()))
        if event["detail-type"] == "Model Trained":
            shown = f"{detail['candidate']}, log-loss {detail['log_loss']:.4f} on the holdout"
        if event["detail-type"] != "Retrain Requested":
            console.print(
                f"{now:%d %b}  [bold]{event['detail-type']:<18}[/bold] {shown}", highlight=False
            )

    return announce


def _summary(replayed: Replay, start: datetime, seed: int) -> Summary:
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
        dead_letters=_dead_letters(),
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        seconds=0.0,
    )


def _captured(replayed: Replay) -> tuple[int, int]:
    """Return how many captures the stream wrote, and how many predictions they are of."""
    ids = [
        line["id"]
        for key in replayed.data.keys("captures/")
        if (stored := replayed.data.get(key))
        for line in msgspec.json.Decoder(dict[str, Any]).decode_lines(stored.body)
    ]
    return len(ids), len(set(ids))


def _dead_letters() -> int:
    url = template.queue_url(template.physical_name("DeadLetterQueue"))
    answer = boto3.client("sqs").get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def _drift_reports(replayed: Replay) -> list[DriftReport]:
    found = (replayed.data.get(key) for key in replayed.data.keys(f"drift/{replayed.endpoint}/"))
    return [msgspec.json.decode(stored.body, type=DriftReport) for stored in found if stored]


def _manifests(replayed: Replay) -> list[Manifest]:
    versions = replayed.registry.versions(replayed.endpoint)
    found = (replayed.registry.manifest(replayed.endpoint, version) for version in versions)
    return [manifest for manifest in found if manifest]


def closing_table(summary: Summary) -> Table:
    """Return the table that the demo ends with."""
    table = Table(title="Log-loss by month, lower is better", title_justify="left")
    for name in ("month", "flights", "January model, frozen", "base rate, 30 days", "Evergreen"):
        table.add_column(name, justify="right")
    for month in summary.months:
        table.add_row(f"{date(2013, month.month, 1):%b}", *_cells(month.rows, month.log_loss))
    table.add_section()
    rows = sum(month.rows for month in summary.months)
    table.add_row("all", *_cells(rows, summary.log_loss))
    return table


def _cells(rows: int, loss: LogLoss) -> list[str]:
    return [f"{rows:,}", *(f"{x:.4f}" for x in (loss.frozen, loss.base_rate, loss.evergreen))]


def closing_lines(summary: Summary) -> str:
    """Return the lines after the table: what it was worth, and that nothing was lost."""
    better = 1 - summary.log_loss.evergreen / summary.log_loss.frozen
    promoted = sum(event.type == "Model Promoted" for event in summary.events)
    return (
        f"Evergreen's log-loss is {better:.1%} below the frozen model's, after {promoted} "
        "promotions.\n"
        f"{summary.requests['answered']:,} of {summary.requests['sent']:,} requests answered; "
        f"{summary.captures['distinct']:,} predictions captured; "
        f"{summary.labels['joined']:,} of {summary.labels['sent']:,} labels joined.\n"
        f"{summary.seconds:.0f} s, {summary.peak_memory_mb:,} MB at the peak. "
        "See build/demo/report.html, report.png and summary.json."
    )


if __name__ == "__main__":
    main()
