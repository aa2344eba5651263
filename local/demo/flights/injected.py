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
    times = pd.to_datetime(table["time_hour"])
    kept = (times >= at - RECENT) & (times < at - SETTLED)
    past, times = table[kept], times[kept]
    copies = [
        past.assign(
            arr_delay=random.permutation(past["arr_delay"].to_numpy()),
            time_hour=(times + timedelta(minutes=minute)).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        for minute in range(1, COPIES + 1)
    ]
    return pd.concat(copies, ignore_index=True)


def upload(replayed: "Replay", table: pd.DataFrame, seed: int, folder: Path) -> None:
    """Write it as a training file, and let a replay upload it."""
    path = folder / "labels-shuffled.csv"
    shuffled(table, AT, seed).to_csv(path, index=False)
    replayed.inject(SHUFFLED, path)
