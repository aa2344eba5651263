"""Ours against evidently, in turns, on the same rows."""

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.drift.evidently import columns
from benchmarks.installed import BUILD, PIP_PYTHON, UV, run
from evergreen.monitoring import drift, reference_profile

# The newest pandas that it can be imported with.
PACKAGES = ("evidently==0.7.23", "pandas<3")


@dataclass(frozen=True)
class Race:
    """Seconds of each turn, over so many rows.

    report, tests: theirs, as its preset does it, and the preset's tests alone. compared, profiled:
    ours, with the reference's profile at hand, as a check has it, and with the making of it.
    versions: of what theirs runs on.
    """

    rows: int
    versions: dict[str, str]
    report: list[float]
    tests: list[float]
    compared: list[float]
    profiled: list[float]

    def times_faster(self, theirs: Sequence[float], ours: Sequence[float]) -> float:
        """Return the ratio of medians."""
        return median(theirs) / median(ours)


def race(rows: int, turns: int) -> Race | None:
    """Compare so many rows with as many of 20 columns, in turns.

    Returns None where evidently cannot be installed, as without a network.
    """
    try:
        python = installed()
    except subprocess.CalledProcessError as error:
        print(f"evidently is left out: {error}", flush=True)
        return None
    theirs = ("env", "OMP_NUM_THREADS=1", python, "-m", "benchmarks.drift.evidently", str(rows))
    reference, window = (
        {name: _as_held(values) for name, values in columns(rows, seed).items()} for seed in (0, 1)
    )
    times = np.zeros(rows, dtype="datetime64[us]")  # of one week
    found = Race(rows, versions(python), [], [], [], [])
    for turn in range(turns + 1):
        begun = time.perf_counter()
        profiles = {
            name: reference_profile.profile_of(values, times, text=values.dtype == object)
            for name, values in reference.items()
        }
        known = time.perf_counter()
        drift.compare(profiles, reference_profile.count_all(profiles, window))
        done = time.perf_counter()
        if turn:  # the first one warms up; theirs does so each time
            found.compared.append(done - known)
            found.profiled.append(done - begun)
            report, tests = json.loads(run(*theirs))
            found.report.append(report)
            found.tests.append(tests)
    return found


def installed() -> Path:
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


def versions(python: Path) -> dict[str, str]:
    """Return the versions of what it runs on."""
    listed = json.loads(run(UV, "pip", "list", "--quiet", "--format=json", "--python", python))
    wanted = ("evidently", "pandas", "numpy", "scipy")
    return {one["name"]: one["version"] for one in listed if one["name"] in wanted}


def _as_held(values: npt.NDArray[np.generic]) -> npt.NDArray[Any]:
    """Return a column as the product holds it: text as objects, one for all rows that have it."""
    if values.dtype.kind != "U":
        return values
    found, places = np.unique(values, return_inverse=True)
    return np.array(found.tolist(), dtype=object)[places]
