"""One chunk of a file: what it is, and its rows as predict would get them.

Of a large file only the bytes of the chunk are read. Text is cut at line feeds; whether one of them
was within a quoted cell shows when all chunks are counted.
"""

import tempfile
from codecs import lookup
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from io import BytesIO, TextIOWrapper
from itertools import accumulate, batched
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from evergreen.aws.s3 import Store
from evergreen.captures.conversion import UnfitError, convert, types_of
from evergreen.contract.decoding import MAX_ROWS, UNDECODABLE, RowDecoder
from evergreen.contract.errors import DataError, Fault
from evergreen.contract.files import SEPARATORS, Files
from evergreen.contract.moments import Moment
from evergreen.training.tables import parquet, text
from evergreen.training.tables.folders import ending

MAX_LINE_BYTES = 4 * text.MAX_LINE
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])  # the values as they are written
_FLOATS = "CASE WHEN isfinite({0}) THEN to_json({0}) WHEN NOT isnan({0}) THEN '\"infinity\"' END"
_EXACT = "CAST(CAST({0} AS VARCHAR) AS JSON)"
_ROWS = (
    "SELECT file_row_number, {}, {} FROM read_parquet(getvariable('here'), file_row_number = true) "
    "WHERE file_row_number >= ? AND file_row_number < ?"
)

Part = tuple[int, bytes, Any]  # where a row begins, what predict gets, and what is carried through
Row = tuple[int, Any, Any]  # the same, decoded
Refused = list[dict[str, Any]]  # `row`, `field` and `reason`, which quotes no value


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """What scoring a chunk needs: its output depends on this alone.

    etag, size: of the file. version: the one that scores, whoever is champion meanwhile. place:
    the prefix of all outputs. time, ids: when the batch was planned, and how its ids begin.
    start, end: bytes of the file, of Parquet rows; a line belongs where it begins. head: bytes of
    the line of names, of Parquet of the footer. span: of Parquet, where the row groups lie.
    recalibrated: the day whose map of scores is applied, None without one.
    """

    number: int = 0
    endpoint: str
    key: str
    etag: str
    size: int
    version: str
    place: str
    time: Moment
    ids: str
    start: int = 0
    end: int = 0
    head: int = 0
    span: tuple[int, int] = (0, 0)
    recalibrated: date | None = None

    def read(self, data: Store, start: int, end: int) -> bytes:
        """Return bytes of the file that was planned; raises DataError where it is another now."""
        found = data.part(self.key, start, min(end, self.size), self.etag)
        if found is None:
            raise DataError("the file was replaced or deleted since it was planned: put it again")
        return found[0]

    def output(self, kind: str) -> str:
        """Return the key of what is written of it: `scores`, `refused`, `counts` or `failed`."""
        return f"{self.place}{kind}/{self.number:05d}.json{'l' * (kind in ('scores', 'refused'))}"


def rows(
    data: Store, chunk: Chunk, decoder: RowDecoder, files: Files, refused: Refused
) -> Iterator[Row]:
    """Yield the rows of a chunk that a request could have; the others are added to `refused`.

    Raises DataError where the chunk cannot be told into rows.
    """
    end = ending(chunk.key)
    if end == ".parquet":
        yield from _of_parquet(data, chunk, decoder, refused)
        return
    base = max(0, chunk.start - 1)
    found = chunk.read(data, base, chunk.end + MAX_LINE_BYTES)
    start, stop = (_line(chunk, found, base, place) for place in (chunk.start, chunk.end))
    body = found[start - base : stop - base]
    if end in (".csv", ".tsv"):
        head = chunk.read(data, 0, chunk.head)
        yield from _of_csv(head, body, start, files, decoder, refused)
    else:
        yield from _of_json(body, start, files, decoder, refused)


def _line(chunk: Chunk, found: bytes, base: int, place: int) -> int:
    """Return where the first line begins that begins at `place` or later."""
    if place in (chunk.head, chunk.size):
        return place
    at = found.find(b"\n", place - 1 - base) + 1
    if not at and base + len(found) < chunk.size:
        raise DataError(f"it has a line of more than {MAX_LINE_BYTES:,} bytes")
    return base + at if at else chunk.size


def csv(
    body: bytes, files: Files, decoder: RowDecoder, refuse: text.Refuse | None = None
) -> tuple[list[str], text.Rows]:
    """Return the names in the first line of CSV, and the rows, each with the number of its line."""
    lines = TextIOWrapper(BytesIO(body), files.encoding, "surrogateescape", newline="")
    separators = SEPARATORS if files.separator is None else (files.separator,)
    return text.csv_rows(lines, files, separators, decoder.schema["properties"], refuse)


def starts(body: bytes, start: int = 0) -> list[int]:
    """Return where each line of CSV begins, and the end, in bytes from where `body` does."""
    return list(accumulate(map(len, body.splitlines(keepends=True)), initial=start))


