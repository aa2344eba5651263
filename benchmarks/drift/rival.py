"""Ours against evidently, in turns, on the same rows."""

import json
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.drift.evidently import columns
from benchmarks.installed import PIP_PYTHON, UV, run
from benchmarks.shown import Goal, Part
from evergreen.monitoring import drift, reference_profile

# The newest pandas that it can be imported with.
PACKAGES = ("evidently==0.7.23", "pandas<3")


def race(rows: int, turns: int) -> Part:
    """Compare so many rows with as many of 20 columns, in turns.

    Returns no table where evidently cannot be installed, as without a network.
    """
    packages = [f"--with={package}" for package in PACKAGES]
    theirs: list[str | Path] = ["env", "OMP_NUM_THREADS=1", UV, "run", "--quiet", "--no-project"]
    theirs += [*packages, "--python", PIP_PYTHON, "-m", "benchmarks.drift.evidently"]
    try:
        run(*theirs, "1000")
    except subprocess.CalledProcessError as error:
        print(f"evidently is left out: {error}", flush=True)
        return Part([], whole=False)
    reference, window = (
        {name: _as_held(values) for name, values in columns(rows, seed).items()} for seed in (0, 1)
    )
    times = np.zeros(rows, dtype="datetime64[us]")  # of one week
    seconds = []  # of each turn: ours with the reference's profile at hand, and with its making,
    for turn in range(turns + 1):  # theirs as its preset's report, and the preset's tests alone
        begun = time.perf_counter()
        profiles = {
            name: reference_profile.profile_of(values, times, text=values.dtype == object)
            for name, values in reference.items()
        }
        known = time.perf_counter()
        drift.compare(profiles, reference_profile.count_all(profiles, window))
        done = time.perf_counter()
        if turn:  # the first one warms up; theirs does so each time
            *said, versions = json.loads(run(*theirs, str(rows)))
            seconds.append([done - known, done - begun, *said])
    compared, profiled, report, tests = map(median, zip(*seconds, strict=True))
    remark = (
        f"{rows:,} rows against {rows:,}, 15 numbers and 5 categories, "
        f"{turns} turns each; medians. Ours takes {compared:.3f} s with a "
        f"ready reference profile, as in every check, and {profiled:.2f} s including "
        f"its making. {versions}."
    )
    lines = [
        [name, f"{took:.2f}", f"{took / compared:.0f} ×", f"{took / profiled:.0f} ×"]
        for name, took in (("its preset's report", report), ("its tests alone", tests))
    ]
    heads = ["evidently", "s", "over ours", "over ours and its profile"]
    faster = report / compared
    goal = Goal("faster than evidently's report", f"{faster:.0f} ×", "≥ 20 ×", faster >= 20)
    return Part([("Time, beside evidently", remark, heads, lines)], [goal])


def _as_held(values: npt.NDArray[np.generic]) -> npt.NDArray[Any]:
    """Return a column as the product holds it: text as objects, one for all rows that have it."""
    if values.dtype.kind != "U":
        return values
    found, places = np.unique(values, return_inverse=True)
    return np.array(found.tolist(), dtype=object)[places]
