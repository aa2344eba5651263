"""The rows of a training file as a training reads them, and the first part of them.

The demo and `make serve` both begin with the first part of a file. The file itself is uploaded
whole; `hidden` keeps its later rows from the trainings of this process.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evergreen.captures.examples import moment, times_of, utc
from evergreen.contract import endpoint_files
from evergreen.contract.endpoint import Policy
from evergreen.contract.errors import DataError
from evergreen.contract.schema import schema_of
from evergreen.training import dataset
from evergreen.training.tables import folders
from local.plane import stack

DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Rows:
    """What `examples` made of a file, in order of time, after it passed the checks of a training.

    frame: a column for each field of a request. labels, times: as `Examples` has them.
    """

    frame: pd.DataFrame
    labels: npt.NDArray[Any]
    times: npt.NDArray[np.datetime64]


def read(name: str, file: Path) -> Rows:
    """Return the rows of a file or folder; SystemExit says what a training would refuse."""
    usual, kept = endpoint_files.load(name), []

    def examples(table: Any) -> Any:
        kept.append(usual.examples(table))
        return kept[-1]

    parts = stack.parts(name, file)
    watched = replace(usual, examples=examples)
    try:
        schema, tables = schema_of(name, usual.row), folders.tables(parts)
        if len(tables) != 1:
            raise SystemExit(f"{file} holds {len(tables)} tables: name one file, or one folder")
        found = dataset.from_files(stack.on_disk(parts), tables[0], watched, schema)
    except DataError as error:
        raise SystemExit(str(error)) from error
    if not found:
        raise SystemExit(f"{file.name}: `examples` made no row of it")
    if (newest := utc(found.times[-1])) > datetime.now(UTC):
        said = f"the newest row is from {newest:%Y-%m-%d %H:%M} UTC, which is in the future"
        raise SystemExit(f"{file.name}: {said}: mend its time, or drop it in `examples`")
    order = np.argsort(times_of(kept[-1], usual.files), kind="stable")
    frame = kept[-1][list(schema["properties"])].iloc[order]
    return Rows(frame.apply(_plain), found.labels, found.times)


def _plain(column: pd.Series) -> pd.Series:
    """Return a column whose texts are of no class of a reader's own, which no pickle holds."""
    if column.dtype != object:
        return column
    return column.map(lambda value: str(value) if isinstance(value, str) else value)


def first_until(
    times: npt.NDArray[np.datetime64], policy: Policy, asked: str | None, share: float
) -> datetime:
    """Return the midnight (UTC) at which the first part of some rows ends.

    times: of the rows, ascending. asked: a date, or a share of the rows such as 0.3 or 30%. Without
    it, it is `share`, or more where the policy's holdout and least number of rows need more. Raises
    SystemExit where one of the two parts would be empty.
    """
    days = times.astype("datetime64[D]")
    oldest, newest = utc(times[0]), utc(times[-1])
    span = f"the {len(times):,} rows are from {oldest:%Y-%m-%d %H:%M} to {newest:%Y-%m-%d %H:%M}"
    if (found := _date(asked) if asked else None) is None:
        place = int(len(times) * (_share(asked) if asked else share))
        if asked is None:
            enough = times[min(policy.min_rows, len(times)) - 1] + (policy.holdout_days + 2) * DAY
            place = max(place, int(np.searchsorted(times, enough)))
        day = days[min(place, len(times) - 1)]
        found = utc(max(day, days[0] + DAY).astype("datetime64[us]"))
    if days[0] == days[-1]:
        raise SystemExit(f"{span}: all are of one day, and no day is left after a first part")
    if not oldest < found <= newest:
        left = "no row to train on" if found <= oldest else "none after it"
        said = f"a first part until {found:%Y-%m-%d} leaves {left}"
        raise SystemExit(f"{span}: {said}; name another with FIRST=date or FIRST=share")
    return found


def _date(text: str) -> datetime | None:
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    return None


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise SystemExit(f"FIRST={text} is neither a date nor a share: 2024-03-01, 0.3 and 30% are")
    return share


@contextmanager
def hidden(name: str, start: datetime) -> Iterator[None]:
    """Hide from the trainings of this process what the first file they read holds from a time on.

    Files that are uploaded later are another matter: whoever does so wants them to be learnt from.
    """
    usual = endpoint_files.load(name)
    first: list[Any] = []

    def examples(table: Any) -> Any:
        first[1:] = [table.copy()]  # as it was read: `examples` may change it
        found = usual.examples(table)
        if not first[-1].equals(first[0]):
            return found
        return found[times_of(found, usual.files) < moment(start)]

    with stack.changed(name, replace(usual, examples=examples)):
        yield
