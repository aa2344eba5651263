"""The life of an endpoint as the demo replays it: what is asked when, and what is known by then."""

import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from endpoints import flight_delay
from evergreen.contract.decoding import MAX_ROWS
from evergreen.contract.problem import Problem
from local.demo import __main__ as main
from local.demo.levels import Options, play
from local.demo.life import BASE_DAYS, About, Life, of_file
from local.demo.replay import scores_of
from local.demo.report import page
from local.demo.report.closing import closing_lines
from local.demo.summary import merge, written
from local.plane.stack import training_file
from tests.support import given
from tests.support.seen import Seen

START = datetime(2013, 1, 11, tzinfo=UTC)
Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Return what writes flights of 31 days, changed as a test wants, to a file."""

    def make(change: Callable[[pd.DataFrame], Any] = lambda table: table, **more: Any) -> Path:
        path = tmp_path / "own.csv"
        path.write_bytes(given.csv(change(given.table(**more))))
        return path

    return make


def own(file: Path, **asked: Any) -> Life:
    usual = {"first": None, "delay": "1d", "months": None, "share": 1}
    return of_file(given.NAME, file, **usual | asked)


def life_of(hours: list[int], delay: int = 24) -> Life:
    """Return a life with a row in each of some hours after 1 January, and half of the labels."""
    times = np.datetime64("2013-01-01", "us") + np.array(sorted(hours)).astype("timedelta64[h]")
    table = given.table(len(hours))
    return Life(
        endpoint=given.NAME,
        file=Path("none"),
        frame=table,
        labels=np.arange(len(hours)) % 2 == 0,
        times=times,
        due=np.maximum(times + np.timedelta64(delay, "h"), np.datetime64("2013-01-11", "us")),
        start=START,
        about=About(metric="log-loss", unit="day", base="", data=""),
    )


@drawn(st.lists(st.integers(0, 720), min_size=1, max_size=60).map(lambda h: [0, *h, 721]))
def test_each_row_after_the_first_part_is_asked_once_in_order_with_those_of_its_hour(
    hours: list[int],
) -> None:
    life = life_of(hours)

    steps = list(life.steps())

    assert sum(len(step.rows) for step in steps) == life.rows == sum(h >= 240 for h in hours)
    assert [label for s in steps for label in s.labels] == life.labels[life.first :].tolist()
    times = [step.time for step in steps]
    assert times == sorted(set(times))
    assert all(START <= step.time < step.due for step in steps)


def test_an_hour_with_more_rows_than_a_request_may_have_is_asked_in_parts() -> None:
    life = life_of([0, *[300] * (2 * MAX_ROWS + 1)])

    assert [len(step.rows) for step in life.steps()] == [MAX_ROWS, MAX_ROWS, 1]


def test_the_base_rate_knows_the_labels_that_have_come_and_no_others() -> None:
    life = life_of([*range(0, 720, 6)])
    at = START + timedelta(days=5)

    before = float(life.constant(Problem(), at))
    life.labels[life.times >= np.datetime64("2013-01-15T00:00:01")] = True  # known a day later

    assert float(life.constant(Problem(), at)) == before == pytest.approx(0.5, abs=0.02)
    assert float(life.constant(Problem(), at + timedelta(days=9))) > 0.6


def test_the_base_rate_looks_back_thirty_days_and_holds_nothing_impossible() -> None:
    life = life_of([*range(0, 24 * 90, 24)])
    life.labels[:] = life.times < np.datetime64("2013-02-01")

    late = float(life.constant(Problem(), START + timedelta(days=70)))

    assert late == pytest.approx(0.5 / BASE_DAYS)


@drawn(st.integers(0, 100), st.sampled_from(["day", "week", "month", "year"]))
def test_a_day_lies_in_its_period_and_periods_follow_each_other(days: int, unit: Any) -> None:
    about, day = About(metric="", unit=unit, base="", data=""), date(2023, 11, 1)
    day += timedelta(days=days * 7)

    first = about.period(day)

    assert first <= day < about.after(first)
    assert about.period(first) == first == about.period(about.after(first) - timedelta(days=1))


def test_rows_without_order_are_replayed_in_the_order_of_time(quick: None, made: Made) -> None:
    usual = own(made())
    mixed = own(made(lambda table: table.sample(frac=1, random_state=1)))

    assert usual.start == mixed.start == datetime(2013, 1, 13, tzinfo=UTC)
    assert mixed.times.tolist() == usual.times.tolist()
    assert sorted(map(str, next(mixed.steps()).rows)) == sorted(map(str, next(usual.steps()).rows))


def test_a_folder_of_parts_is_replayed_as_the_file_that_they_are_of(
    quick: None, made: Made, tmp_path: Path
) -> None:
    usual = own(made())
    folder = tmp_path / "parts"
    (folder / "inner").mkdir(parents=True)
    (folder / "_SUCCESS").touch()
    (folder / "part-0.csv").write_bytes(given.csv(given.table()[:700]))
    (folder / "part-1.csv").write_bytes(given.csv(given.table()[700:]))

    parts = own(folder)

    assert (parts.start, parts.times.tolist()) == (usual.start, usual.times.tolist())
    (folder / "inner" / "other.csv").write_bytes(given.csv(given.table()))
    with pytest.raises(SystemExit, match="2 tables"):
        own(folder)


@pytest.mark.parametrize(
    ("asked", "start"),
    [
        ("2013-01-20", datetime(2013, 1, 20, tzinfo=UTC)),
        ("2013-01-20T12:00:00+01:00", datetime(2013, 1, 20, 11, tzinfo=UTC)),
        ("0.5", datetime(2013, 1, 16, tzinfo=UTC)),
        ("50%", datetime(2013, 1, 16, tzinfo=UTC)),
    ],
)
def test_the_first_part_ends_at_a_date_or_a_share(
    quick: None, made: Made, asked: str, start: datetime
) -> None:
    assert own(made(), first=asked).start == start


def test_months_and_a_share_leave_the_first_part_as_it_is(quick: None, made: Made) -> None:
    file = made(days=90)
    whole = own(file, first="2013-01-20")

    part = own(file, first="2013-01-20", months=1, share=3)

    assert part.first == whole.first
    within = int((whole.times < np.datetime64("2013-02-20")).sum()) - whole.first
    assert part.times[-1] < np.datetime64("2013-02-20")
    assert part.rows == -(-within // 3)


def test_what_will_be_done_is_said_beforehand(quick: None, made: Made) -> None:
    life = own(made(), first="2013-01-20", share=2)

    said = main.announced(life, Options(share=2), (1, 2, 3, 4))

    assert f"{life.first} rows from 2013-01-01 to before 2013-01-20 00:00 UTC train" in said
    assert f"Then {life.rows} until 2013-01-31 are asked for in {len(list(life.steps()))}" in said
    assert "at 4 levels. One row of 2 was replayed" in said
    assert "seconds, and the trainings." in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--endpoint", "air-time", "--runtime", "sam"], "RUNTIME=sam replays the flights only"),
        (["--first", "0.5"], "FIRST and LABEL_DELAY are for your own DATA"),
        (["--months", "12"], "MONTHS is at most 11"),
        (["--data", "nowhere.csv"], "nowhere.csv is neither a file nor a folder"),
    ],
)
def test_options_that_do_not_fit_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["local.demo", *words])

    with pytest.raises(SystemExit, match=said):
        main.main()


def test_a_life_can_be_handed_to_another_process_whatever_the_reader_made_of_its_text(
    quick: None, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = given.quick()

    def examples(table: pd.DataFrame) -> pd.DataFrame:
        rows: pd.DataFrame = usual.examples(table)
        return rows.assign(dest=table["goal"])  # a column that nothing declares

    monkeypatch.setattr(flight_delay, "endpoint", replace(usual, examples=examples))
    life = own(made(lambda table: table.assign(goal=table["dest"])))

    again = pickle.loads(pickle.dumps(life))  # noqa: S301 - our own

    assert [step.rows for step in again.steps()] == [step.rows for step in life.steps()]
    assert {type(row["dest"]) for step in life.steps() for row in step.rows} == {str}


def one_day(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(time_hour="2013-01-01T10:00:00Z")


def last(time: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return what gives the last row a time of its own."""
    return lambda table: table.assign(time_hour=[*table["time_hour"][:-1], time])


