"""What was recorded of an endpoint: its predictions, each once, and what was told of them.

Both arrive at least once and in any order, so what counts is decided by what they say: a prediction
by its own time, however late it came; of copies one; of records that contradict each other none; of
the labels of an id the earliest, for as long as no other contradicts it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd

from evergreen.aws.s3 import Store
from evergreen.captures import rows
from evergreen.captures.arrivals import ARRIVAL, BUFFER, HOUR
from evergreen.captures.parquet_parts import Parts
from evergreen.captures.records import Capture
from evergreen.captures.rows import Rows
from evergreen.contract.moments import days_of, microseconds, midnight, moment
from evergreen.contract.schema import JsonSchema

NEVER = 2**63 - 1  # when a label that nobody contradicts was contradicted
TOLD = ("outcome", "told", "disputed")
_NO_OUTCOMES = "(SELECT '' AS id, '' AS label, 0::BIGINT AS time WHERE false)"
DRAW = "md5_number_lower(id)"  # who is drawn for half is also drawn for all
META = (
    "id", "time", "version", "variant", "score", "label", "scores", "key", "failed", "ms", "raw",
    "recalibration",
)  # fmt: skip
MAYBE = ("ms", "raw")  # numbers that not every prediction has; NaN without one


class Wanted(TypedDict, total=False):
    """Which predictions are wanted, and what of them.

    schemas: in which features are wanted; plain: those that are wanted as they are, None for all;
    meta: what else is. where: a condition in SQL on the columns of a part. told: "LEFT" for all
    with their labels, if they have any, "INNER" for those that have one; `tell` comes first.
    one_in: 2 for about half of the rows, by a hash of their ids.
    most: of more rows about that many. last: so many of each schema, newest first.
    """

    schemas: Sequence[JsonSchema]
    where: str
    told: str
    one_in: int
    most: int
    last: int
    meta: Sequence[str]
    plain: Sequence[str] | None


@dataclass
class Recorded:
    """Reads what was recorded of one endpoint."""

    data: Store
    endpoint: str
    parts: Parts = field(init=False)
    _keys: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parts = Parts(self.data)

    def first_day(self) -> date | None:
        """Return the first UTC date on which a prediction was recorded, or None."""
        folder = min(self.data.names(f"rows/{self.endpoint}/"), default=None)
        return date.fromisoformat(folder.rstrip("/")) if folder else None

    def tell(self, start: datetime, end: datetime) -> Counter[str]:
        """Take the labels that were told from start to end for what `predictions` joins.

        Returns how many predictions have `conflicting` labels, and how many labels are `repeated`.
        """
        files = self.parts.hold(self._found("outcomes", start, end))
        source = f"read_parquet({_listed(files)})" if files else _NO_OUTCOMES
        span = f"time >= {microseconds(start)} AND time < {microseconds(end)}"
        self.parts.sql.execute(
            "CREATE OR REPLACE TEMP TABLE told AS SELECT id, arg_min(label, time) AS outcome, "
            f"min(time) AS told, {NEVER} AS disputed, min(label) <> max(label) AS odd, "
            f"count(*) AS copies FROM {source} WHERE {span} GROUP BY id"
        )
        conflicting = self._count("told WHERE odd")
        repeated = self._count("told", "CAST(coalesce(sum(copies - 1), 0) AS BIGINT)")
        if conflicting:
            odd = f"FROM {source} o JOIN told t USING (id) WHERE t.odd AND {span}"
            self.parts.sql.execute(
                "UPDATE told SET disputed = other.time FROM (SELECT id, min(o.time) AS time "
                f"{odd} AND o.label <> t.outcome GROUP BY id) AS other WHERE told.id = other.id"
            )
            repeated -= self._count(
                f"(SELECT id, count(DISTINCT o.label) AS labels {odd} GROUP BY id)",
                "CAST(sum(labels - 1) AS BIGINT)",
            )
        return Counter(conflicting=conflicting, repeated=repeated)

    def told_since(self, start: datetime, end: datetime) -> int:
        """Return of how many predictions a label was told after `start` and before `end`."""
        self.tell(start + timedelta.resolution, end)
        return self._count("told")

    def predictions(self, start: datetime, end: datetime, **wanted: Unpack[Wanted]) -> Rows:
        """Return the predictions made from start until before end, as `wanted` says."""
        where, told = wanted.get("where", "true"), wanted.get("told", "")
        meta, plain = wanted.get("meta", META), wanted.get("plain", ())
        schemas, one_in = wanted.get("schemas", ()), wanted.get("one_in", 1)
        sources = self._sources(start, end, where, told)
        if most := wanted.get("most"):
            one_in = max(1, -(-sum(self._count(source) for _, source in sources) // most))
        drawn = f" AND {DRAW} % {one_in} = 0" if one_in > 1 else ""
        last = wanted.get("last")
        order = f"id DESC LIMIT {last}" if last else "time, id"
        names = (*meta, *TOLD) if told else tuple(meta)

        def read(sources: list[tuple[list[Path], str]]) -> Rows:
            parts = [
                self._read(files, f"{source}{drawn} ORDER BY {order}", names, plain, schemas)
                for files, source in sources
            ]
            return rows.joined(parts, rows.none(names, plain or (), schemas))

        found, copies = read(sources), Counter[str]()
        if not pd.Index(found["id"]).is_unique:
            copies = self._conflicts([(files, source + drawn) for files, source in sources])
            found = read(self._sources(start, end, where, told, once=True))
        return replace(found, counts=copies, one_in=one_in)

    def request(self, request: str, time: datetime) -> dict[str, Capture]:
        """Return the predictions of a request by their ids, of which `request` is the beginning.

        time: of the request, by its ids; what it was recorded with may differ a little.
        """
        where, meta = f"id >= '{request}-' AND id < '{request}.'", (*META, "unseen")
        rows = self.predictions(time - HOUR, time + HOUR, where=where, meta=meta, plain=None)
        found = {}
        for place, prediction in enumerate(rows["id"].tolist()):
            own: dict[str, Any] = {name: values[place] for name, values in rows.meta.items()}
            own |= {n: None if np.isnan(own[n]) else float(own[n]) for n in MAYBE}
            own |= {"time": moment(int(own["time"])), "score": float(own["score"])}
            own |= {"endpoint": self.endpoint, "unseen": own["unseen"] or []}
            own["features"] = {name: values[place] for name, values in rows.plain.items()}
            found[prediction] = Capture(**own)
        return found

    def count(self, start: datetime, end: datetime, *, where: str = "true", told: str = "") -> int:
        """Return how many predictions there are."""
        sources = self._sources(start, end, where, told)
        return sum(self._count(source, "count(DISTINCT id)") for _, source in sources)

    def spans(
        self, start: datetime, end: datetime, most: int, told: str = ""
    ) -> list[tuple[datetime, datetime]]:
        """Return the span as it is, or its days where it holds more predictions than `most`.

        To read once is cheaper; more must not be in memory at a time.
        """
        if self.count(start, end, told=told) <= most:
            return [(start, end)]
        days = map(midnight, days_of(start, end))
        return [(max(start, day), min(end, day + timedelta(days=1))) for day in days]

    def _sources(
        self, start: datetime, end: datetime, where: str, told: str, *, once: bool = False
    ) -> list[tuple[list[Path], str]]:
        """Return what stands after FROM for the rows of each schema, with its files.

        once: without copies, and without those that contradict each other.
        """
        span = f"time >= {microseconds(start)} AND time < {microseconds(end)}"
        join = f"{told} JOIN told USING (id)" if told else ""
        if once:
            where = f"({where}) AND id NOT IN (SELECT id FROM conflict)"
        found = []
        for files in self._groups(start, end).values():
            source = f"read_parquet({_listed(files)})"
            if once:
                source = f"(SELECT DISTINCT * EXCLUDE (arrived) FROM {source} WHERE {span})"
            found.append((files, f"{source} {join} WHERE {span} AND ({where})"))
        return found

    def contradictory(self) -> list[str]:
        """Return the ids, in order, of which the last `predictions` met different records."""
        return self._ids("conflict")

    def conflicting(self) -> list[str]:
        """Return the ids that were told different labels, in order."""
        return self._ids("told WHERE odd")

    def _ids(self, source: str) -> list[str]:
        found = self.parts.sql.execute(f"SELECT id FROM {source} ORDER BY id")
        return [prediction for (prediction,) in found.fetchall()]

    def strays(
        self, start: datetime, end: datetime, where: str = "true"
    ) -> Iterator[tuple[str, datetime]]:
        """Yield the id and time of each label, of those of `tell`, that meets no prediction."""
        sources = self._sources(start, end, where, "")
        known = " UNION ALL ".join(f"SELECT id FROM {source}" for _, source in sources)
        query = "SELECT id, told FROM told WHERE NOT odd"
        found = self.parts.sql.execute(query + (f" AND id NOT IN ({known})" if known else ""))
        while some := found.fetchmany(10_000):
            yield from ((prediction, moment(told)) for prediction, told in some)

    def _groups(self, start: datetime, end: datetime) -> dict[str, list[Path]]:
        groups: dict[str, list[str]] = {}
        for key in self._found("rows", start, end):
            groups.setdefault(key.rpartition("-")[2], []).append(key)
        files = {digest: self.parts.hold(keys) for digest, keys in sorted(groups.items())}
        return {digest: found for digest, found in files.items() if found}

    def _found(self, prefix: str, start: datetime, end: datetime) -> list[str]:
        """Return the keys of the parts that arrived while records of a span could."""
        keys = []
        for day in days_of(start - BUFFER, end + ARRIVAL):
            folder = f"{prefix}/{self.endpoint}/{day}/"
            if folder not in self._keys:
                self._keys[folder] = list(self.data.keys(folder))
            keys += self._keys[folder]
        return keys

    def _conflicts(self, sources: list[tuple[list[Path], str]]) -> Counter[str]:
        """Enter the ids whose records contradict each other, and count these and mere copies."""
        each = "SELECT id FROM (SELECT DISTINCT * EXCLUDE (arrived) FROM {})"
        distinct = " UNION ALL ".join(each.format(source) for _, source in sources)
        self.parts.sql.execute(
            "CREATE OR REPLACE TEMP TABLE conflict AS "
            f"SELECT id, count(*) AS versions FROM ({distinct}) GROUP BY id"
        )
        repeated = sum(self._count(source) for _, source in sources)
        repeated -= self._count("conflict", "CAST(sum(versions) AS BIGINT)")
        self.parts.sql.execute("DELETE FROM conflict WHERE versions = 1")
        conflicting = self._count("conflict", "CAST(coalesce(sum(versions), 0) AS BIGINT)")
        return +Counter(repeated=repeated, conflicting=conflicting)

    def _count(self, source: str, what: str = "count(*)") -> int:
        (found,) = self.parts.sql.execute(f"SELECT {what} FROM {source}").fetchone() or (0,)
        return int(found)

    def _read(
        self, files: list[Path], source: str, names: Sequence[str], plain: Sequence[str] | None,
        schemas: Sequence[JsonSchema],
    ) -> Rows:  # fmt: skip
        written: JsonSchema = self.parts.metadata(files[0], "schema")
        place = {name: f"f{number}" for number, name in enumerate(written["properties"])}
        plain = list(place) if plain is None else plain
        if not schemas or schemas[0] == written:  # else all are needed, to see whether they fit
            wanted = {*plain, *(name for schema in schemas for name in schema["properties"])}
            place = {name: column for name, column in place.items() if name in wanted}
        own = [f"{DRAW} AS draw" if name == "draw" else name for name in names]
        query = f"SELECT {', '.join([*own, *place.values()])} FROM {source}"
        found = self.parts.sql.execute(query).fetchnumpy()
        features = {name: found.pop(column) for name, column in place.items()}
        return rows.of(found, features, written, plain, schemas)


def _listed(files: Sequence[Path]) -> str:
    return "[" + ", ".join(f"'{file}'" for file in files) + "]"
