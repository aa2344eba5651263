"""Replay a year of real flights through the stack: predict, record, check drift, retrain, promote.

January is the training data. From February on, each scheduled hour's flights are one request, and
what became of them is reported the next morning. Beside it, on the same requests: the January
model, left alone, and the late rate of the last thirty days.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from evergreen.manifest import Manifest
from evergreen.report import CheckReport
from local import flights, report, template
from local.replay import (
    LAST_REPORT,
    OUTCOMES_AT,
    BaseRate,
    Replay,
    manifests_of,
    pages,
    replay,
    reports,
    summarize,
)
from local.summary import Event, Summary, Tally, alarm_days, closing_lines, closing_table

BUILD = template.ROOT / "build" / "demo"
ENDPOINTS = ("flight-delay",)  # those that there is a year of real data for


def main() -> None:
    """Run the demo and show what it was worth."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--months", type=int, default=11, help="how many, from February (1-11)")
    parser.add_argument("--endpoint", choices=ENDPOINTS, default=ENDPOINTS[0])
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same summary")
    parser.add_argument("--runtime", choices=("process", "sam"), default="process")
    arguments = parser.parse_args()
    if not 1 <= arguments.months <= 11:
        parser.error("--months must be from 1 to 11")
    BUILD.mkdir(parents=True, exist_ok=True)
    console = Console()
    with (BUILD / "lambda.log").open("w") as log:
        replayed = run(
            console,
            log,
            arguments.endpoint,
            arguments.months,
            arguments.seed,
            arguments.runtime,
        )
    summary = replayed.summary
    (BUILD / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary)))
    report.write(BUILD, summary, replayed.reports, replayed.manifests)
    shutil.rmtree(BUILD / "checks", ignore_errors=True)
    (BUILD / "checks").mkdir()
    for name, body in replayed.pages.items():
        (BUILD / "checks" / name).write_bytes(body)
    console.print(closing_table(summary))
    console.print(closing_lines(summary), highlight=False, soft_wrap=True)
    if summary.requests["errors"] or summary.dead_letters:
        sys.exit("some requests or events failed: see build/demo/lambda.log")


@dataclass(frozen=True)
class Replayed:
    """What a replay leaves: figures, the report of each check, the versions, pages by file name."""

    summary: Summary
    reports: list[CheckReport]
    manifests: list[Manifest]
    pages: dict[str, bytes]


def run(
    console: Console,
    log: IO[str],
    endpoint: str,
    months: int,
    seed: int,
    runtime: str = "process",
) -> Replayed:
    """Replay the months and return what happened."""
    began = time.monotonic()
    console.print("Reading the flights of 2013 …")
    table = flights.flights()
    base_rate = BaseRate(table)
    first = datetime(2013, 2, 1, 8, tzinfo=UTC)  # three in the morning in New York
    with replay(endpoint, first, seed, log, runtime) as replayed, bar(console) as progress:
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
        summary = summarize(replayed, first, seed)
        found = Replayed(summary, reports(replayed), manifests_of(replayed), pages(replayed))
    summary.alarms = alarm_days(found.reports)
    summary.seconds = round(time.monotonic() - began, 1)
    return found


def bar(console: Console) -> Progress:
    """Return a progress bar that shows the virtual date."""
    return Progress(
        TextColumn("{task.description:>11}"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:>7,.0f} flights"),
        TimeElapsedColumn(),
        console=console,
    )


def _announcer(replayed: Replay, console: Console) -> Callable[[dict[str, Any]], None]:
    def announce(event: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        detail = dict(event["detail"])
        if detail["endpoint"] != replayed.endpoint:
            return
        replayed.events.append(Event(now, event["detail-type"], detail))
        shown = detail.get("reason") or ", ".join(detail.get("features", ()))
        if event["detail-type"] == "Model Trained":
            shown = f"{detail['candidate']}, log-loss {detail['log_loss']:.4f} on the holdout"
        if event["detail-type"] != "Retrain Requested":
            console.print(
                f"{now:%d %b}  [bold]{event['detail-type']:<18}[/bold] {shown}",
                highlight=False,
                soft_wrap=True,
            )

    return announce


if __name__ == "__main__":
    main()
