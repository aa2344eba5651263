"""Plans a batch: which version scores a file, and in which chunks, without reading it whole."""

import re
import secrets
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from evergreen.aws.s3 import Store
from evergreen.batch.chunk import Chunk, csv, sparse, starts
from evergreen.captures.conversion import WANTED, listed, types_of
from evergreen.contract.decoding import RowDecoder
from evergreen.contract.errors import DataError, NoChampionError
from evergreen.contract.files import Files
from evergreen.contract.schema import JsonSchema
from evergreen.training.tables.folders import ENDINGS, ending

if TYPE_CHECKING:
    from evergreen.serving.model_cache import Serving

ROWS = 100_000  # of a chunk, about
SAMPLE = 1_000_000  # bytes of a file, by which the length of its rows is judged
MAX_BYTES = 64_000_000  # of a chunk of text, however long its rows are,
MAX_CHUNKS = 10_000  # or however many it takes: what a map returns of them must fit into 256 KB
PLAIN = re.compile(r"BOOLEAN|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*|VARCHAR")
_GROUPS = (
    "SELECT any_value(row_group_num_rows), min(begun), max(begun + total_compressed_size) FROM ("
    "SELECT *, least(coalesce(nullif(dictionary_page_offset, 0), data_page_offset), "
    "data_page_offset) AS begun FROM parquet_metadata(getvariable('here'))) "
    "GROUP BY row_group_id ORDER BY row_group_id"
)


def folder(key: str, etag: str) -> str:
    """Return under which folder the outputs of a file lie: by its name and its bytes.

    >>> folder("batch/in/flight-delay/may.csv", "0123456789abcdef")
    'batch/out/flight-delay/may.csv-0123456789ab/'
    """
    _, _, endpoint, name = key.split("/", 3)
    return f"batch/out/{endpoint}/{re.sub(r'[^a-zA-Z0-9_.-]', '_', name)}-{etag[:12]}/"


def planned(data: Store, place: str) -> list[Chunk]:
    """Return the chunks that a batch was planned in; none where it was not."""
    stored = data.get(f"{place}plan.json")
    return msgspec.json.decode(stored.body, type=list[Chunk]) if stored else []


def plan(
    serving: "Serving", data: Store, files: Files, key: str, etag: str, now: datetime
) -> dict[str, Any]:
    """Plan the batch of a file by the champion of now; return its `status` and `place`.

    Planned again with the same champion, the first plan stands, so outputs are the same. A file
    that cannot be scored is `refused`, for the `reason` in its summary. Raises NoChampionError.
    """
    name, registry = key.split("/")[2], serving.registry
    if (seen := registry.document(name)) is None:
        raise NoChampionError(name)
    manifest = registry.known(name, seen.document.champion)
    place = f"{folder(key, etag)}{manifest.version}/"
    data.put(f"{place}summary.json", b'{"status": "running"}')
    data.put(f"{place}begun.json", msgspec.json.encode(now))
    if not planned(data, place):
        learnt = serving.recalibrations.of(name, manifest.version, now.date())
        first = Chunk(
            endpoint=name,
            key=key,
            etag=etag,
            size=0,
            version=manifest.version,
            place=place,
            time=now,
            ids=f"{int(now.timestamp() * 1000):012x}{secrets.token_hex(5)}",
            recalibrated=learnt.day if learnt else None,
        )
        try:
            found = list(chunks(data, first, RowDecoder(manifest.schema), files))
        except DataError as error:
            said = {"status": "refused", "file": key, "reason": str(error)}
            data.put(f"{place}summary.json", msgspec.json.encode(said))
            return {**said, "place": place}
        data.create(f"{place}plan.json", msgspec.json.encode(found))
    return {"status": "planned", "place": place, "plan": f"{place}plan.json"}


def chunks(data: Store, first: Chunk, decoder: RowDecoder, files: Files) -> Iterator[Chunk]:
    """Yield the chunks of a file; first: what they share. Raises DataError for no table."""
    end = ending(first.key)
    if end is None or end.endswith(".gz"):
        plain = ", ".join(each for each in ENDINGS if not each.endswith(".gz"))
        raise DataError(f"its name ends in none of {plain}: of a packed file no part can be read")
    sample = data.part(first.key, 0, SAMPLE, first.etag)
    if sample is None:
        raise DataError("it is empty, or gone")
    first = replace(first, size=sample[1])
    if end == ".parquet":
        found = _of_parquet(data, first, decoder)
    else:
        found = _of_text(sample[0], first.size, end, decoder, files)
    for number, changes in enumerate(found):
        yield replace(first, number=number, **changes)


def _of_text(
    sample: bytes, whole: int, end: str, decoder: RowDecoder, files: Files
) -> Iterator[dict[str, Any]]:
    head = 0
    if "\n".encode(files.encoding) != b"\n":
        raise DataError(f"a batch is not read in {files.encoding.upper()}: write it as UTF-8")
    if end in (".csv", ".tsv"):
        lines: list[int] = []
        names, rows = csv(sample, files, decoder, lambda line, _: lines.append(line))
        _check(names, decoder.schema)
        lines += [line for line, _ in islice(rows, 1)]
        head = starts(sample)[min(lines) - 1] if lines else len(sample)
    elif not sample.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        raise DataError("it begins with no object of JSON: write an object on each line")
    row = (len(sample) - head) / (sample.count(b"\n", head) or 1)
    size = int(max(min(row * ROWS, MAX_BYTES), whole / MAX_CHUNKS, 1))
    for start in range(head, max(whole, head + 1), size):
        yield {"start": start, "end": min(start + size, whole), "head": head}


def _of_parquet(data: Store, first: Chunk, decoder: RowDecoder) -> Iterator[dict[str, Any]]:
    tail = first.read(data, max(0, first.size - 8), first.size)
    head, types = int.from_bytes(tail[:4], "little") + 8, types_of(decoder.schema)
    if tail[4:] != b"PAR1" or head > first.size:
        raise DataError("it is no Parquet, or cut off: put it again")
    with sparse(data, replace(first, head=head)) as (connection, kinds):
        _check(kinds, decoder.schema)
        for name in kinds.keys() & types.keys():
            if not PLAIN.fullmatch(kind := kinds[name]):
                raise DataError(f"column {name}: {kind} where {WANTED[types[name]]} is wanted")
        groups = connection.execute(_GROUPS).fetchall()
    start = row = begun = 0
    for number, (count, first_byte, ended) in enumerate(groups, start=1):
        row, begun = row + count, begun or first_byte
        if row - start >= ROWS or number == len(groups):
            yield {"start": start, "end": row, "head": head, "span": (begun, ended)}
            start, begun = row, 0


def _check(names: Collection[str], schema: JsonSchema) -> None:
    if missing := [name for name in schema.get("required", ()) if name not in names]:
        known = listed(names, missing, types_of(schema))
        raise DataError(f"it lacks {', '.join(missing)}; {known}")
