"""Labelled rows to learn from, and the checks that they must pass first."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from evergreen.captures import leakage
from evergreen.captures.conversion import UnfitError, cells, convert, listed, types_of
from evergreen.contract import moments, problem
from evergreen.contract.decoding import RowDecoder, unquoted
from evergreen.contract.errors import DataError
from evergreen.contract.files import PLAIN, Files
from evergreen.contract.problem import KINDS, MIN_CLASSES, Kind
from evergreen.contract.schema import Columns, JsonSchema, columns_of, is_text

WEIGHT = "sample_weight"  # a column that `examples` may return besides
MIN_PER_CLASS = 0.1  # of policy.min_rows
MAX_CLASSES = 100  # more are names of things, and each answer holds the scores of all
ROW = "row of the file"  # the index of what `examples` gets, as long as that counts rows


@dataclass(frozen=True)
class Examples:
    """Labelled rows in order of time.

    columns: one array of shape (rows,) per feature. labels: bool for a binary problem, float64 for
    a regression, and text in an array of objects for multiclass, shape (rows,).
    times: datetime64[us] in UTC, shape (rows,). weights: of the rows in a fit, not negative, shape
    (rows,); None where all weigh 1.
    """

    columns: Columns
    labels: npt.NDArray[Any]
    times: npt.NDArray[np.datetime64]
    weights: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def kind(self) -> Kind:
        """Return the kind of problem that the labels are of."""
        kinds: dict[str, Kind] = {"b": "binary", "f": "regression", "O": "multiclass"}
        return kinds[self.labels.dtype.kind]

    def frame(self) -> pd.DataFrame:
        """Return the features as the DataFrame that pipelines fit."""
        return pd.DataFrame(self.columns)

    def between(self, start: datetime | None, end: datetime | None) -> "Examples":
        """Return the rows with start <= time < end; None leaves a side open."""
        low = 0 if start is None else int(np.searchsorted(self.times, moment(start)))
        high = len(self) if end is None else int(np.searchsorted(self.times, moment(end)))
        return self.take(slice(low, max(low, high)))

    def take(self, rows: slice | npt.NDArray[Any]) -> "Examples":
        """Return some of the rows."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        weights = None if self.weights is None else self.weights[rows]
        return Examples(columns, self.labels[rows], self.times[rows], weights)

    def sha256(self) -> str:
        """Return a hash of every value, the same for the same rows in the same order."""
        digest = hashlib.sha256()
        for name, values in sorted(self.columns.items()):
            digest.update(name.encode() + _bytes(values))
        digest.update(_bytes(self.labels) + self.times.tobytes())
        digest.update(b"" if self.weights is None else self.weights.tobytes())
        return digest.hexdigest()


def _bytes(values: npt.NDArray[Any]) -> bytes:
    return msgspec.json.encode(values.tolist()) if values.dtype == object else values.tobytes()


def moment(time: datetime) -> np.datetime64:
    """Return a time as numpy's datetime64 in UTC."""
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "us")


def utc(time: np.datetime64) -> datetime:
    """Return numpy's datetime64 as a time in UTC."""
    return moments.moment(int((time - np.datetime64(0, "us")) / np.timedelta64(1, "us")))


def from_table(
    schema: JsonSchema,
    table: pd.DataFrame,
    kind: Kind = "binary",
    files: Files = PLAIN,
    place: Callable[[int], str] | None = None,
) -> Examples:
    """Return examples from what an endpoint's `examples` function made of the user's data.

    place: says where a row of the table that `examples` got stands in a file. Raises DataError for
    a missing column, and for the first row with a missing label or time or a value that a request
    could not have.
    """
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"`examples` returned a {type(table).__name__} and no DataFrame")
    types = types_of(schema)
    types |= {"label": {"binary": bool, "regression": float}.get(kind, str), "time": datetime}
    if missing := [name for name in types if name not in table.columns]:
        raise DataError(
            f"what `examples` returned lacks {', '.join(missing)}; "
            f"{listed(table.columns, missing, types)}"
        )
    if twice := [name for name in types if list(table.columns).count(name) > 1]:
        raise DataError(f"what `examples` returned has {', '.join(twice)} more than once")

    def at(row: int, column: str) -> str:
        origin = ""
        if place and table.index.name == ROW and isinstance(table.index[row], (int, np.integer)):
            origin = f" ({place(int(table.index[row]))})"
        return f"row {row} of what `examples` returned{origin}, column {column}"

    columns = _converted(table, types, files, at)
    for name in ("label", "time"):
        if None in columns[name]:
            raise DataError(f"{at(columns[name].index(None), name)}: the {name} is missing")
    labels, times = columns.pop("label"), columns.pop("time")
    if kind == "multiclass":
        _check_classes(labels, at)
    rows = _rows(columns)
    decoder = RowDecoder(schema)
    for index, values in enumerate(rows):
        if fault := decoder.fault(values):
            said, _, path = fault.partition(" - at `$.")
            name = path.strip("`")
            reason = f"{unquoted(said, schema['properties'].get(name, {}))}"
            raise DataError(f"{at(index, name)}: {reason}")
    stamps = _stamps(times, at)
    order = np.argsort(stamps, kind="stable")
    weights = None
    if WEIGHT in table.columns and WEIGHT not in schema["properties"]:
        weights = _weights(_converted(table, {WEIGHT: float}, files, at)[WEIGHT], at)
    found = Examples(columns_of(schema, rows), problem.array(kind, labels), stamps, weights)
    return found.take(order)


