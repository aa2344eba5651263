"""A training file, or the files of one folder, as the table that `examples` gets."""

import io
import tempfile
import zlib
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from gzip import GzipFile
from itertools import islice
from numbers import Real
from pathlib import Path
from sys import getsizeof
from typing import Any, TextIO

import numpy as np
import pandas as pd

from evergreen.aws.s3 import Store
from evergreen.captures.conversion import UnfitError, cells, convert
from evergreen.captures.examples import ROW
from evergreen.contract.errors import DataError, worded
from evergreen.contract.files import SEPARATORS, TYPES, Files
from evergreen.training.tables import parquet, text
from evergreen.training.tables.folders import ENDINGS, JSON, ending
from evergreen.training.tables.undeclared import Undeclared, undeclared

Types = Mapping[str, type]  # of columns, as far as they are stated
Frames = Iterator[tuple[pd.DataFrame, int]]  # rows, and the bytes that they take up

MAX_BYTES = 400_000_000  # of an object
MAX_SIZE = 1_000_000_000  # bytes that the table of a text file takes up
BATCH = 200_000  # values that are converted at once
DTYPES = {float: "float64", int: "Int64", bool: "boolean", str: "str"}
# Kinds of values that one column does not mix.
KINDS: tuple[Any, ...] = (str, (bool, np.bool_), (Decimal, Real), date, timedelta)
# What JSON says of a column by its values.
STATED = (({bool}, "boolean"), ({int}, "Int64"), ({int, float}, "float64"), ({str}, "str"))


@dataclass(frozen=True)
class Table:
    """The rows of one file or more, and where each of them stands.

    frame: indexed from 0 under the name ROW. starts: the first row of each file, with its key.
    """

    frame: pd.DataFrame
    starts: list[tuple[int, str]]
    numbers: list[int]

    def place(self, row: int) -> str:
        """Return the file and line of a row; of a Parquet file, the row."""
        key = self.starts[bisect_right(self.starts, row, key=lambda start: start[0]) - 1][1]
        unit = "row" if ending(key) == ".parquet" else "line"
        return f"{unit} {self.numbers[row]} of {key.rpartition('/')[2]}"


def read(
    data: Store, keys: Sequence[str], types: Types, files: Files, known: Collection[str]
) -> Table | None:
    """Return one table of all files, or None where they have no rows.

    types: of columns, as far as they are stated. known: names that a line of names may hold. Raises
    DataError for a file that is not what it should be, with its key, and the line and column.
    """
    frames: list[pd.DataFrame] = []
    starts: list[tuple[int, str]] = []
    names: set[Any] | None = None
    rows = size = 0
    for key in keys:
        try:
            starts.append((rows, key))
            for frame, held in _frames(data, key, types, files, known):
                names = set(frame) if names is None else names
                if ending(key) not in JSON and set(frame) != names:
                    raise DataError("its columns are not those of the first file of its folder")
                if len(frame):
                    frames.append(frame)
                rows, size = rows + len(frame), size + held
                parquet.check_size(rows, frame.shape[1])
                if size > MAX_SIZE:
                    raise DataError(parquet.TOO_LARGE)
        except DataError as error:
            raise DataError(f"{key}: {error}") from error
    if not rows:
        return None
    whole = pd.concat(frames) if frames[1:] else frames[0]
    numbers = whole.index.tolist()
    whole = whole.set_axis(pd.RangeIndex(rows, name=ROW))
    for name in whole:
        if row := _other_kind(whole[name]):
            raise DataError(
                f"{keys[0].rpartition('/')[0]}/: {Table(whole, starts, numbers).place(row)}, "
                f"column {name}: a value of another kind than those before it: declare which is "
                f'meant, as in Files(columns={{"{name}": float}}); a type is float, int, bool, str '
                "or datetime"
            )
    return Table(pd.DataFrame({name: _settled(whole[name]) for name in whole}), starts, numbers)


def _other_kind(column: "pd.Series[Any]") -> int:
    """Return the first row whose value is of another kind than the first value, or 0."""
    found = column.dropna()
    if column.dtype != object or all(issubclass(each, str) for each in set(map(type, found))):
        return 0
    kinds = [
        ([isinstance(value, kind) for kind in KINDS], getattr(value, "tzinfo", None) is None)
        for value in found
    ]
    return next((row for row, kind in zip(found.index, kinds, strict=True) if kind != kinds[0]), 0)


