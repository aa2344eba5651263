"""Recorded rows and outcomes as Parquet: which columns there are, and how parts are written.

    rows/{endpoint}/{day}/{part}-{schema}.parquet    captures, sorted by id
    outcomes/{endpoint}/{day}/{part}.parquet         labels, sorted by id

{day} is the UTC date of arrival; {part} is an hour of it that is busy, or `day` for all others
together; {schema} is the digest of the request schema that the features fit. A part says in its
metadata which objects it was made from. Features are named by their place, as two fields may
differ in large and small letters alone, which to DuckDB is the same.
"""

import atexit
import shutil
import tempfile
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from itertools import count
from operator import attrgetter
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import numpy as np
import pandas as pd

from evergreen.aws.s3 import Store
from evergreen.captures.arrivals import Kind
from evergreen.captures.conversion import type_of
from evergreen.contract.errors import EvergreenError
from evergreen.contract.moments import microseconds
from evergreen.contract.schema import JsonSchema

MEMORY = "800MB"  # of DuckDB; what needs more goes to its temporary folder
THREADS = 1  # two are slower where there is little, and a Lambda of 3 GB has less than two
HELD = 500_000_000  # bytes of parts that are kept as files
SEALED: dict[str, Any] = {
    "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
    "allow_persistent_secrets": "false", "python_enable_replacements": "false",
}  # fmt: skip
ROW = {
    "id": "VARCHAR", "time": "BIGINT", "arrived": "TINYINT", "version": "VARCHAR",
    "variant": "VARCHAR", "score": "DOUBLE", "label": "VARCHAR", "scores": "VARCHAR",
    "key": "VARCHAR", "unseen": "VARCHAR", "failed": "VARCHAR", "ms": "DOUBLE",
    "raw": "DOUBLE", "recalibration": "VARCHAR",
}  # fmt: skip
OUTCOME = {"id": "VARCHAR", "time": "BIGINT", "arrived": "TINYINT", "label": "VARCHAR"}
Fresh = tuple[int, str, Any, Any]  # hour and key of an object, a record in it, and its features
_SQL = {float: "DOUBLE", int: "BIGINT", bool: "BOOLEAN", str: "VARCHAR"}
_PANDAS = {"DOUBLE": "float64", "BIGINT": "Int64", "BOOLEAN": "boolean", "VARCHAR": "object"}


class OvertakenError(EvergreenError):
    """Two runs wrote a part at the same time; the one that came second must be made again."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} was written by another run meanwhile: this run is made again")


def sql_types(schema: JsonSchema) -> dict[str, str]:
    """Return the type of each column of features, by its name in a part: f0, f1 and so on."""
    kinds = [_SQL[type_of(spec)] for spec in schema["properties"].values()]
    return {f"f{place}": kind for place, kind in enumerate(kinds)}


def frame_of(records: list[Fresh], schema: JsonSchema | None) -> pd.DataFrame:
    """Return captures, with their features in a schema, or labels, as they are written.

    Labels and what has parts are JSON, where true is not 1.0.
    """
    hours, sources, lines, rows = zip(*records, strict=True)
    columns: dict[str, Any] = {}
    for name, kind in (ROW if schema else OUTCOME).items():
        values = hours if name == "arrived" else [getattr(line, name) for line in lines]
        if name == "time":
            values = list(map(microseconds, values))
        elif name == "label":
            values = [msgspec.json.encode(value).decode() for value in values]
        elif name in ("scores", "unseen"):
            values = [msgspec.json.encode(value).decode() if value else None for value in values]
        columns[name] = pd.Series(values, dtype=_PANDAS.get(kind))
    if schema:
        for (name, kind), own in zip(sql_types(schema).items(), schema["properties"], strict=True):
            columns[name] = pd.Series(list(map(attrgetter(own), rows)), dtype=_PANDAS[kind])
    return pd.DataFrame(columns).assign(source=np.array(sources, dtype=object))


def key_of(kind: Kind, endpoint: str, day: date, part: str, digest: str) -> str:
    """Return the key of a part; digest: of the schema, of labels none."""
    if kind == "labels":
        return f"outcomes/{endpoint}/{day}/{part}.parquet"
    return f"rows/{endpoint}/{day}/{part}-{digest}.parquet"


def hour_of(source: str) -> int:
    """Return the hour of arrival that the key of a source names."""
    return int(source.split("/")[4])


def sealed(reach: str, path: Path, **config: Any) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB that reaches a path and nothing more; reach: its setting that allows that."""
    database = duckdb.connect(config=SEALED | config)
    database.execute(f"SET {reach} = ?", [[str(path)]])
    for setting in ("enable_external_access = false", "lock_configuration = true"):
        database.execute(f"SET {setting}")
    return database


_LIVE: "weakref.WeakSet[Parts]" = weakref.WeakSet()


