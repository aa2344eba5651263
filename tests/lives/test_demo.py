"""The demo over its first days: what it must be over the year holds there too."""

import io
import multiprocessing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from evergreen.contract import endpoint_files
from local.demo import __main__ as main
from local.demo import levels
from local.demo.flights import injected
from local.demo.flights.life import START, chosen, life
from local.demo.levels import Options, play
from local.demo.life import Life
from local.demo.report.closing import closing_lines, closing_table
from local.demo.result import Result
from local.demo.summary import merge
from local.samples import flights
from tests.support import children

pytestmark = pytest.mark.slow

DAYS = 4
SHARE = 4
OPTIONS = Options(seed=3, share=SHARE)
AT = datetime(2013, 10, 31, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def year() -> pd.DataFrame:
    found = flights.flights()
    assert len(found) == 327_346
    return found


@pytest.fixture(scope="module")
def table(year: pd.DataFrame) -> pd.DataFrame:
    days = (year["month"] == 1) | ((year["month"] == 2) & (year["day"] <= DAYS))
    return chosen(year[days].reset_index(drop=True), SHARE)


@pytest.fixture(scope="module")
def days(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Life:
    return life(table, tmp_path_factory.mktemp("life"), 1, OPTIONS.seed)


@pytest.fixture(scope="module")
def results(days: Life, tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """Return levels 1 and 4, and 4 again."""
    return [
        play(level, OPTIONS, days, tmp_path_factory.mktemp("level"), lambda *_: None)
        for level in (1, 4, 4)
    ]


def test_every_request_is_answered_captured_and_joined(
    results: list[Result], table: pd.DataFrame
) -> None:
    rows = int((table["month"] == 2).sum())
    seen = results[1]

    assert seen.requests["sent"] == seen.requests["answered"] >= 70
    assert seen.captures == {"written": rows, "distinct": rows}
    assert seen.labels == {"sent": rows, "joined": rows}
    assert {start: tally.rows for start, tally in seen.tallies.items()} == {date(2013, 2, 1): rows}
    assert seen.dead_letters == 0


def test_the_same_seed_gives_the_same_result(results: list[Result]) -> None:
    first, second = (
        {
            name: value
            for name, value in msgspec.to_builtins(result).items()
            if name not in ("seconds", "peak_memory_mb")
        }
        for result in results[1:]
    )

    assert first == second


def test_all_levels_are_asked_alike_and_autopilot_answers_what_scores_mean_by_now(
    results: list[Result],
) -> None:
    frozen, autopilot = results[0], results[1]

    assert frozen.requests == autopilot.requests
    assert frozen.total.evergreen == frozen.total.frozen == autopilot.total.frozen
    assert autopilot.total.evergreen != autopilot.total.frozen
    assert frozen.captures["written"] == 0
    assert [decision.type for decision in autopilot.decisions] == ["promoted"]


def test_the_closing_table_has_a_column_for_each_level_and_a_line_for_each_month(
    results: list[Result], days: Life
) -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    summary = merge({1: results[0], 4: results[1]}, OPTIONS, days.about, 9.0)

    console.print(closing_table(summary))
    console.print(closing_lines(summary))

    text = console.export_text()
    for part in ("level 1", "level 4", "Feb", "all", "One flight of 4 was replayed"):
        assert part in text
    both = 2 * results[0].requests["sent"]
    assert f"{both} of {both} requests answered" in text


def test_a_share_is_the_same_flights_each_time_and_leaves_the_first_training_as_it_is(
    year: pd.DataFrame,
) -> None:
    third = chosen(year, 3)
    april = chosen(year[year["month"] == 4].reset_index(drop=True), 3)

    later = third["month"] > 1
    assert abs(later.sum() / (year["month"] > 1).sum() - 1 / 3) < 0.01
    assert (third["month"] == 4).sum() == len(april)
    assert (third["month"] == 1).sum() == (year["month"] == 1).sum()
    assert chosen(year, 1) is year


def test_an_impossible_reading_of_the_weather_is_a_missing_one(year: pd.DataFrame) -> None:
    assert year["wind_speed"].max() < flights.MAX_WIND_SPEED
    assert year["wind_speed"].isna().sum() > year["temp"].isna().sum()


def test_no_request_of_the_demo_has_a_field_that_is_known_only_after_departure(days: Life) -> None:
    fields = list(endpoint_files.load("flight-delay").row.__struct_fields__)
    step = next(days.steps())

    assert set(step.rows[0]) == set(fields)
    assert not set(fields) & {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}


def test_a_flight_after_midnight_in_utc_is_of_the_day_in_new_york_and_reported_next_morning(
    days: Life,
) -> None:
    late = [step for step in days.steps() if step.time.hour < START.hour]

    assert late
    for step in late:
        assert step.day.day == step.time.day - 1
        assert step.due == datetime(2013, 2, step.time.day, 9, tzinfo=UTC)


def test_a_bad_file_has_nothing_of_the_future_nor_of_the_holdout(year: pd.DataFrame) -> None:
    later = year["time_hour"] >= f"{AT:%Y-%m-%dT%H:%M:%SZ}"
    changed = year.copy()
    changed.loc[later, "arr_delay"] = 500.0

    rows = injected.shuffled(year, AT, 0)

    times = pd.to_datetime(rows["time_hour"])
    assert times.max() <= AT - injected.SETTLED
    assert times.min() >= AT - injected.RECENT
    pd.testing.assert_frame_equal(rows, injected.shuffled(changed, AT, 0))


def test_shuffled_labels_are_late_as_often_and_go_with_no_flight(year: pd.DataFrame) -> None:
    rows = injected.shuffled(year, AT, 0)

    hours = year["time_hour"]
    past = year[(hours >= "2013-09-11T15") & (hours < "2013-10-22T15")]
    late = rows["arr_delay"] > flights.LATE_MINUTES
    truth = np.tile(past["arr_delay"].to_numpy() > flights.LATE_MINUTES, injected.COPIES)
    assert late.mean() == pytest.approx(truth.mean())
    assert abs(np.corrcoef(late, truth)[0, 1]) < 0.02
    assert not rows.duplicated(["carrier", "flight", "origin", "time_hour"]).any()


@pytest.mark.parametrize(
    ("child", "said"),
    [(children.obedient, "level 3 was asked to"), (children.silent, "terminated abruptly")],
)
def test_a_level_that_fails_ends_the_demo_with_its_reason_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: Any, said: str
) -> None:
    monkeypatch.setattr(levels, "_play", child)
    nothing: Any = None  # options and flights, whose classes the child would have to import

    with pytest.raises(SystemExit, match=said):
        levels.run((3,), nothing, nothing, tmp_path, lambda *_: None)

    assert not multiprocessing.active_children()


def test_the_progress_shows_each_level_and_its_decisions(results: list[Result]) -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    with main.bar(console, "flights") as progress:
        show = main.shower(progress, (1, 4), 10)
        show(4, "rows", (AT, 10))
        for event in results[1].events:
            show(4, "event", event)
        show(4, "ended", None)

    text = console.export_text()
    assert "4 autopilot, 31 Oct" in text
    assert "Model Promoted" in text
    assert "Model Trained" not in text