def _settled(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return a column in the type of its values, which may have gaps only where there are some."""
    if column.dtype == object and (types := set(map(type, column.dropna()))):
        stated = next((kind for among, kind in STATED if types <= among), None)
        if stated and not any(isinstance(each, int) and abs(each) >= 2**63 for each in column):
            column = column.astype(stated)  # type: ignore[call-overload]
    simple = {"Int64": "int64", "boolean": "bool"}.get(str(column.dtype))
    return column if simple is None or column.hasnans else column.astype(simple)  # type: ignore[call-overload]


def _frames(data: Store, key: str, types: Types, files: Files, known: Collection[str]) -> Frames:
    """Yield a file's rows, indexed by their lines, with the bytes that they take up."""
    end = ending(key)
    if end is None:
        raise DataError(f"its name ends in none of {', '.join(ENDINGS)}")
    stored = data.get(key, MAX_BYTES + 1)
    if stored is None:
        raise DataError("it is gone since it was listed")
    if len(stored.body) > MAX_BYTES:
        raise DataError(f"it has more than {MAX_BYTES:,} bytes: upload it in parts")
    if not stored.body or (end.endswith(".gz") and _packs_nothing(stored.body)):
        if key.count("/") > 2:
            return  # a part without rows, as Spark writes it
        raise DataError("it is empty: upload it again")
    try:
        if end == ".parquet":
            yield _of_parquet(stored.body, types, files), 0
        else:
            yield from _of_text(stored.body, end, types, files, known)
    except DataError:
        raise
    except Exception as error:  # what pandas cannot hold; without a reason it would be tried again
        said = f"it cannot be read ({worded(error)}): write it again, or as CSV"
        raise DataError(said) from error


def _packs_nothing(body: bytes) -> bool:
    try:
        return not GzipFile(fileobj=io.BytesIO(body)).read(1)
    except (OSError, EOFError, zlib.error):
        return False  # as who reads all of it says


def _of_parquet(body: bytes, types: Types, files: Files) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.parquet"  # a key may hold what DuckDB expands
        path.write_bytes(body)
        frame = parquet.read(path, types, files.decimal)
    columns = {
        name: _typed(name, cells(frame[name]), types[name], files, range(len(frame)), "row")
        if name in types
        else frame[name].astype(object if frame[name].dtype == bool else frame[name].dtype)
        for name in map(str, frame)
    }
    return pd.DataFrame(columns, frame.index)


def _of_text(body: bytes, end: str, types: Types, files: Files, known: Collection[str]) -> Frames:
    def opened() -> TextIO:
        raw: Any = GzipFile(fileobj=io.BytesIO(body)) if end.endswith(".gz") else io.BytesIO(body)
        return io.TextIOWrapper(raw, files.encoding, "surrogateescape", newline="")

    try:
        if end.removesuffix(".gz") in JSON:
            names, rows = text.json_rows(opened, files)
        else:
            separators = ("\t",) if end.startswith(".tsv") else SEPARATORS
            if files.separator is not None:
                separators = (files.separator,)
            names, rows = text.csv_rows(opened(), files, separators, known)
            types = {name: undeclared(name, files.nulls) for name in names} | dict(types)
        yield from _batches(names, rows, types, files)
    except UnicodeError as error:
        raise DataError(f"it is not {files.encoding.upper()}: set Files(encoding=...)") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError("it is no gzip file, damaged or cut off: upload it again") from error


def _batches(names: list[str], rows: text.Rows, types: Types, files: Files) -> Frames:
    """Yield rows as typed columns, so many at once that their texts are few in memory."""
    size = max(200, BATCH // max(1, len(names)))
    yield pd.DataFrame(columns=names), 0  # a file without rows has names too
    while batch := list(islice(rows, size)):
        lines, held, columns = [line for line, _ in batch], 8 * len(names) * len(batch), {}
        by_column = zip(*(found for _, found in batch), strict=True)
        for name, values in zip(names, by_column, strict=True):
            kind = types.get(name)
            columns[name] = _typed(name, values, kind, files, lines, "line")
            if kind is None or issubclass(kind, str):
                held += _size(values)
        yield pd.DataFrame(columns), held


def _size(values: Sequence[Any]) -> int:
    """Return about how many bytes the values of one batch take up, each once."""
    try:
        return sum(map(getsizeof, set(values)))
    except TypeError:  # JSON within JSON
        return 20 * sum(len(str(value)) for value in values)


def _typed(
    name: str, values: Any, kind: type | None, files: Files, lines: Sequence[int], unit: str
) -> "pd.Series[Any]":
    """Return a column of the type that is wanted of it."""
    index = pd.Index(lines)
    if kind is None:
        return pd.Series(values, index, object)
    if issubclass(kind, Undeclared):
        known = {value: None if value is None else kind(value) for value in set(values)}
        return pd.Series([known[value] for value in values], index, object)
    try:
        found = convert(values, kind, files)
    except UnfitError as error:
        value = values[error.place]
        held = type(value.item() if isinstance(value, np.generic) else value)
        said = f"{unit} {lines[error.place]}, column {name}: {error}"
        if held in TYPES and held is not kind:
            said += (
                f'; or take the column as it is, Files(columns={{"{name}": {held.__name__}}}), and '
                f"convert it in `examples`{', as by .astype(str)' if kind is str else ''}"
            )
        raise DataError(said) from error
    if kind is datetime:
        return pd.Series(np.array(found, dtype="datetime64[us]"), index).dt.tz_localize("UTC")
    return pd.Series(found, index, DTYPES[kind])
