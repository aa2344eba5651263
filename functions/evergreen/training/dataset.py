"""All that a training may learn from: the user's files, and the captures that have labels.

A file is data and nothing else, whoever wrote it. DuckDB may read that one file and reach nothing
more, neither other files nor a network nor an extension; and what a file may take up is bounded
before it becomes a table. A reason says where a fault is, not what stands there: reasons are
announced and kept, and rows are not.
"""

import io
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from gzip import GzipFile
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from evergreen.aws.s3 import Store
from evergreen.captures.examples import Examples, concat, from_table
from evergreen.captures.label_join import Joined, join
from evergreen.captures.recorded_days import first_day
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.errors import DataError, worded
from evergreen.contract.moments import midnight
from evergreen.contract.schema import JsonSchema

MAX_BYTES = 400_000_000  # of a file, and of what it unpacks to: Lambda's /tmp holds 512 MB
MAX_LINE = 2_000_000  # bytes, as DuckDB has it, which looks through a longer one for minutes
MAX_VALUES = 20_000_000  # rows times columns: each becomes an object of Python
MEMORY = "1GB"  # that the table may take up
CHUNK = 1_000_000
_CSV = f"read_csv(?, nullstr=['', 'NA', 'NaN', 'null'], max_line_size={MAX_LINE})"
READERS = {
    ".parquet": "read_parquet(?)",
    ".csv": _CSV,
    ".csv.gz": _CSV,  # once it is unpacked
}
SEALED: dict[str, Any] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    "memory_limit": MEMORY,
    "temp_directory": "",  # what does not fit is refused, and not swapped to a full disk
}


@dataclass(frozen=True)
class Dataset:
    """The examples, None where there are none, and how labels met captures (see label_join)."""

    examples: Examples | None
    labels: dict[str, int]
    conflicting: list[str]

    @property
    def sha256(self) -> str | None:
        """Return the hash of the examples."""
        return self.examples.sha256() if self.examples else None


def read(data: Store, name: str, endpoint: Endpoint, schema: JsonSchema, at: datetime) -> Dataset:
    """Return all that was known of an endpoint at a time.

    Raises DataError for a training file that cannot be read or does not fit the schema.
    """
    parts = [
        from_file(data, key, endpoint, schema)
        for key in data.keys(f"training/{name}/")
        if not key.endswith("/")
    ]
    joined = _from_captures(data, name, endpoint, schema, at)
    if joined.examples is not None:
        parts.append(joined.examples)
    labels = {
        "joined": joined.joined,
        "unlabelled": joined.unlabelled,
        "pending": joined.pending,
        "incompatible": joined.incompatible,
    }
    return Dataset(concat(parts), labels, joined.conflicting)


def _from_captures(
    data: Store, name: str, endpoint: Endpoint, schema: JsonSchema, at: datetime
) -> Joined:
    """Join what was captured, no further back than the policy's windows reach."""
    first = first_day(data, "captures")
    if first is None:
        return Joined()
    start = midnight(first)
    if (history := endpoint.policy.history) is not None:
        start = max(start, at - history)
    return join(data, name, schema, start, at, endpoint.problem)


def from_file(data: Store, key: str, endpoint: Endpoint, schema: JsonSchema) -> Examples:
    """Return the examples of one training file; raises DataError that names it."""
    try:
        table = _table(data, key)
        try:
            rows = endpoint.examples(table)
        except Exception as error:  # it is the user's code, and pandas raises many kinds
            absent = [field for field in schema["properties"] if field not in table.columns]
            without = f", and none named {', '.join(absent)}" if absent else ""
            raise DataError(
                f"`examples` raised {worded(error)}; the file has {len(table.columns):,} "
                f"columns{without}; `make train` with DATA= shows the whole error"
            ) from error
        try:
            return from_table(schema, rows, endpoint.problem)
        except DataError:
            raise
        except Exception as error:  # two columns of one name, and what else pandas holds
            raise DataError(
                f"what `examples` returned is no table of plain values ({worded(error)})"
            ) from error
    except DataError as error:
        raise DataError(f"{key}: {error}") from error


def _table(data: Store, key: str) -> pd.DataFrame:
    end = next((end for end in READERS if key.endswith(end)), None)
    if end is None:
        raise DataError(f"its name ends in none of {', '.join(READERS)}")
    stored = data.get(key, MAX_BYTES + 1)
    if stored is None:
        raise DataError("it is gone since it was listed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{end.removesuffix('.gz')}"  # a key may hold what DuckDB expands
        with path.open("wb") as file:
            for part in _bounded(_unpacked(stored.body) if end == ".csv.gz" else [stored.body]):
                file.write(part)
        if end != ".parquet":
            _check_lines(path)
        del stored
        try:
            return _read(READERS[end], path)
        except DataError:
            raise
        except duckdb.OutOfMemoryException as error:
            raise DataError(
                f"as a table it takes up more than {MEMORY}: upload it in parts, or with fewer "
                "columns"
            ) from error
        except Exception as error:  # DuckDB's, and pandas' for a value that it cannot hold
            line = re.search(r"CSV Error on Line: (\d+)", str(error))
            where = f", line {line[1]}" if line else ""
            raise DataError(
                f"it cannot be read as {end} ({type(error).__name__}{where}): write it again, as "
                "UTF-8 with one line of column names, or as Parquet"
            ) from error


def _bounded(parts: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for part in parts:
        size += len(part)
        if size > MAX_BYTES:
            raise DataError(
                f"it has more than {MAX_BYTES:,} bytes once unpacked: upload it in parts, or as "
                "Parquet"
            )
        yield part


def _unpacked(body: bytes) -> Iterator[bytes]:
    """Yield what a gzip file holds, in parts."""
    with GzipFile(fileobj=io.BytesIO(body)) as file:
        try:
            while part := file.read(CHUNK):
                yield part
        except (OSError, EOFError, zlib.error) as error:
            raise DataError("it is no gzip file, damaged or cut off: upload it again") from error


def _check_lines(path: Path) -> None:
    """Raise DataError for a line of more than MAX_LINE bytes."""
    if not path.stat().st_size:
        raise DataError("it is empty: upload it again")
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
        start = 0
        while len(text) - start > MAX_LINE:
            window = (start, start + MAX_LINE + 1)
            end = max(text.rfind(b"\n", *window), text.rfind(b"\r", *window))
            if end < 0:
                raise DataError(
                    f"it has a line of more than {MAX_LINE:,} bytes after byte {start:,}: each row "
                    "is a line"
                )
            start = end + 1


def _read(reader: str, path: Path) -> pd.DataFrame:
    """Return a file as a table, through a DuckDB that can reach this file alone."""
    with duckdb.connect(config=SEALED) as sealed:
        sealed.execute("SET allowed_paths = ?", [[str(path)]])
        for setting in ("enable_external_access = false", "lock_configuration = true"):
            sealed.execute(f"SET {setting}")
        sealed.execute(f"CREATE TABLE found AS SELECT * FROM {reader}", [str(path)])  # noqa: S608 - one of READERS
        found = sealed.table("found")
        rows, columns = found.shape
        if rows * columns > MAX_VALUES:
            raise DataError(
                f"it has {rows:,} rows of {columns:,} columns, which is more than {MAX_VALUES:,} "
                "values: upload it in parts, or with fewer columns"
            )
        table: pd.DataFrame = found.df()
    return table