@pytest.mark.parametrize(
    ("change", "asked", "said"),
    [
        (one_day, {}, "all are of one day"),
        (last("2099-01-01T10:00:00Z"), {}, "2099-01-01 10:00 UTC, which is in the future"),
        (last("2019-01-01T10:00:00Z"), {}, "no row is between 2013-01-31 and 2019-01-01"),
        (last(""), {}, r"own.csv: row 899 .*the time is missing"),
        (lambda table: table.drop(columns="carrier"), {}, "no column carrier"),
        (lambda table: table.head(0), {}, "own.csv: "),
        (None, {"first": "2012-01-01"}, "until 2012-01-01 leaves no row to train on"),
        (None, {"first": "2014-01-01"}, "until 2014-01-01 leaves none after it"),
        (None, {"first": "tomorrow"}, "FIRST=tomorrow is neither a date nor a share"),
        (None, {"first": "1.5"}, "FIRST=1.5 is neither"),
        (None, {"delay": "soon"}, "LABEL_DELAY=soon is no time"),
        (None, {"delay": "9d"}, "LABEL_DELAY=9d is more than policy.label_days=1"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_a_sentence(
    quick: None, made: Made, change: Any, asked: dict[str, str], said: str
) -> None:
    with pytest.raises(SystemExit, match=said):
        own(made(change) if change else made(), **asked)


def test_years_before_1971_are_refused(quick: None, made: Made) -> None:
    with pytest.raises(SystemExit, match="before 1971"):
        own(made(start=datetime(1970, 2, 1, tzinfo=UTC)))


def flown(folder: Path) -> Path:
    table = given.table(1_500).assign(hour=12)
    file = folder / "flown.csv"
    minutes = table["distance"] / 8 + np.random.default_rng(0).normal(60, 60, len(table))
    file.write_bytes(given.csv(table.assign(air_time=minutes)))
    return file


def weather(folder: Path) -> Path:
    return training_file("weather-tomorrow", None, folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make", "first", "unit", "said"),
    [
        ("weather-tomorrow", weather, "2015-11-20", "week", "the share of each class"),
        ("air-time", flown, "2013-01-29", "day", "the median label"),
    ],
)
def test_problems_of_every_kind_are_asked_measured_and_joined(
    name: str, make: Callable[[Path], Path], first: str, unit: str, said: str, tmp_path: Path
) -> None:
    life = of_file(name, make(tmp_path), first, "1d", None, 1)

    found = play(2, Options(endpoint=name), life, tmp_path / "2", lambda *_: None)

    summary = merge({2: found}, Options(endpoint=name), life.about, 1.0)
    assert found.labels == {"sent": life.rows, "joined": life.rows}
    assert found.total.rows == life.rows
    assert found.total.frozen == pytest.approx(found.total.evergreen)  # by another way to it
    assert 0 < found.total.frozen < 2 * found.total.base_rate
    page.write(tmp_path, summary, {2: found})
    text = Seen((tmp_path / "report.html").read_text()).text
    assert f"{life.about.loss} by {unit}" in text
    assert ("(1 is the labels' mean distance" in text) == (name == "air-time")
    assert said in text
    figures = msgspec.json.decode(written(summary))
    assert figures["about"]["unit"] == unit
    assert figures["periods"][0]["loss"]["frozen"] > 0
    assert figures["levels"]["2"]["periods"]
    assert f"{life.about.metric} " in closing_lines(summary)


def test_scores_are_found_by_the_names_of_classes() -> None:
    life, problem = life_of([0, 300, 301, 302]), Problem(kind="multiclass", classes=["a", "b", "z"])
    life = replace(life, labels=np.array(["a", "a", "new", "z"], dtype=object))
    measured = life.measure(problem)

    scores = scores_of(measured, problem.answers(np.array([[0.1, 0.7, 0.2]])))

    assert measured.classes == ["a", "b", "new", "z"]
    assert scores.tolist() == [[0.1, 0.7, 0.0, 0.2]]
    later = life.constant(measured, START + timedelta(days=20))
    assert (later * 9).tolist() == pytest.approx([4, 1, 2, 2])


def test_a_first_part_that_makes_no_model_says_why(quick: None, made: Made, tmp_path: Path) -> None:
    life = own(made(rows=120), first="2013-01-05")

    with pytest.raises(SystemExit, match=r"rows are fewer than policy.min_rows=100.*FIRST="):
        play(1, Options(), life, tmp_path, lambda *_: None)
