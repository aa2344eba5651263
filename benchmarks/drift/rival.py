"""Ours against evidently, in turns, on the same rows; and its alarms where nothing drifts."""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.drift.columns import CATEGORIES, draws, raced
from benchmarks.drift.evidently import COLUMNS, RACED_COLUMNS
from benchmarks.drift.usual import profiled
from benchmarks.installed import BUILD, PIP_PYTHON, UV, run
from evergreen.monitoring import drift, reference_profile
from local.template import ROOT

# The newest pandas that it can be imported with.
PACKAGES = ("evidently==0.7.23", "pandas<3")
SIZES = ((20_000, 100), (20_000, 500), (20_000, 5_000), (500, 500))


@dataclass(frozen=True)
class Race:
    """Seconds of each turn, over so many rows.

    report, tests: theirs, as its preset does it, and the preset's tests alone. compared, profiled:
    ours, with the reference's profile at hand, as a check has it, and with the making of it.
    """

    rows: int
    report: list[float]
    tests: list[float]
    compared: list[float]
    profiled: list[float]

    def times_faster(self, theirs: Sequence[float], ours: Sequence[float]) -> float:
        """Return the ratio of medians."""
        return median(theirs) / median(ours)


@dataclass(frozen=True)
class Alarms:
    """Columns that evidently called drifted in each check of 30 that do not drift."""

    reference: int
    rows: int
    columns: list[int]

    @property
    def any_column(self) -> int:
        """Return in how many checks some column drifted."""
        return sum(found > 0 for found in self.columns)

    @property
    def dataset(self) -> int:
        """Return in how many checks half of the columns did, which it calls dataset drift."""
        return sum(found >= COLUMNS / 2 for found in self.columns)


class Rival:
    """Evidently in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin
        assert process.stdout
        self._to, self._from = process.stdin, process.stdout

    def ask(self, *commands: str) -> None:
        """Send commands, without waiting for their answers."""
        self._to.write("".join(f"{command}\n" for command in commands))
        self._to.flush()

    def answer(self) -> Any:
        """Wait for the next answer."""
        line = self._from.readline()
        if not line:
            raise SystemExit(f"evidently failed: see {BUILD / 'evidently.log'}")
        return json.loads(line)


@contextmanager
def started() -> Iterator[Rival | None]:
    """Install evidently unless it is there, start it, and end it at the end.

    Yields None where it cannot be installed, as without a network.
    """
    try:
        command = [str(python()), "-W", "ignore", "-m", "benchmarks.drift.evidently"]
    except subprocess.CalledProcessError as error:
        print(f"evidently is left out: {error}", flush=True)
        yield None
        return
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (BUILD / "evidently.log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env=environment,
        )
    try:
        yield Rival(process)
    finally:
        process.kill()
        process.wait()


def python() -> Path:
    """Return the interpreter of the environment that has evidently, made once."""
    folder = BUILD / "evidently"
    found, done = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join(PACKAGES)
    if not done.exists() or done.read_text() != wanted:
        print("Installing evidently …", flush=True)
        run(UV, "venv", "--quiet", "--clear", "--python", PIP_PYTHON, folder)
        run(UV, "pip", "install", "--quiet", "--python", found, *PACKAGES)
        done.write_text(wanted)
    return found


def versions() -> dict[str, str]:
    """Return the versions of what it runs on."""
    listed = json.loads(run(UV, "pip", "list", "--quiet", "--format=json", "--python", python()))
    wanted = ("evidently", "pandas", "numpy", "scipy")
    return {one["name"]: one["version"] for one in listed if one["name"] in wanted}


def race(rival: Rival, rows: int, turns: int) -> Race:
    """Compare so many rows with as many of 20 columns, in turns."""
    kinds = raced(RACED_COLUMNS)
    drawn = draws(kinds, rows, rows, 0)
    reference = {
        str(n): (kind == CATEGORIES, _as_held(one))
        for n, (kind, (one, _)) in enumerate(zip(kinds, drawn, strict=True))
    }
    window = {str(n): _as_held(other) for n, (_, other) in enumerate(drawn)}
    found = Race(rows, [], [], [], [])
    for turn in range(turns + 1):
        begun = time.perf_counter()
        profiles = profiled(reference)
        known = time.perf_counter()
        drift.compare(profiles, reference_profile.count_all(profiles, window))
        done = time.perf_counter()
        rival.ask(f"time {rows}")
        report, tests = rival.answer()
        if turn:  # the first one warms up
            found.report.append(report)
            found.tests.append(tests)
            found.compared.append(done - known)
            found.profiled.append(done - begun)
    return found


def _as_held(values: npt.NDArray[np.generic]) -> npt.NDArray[Any]:
    """Return a column as the product holds it: text as objects, one for all rows that have it."""
    if values.dtype.kind != "U":
        return values
    found, places = np.unique(values, return_inverse=True)
    return np.array(found.tolist(), dtype=object)[places]


def ask_for_alarms(rival: Rival, repetitions: int) -> None:
    """Ask for all checks at once, to be answered while we measure something else."""
    for reference, rows in SIZES:
        rival.ask(*(f"alarms {reference} {rows} {seed}" for seed in range(repetitions)))


def alarms(rival: Rival, repetitions: int) -> Iterator[Alarms]:
    """Wait for the answers."""
    for reference, rows in SIZES:
        yield Alarms(reference, rows, [rival.answer() for _ in range(repetitions)])
