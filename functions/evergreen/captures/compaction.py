"""What has arrived becomes rows and outcomes, every hour, and each object is read once for all.

arrivals/{kind}/{day}.json says which objects of a UTC date are in the parts (see parquet_parts) and
what was set aside. It is written after them, so that a run that was cut off is made again; a part
names its own sources, so that nothing enters it twice. What is written depends on what has arrived
and not on when, in which order or by how many runs it was read: to compute all anew, delete
arrivals/, rows/ and outcomes/.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime

import msgspec

from evergreen.aws.s3 import Store
from evergreen.captures import arrivals, parquet_parts
from evergreen.captures.arrivals import DELIVERY, HOUR, NOBODY, Found, Kind, Reader, SchemaOf
from evergreen.captures.parquet_parts import OUTCOME, ROW, Fresh, Parts, hour_of, key_of
from evergreen.contract.decoding import UNDECODABLE
from evergreen.contract.moments import days_of, midnight
from evergreen.contract.schema import JsonSchema

AT_ONCE = 50_000  # records that are held as objects of Python
BUSY = 50_000  # records of an hour that get a part of their own; those of all others share one
KINDS: tuple[Kind, ...] = ("captures", "labels")


class Arrived(msgspec.Struct, kw_only=True):
    """An hour of arrival: its objects; by endpoint the records that count, and those set aside."""

    sources: list[str] = []
    rows: dict[str, int] = {}
    aside: dict[str, dict[str, int]] = {}

    def add(self, key: str, found: Found) -> None:
        """Enter an object."""
        self.sources, rows = sorted([*self.sources, key]), Counter(self.rows)
        for (whose, _), records in found.records.items():
            rows[whose] += len(records)
        self.rows = {whose: n for whose, n in sorted(rows.items()) if n}
        for whose, counts in found.counts.items():
            total = Counter(self.aside.get(whose, {})) + Counter(counts)
            self.aside = dict(sorted({**self.aside, whose: dict(sorted(total.items()))}.items()))


class Ledger(msgspec.Struct, kw_only=True):
    """What has been read of a UTC date, by hour of arrival."""

    hours: dict[int, Arrived] = {}

    @property
    def sources(self) -> set[str]:
        """Return the keys of the objects."""
        return {key for hour in self.hours.values() for key in hour.sources}


def ledger_of(data: Store, kind: Kind, day: date) -> Ledger:
    """Return what has been read of a date; nothing where that is unknown: it is read again."""
    stored = data.get(f"arrivals/{kind}/{day}.json")
    try:
        return msgspec.json.decode(stored.body, type=Ledger) if stored else Ledger()
    except UNDECODABLE:
        return Ledger()


def compact(data: Store, schema_of: SchemaOf, now: datetime) -> Counter[str]:
    """Bring rows and outcomes up to the last hour that is over; return the new records by endpoint.

    Raises OvertakenError where another run writes the same: what it lacks, the next one adds.
    """
    total = Counter[str]()
    reader, parts = Reader(schema_of), Parts(data)
    for kind in KINDS:
        for day in _days(data, kind, now):
            total += _Day(parts, reader, kind, day).bring_up_to(now)
    return total


def _days(data: Store, kind: Kind, now: datetime) -> list[date]:
    known = [key.rpartition("/")[2][:10] for key in data.keys(f"arrivals/{kind}/")]
    if known:  # then a run of that date or later has read all that was there before
        first: date | None = (midnight(date.fromisoformat(known[-1])) - DELIVERY).date()
    else:
        first = arrivals.first_day(data, kind)
    return days_of(midnight(first), now) if first else []


@dataclass
class _Day:
    """The records of a kind that arrived on a UTC date.

    new: those that have been read, by endpoint and digest of their schema, with the hour and the
    key that each is from; tables: where they go to at times.
    """

    parts: Parts
    reader: Reader
    kind: Kind
    day: date
    new: dict[tuple[str, str], list[Fresh]] = field(default_factory=lambda: defaultdict(list))
    tables: dict[tuple[str, str], str] = field(default_factory=dict)

    def bring_up_to(self, now: datetime) -> Counter[str]:
        """Read what is new of the hours that are over, and write the parts that it belongs to."""
        data = self.parts.data
        ledger = ledger_of(data, self.kind, self.day)
        known, over = ledger.sources, now.replace(minute=0, second=0, microsecond=0)
        here, fresh = arrivals.arrived(data, self.kind, self.day), Counter[str]()
        start = midnight(self.day) + HOUR
        new = [(n, key) for n, key in here if key not in known and start + n * HOUR <= over]
        if not new:
            return fresh
        for hour, key in new:
            at = ledger.hours.setdefault(hour, Arrived())
            before = Counter(at.rows)
            self._read(hour, key, at)
            fresh += Counter(at.rows) - before
        for group in self.new:
            self._flush(*group)
        for (endpoint, digest), table in self.tables.items():
            busy = {n for n, hour in ledger.hours.items() if hour.rows.get(endpoint, 0) >= BUSY}
            self._write(endpoint, digest, table, busy)
            self.parts.drop(table)
        ledger.hours = dict(sorted(ledger.hours.items()))
        data.put(f"arrivals/{self.kind}/{self.day}.json", msgspec.json.encode(ledger))
        return fresh

    def _read(self, hour: int, key: str, at: Arrived) -> None:
        data = self.parts.data
        if (stored := data.get(key)) is None:
            return  # expired since it was listed
        found = self.reader.read(self.kind, stored.body, midnight(self.day) + hour * HOUR)
        at.add(key, found)
        if found.damaged:
            data.put(f"quarantine/{NOBODY}/{key}", stored.body)
        for whose, aside in found.aside.items():
            data.put(f"quarantine/{whose}/{key}.jsonl", msgspec.json.Encoder().encode_lines(aside))
        for group, records in found.records.items():
            self.new[group] += [(hour, key, *record) for record in records]
            if len(self.new[group]) >= AT_ONCE:
                self._flush(*group)

    def _flush(self, endpoint: str, digest: str) -> None:
        group = endpoint, digest
        records = self.new[group]
        if not records:
            return
        schema = self._schema(digest)
        table = self.tables.setdefault(group, f"new{len(self.tables)}")
        types = ROW | parquet_parts.sql_types(schema) if schema else OUTCOME
        self.parts.insert(table, types, parquet_parts.frame_of(records, schema))
        records.clear()

    def _schema(self, digest: str) -> JsonSchema | None:
        return self.reader.decoders[digest].schema if digest else None

    def _write(self, endpoint: str, digest: str, table: str, busy: set[int]) -> None:
        """Write the parts of an endpoint and schema that something new belongs to."""
        parts, schema = self.parts, self._schema(digest)
        shared = key_of(self.kind, endpoint, self.day, "day", digest)
        sources = parts.sources(table)
        new = {hour_of(source) for source in sources}
        for hour in sorted(new & busy):
            own = key_of(self.kind, endpoint, self.day, f"{hour:02d}", digest)
            # While it was not busy, its first records went to the shared part.
            old_part = own if parts.hold([own]) else shared
            parts.merge(own, old_part, table, sources, {hour}, schema)
        others = set(range(24)) - busy
        old = {hour_of(s) for path in parts.hold([shared]) for s in parts.metadata(path, "sources")}
        if new & others or old & busy or not parts.hold([shared]):  # be there one, even empty
            parts.merge(shared, shared, table, sources, others, schema)
