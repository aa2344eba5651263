"""Captures and labels as they arrive: JSON lines of all endpoints, of which each is suspect.

Firehose delivers to captures/YYYY/MM/DD/HH/ and labels/YYYY/MM/DD/HH/ by hour of arrival (UTC), at
least once, in objects that are never written again. What does not count is set aside with a reason.
"""

import hashlib
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Literal

import msgspec

from evergreen.aws.s3 import Store
from evergreen.captures.records import Capture, Label
from evergreen.contract.decoding import UNDECODABLE, RowDecoder
from evergreen.contract.identifiers import is_endpoint, is_version
from evergreen.contract.moments import midnight
from evergreen.contract.schema import JsonSchema

Kind = Literal["captures", "labels"]
SchemaOf = Callable[[str, str], JsonSchema | None]  # of a version; None where there is none

HOUR = timedelta(hours=1)
DELIVERY = timedelta(hours=25)  # Firehose tries for 24 hours to write what it took
ARRIVAL = timedelta(hours=2)  # how long after a prediction its capture may reach S3
BUFFER = timedelta(minutes=15)  # an object's folder is the hour of the oldest record in it
NOBODY = "-"  # whose is what cannot be read; no endpoint can have this name
_HOURS = {f"{number:02d}": number for number in range(24)}
_GZIP = b"\x1f\x8b"


class Line(Capture, frozen=True, kw_only=True, omit_defaults=True):
    """A capture whose features have not been decoded yet."""

    features: msgspec.Raw  # type: ignore[assignment]


class SetAside(msgspec.Struct, frozen=True):
    """A line that is not counted, as it goes to quarantine/."""

    reason: str
    line: str


@dataclass
class Found:
    """What an object holds, by endpoint.

    records: also by the digest of the schema that they fit: captures, each with its features as a
    struct; labels are by "", and have none. damaged: the object is cut off or fails its own
    checksum, and nothing of it is used.
    """

    records: dict[tuple[str, str], list[tuple[Any, Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    aside: dict[str, list[SetAside]] = field(default_factory=dict)
    damaged: bool = False

    def put(self, endpoint: str, reason: str, line: bytes) -> None:
        """Set a line aside."""
        text = line.decode(errors="backslashreplace")
        self.aside.setdefault(endpoint, []).append(SetAside(reason, text))

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many lines were set aside, by endpoint and reason."""
        if self.damaged:
            return {NOBODY: {"damaged object": 1}}
        return {whose: dict(Counter(each.reason for each in a)) for whose, a in self.aside.items()}


@dataclass(frozen=True)
class Reader:
    """Reads what has arrived.

    schema_of: what the features of a version must be. decoders: of the schemas met, by digest.
    """

    schema_of: SchemaOf
    decoders: dict[str, RowDecoder] = field(default_factory=dict)
    _digests: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def read(self, kind: Kind, body: bytes, folder: datetime) -> Found:
        """Read an object that lies in the folder of an hour (UTC)."""
        found, lines = Found(), decompressed(body)
        if lines is None:
            return Found(damaged=True)
        unreadable = partial(found.put, NOBODY, "unreadable")
        if kind == "labels":
            for label in decoded(lines, _LABELS, unreadable):
                if is_endpoint(label.endpoint):
                    found.records[label.endpoint, ""].append((label, None))
                else:
                    found.put(NOBODY, "unknown endpoint", msgspec.json.encode(label))
            return found
        by_version = defaultdict[tuple[str, str], list[Line]](list)
        for line in decoded(lines, _CAPTURES, unreadable):
            by_version[line.endpoint, line.version].append(line)
        for whose, some in by_version.items():
            self._sort(*whose, some, folder, found)
        return found

    def _sort(
        self, endpoint: str, version: str, lines: list[Line], folder: datetime, found: Found
    ) -> None:
        whose = endpoint if is_endpoint(endpoint) else NOBODY
        digest = self._digest(whose, version)
        if digest is None:
            for line in lines:
                found.put(whose, "unknown version", msgspec.json.encode(line))
            return
        timely = []
        for line in lines:
            if folder - ARRIVAL <= line.time < folder + HOUR + BUFFER:
                timely.append(line)
            else:
                found.put(whose, "wrong hour", msgspec.json.encode(line))
        rows = self.decoders[digest].rows([line.features for line in timely])
        kept = found.records[whose, digest]
        for line, row in zip(timely, rows, strict=True):
            if row is None:
                found.put(whose, "wrong schema", msgspec.json.encode(line))
            else:
                kept.append((line, row))

    def _digest(self, endpoint: str, version: str) -> str | None:
        if endpoint == NOBODY or not is_version(version):
            return None
        if (endpoint, version) not in self._digests:
            digest = None
            if (schema := self.schema_of(endpoint, version)) is not None:
                text = msgspec.json.encode(schema, order="deterministic")
                digest = hashlib.sha256(text).hexdigest()[:8]  # in the name of an object
                self.decoders.setdefault(digest, RowDecoder(schema))
            self._digests[endpoint, version] = digest
        return self._digests[endpoint, version]


def closing(day: date, label_days: int) -> datetime:
    """Return when the labels of a day's predictions have had their time."""
    return midnight(day) + timedelta(days=1 + label_days)


def first_day(data: Store, kind: Kind) -> date | None:
    """Return the first UTC date on which records of a kind arrived, or None."""
    prefix = f"{kind}/"
    for _ in ("year", "month", "day"):
        folders = sorted(name for name in data.names(prefix) if name.endswith("/"))
        if not folders:
            return None
        prefix += folders[0]
    year, month, day = prefix.split("/")[1:4]
    return date(int(year), int(month), int(day))


def arrived(data: Store, kind: Kind, day: date) -> Iterator[tuple[int, str]]:
    """Yield the hour and key of each object that arrived on a UTC date."""
    prefix = f"{kind}/{day:%Y/%m/%d}/"
    for key in data.keys(prefix):
        hour, _, name = key.removeprefix(prefix).partition("/")
        if name and hour in _HOURS:  # else a person put it there
            yield _HOURS[hour], key


_CAPTURES, _LABELS = msgspec.json.Decoder(Line), msgspec.json.Decoder(Label)


def decompressed(body: bytes) -> bytes | None:
    """Return an object's lines, or None where it is cut off or fails its own checksum."""
    if not body.startswith(_GZIP):
        return body
    members = []
    while body:  # there may be several, one after the other
        member = zlib.decompressobj(wbits=31)
        try:
            members.append(member.decompress(body))
        except zlib.error:
            return None
        if not member.eof:
            return None
        body = member.unused_data
    return b"".join(members)


def decoded[T](
    lines: bytes, decoder: msgspec.json.Decoder[T], bad: Callable[[bytes], None]
) -> list[T]:
    """Return what lines hold; one that is not that goes to `bad`, and must not cost the others."""
    with suppress(*UNDECODABLE):
        return decoder.decode_lines(lines)
    found = []
    for line in lines.splitlines():
        try:
            found.append(decoder.decode(line))
        except UNDECODABLE:
            bad(line)
    return found