def _weights(weights: list[Any], at: Callable[[int, str], str]) -> npt.NDArray[np.float64]:
    """Return the weights of rows. Raises DataError for one that is none, or where all are 0."""
    odd = (row for row, weight in enumerate(weights) if weight is None or weight < 0)
    if (row := next(odd, None)) is not None:
        raise DataError(f"{at(row, WEIGHT)}: it must be a finite number that is not negative")
    if weights and not any(weights):
        raise DataError(f"{WEIGHT} is 0 in every row: give those that are to be fitted more")
    return np.array(weights, dtype=np.float64)


def _converted(
    table: pd.DataFrame, types: Mapping[str, type], files: Files, at: Callable[[int, str], str]
) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for name, wanted in types.items():
        try:
            columns[name] = convert(cells(table[name]), wanted, files)
        except UnfitError as error:
            raise DataError(f"{at(error.place, name)}: {error}") from error
    return columns


def _rows(columns: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _stamps(times: list[Any], at: Callable[[int, str], str]) -> npt.NDArray[np.datetime64]:
    stamps = np.array(times, dtype="datetime64[us]")
    known = (stamps >= np.datetime64("0001-01-02")) & (stamps < np.datetime64("9999-12-31"))
    if not known.all():
        raise DataError(f"{at(int(np.argmin(known)), 'time')}: it is not of the years 1 to 9999")
    return stamps


def _at(row: int, column: str) -> str:
    return f"row {row}, column {column}"


def plain(table: pd.DataFrame, schema: JsonSchema, files: Files = PLAIN) -> list[dict[str, Any]]:
    """Return rows of plain values as a request would have them; missing is None."""
    return _rows(_converted(table, types_of(schema), files, _at))


def times_of(table: pd.DataFrame, files: Files = PLAIN) -> npt.NDArray[np.datetime64]:
    """Return the column `time` as `Examples` has it, in the order of the table.

    Raises DataError for the first row that is no time.
    """
    return _stamps(_converted(table, {"time": datetime}, files, _at)["time"], _at)


def _check_classes(labels: list[Any], at: Callable[[int, str], str]) -> None:
    for row, label in enumerate(labels):
        try:
            msgspec.convert(label, KINDS["multiclass"])
        except msgspec.ValidationError as error:
            raise DataError(f"{at(row, 'label')}: {error}") from error


def concat(parts: Iterable[Examples]) -> Examples | None:
    """Return all parts in one, in order of time, or None for no parts."""
    found = [part for part in parts if len(part)]
    if not found:
        return None
    weights = [np.ones(len(part)) if part.weights is None else part.weights for part in found]
    weighted = any(part.weights is not None for part in found)
    joined = Examples(
        {name: np.concatenate([part.columns[name] for part in found]) for name in found[0].columns},
        np.concatenate([part.labels for part in found]),
        np.concatenate([part.times for part in found]),
        np.concatenate(weights) if weighted else None,
    )
    return joined.take(np.argsort(joined.times, kind="stable"))


def check(
    examples: Examples | None, schema: JsonSchema, *, at: datetime, min_rows: int
) -> Examples:
    """Return the examples if a model can be trained on them at the time `at`.

    Raises DataError that says which check failed and with which figures.
    """
    if examples is None or not len(examples):
        way_out = "upload training data, or send labels to /feedback"
        raise DataError(f"there is no labelled data: {way_out}")
    newest = utc(examples.times[-1])
    if newest > at:
        moment = f"{newest:%Y-%m-%d %H:%M} UTC"
        raise DataError(f"the newest row is from {moment}, which is in the future")
    check_enough(examples, min_rows=min_rows)
    for name in (name for name, spec in schema["properties"].items() if not is_text(spec)):
        if said := leakage.leaks(examples.columns[name], examples.labels, examples.kind):
            leak = f"feature {name} alone predicts the label ({said})"
            raise DataError(f"{leak}: it leaks the outcome")
    return examples


def check_enough(examples: Examples, *, min_rows: int) -> None:
    """Raise DataError where rows are too few to fit, or there is nothing to tell apart."""
    rows, enough = len(examples), max(1, min_rows * MIN_PER_CLASS)
    if rows < min_rows:
        raise DataError(f"{rows:,} labelled rows are fewer than policy.min_rows={min_rows:,}")
    if examples.kind == "regression":
        if np.ptp(examples.labels) == 0:
            raise DataError(f"all {rows:,} labels are the same number")
        return
    counts = Counter(examples.labels.tolist())
    if examples.kind == "binary":
        for value in (True, False):
            if (own := counts[value]) < enough:
                raise DataError(f"only {own:,} of {rows:,} labels are {str(value).lower()}")
        return
    if not MIN_CLASSES <= len(counts) <= MAX_CLASSES:
        way_out = "two are a binary problem" if len(counts) < MIN_CLASSES else "join the rare ones"
        raise DataError(
            f"the labels are of {len(counts):,} classes: multiclass needs {MIN_CLASSES} to "
            f"{MAX_CLASSES}; {way_out}"
        )
    second = counts.most_common()[1][1]  # rarer ones may come and go; one alone is no problem
    if second < enough:
        raise DataError(f"only {second:,} of {rows:,} labels are of the second most frequent class")
