"""What the demo replays: the rows of an endpoint in order of time, of which the first part trains.

The rows of a user's file and the flights of the sample are two sources of the same.
"""

import re
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import batched, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from evergreen.captures.examples import moment, plain, utc
from evergreen.contract import endpoint_files
from evergreen.contract.decoding import MAX_ROWS
from evergreen.contract.problem import Floats, Kind, Problem
from evergreen.contract.schema import schema_of
from local.plane import training_rows

if TYPE_CHECKING:
    from local.demo.replay import Replay

Unit = Literal["day", "week", "month", "year"]
DAY = np.timedelta64(1, "D")
BASE_DAYS = 30
FIRST_SHARE = 0.3
SPANS: tuple[tuple[int, Unit], ...] = ((14, "day"), (100, "week"), (1_100, "month"))  # days
LONGEST = timedelta(days=366)  # without a row: more of it is a wrong time, and takes minutes
EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)  # ids of predictions begin with the time since 1970
STEPS_AT_ONCE = 200
DELAY = re.compile(r"(\d+(?:\.\d+)?)([mhdw])")
WHEN: dict[Kind, str] = {
    "binary": "the share of true labels",
    "multiclass": "the share of each class",
    "regression": "the median label",
}


class About(msgspec.Struct, frozen=True, kw_only=True):
    """The words of one source, for the table and the page.

    metric: the loss. unit: what the table has a line for. noun: what the rows are. base: what the
    base rate answers. data, went_wrong, drift: sentences of the page.
    """

    metric: str
    unit: Unit
    base: str
    data: str
    noun: str = "rows"
    went_wrong: str = "Nothing was made to go wrong here."
    drift: str = ""

    @property
    def loss(self) -> str:
        """Return the metric as a heading has it, with its unit where that is not known."""
        unit = " (1 is the labels' mean distance from their median)" * self.metric.startswith("rel")
        return self.metric[0].upper() + self.metric[1:] + unit

    def period(self, day: date) -> date:
        """Return the first day of the period that a day belongs to.

        >>> About(metric="", unit="week", base="", data="").period(date(2024, 3, 1))
        datetime.date(2024, 2, 26)
        """
        return pd.Period(day, self.unit[0].upper()).start_time.date()

    def after(self, period: date) -> date:
        """Return the first day of the next period."""
        return (pd.Period(period, self.unit[0].upper()) + 1).start_time.date()


@dataclass(frozen=True)
class Step:
    """What is asked at once, with the labels that become known at `due`."""

    time: datetime
    due: datetime
    day: date
    rows: list[dict[str, Any]]
    labels: npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Life:
    """Rows with their labels, in order of time.

    file: what is uploaded for the first training; `hides` its rows from `start` on. frame: has the
    fields of a request. labels, times, due: shape (rows,); due is when a label is reported. start:
    when the first training begins; what is before is known by then. day_begins: after midnight UTC.
    story: what else happens, as a context in which the rows after the first part are replayed.
    """

    endpoint: str
    file: Path
    frame: pd.DataFrame
    labels: npt.NDArray[Any]
    times: npt.NDArray[np.datetime64]
    due: npt.NDArray[np.datetime64]
    start: datetime
    about: About
    hides: bool = True
    day_begins: timedelta = timedelta()
    story: "Callable[[Replay], AbstractContextManager[object]] | None" = None

    @property
    def first(self) -> int:
        """Return the number of rows in the first part."""
        return int(np.searchsorted(self.times, moment(self.start)))

    @property
    def rows(self) -> int:
        """Return the number of rows that are asked for."""
        return len(self.times) - self.first

    @property
    def days(self) -> npt.NDArray[np.datetime64]:
        """Return the day of each row, shape (rows,)."""
        return (self.times - np.timedelta64(self.day_begins)).astype("datetime64[D]")

    def training(self) -> AbstractContextManager[object]:
        """Return the context in which trainings know the first part of the file only."""
        hides = self.hides
        return training_rows.hidden(self.endpoint, self.start) if hides else nullcontext()

    @property
    def bounds(self) -> list[int]:
        """Return where each step begins, and the end: the rows of an hour, MAX_ROWS at most."""
        hours = self.times.astype("datetime64[h]")
        starts = np.flatnonzero(hours[1:] != hours[:-1]) + 1
        starts = np.concatenate([[self.first], starts[starts > self.first], [len(hours)]])
        parts = (range(low, high, MAX_ROWS) for low, high in pairwise(starts.tolist()))
        return [*(start for part in parts for start in part), len(hours)]

    def steps(self) -> Iterator[Step]:
        """Yield what is asked for after the first part."""
        endpoint, days = endpoint_files.load(self.endpoint), self.days
        schema = schema_of(self.endpoint, endpoint.row)
        fields = self.frame[list(schema["properties"])]
        for some in batched(pairwise(self.bounds), STEPS_AT_ONCE, strict=False):
            begin, end = some[0][0], some[-1][1]
            rows = plain(fields.iloc[begin:end], schema, endpoint.files)
            for low, high in some:
                yield Step(
                    utc(self.times[high - 1]),
                    utc(self.due[high - 1]),
                    days[low].item(),
                    rows[low - begin : high - begin],
                    self.labels[low:high],
                )

    def measure(self, problem: Problem) -> Problem:
        """Return what losses are measured by: the problem of the first model, and every class."""
        if problem.kind != "multiclass":
            return problem
        classes = sorted({*problem.classes, *self.labels.tolist()})
        return msgspec.structs.replace(problem, classes=classes)

    def constant(self, problem: Problem, at: datetime) -> Floats:
        """Return the best constant for the newest thirty days whose labels are known at a time.

        It is the simplest thing that adapts. No class is impossible to it: one that those days do
        not have gets the share of half a row.
        """
        known = int(np.searchsorted(self.due, moment(max(at, self.start)), side="right"))
        days = self.days[:known]
        low = int(np.searchsorted(days, days[-1] - (BASE_DAYS - 1) * DAY))
        found = problem.constant(self.labels[low:known])
        if problem.kind == "regression":
            return found
        least = 0.5 / (known - low)
        found = np.clip(found, least, 1 - least)
        return found / found.sum() if found.ndim else found