@cache
def _database() -> tuple[duckdb.DuckDBPyConnection, Path]:
    """Return DuckDB, which takes its time to start, and the only folder that it reaches."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(_let_go)
    own = {"memory_limit": MEMORY, "threads": THREADS, "temp_directory": f"{folder}/swap"}
    return sealed("allowed_directories", folder, **own), folder


def _let_go() -> None:
    """Let DuckDB go before Python does: it would print what it takes for leaks."""
    for parts in _LIVE:
        del parts.sql
    _database.cache_clear()


@dataclass(eq=False)
class Parts:
    """The parts of a bucket, in a DuckDB that reaches files of this process alone.

    A part that was read stays there as a file, up to HELD bytes: neighbouring days share some. Its
    tables are temporary: others do not see them.
    """

    data: Store
    sql: duckdb.DuckDBPyConnection = field(init=False)
    _folder: Path = field(init=False)
    _held: dict[str, tuple[str, Path]] = field(default_factory=dict)  # with their ETags
    _files: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        database, folder = _database()
        self.sql = database.cursor()
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        _LIVE.add(self)
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def hold(self, keys: Iterable[str]) -> list[Path]:
        """Return what objects hold as files; none for those that do not exist."""
        wanted = list(keys)
        if sum(path.stat().st_size for _, path in self._held.values()) > HELD:
            for key in self._held.keys() - set(wanted):
                self._held.pop(key)[1].unlink()
        for key in wanted:
            if key not in self._held and (stored := self.data.get(key)):
                path = self._folder / f"{next(self._files)}.parquet"
                path.write_bytes(stored.body)
                self._held[key] = stored.etag, path
        return [self._held[key][1] for key in wanted if key in self._held]

    def metadata(self, path: Path, name: str) -> Any:
        """Return what a part says of itself: its `sources`, of rows also their `schema`."""
        (found,) = self.sql.execute(
            "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = ?",
            [str(path), name],
        ).fetchone() or ("[]",)
        return msgspec.json.decode(found)

    def insert(self, table: str, types: Mapping[str, str], frame: pd.DataFrame) -> None:
        """Add records to a table, each with the key of the object that it is from."""
        columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
        self.sql.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} ({columns}, source VARCHAR)")
        self.sql.register("frame", frame)
        self.sql.execute(f"INSERT INTO {table} SELECT * FROM frame")
        self.sql.unregister("frame")

    def drop(self, table: str) -> None:
        """Let a table go."""
        self.sql.execute(f"DROP TABLE {table}")

    def sources(self, table: str) -> set[str]:
        """Return the keys of the objects that the records of a table are from."""
        found = self.sql.execute(f"SELECT DISTINCT source FROM {table}").fetchall()
        return {key for (key,) in found}

    def merge(
        self, key: str, old: str, table: str, sources: set[str], hours: set[int],
        schema: JsonSchema | None,
    ) -> None:  # fmt: skip
        """Write a part: the records of some hours of arrival, from an old part and from a table.

        sources: of the table. schema: of rows. Raises OvertakenError where somebody else wrote the
        part meanwhile.
        """
        held = self.hold([old])
        known = {each for path in held for each in self.metadata(path, "sources")}
        new = sources - known
        kept = sorted(each for each in known | new if hour_of(each) in hours)
        among = f"WHERE arrived IN ({', '.join(map(str, sorted(hours)))})"
        parts = [f"SELECT * FROM read_parquet('{path}') {among}" for path in held]
        own = f"FROM {table} {among} AND source IN ({_quoted(new)})"
        parts.append(f"SELECT * EXCLUDE (source) {own}")
        about = {"sources": kept} | ({"schema": schema} if schema else {})
        self._write(key, " UNION ALL ".join(parts), about)

    def erase(self, key: str, ids: Collection[str]) -> bool:
        """Write a part without the records of some predictions, if it has any; say whether."""
        held = self.hold([key])
        where = f"FROM read_parquet('{held[0]}') WHERE id" if held else ""
        some = _quoted(ids)
        if not held or not self.sql.execute(f"SELECT 1 {where} IN ({some}) LIMIT 1").fetchone():
            return False
        about = {name: self.metadata(held[0], name) for name in ("sources", "schema")}
        self._write(key, f"SELECT * {where} NOT IN ({some})", {k: v for k, v in about.items() if v})
        return True

    def _write(self, key: str, query: str, about: dict[str, Any]) -> None:
        """Write a part in place of the one that is held, with what it says of itself."""
        texts = {name: msgspec.json.encode(value).decode() for name, value in about.items()}
        noted = ", ".join(f"{name}: {_quoted([text])}" for name, text in texts.items())
        path = self._folder / f"{next(self._files)}.parquet"
        # By way of a table: what is written depends on the rows, and not on where they were read.
        self.sql.execute(f"CREATE TEMP TABLE merged AS SELECT * FROM ({query}) ORDER BY ALL")
        options = f"FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{noted}}}"
        self.sql.execute(f"COPY merged TO '{path}' ({options})")
        self.drop("merged")
        etag = self._held[key][0] if self.hold([key]) else None
        body = path.read_bytes()
        path.unlink()
        written = self.data.replace(key, body, etag) if etag else self.data.create(key, body)
        self._held.pop(key, None)
        if not written:
            raise OvertakenError(key)


def _quoted(texts: Iterable[str]) -> str:
    """Return texts as SQL has them; of none a text that no key is."""
    return ", ".join("'" + text.replace("'", "''") + "'" for text in sorted(texts)) or "''"