def _of_csv(
    head: bytes, body: bytes, start: int, files: Files, decoder: RowDecoder, refused: Refused
) -> Iterator[Row]:
    begin, types = starts(head + body, start - len(head)), types_of(decoder.schema)

    def refuse(line: int, said: str, field: str = "$") -> None:
        refused.append({"row": begin[line - 1], "field": field, "reason": said})

    names, cells = csv(head + body, files, decoder, refuse)
    encode = msgspec.json.Encoder().encode
    for batch in batched(cells, MAX_ROWS, strict=False):
        columns = dict(zip(names, zip(*(row for _, row in batch), strict=True), strict=True))
        own = {
            name: _each(columns.pop(name), types[name], files) for name in names if name in types
        }
        parts: list[Part] = []
        for number, (line, _) in enumerate(batch):
            row = {name: values[number] for name, values in own.items()}
            if UnfitError in set(map(type, row.values())):
                for name, cell in row.items():
                    if isinstance(cell, UnfitError):
                        refuse(line, str(cell), f"$.{name}")
                continue
            rest = {name: values[number] for name, values in columns.items()}
            parts.append((begin[line - 1], encode(row), rest))
        yield from _decoded(parts, decoder, refused)


def _each(values: Iterable[Any], kind: type, files: Files) -> list[Any]:
    """Return texts as a type, and in place of one that is none the error that says so."""
    held = list(values)
    try:
        return convert(held, kind, files)
    except UnfitError as error:
        if len(held) == 1:
            return [error]
        return [found for value in held for found in _each([value], kind, files)]


def _of_json(
    body: bytes, start: int, files: Files, decoder: RowDecoder, refused: Refused
) -> Iterator[Row]:
    lines = body.split(b"\n")
    places = accumulate((len(line) + 1 for line in lines), initial=start)
    full = ((place, line) for place, line in zip(places, lines, strict=False) if line.strip())
    more = lookup(files.encoding).name != "utf-8"  # than the fields, or as others write it
    for batch in batched(full, MAX_ROWS, strict=False):
        found = [] if more else decoder.rows([msgspec.Raw(line) for _, line in batch])
        more = more or None in found
        if more:
            yield from _decoded(_split(batch, files, decoder, refused), decoder, refused)
        else:
            yield from ((place, row, {}) for (place, _), row in zip(batch, found, strict=True))


def _split(
    batch: Iterable[tuple[int, bytes]], files: Files, decoder: RowDecoder, refused: Refused
) -> Iterator[Part]:
    """Part lines of JSON into the fields of a row and what is carried, each as it is written."""
    named = [(name, msgspec.json.encode(name) + b":") for name in decoder.schema["properties"]]
    for place, line in batch:
        try:
            found = _OBJECT.decode(line.decode(files.encoding).removeprefix("\ufeff"))
        except UNDECODABLE:
            refused.append({"row": place, "field": "$", "reason": "no object of JSON on a line"})
            continue
        own = [name + found.pop(field) for field, name in named if field in found]
        yield place, b"{" + b",".join(own) + b"}", found


def _decoded(parts: Iterable[Part], decoder: RowDecoder, refused: Refused) -> Iterator[Row]:
    held = list(parts)
    found = decoder.rows([msgspec.Raw(body) for _, body, _ in held])
    for (place, body, rest), row in zip(held, found, strict=True):
        if row is not None:
            yield place, row, rest
            continue
        try:
            faults = decoder.faults(msgspec.json.decode(body))
        except UNDECODABLE:
            faults = []
        for fault in faults or [Fault("$", "no row of JSON that a request could have")]:
            refused.append({"row": place, "field": fault.path, "reason": fault.message})


@contextmanager
def sparse(data: Store, chunk: Chunk) -> Iterator[tuple[duckdb.DuckDBPyConnection, dict[str, str]]]:
    """Open a Parquet file of which only the footer and `span` are here; return its columns' types.

    The rest is empty: DuckDB reads no row group that a condition on file_row_number leaves out.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.parquet"
        with path.open("wb") as file:
            file.truncate(chunk.size)
            file.write(b"PAR1")
            for start, end in (chunk.span, (chunk.size - chunk.head, chunk.size)):
                file.seek(start)
                file.write(chunk.read(data, start, end) if start < end else b"")
        try:
            with parquet.sealed(path) as connection:
                connection.execute("SET VARIABLE here = ?", [str(path)])
                found = connection.execute("DESCRIBE FROM read_parquet(getvariable('here'))")
                yield connection, {name: kind for name, kind, *_ in found.fetchall()}
        except duckdb.Error as error:  # whose words quote what it cannot read
            reason = f"it is no Parquet that can be read ({type(error).__name__})"
            raise DataError(reason) from error


def _of_parquet(data: Store, chunk: Chunk, decoder: RowDecoder, refused: Refused) -> Iterator[Row]:
    """Yield rows that DuckDB writes as JSON; NaN is a missing value, as pandas means it."""
    parts: dict[bool, list[str]] = {True: [], False: []}
    with sparse(data, chunk) as (connection, kinds):
        for name, kind in kinds.items():
            column = '"{}"'.format(name.replace('"', '""'))
            form = _FLOATS if kind in ("FLOAT", "DOUBLE") else "{0}"
            form = _EXACT if kind.startswith(("DECIMAL", "HUGEINT", "UHUGEINT")) else form
            told = "'{}': {}".format(name.replace("'", "''"), form.format(column))
            parts[name in decoder.schema["properties"]].append(told)
        each = (f"to_json({{{', '.join(own)}}})" if own else "'{}'" for own in parts.values())
        found = connection.execute(_ROWS.format(*each), [chunk.start, chunk.end])
        while batch := found.fetchmany(MAX_ROWS):
            json = ((place, own.encode(), msgspec.Raw(rest)) for place, own, rest in batch)
            yield from _decoded(json, decoder, refused)