def add_options(parser: ArgumentParser) -> None:
    """Add what says whose rows are replayed, which of them train, and when labels come."""
    names = endpoint_files.names()
    parser.add_argument("--endpoint", default="flight-delay", choices=names, help="whose requests")
    parser.add_argument("--data", type=Path, help="training data, or a folder of its parts")
    first = "where the part ends that trains: a date, or a share of the rows, such as 0.3"
    parser.add_argument("--first", help=f"{first}; later rows are asked for at their time")
    delay = "after which a label is reported, such as 12h or 1d"
    parser.add_argument("--label-delay", default="1d", help=delay)


def of_file(
    endpoint: str, file: Path, first: str | None, delay: str, months: int | None, share: int
) -> Life:
    """Return the life in a user's file; SystemExit says why it cannot be replayed.

    first: where the first part ends, see `training_rows.first_until`. delay: after which a label is
    known, such as 1d. months: how many are replayed. share: one row in so many, after the first.
    """
    usual = endpoint_files.load(endpoint)
    policy, kind = usual.policy, usual.problem
    found = training_rows.read(endpoint, file)
    start = training_rows.first_until(found.times, policy, first, FIRST_SHARE)
    later = np.flatnonzero(found.times >= moment(start))[::share]
    if months:
        month = np.datetime64(start.date(), "M") + np.timedelta64(months, "M")
        later = later[found.times[later] < month.astype("datetime64[D]") + (start.day - 1) * DAY]
    kept = np.concatenate([np.arange(np.searchsorted(found.times, moment(start))), later])
    times, wait = found.times[kept], _delay(delay)
    if wait > timedelta(days=policy.label_days):
        raise SystemExit(
            f"LABEL_DELAY={delay} is more than policy.label_days={policy.label_days}: no label "
            "would count in the performance; raise one, or lower the other"
        )
    _check_times(file.name, times[np.searchsorted(times, moment(start)) - 1 :])
    span = (times[-1] - moment(start)) / DAY
    unit: Unit = next((unit for most, unit in SPANS if span <= most), "year")
    loss = Problem(kind=kind)
    about = About(
        metric=loss.metric,
        unit=unit,
        base=f"{WHEN[kind]} of the last {BASE_DAYS} days",
        data=(
            f"The data are the rows that `examples` made of {file.name}. Those before "
            f"{start:%Y-%m-%d %H:%M} UTC are the first training data; each later one is asked for "
            f"at its time, with the others of its hour, and its label is reported {delay} later."
        ),
    )
    due = np.maximum(times + np.timedelta64(wait), moment(start))
    due[times < moment(start)] = moment(start)
    return Life(
        endpoint=endpoint,
        file=file,
        frame=found.frame.iloc[kept],
        labels=found.labels[kept],
        times=times,
        due=due,
        start=start,
        about=about,
    )


def _delay(text: str) -> timedelta:
    match = DELAY.fullmatch(text)
    if match is None:
        raise SystemExit(f"LABEL_DELAY={text} is no time: 30m, 12h, 1d and 2w are")
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    return timedelta(**{units[match[2]]: float(match[1])})


def _check_times(file: str, times: npt.NDArray[np.datetime64]) -> None:
    """Raise SystemExit for times that a clock cannot be moved through in a sensible time."""
    if utc(times[0]) < EARLIEST:
        raise SystemExit(f"{file}: a row to replay is from {utc(times[0]):%Y-%m-%d}, before 1971")
    longest = int(np.argmax(np.diff(times))) if len(times) > 1 else 0
    before, after = (utc(time) for time in times[longest : longest + 2])
    if after - before > LONGEST:
        raise SystemExit(
            f"{file}: no row is between {before:%Y-%m-%d} and {after:%Y-%m-%d}: mend the times, or "
            f"let the first part reach further with FIRST={after:%Y-%m-%d} or later"
        )
