"""All that a training may learn from: the user's files, and the captures that have labels."""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pandas as pd

from evergreen.endpoint import Endpoint
from evergreen.errors import DataError
from evergreen.examples import Examples, concat, from_table
from evergreen.join import Joined, join
from evergreen.records import first_day, midnight
from evergreen.schema import JsonSchema
from evergreen.store import Store

_CSV = "read_csv(?, nullstr=['', 'NA', 'NaN', 'null'])"
READERS = {
    ".parquet": "read_parquet(?)",
    ".csv": _CSV,
    ".csv.gz": _CSV,
}


@dataclass(frozen=True)
class Dataset:
    """The examples, None where there are none, and how labels met captures (see evergreen.join)."""

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
        _from_file(data, key, endpoint, schema)
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


def _from_file(data: Store, key: str, endpoint: Endpoint, schema: JsonSchema) -> Examples:
    try:
        table = _table(data, key)
        try:
            rows = endpoint.examples(table)
        except Exception as error:  # it is the user's code, and pandas raises many kinds
            columns = ", ".join(map(str, table.columns))
            raise DataError(
                f"`examples` raised {error!r:.200}; the file has the columns {columns:.300}"
            ) from error
        return from_table(schema, rows, endpoint.problem)
    except DataError as error:
        raise DataError(f"{key}: {error}") from error


def _table(data: Store, key: str) -> pd.DataFrame:
    reader = next((READERS[end] for end in READERS if key.endswith(end)), None)
    if reader is None:
        raise DataError(f"its name ends in none of {', '.join(READERS)}")
    stored = data.get(key)
    if stored is None:
        raise DataError("it is gone since it was listed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / Path(key).name
        path.write_bytes(stored.body)
        try:
            query = f"SELECT * FROM {reader}"  # noqa: S608 - one of READERS
            table: pd.DataFrame = duckdb.connect().execute(query, [str(path)]).df()
        except duckdb.Error as error:
            raise DataError(f"it cannot be read: {str(error)[:300]}") from error
    return table
