"""What kind of weather will there be in Seattle tomorrow?

Asked in the evening, with the weather of the day and of the week: a problem of several classes.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pandas as pd
from msgspec import Meta
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder

from evergreen import Endpoint, Files, Policy

Celsius = Annotated[float, Meta(ge=-60, le=60)]
Rain = Annotated[float, Meta(ge=0, le=2_000)]
EVENING = pd.Timedelta(hours=28)  # after the beginning of a date: 8 pm in Seattle, in UTC


class Day(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One day that ends, and the days before it."""

    weather: Annotated[
        Literal["drizzle", "fog", "rain", "snow", "sun"], Meta(description="kind of weather today")
    ]
    precipitation: Annotated[Rain, Meta(description="rain and snow today, mm")]
    temp_max: Annotated[Celsius, Meta(description="highest temperature today, °C")]
    temp_min: Annotated[Celsius, Meta(description="lowest temperature today, °C")]
    wind: Annotated[float, Meta(ge=0, le=100, description="wind speed today, m/s")]
    warmer: Annotated[float, Meta(ge=-60, le=60, description="by how much than yesterday, °C")]
    week_precipitation: Annotated[Rain, Meta(description="rain and snow of seven days, mm")]
    week_temp: Annotated[Celsius, Meta(description="mean highest temperature of seven days, °C")]


TEXT = ["weather"]
NUMBERS = [name for name in Day.__struct_fields__ if name not in TEXT]


def examples(table: pd.DataFrame) -> pd.DataFrame:
    """Turn a table of days into rows with label and time; the last day has no tomorrow yet."""
    days = table.sort_values("date", ignore_index=True)
    rows = days[["weather", "precipitation", "temp_max", "temp_min", "wind"]].copy()
    week = days.rolling(7, on="date")
    rows["warmer"] = days["temp_max"].diff()
    rows["week_precipitation"] = week["precipitation"].sum().clip(lower=0)  # sums leave -1e-15
    rows["week_temp"] = week["temp_max"].mean()
    rows["label"] = days["weather"].shift(-1)
    rows["time"] = days["date"] + EVENING
    return rows[7:-1]


def candidates(seed: int) -> Mapping[str, Any]:
    """Return a linear model, a forest, and the mean of both; there are too few days for more."""
    linear = make_pipeline(
        make_column_transformer(
            (MinMaxScaler(clip=True), NUMBERS),  # to what training saw
            (OneHotEncoder(handle_unknown="ignore"), TEXT),
        ),
        LogisticRegression(C=0.1, max_iter=500),
    )
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    forest = make_pipeline(
        make_column_transformer((ordinal, TEXT), ("passthrough", NUMBERS)),
        RandomForestClassifier(
            n_estimators=60, min_samples_leaf=15, max_features=0.5, random_state=seed
        ),
    )
    both = {"logistic-regression": linear, "random-forest": forest}
    return both | {"mean": VotingClassifier(list(both.items()), voting="soft")}


endpoint = Endpoint(
    row=Day,
    target="the kind of weather tomorrow",
    problem="multiclass",
    examples=examples,
    candidates=candidates,
    policy=Policy(
        schedule="monthly",
        holdout_days=180,
        windows_days=(None,),
        min_rows=300,
        drift_window_days=30,
        cooldown_days=21,
        label_days=2,
    ),
    slices=("weather",),
    files=Files(columns={"date": datetime}, time_format="%Y/%m/%d"),
)
