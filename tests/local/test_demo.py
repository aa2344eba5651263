"""The demo over its first week: what it must be over the year holds there too."""

import io

import msgspec
import pandas as pd
import pytest
from rich.console import Console

import endpoints
from local import demo, flights
from local.replay import BaseRate
from local.summary import Summary, closing_lines, closing_table

DAYS = 4


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    found = flights.flights()
    assert len(found) == 327_346
    return found[(found["month"] == 1) | ((found["month"] == 2) & (found["day"] <= DAYS))]


@pytest.fixture(scope="module")
def summaries(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> list[Summary]:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch, (folder / "log").open("w") as log:
        patch.setattr(flights, "flights", lambda: table)
        console = Console(file=log, width=100)
        return [demo.run(console, log, "flight-delay", 1, 3).summary for _ in range(2)]


def test_every_request_is_answered_captured_and_joined(
    summaries: list[Summary], table: pd.DataFrame
) -> None:
    rows = int((table["month"] == 2).sum())
    summary = summaries[0]

    assert summary.requests == {"sent": 76, "answered": 76, "errors": 0}
    assert summary.captures == {"written": rows, "distinct": rows}
    assert summary.labels == {"sent": rows, "joined": rows}
    assert [(month.month, month.rows) for month in summary.months] == [(2, rows)]
    assert summary.dead_letters == 0


def test_the_same_seed_gives_the_same_summary(summaries: list[Summary]) -> None:
    first, second = (
        {
            name: value
            for name, value in msgspec.to_builtins(summary).items()
            if name not in ("seconds", "peak_memory_mb")
        }
        for summary in summaries
    )

    assert first == second


def test_the_frozen_model_and_evergreen_are_one_until_something_is_promoted(
    summaries: list[Summary],
) -> None:
    summary = summaries[0]

    assert [event.type for event in summary.events] == ["Model Trained", "Model Promoted"]
    assert summary.log_loss.evergreen == pytest.approx(summary.log_loss.frozen, abs=1e-9)


def test_the_base_rate_knows_the_days_before_and_not_the_day_itself(table: pd.DataFrame) -> None:
    rate = BaseRate(table)
    changed = table.copy()
    today = (changed["month"] == 2) & (changed["day"] == DAYS)
    changed.loc[today, "arr_delay"] = 500.0

    day = pd.Timestamp(2013, 2, DAYS).date()

    assert BaseRate(changed).at(day) == rate.at(day)
    assert 0.1 < rate.at(day) < 0.4


def test_an_impossible_reading_of_the_weather_is_a_missing_one(table: pd.DataFrame) -> None:
    whole = flights.flights()

    assert whole["wind_speed"].max() < flights.MAX_WIND_SPEED
    assert whole["wind_speed"].isna().sum() > whole["temp"].isna().sum()


def test_no_request_of_the_demo_has_a_field_that_is_known_only_after_departure(
    table: pd.DataFrame,
) -> None:
    fields = list(endpoints.load("flight-delay").row.__struct_fields__)
    hour = next(flights.hours(table, fields, 2, 2))

    assert set(hour.rows[0]) == set(fields)
    assert not set(fields) & {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}


def test_the_closing_table_has_a_line_for_each_month_and_one_for_all(
    summaries: list[Summary],
) -> None:
    console = Console(width=100, record=True, file=io.StringIO())

    console.print(closing_table(summaries[0]))
    console.print(closing_lines(summaries[0]))

    text = console.export_text()
    assert "Feb" in text
    assert "all" in text
    assert "76 of 76 requests answered" in text
