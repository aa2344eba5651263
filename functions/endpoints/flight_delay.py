"""Will a flight from New York land more than 15 minutes late?

Asked at the hour of its scheduled departure, with the weather at its airport. Nothing that is known
only after departure may stand here.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import pandas as pd
from msgspec import Meta
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder

from evergreen import Endpoint, Files, Policy

LATE_MINUTES = 15
Code = Annotated[str, Meta(min_length=1, max_length=4)]


class Flight(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One scheduled departure."""

    carrier: Annotated[Code, Meta(description="IATA code of the airline, such as UA")]
    origin: Annotated[Literal["EWR", "JFK", "LGA"], Meta(description="airport of departure")]
    dest: Annotated[Code, Meta(description="IATA code of the airport of arrival, such as IAH")]
    weekday: Annotated[int, Meta(ge=0, le=6, description="day of the week, 0 is Monday")]
    hour: Annotated[int, Meta(ge=0, le=23, description="hour of scheduled departure, local time")]
    distance: Annotated[float, Meta(ge=1, le=20_000, description="miles between the airports")]
    temp: Annotated[float, Meta(ge=-60, le=140, description="temperature, °F")] | None = None
    dewp: Annotated[float, Meta(ge=-80, le=100, description="dew point, °F")] | None = None
    humid: Annotated[float, Meta(ge=0, le=100, description="relative humidity, %")] | None = None
    wind_speed: Annotated[float, Meta(ge=0, le=200, description="wind speed, mph")] | None = None
    wind_gust: Annotated[float, Meta(ge=0, le=250, description="gusts, mph")] | None = None
    precip: Annotated[float, Meta(ge=0, le=20, description="rain in an hour, inches")] | None = None
    pressure: Annotated[float, Meta(ge=850, le=1100, description="pressure, mbar")] | None = None
    visib: Annotated[float, Meta(ge=0, le=100, description="visibility, miles")] | None = None


TEXT = ["carrier", "origin", "dest"]
NUMBERS = [name for name in Flight.__struct_fields__ if name not in TEXT]


def examples(table: pd.DataFrame) -> pd.DataFrame:
    """Turn the table of flights, joined with the weather, into rows with label and time."""
    rows = table[list(Flight.__struct_fields__)].copy()
    rows["label"] = table["arr_delay"].dropna() > LATE_MINUTES
    rows["time"] = table["time_hour"]
    return rows


def candidates(seed: int) -> Mapping[str, Any]:
    """Return a linear model, a boosted one, and the mean of both, which often errs less."""
    numbers = make_pipeline(SimpleImputer(), MinMaxScaler(clip=True))  # to what training saw
    categories = OneHotEncoder(handle_unknown="ignore")
    clipped = make_column_transformer((numbers, NUMBERS), (categories, [*TEXT, "weekday"]))
    linear = make_pipeline(clipped, LogisticRegression(C=0.1, max_iter=300))
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    boosting = make_pipeline(
        make_column_transformer((ordinal, TEXT), ("passthrough", NUMBERS)),  # it takes gaps
        HistGradientBoostingClassifier(
            max_iter=60,
            learning_rate=0.15,
            max_leaf_nodes=7,
            min_samples_leaf=30,
            l2_regularization=10.0,
            early_stopping=False,
            random_state=seed,
        ),
    )
    both = {"logistic-regression": linear, "hist-gradient-boosting": boosting}
    return both | {"mean": VotingClassifier(list(both.items()), voting="soft")}


endpoint = Endpoint(
    row=Flight,
    target=f"lands more than {LATE_MINUTES} minutes late",
    examples=examples,
    candidates=candidates,
    policy=Policy(
        schedule="monthly", holdout_days=7, windows_days=(None, 60), cooldown_days=14, label_days=1
    ),
    slices=("carrier", "origin"),
    fairness=("origin",),
    files=Files(columns={"arr_delay": float}),
    search={
        "hist-gradient-boosting": {  # within policy.search_seconds, which is 0
            "histgradientboostingclassifier__learning_rate": [0.05, 0.1, 0.15, 0.2],
            "histgradientboostingclassifier__max_leaf_nodes": [7, 15, 31],
            "histgradientboostingclassifier__min_samples_leaf": [50, 100, 200, 400],
        }
    },
)
