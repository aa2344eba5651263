"""The four levels of maturity on the same requests: each a whole stack in a process of its own."""

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np

from local.demo.life import Life
from local.demo.replay import LAST_REPORT, Replay, replay, scores_of
from local.demo.result import Result, Tally, collect, pages

NAMES = {
    1: "frozen",
    2: "frozen, with alarms",
    3: "retrained, approved a day later",
    4: "autopilot",
}
APPROVED = 3  # the level at which a person decides
CORES = 2  # that this is for
AT_ONCE = 3  # processes, so that neither of two cores is idle when the first has ended
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # a core for each process

Tell = Callable[[str, Any], None]  # how a level tells of its progress and of its events


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a life is replayed; share: of its rows after the first part, one in so many."""

    endpoint: str = "flight-delay"
    seed: int = 0
    share: int = 1
    runtime: str = "process"


def play(level: int, options: Options, life: Life, folder: Path, tell: Tell) -> Result:
    """Replay a life at one level, and write the result and pages into a folder.

    tell: called with ("rows", (time, rows asked for)) and ("event", Event).
    """
    began = time.monotonic()
    (folder / "checks").mkdir(parents=True, exist_ok=True)
    with (
        (folder / "lambda.log").open("w") as log,
        life.training(),
        replay(life.endpoint, level, life.start, options.seed, log, options.runtime) as replayed,
    ):
        _replay(replayed, life, tell)
        result = collect(replayed, life.start, round(time.monotonic() - began, 1))
        for name, body in pages(replayed).items():
            (folder / "checks" / name).write_bytes(body)
    (folder / "result.json").write_bytes(msgspec.json.encode(result))
    return result


def _replay(replayed: Replay, life: Life, tell: Tell) -> None:
    replayed.hearing.append(lambda event: tell("event", event))
    if replayed.level == APPROVED:
        replayed.hearing.append(replayed.look_at)
    first = replayed.train_first(life.file)
    problem, today = first.manifest.problem, None
    measured = life.measure(problem)
    with life.story(replayed) if life.story else nullcontext():
        for step in life.steps():
            if step.day != today:
                today, constant = step.day, life.constant(measured, step.time)
            replayed.advance(step.time)
            answers = replayed.ask(step)
            tell("rows", (step.time, len(step.rows)))
            if answers is None:
                continue
            scores = scores_of(measured, answers)
            replayed.tallies.setdefault(life.about.period(step.day), Tally()).add(
                measured,
                step.labels,
                frozen=scores_of(measured, problem.answers(first.scores_of(step.rows))),
                evergreen=scores,
                base_rate=np.broadcast_to(constant, scores.shape),
            )
        replayed.advance(step.time + LAST_REPORT)
        for due in sorted(replayed.waiting):
            replayed.report(due)
        replayed.compact()


def run(
    levels: tuple[int, ...],
    options: Options,
    life: Life,
    build: Path,
    tell: Callable[[int, str, Any], None],
) -> dict[int, Result]:
    """Replay at several levels, some at a time, the dearest first; return their results.

    tell: called with the level, and what the level tells. Raises SystemExit where one fails.
    """
    context = multiprocessing.get_context("spawn")
    with (
        patch.dict(os.environ, ONE_THREAD),
        context.Manager() as manager,
        ProcessPoolExecutor(AT_ONCE, context, max_tasks_per_child=1) as pool,
    ):
        told: Queue[tuple[int, str, Any]] = manager.Queue()
        asked = [(level, options, life, build / f"level-{level}", told) for level in levels]
        played = {each[0]: pool.submit(_play, *each) for each in sorted(asked, reverse=True)}
        try:
            while not all(each.done() for each in played.values()) or not told.empty():
                with suppress(Empty):
                    tell(*told.get(timeout=1))
                for level, each in played.items():
                    if each.done() and (error := each.exception()):
                        raise SystemExit(f"level {level} failed: {error!r}") from error
        except BaseException:  # nor do the others go on
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        return {level: each.result() for level, each in played.items()}


def _play(
    level: int, options: Options, life: Life, folder: Path, told: "Queue[tuple[int, str, Any]]"
) -> Result:
    """Replay one level in this process."""
    shutil.rmtree(folder, ignore_errors=True)
    result = play(level, options, life, folder, lambda kind, value: told.put((level, kind, value)))
    told.put((level, "ended", None))
    return result
