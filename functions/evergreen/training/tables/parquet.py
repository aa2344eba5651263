"""Parquet by a DuckDB that may read one file and reach nothing else, in bounded memory."""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from struct import unpack_from

import duckdb
import pandas as pd

from evergreen.captures import parquet_parts
from evergreen.contract.errors import DataError

MAX_VALUES = 20_000_000  # rows times columns: each becomes an object of Python
MEMORY = "1GB"  # that a table may take up
TOO_LARGE = f"as a table it takes up more than {MEMORY}: upload it in parts, or with fewer columns"
DURATION, UNITS = 18, ("s", "ms", "us", "ns")  # as Arrow numbers its types, and their units
# What does not fit is refused, and not swapped to a full disk.
BOUNDS = {"memory_limit": MEMORY, "temp_directory": ""}


def sealed(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB that can read this file and reach nothing more."""
    return parquet_parts.sealed("allowed_paths", path, **BOUNDS)


def read(path: Path, types: Mapping[str, type], decimal: str) -> pd.DataFrame:
    """Return a file as pandas has it, but decimals that are wanted as numbers as text: it is exact.

    Durations are such as Arrow's schema says, which writers keep: Parquet itself has whole numbers.

    Raises DataError for what is no Parquet, or too much.
    """
    try:
        with sealed(path) as connection:
            return _read(connection, path, types, decimal)
    except duckdb.OutOfMemoryException as error:
        raise DataError(TOO_LARGE) from error
    except DataError:
        raise
    except Exception as error:  # DuckDB's, and pandas' for a value that it cannot hold
        raise DataError(
            f"it cannot be read as Parquet ({type(error).__name__}): write it again, or as CSV"
        ) from error


def _read(
    connection: duckdb.DuckDBPyConnection, path: Path, types: Mapping[str, type], decimal: str
) -> pd.DataFrame:
    connection.execute("CREATE TABLE found AS SELECT * FROM read_parquet(?)", [str(path)])
    found = connection.table("found")
    check_size(*found.shape)
    schema = connection.execute("SELECT name FROM parquet_schema(?)", [str(path)]).fetchall()
    if renamed := set(found.columns) - {name for (name,) in schema}:
        said = f"{len(renamed)} of its columns have a name that another has"
        raise DataError(f"{said}, in large or small letters: give each its own")
    arrow = "SELECT value FROM parquet_kv_metadata(?) WHERE key = 'ARROW:schema'"
    written = connection.execute(arrow, [str(path)])
    units = {name: unit for (text,) in written.fetchall() for name, unit in _durations(text)}
    marks = (duckdb.ConstantExpression("."), duckdb.ConstantExpression(decimal))
    columns = []
    for name, kind in zip(found.columns, found.types, strict=True):
        column = duckdb.ColumnExpression(name)
        if str(kind).startswith("DECIMAL") and types.get(name) in (int, float):
            text = column.cast("VARCHAR")
            column = duckdb.FunctionExpression("replace", text, *marks).alias(name)
        columns.append(column)
    table: pd.DataFrame = found.select(*columns).df()
    for name in units.keys() & set(table):
        table[name] = pd.to_timedelta(table[name], unit=units[name])  # type: ignore[call-overload]
    return table


def _durations(text: bytes) -> Iterator[tuple[str, str]]:
    """Yield the columns that are durations, with their units, by a schema of Arrow in base64."""
    # It is a message of FlatBuffers; the slots are those of Message.fbs and Schema.fbs.
    body = b64decode(text).removeprefix(b"\xff\xff\xff\xff")[4:]  # older ones begin with a length

    def at(kind: str, place: int) -> int:
        return int(unpack_from(kind, body, place)[0])

    def after(place: int) -> int:
        return place + at("<I", place)

    def slot(table: int, number: int) -> int:
        names, entry = table - at("<i", table), 4 + 2 * number
        found = at("<H", names + entry) if entry < at("<H", names) else 0
        return table + found if found else 0

    fields = after(slot(after(slot(after(0), 2)), 1))
    for number in range(at("<I", fields)):
        field = after(fields + 4 + 4 * number)
        if at("<B", slot(field, 2)) == DURATION:
            name, unit = after(slot(field, 0)) + 4, slot(after(slot(field, 3)), 0)
            named = body[name : name + at("<I", name - 4)].decode()
            yield named, UNITS[at("<H", unit) if unit else 1]


def check_size(rows: int, columns: int) -> None:
    """Raise DataError for a table of more than MAX_VALUES."""
    if rows * columns > MAX_VALUES:
        said = f"it has {rows:,} rows of {columns:,} columns, which is more than {MAX_VALUES:,}"
        raise DataError(f"{said} values: upload it in parts, or with fewer columns")
