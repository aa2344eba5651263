"""Run in evidently's own environment: one command a line, one line of JSON as its answer.

`time rows`: seconds that a comparison of the race takes, as a report and without its pictures.
`alarms reference rows seed`: how many of 30 columns are called drifted.
"""

import json
import sys
import time
import warnings
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.drift.columns import CATEGORIES, draws, mixed, raced

RACED_COLUMNS = 20
COLUMNS = 30


class Evidently:
    """What is used of the library, which only this environment has."""

    def __init__(self) -> None:
        library, metrics = import_module("evidently"), import_module("evidently.metrics")
        self._report, self._preset = library.Report, import_module("evidently.presets")
        self._dataset, self._definition = library.Dataset, library.DataDefinition
        self._count = metrics.DriftedColumnsCount

    def datasets(self, kinds: list[str], reference: int, rows: int, seed: int) -> list[Any]:
        """Return the reference and the window, their types declared."""
        drawn = draws(kinds, reference, rows, seed)
        names = [str(n) for n in range(len(kinds))]
        texts = [name for name, kind in zip(names, kinds, strict=True) if kind == CATEGORIES]
        numbers = [name for name in names if name not in texts]
        definition = self._definition(numerical_columns=numbers, categorical_columns=texts)
        sides = zip(*drawn, strict=True)
        frames = [pd.DataFrame(dict(zip(names, side, strict=True))) for side in sides]
        return [self._dataset.from_pandas(one, data_definition=definition) for one in frames]

    def report(self, reference: Any, window: Any) -> None:
        """Compare as the preset does."""
        self._report([self._preset.DataDriftPreset()]).run(window, reference)

    def drifted(self, reference: Any, window: Any) -> int:
        """Return how many columns the preset's own tests call drifted."""
        run = self._report([self._count()]).run(window, reference)
        return int(run.dict()["metrics"][0]["value"]["count"])


def main() -> None:
    """Answer until standard input ends."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    library = Evidently()
    race: list[Any] = []
    for line in sys.stdin:
        command, *given = line.split()
        if command == "time":
            rows = int(given[0])
            race = race or library.datasets(raced(RACED_COLUMNS), rows, rows, 0)
            answer: Any = [_seconds(library.report, race), _seconds(library.drifted, race)]
        else:
            reference, rows, seed = map(int, given)
            answer = library.drifted(*library.datasets(mixed(COLUMNS), reference, rows, seed))
        print(json.dumps(answer), flush=True)


def _seconds(compare: Any, race: list[Any]) -> float:
    begun = time.perf_counter()
    compare(*race)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
