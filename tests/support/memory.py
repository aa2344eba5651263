"""A bucket in memory, for tests that look at many states of it, and captures to lie in it."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from endpoints.flight_delay import Flight
from evergreen.aws.s3 import Store, Stored
from evergreen.captures.arrivals import HOUR, SchemaOf
from evergreen.captures.compaction import compact
from evergreen.captures.recorded import Recorded
from evergreen.captures.records import Capture
from evergreen.contract.schema import JsonSchema, schema_of
from evergreen.monitoring.hourly_counts import Hour, Hours
from evergreen.registry.manifest import Manifest
from tests.support import given
from tests.support.given import START

OLD = given.version(1)
FLIGHTS = schema_of(given.NAME, Flight)


class CrashError(Exception):
    """The process ends here."""


@dataclass
class Fault:
    """What goes wrong with a conditional write, after `writes` others.

    what: the process ends before it, or after it, or only its answer is lost; meanwhile: what
    somebody else does between a write and its answer that is lost.
    """

    what: Literal["before", "after", "lost"]
    writes: int = 0
    meanwhile: Callable[[], None] = lambda: None


class Memory(Store, frozen=True, eq=False):
    """A bucket that remembers what was asked of it."""

    s3: Any = None
    bucket: str = "memory"
    objects: dict[str, bytes] = msgspec.field(default_factory=dict)
    listed: list[str] = msgspec.field(default_factory=list)
    read: list[str] = msgspec.field(default_factory=list)
    written: list[str] = msgspec.field(default_factory=list)
    faults: list[Fault] = msgspec.field(default_factory=list)

    def get(self, key: str, most: int | None = None) -> Stored | None:
        self.read.append(key)
        body = self.objects.get(key)
        return None if body is None else Stored(body[:most], hashlib.md5(body).hexdigest())  # noqa: S324 - so S3 makes an ETag

    def put(self, key: str, body: bytes) -> None:
        self.written.append(key)
        self.objects[key] = body

    def create(self, key: str, body: bytes) -> bool:
        return self._write(key, body, holds=key not in self.objects)

    def replace(self, key: str, body: bytes, etag: str) -> bool:
        stood = self.get(key)
        return self._write(key, body, holds=stood is not None and stood.etag == etag)

    def _write(self, key: str, body: bytes, holds: bool) -> bool:
        fault = self._due()
        if fault and fault.what == "before":
            raise CrashError
        if holds:
            self.put(key, body)
        if fault and fault.what == "after":
            raise CrashError
        if fault:
            fault.meanwhile()
        return self.objects.get(key) == body

    def _due(self) -> Fault | None:
        if not self.faults:
            return None
        self.faults[0].writes -= 1
        return self.faults.pop() if self.faults[0].writes < 0 else None

    def names(self, prefix: str) -> Iterator[str]:
        self.listed.append(prefix)
        rest = (key.removeprefix(prefix) for key in self.objects if key.startswith(prefix))
        return iter(sorted({name.partition("/")[0] + "/" * ("/" in name) for name in rest}))

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        self.listed.append(prefix)
        return iter(sorted(key for key in self.objects if key.startswith(prefix) and key > after))

    def forget(self) -> None:
        for asked in (self.listed, self.read, self.written):
            asked.clear()

    def under(self, prefix: str) -> dict[str, bytes]:
        return {key: body for key, body in self.objects.items() if key.startswith(prefix)}


def flights(_: str, version: str) -> JsonSchema | None:
    """Return the schema of flights for every version but the last, which does not exist."""
    return None if version == given.version(99) else FLIGHTS


def compacted(store: Store, schema_of: SchemaOf = flights, now: datetime | None = None) -> Recorded:
    """Compact what has arrived, by a time or everything, and return what reads it."""
    arrived = [key for kind in ("captures", "labels") for key in store.keys(f"{kind}/")]
    if arrived:
        newest = max("".join(key.split("/")[1:5]) for key in arrived)
        last = datetime.strptime(newest, "%Y%m%d%H").replace(tzinfo=UTC) + HOUR
        compact(store, schema_of, now or last)
    return Recorded(store, given.NAME)


def hours(
    memory: Store, manifest: Manifest, start: datetime, end: datetime
) -> dict[datetime, Hour]:
    """Return the hours of an endpoint that had a version before."""
    counts = Hours(compacted(memory), manifest, [OLD, manifest.version])
    return counts.between(start, end)


def deliver(memory: Store, captures: list[Capture], at: datetime = START, name: str = "a") -> None:
    """Put captures where Firehose would."""
    given.deliver(memory, captures, at, name)


def made(manifest: Manifest, number: int, time: datetime = START, **more: Any) -> Capture:
    """Return a capture of a version, no two of which are quite alike."""
    features = given.whole(hour=number % 24, temp=None if number % 5 else float(number % 90))
    plain = given.capture(number, time, features=more.pop("features", features))
    changes = {"version": manifest.version, "score": number % 97 / 97} | more
    return msgspec.structs.replace(plain, **changes)
