"""How many minutes will a flight from New York be in the air?

Asked at the hour of its scheduled departure, with the weather at its airport: a regression.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import pandas as pd
from msgspec import Meta
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder

from evergreen import Endpoint, Files, Policy

Code = Annotated[str, Meta(min_length=1, max_length=4)]


class Flight(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One scheduled departure."""

    carrier: Annotated[Code, Meta(description="IATA code of the airline, such as UA")]
    origin: Annotated[Literal["EWR", "JFK", "LGA"], Meta(description="airport of departure")]
    dest: Annotated[Code, Meta(description="IATA code of the airport of arrival, such as IAH")]
    hour: Annotated[int, Meta(ge=0, le=23, description="hour of scheduled departure, local time")]
    distance: Annotated[float, Meta(ge=1, le=20_000, description="miles between the airports")]
    temp: Annotated[float, Meta(ge=-60, le=140, description="temperature, °F")] | None = None
    wind_speed: Annotated[float, Meta(ge=0, le=200, description="wind speed, mph")] | None = None
    wind_gust: Annotated[float, Meta(ge=0, le=250, description="gusts, mph")] | None = None
    pressure: Annotated[float, Meta(ge=850, le=1100, description="pressure, mbar")] | None = None


TEXT = ["carrier", "origin", "dest"]
NUMBERS = [name for name in Flight.__struct_fields__ if name not in TEXT]


def examples(table: pd.DataFrame) -> pd.DataFrame:
    """Turn the table of flights, joined with the weather, into rows with label and time."""
    flown = table[table["air_time"].notna()]
    rows = flown[list(Flight.__struct_fields__)].copy()
    rows["label"] = flown["air_time"]
    rows["time"] = flown["time_hour"]
    return rows


def candidates(seed: int) -> Mapping[str, Any]:
    """Return a linear model of airline and route, a boosted one of the median, and their mean."""
    numbers = make_pipeline(SimpleImputer(), MinMaxScaler(clip=True))  # to what training saw
    categories = OneHotEncoder(handle_unknown="ignore")
    clipped = make_column_transformer((numbers, NUMBERS), (categories, TEXT))
    linear = make_pipeline(clipped, Ridge(alpha=1.0))
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    boosting = make_pipeline(
        make_column_transformer((ordinal, TEXT), ("passthrough", NUMBERS)),
        HistGradientBoostingRegressor(
            loss="absolute_error",  # as errors are measured
            max_iter=60,
            learning_rate=0.2,
            max_leaf_nodes=15,
            min_samples_leaf=50,
            early_stopping=False,
            random_state=seed,
        ),
    )
    both = {"ridge": linear, "hist-gradient-boosting": boosting}
    return both | {"mean": VotingRegressor(list(both.items()))}


endpoint = Endpoint(
    row=Flight,
    target="minutes in the air",
    problem="regression",
    examples=examples,
    candidates=candidates,
    policy=Policy(
        schedule="monthly", holdout_days=7, windows_days=(None, 60), cooldown_days=21, label_days=1
    ),
    slices=("carrier", "origin"),
    files=Files(columns={"air_time": float}),
)
