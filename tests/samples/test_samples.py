"""The sample endpoints: what their `examples` make of their data, and that people can read them."""

import numpy as np
import pandas as pd
import pytest

from endpoints import air_time, flight_delay, weather_tomorrow
from evergreen.captures.examples import from_table
from evergreen.contract import endpoint_files
from evergreen.contract.identifiers import endpoint_file
from evergreen.contract.schema import JsonSchema, is_text
from local.samples import packaged
from tests.support import given

SAMPLES = ("air-time", "flight-delay", "weather-tomorrow")
KNOWN_ONLY_LATER = {
    "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum", "label", "late",
}  # fmt: skip


def test_a_table_of_flights_becomes_rows_with_label_and_time(schema: JsonSchema) -> None:
    table = pd.DataFrame(given.table(4)).assign(arr_delay=[15.0, 15.5, -3.0, 400.0])

    rows = flight_delay.examples(table)

    assert set(rows) == {*flight_delay.Flight.__struct_fields__, "label", "time"}
    assert rows["label"].tolist() == [False, True, False, True]
    found = from_table(schema, rows)
    assert len(found) == 4
    assert found.columns["hour"].tolist() == table["hour"].tolist()


def test_a_flight_without_an_arrival_delay_has_no_label() -> None:
    table = given.table(3).assign(arr_delay=[1.0, np.nan, 20.0])

    assert flight_delay.examples(table)["label"].isna().tolist() == [False, True, False]


def test_a_flight_that_was_not_flown_has_no_air_time() -> None:
    table = given.table(3).assign(air_time=[100.0, np.nan, 90.0])

    assert air_time.examples(table)["label"].tolist() == [100.0, 90.0]


def test_a_day_is_labelled_with_the_weather_of_the_next_and_knows_its_week() -> None:
    file = packaged.folder("vega_datasets", "_data") / "seattle-weather.csv"
    table = pd.read_csv(file, parse_dates=["date"])[:10]  # the reader does so too

    rows = weather_tomorrow.examples(table[::-1])

    assert rows["label"].tolist() == table["weather"][8:].tolist()
    assert rows["weather"].tolist() == table["weather"][7:9].tolist()
    assert rows["time"].tolist() == [pd.Timestamp(f"2012-01-{day} 04:00") for day in ("09", "10")]
    weeks = [table[first : first + 7] for first in (1, 2)]
    sums = [week["precipitation"].sum() for week in weeks]
    assert rows["week_precipitation"].tolist() == pytest.approx(sums)
    assert rows["week_temp"].tolist() == pytest.approx([week["temp_max"].mean() for week in weeks])
    assert rows["warmer"].tolist() == pytest.approx(table["temp_max"].diff()[7:9].tolist())


def test_every_text_of_a_flight_is_a_category_and_everything_else_a_number(
    schema: JsonSchema,
) -> None:
    texts = [name for name, spec in schema["properties"].items() if is_text(spec)]

    assert texts == flight_delay.TEXT
    assert sorted([*flight_delay.TEXT, *flight_delay.NUMBERS]) == sorted(schema["properties"])


@pytest.mark.parametrize("name", SAMPLES)
def test_none_of_its_features_is_known_only_after_the_event(name: str) -> None:
    fields = endpoint_files.load(name).row.__struct_fields__

    assert not set(fields) & KNOWN_ONLY_LATER


@pytest.mark.parametrize("name", SAMPLES)
def test_the_file_of_the_user_can_be_read_in_a_minute(name: str) -> None:
    assert len(endpoint_file(name).read_text().splitlines()) < 100
