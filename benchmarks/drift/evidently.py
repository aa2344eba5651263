"""Run in evidently's own environment: print the seconds that its comparison of the race takes.

As JSON: of a report as its preset makes it, and of the preset's tests alone; then the versions.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

NUMBERS, TEXTS = [f"x{n}" for n in range(15)], [f"t{n}" for n in range(5)]
CATEGORY_SHARES = (0.5, 0.25, 0.15, 0.08, 0.02)
WARM_UP_ROWS = 1_000
LIBRARIES = ("evidently", "numpy", "pandas", "scipy")


def columns(rows: int, seed: int) -> dict[str, npt.NDArray[np.generic]]:
    """Return the columns of one side of the race, each of shape (rows,): numbers, and text."""
    random = np.random.default_rng(seed)
    words = np.array(list("abcde"))
    return {
        **{name: random.normal(size=rows).astype(np.float32) for name in NUMBERS},
        **{name: words[random.choice(5, size=rows, p=CATEGORY_SHARES)] for name in TEXTS},
    }


def main() -> None:
    """Compare so many rows with as many, as the command's argument says, once warm."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    library = import_module("evidently")  # which only this environment has
    definition = library.DataDefinition(numerical_columns=NUMBERS, categorical_columns=TEXTS)
    report = library.Report([import_module("evidently.presets").DataDriftPreset()])
    tests = library.Report([import_module("evidently.metrics").DriftedColumnsCount()])
    seconds: list[float] = []
    for rows in (WARM_UP_ROWS, int(sys.argv[1])):
        reference, window = (
            library.Dataset.from_pandas(pd.DataFrame(columns(rows, seed)), definition)
            for seed in (0, 1)
        )
        seconds = [
            _seconds(lambda: report.run(window, reference)),  # noqa: B023 - called at once
            _seconds(lambda: tests.run(window, reference).dict()),  # noqa: B023
        ]
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    print(json.dumps([*seconds, versions]))


def _seconds(compare: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    compare()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
