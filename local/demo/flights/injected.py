"""A bad training file that the demo uploads in autumn, at the levels that retrain.

It is made of flights that had landed by then. A person notices, and deletes it once it has been
trained on; the version that came of it stays. See vendor.py for a model that turns bad later.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from local.samples import flights

if TYPE_CHECKING:
    from local.demo.replay import Replay

SHUFFLED = "labels shuffled"
AT = datetime(flights.YEAR, 9, 16, 15, tzinfo=UTC)
LEVELS = (3, 4)  # those at which an upload becomes a version
COPIES = 4  # of each flight, with the outcome of another
RECENT = timedelta(days=50)  # within the shortest history that is fitted
SETTLED = timedelta(days=9)  # before the holdout begins


def shuffled(table: pd.DataFrame, at: datetime, seed: int) -> pd.DataFrame:
    """Return past flights several times, each time with the outcomes of others.

    The copies are some minutes apart, so no two rows are the same.
    """
    random = np.random.default_rng(seed)
    past = _between(table, at - RECENT, at - SETTLED)
    copies = []
    for minute in range(1, COPIES + 1):
        copy = past.copy()
        copy["arr_delay"] = random.permutation(past["arr_delay"].to_numpy())
        copy["time_hour"] = _text(pd.to_datetime(past["time_hour"]) + timedelta(minutes=minute))
        copies.append(copy)
    return pd.concat(copies, ignore_index=True)


def upload(replayed: "Replay", table: pd.DataFrame, seed: int, folder: Path) -> None:
    """Write it as a training file, and let a replay upload it."""
    path = folder / "labels-shuffled.csv"
    shuffled(table, AT, seed).to_csv(path, index=False)
    replayed.inject(SHUFFLED, path)


def _between(table: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    hours = table["time_hour"]
    return table[(hours >= _text_of(start)) & (hours < _text_of(end))]


def _text_of(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _text(times: pd.Series) -> list[str]:
    return list(times.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
