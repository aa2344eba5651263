"""The four levels of maturity on the same requests: each a whole stack in a process of its own."""

import multiprocessing
import os
import queue
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
import pandas as pd

from local.demo import injected, vendor
from local.demo.replay import LAST_REPORT, OUTCOMES_AT, BaseRate, Replay, replay
from local.demo.result import Event, Result, Tally, collect, pages
from local.samples import flights

NAMES = {
    1: "frozen",
    2: "frozen, with alarms",
    3: "retrained, approved a day later",
    4: "autopilot",
}
AT_ONCE = 3  # processes, so that neither of two cores is idle when the first has ended
FIRST = datetime(flights.YEAR, 2, 1, 8, tzinfo=UTC)  # three in the morning in New York
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # a core for each process
JOIN_SECONDS = 30

Tell = Callable[[str, Any], None]  # how a level tells of its progress and of its events


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What is replayed: months from February on, and of their flights one of `share`."""

    endpoint: str = "flight-delay"
    months: int = 11
    seed: int = 0
    share: int = 1
    runtime: str = "process"


def chosen(table: pd.DataFrame, share: int) -> pd.DataFrame:
    """Return January, and of the other flights one of `share`, by a hash: always the same ones."""
    if share == 1:
        return table
    columns = [table[name].astype(str) for name in ("carrier", "flight", "origin", "time_hour")]
    keys = ("|".join(parts).encode() for parts in zip(*columns, strict=True))
    kept = np.fromiter((zlib.crc32(key) % share == 0 for key in keys), bool, len(table))
    return table[kept | (table["month"] == 1).to_numpy()].reset_index(drop=True)


def play(level: int, options: Options, table: pd.DataFrame, folder: Path, tell: Tell) -> Result:
    """Replay the months at one level, and write the result and pages into a folder.

    table: all the flights that there are. tell: called with ("rows", (time, flights asked for)) and
    ("event", Event).
    """
    began = time.monotonic()
    (folder / "checks").mkdir(parents=True, exist_ok=True)
    with (
        (folder / "lambda.log").open("w") as log,
        replay(options.endpoint, level, FIRST, options.seed, log, options.runtime) as replayed,
    ):
        _replay_months(replayed, options, table, tell)
        result = collect(replayed, FIRST, round(time.monotonic() - began, 1))
        for name, body in pages(replayed).items():
            (folder / "checks" / name).write_bytes(body)
    (folder / "result.json").write_bytes(msgspec.json.encode(result))
    return result


def _replay_months(replayed: Replay, options: Options, table: pd.DataFrame, tell: Tell) -> None:
    base_rate, last = BaseRate(table), options.months + 1
    trial = vendor.Trial(replayed, table, options.seed)
    replayed.plane.on_event = _listener(replayed, trial, tell)
    with tempfile.TemporaryDirectory() as name, closing(trial):
        folder = Path(name)
        frozen = replayed.train_first(flights.january(table, folder))
        if replayed.level in injected.LEVELS and injected.AT.month <= last:
            bad = injected.write(table, options.seed, folder)
            replayed.plan(injected.AT, lambda: replayed.inject(injected.SHUFFLED, bad))
        if replayed.level == vendor.LEVEL and options.runtime == "process":
            trial.plan()
        today = None
        for hour in flights.hours(table, list(frozen.manifest.schema["properties"]), 2, last):
            if hour.day != today:
                today, rate = hour.day, base_rate.at(hour.day)
                replayed.advance(datetime.combine(today, OUTCOMES_AT, UTC))
                replayed.report_outcomes()
            replayed.advance(hour.time)
            scores = replayed.ask(hour)
            tell("rows", (hour.time, len(hour.rows)))
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


def _listener(
    replayed: Replay, trial: vendor.Trial, tell: Tell
) -> Callable[[dict[str, Any]], None]:
    """Return what keeps and tells each event; at level 3, a person looks at each new version."""

    def listen(event: dict[str, Any]) -> None:
        detail = dict(event["detail"])
        if detail["endpoint"] != replayed.endpoint:
            return
        found = Event(datetime.now(UTC), event["detail-type"], detail)
        replayed.events.append(found)
        trial.hear(found)
        if replayed.level == 3 and found.type == "Model Trained":
            replayed.approve_later(detail["version"])
        tell("event", found)

    return listen


def run(
    levels: tuple[int, ...],
    options: Options,
    table: pd.DataFrame,
    build: Path,
    tell: Callable[[int, str, Any], None],
) -> dict[int, Result]:
    """Replay at several levels, some at a time, the dearest first; return their results.

    tell: called with the level, and what the level tells. Raises SystemExit where one fails.
    """
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    waiting = sorted(levels, reverse=True)
    running: dict[int, Any] = {}
    results: dict[int, Result] = {}
    try:
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                level = waiting.pop(0)
                folder = _emptied(build / f"level-{level}")
                process = context.Process(target=_child, args=(level, options, table, folder, told))
                with patch.dict(os.environ, ONE_THREAD):
                    process.start()
                running[level] = process
            level, kind, value = _next(told, running)
            if kind == "ended":
                process = running.pop(level)
                process.join(JOIN_SECONDS)
                if value:
                    raise SystemExit(f"level {level} failed: {value}")
                body = (build / f"level-{level}" / "result.json").read_bytes()
                results[level] = msgspec.json.decode(body, type=Result)
            tell(level, kind, value)
    finally:
        for process in running.values():
            process.terminate()
            process.join(JOIN_SECONDS)
    return results


def _next(told: Any, running: dict[int, Any]) -> tuple[int, str, Any]:
    """Return what is told next, or that a process has ended without a word."""
    while True:
        try:
            found: tuple[int, str, Any] = told.get(timeout=1)
            return found
        except queue.Empty:
            for level, process in running.items():
                if process.exitcode:
                    return level, "ended", f"its process ended with {process.exitcode}"


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _child(level: int, options: Options, table: pd.DataFrame, folder: Path, told: Any) -> None:
    """Replay one level in this process."""
    tell: Tell = lambda kind, value: told.put((level, kind, value))  # noqa: E731
    try:
        play(level, options, table, folder, tell)
    except BaseException as error:
        tell("ended", f"{type(error).__name__}: {error}")
        raise
    tell("ended", None)
