"""How a day of captures or labels is read back.

Firehose delivers JSON lines to captures/YYYY/MM/DD/HH/ and labels/YYYY/MM/DD/HH/ by time of
arrival, at least once, in many small objects and for all endpoints together. A reader reduces each
day to one object per endpoint, days/{kind}/{endpoint}/{day}.jsonl.gz, and notes which objects went
into it: while the listing is the same, or once nothing more can arrive, the reduced day is read
instead. It is a cache; deleting it loses nothing.
"""

import gzip
import logging
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from evergreen.aws.s3 import Store
from evergreen.captures.records import Capture, Label, told
from evergreen.contract.decoding import UNDECODABLE
from evergreen.contract.moments import Moment, days_of, midnight

logger = logging.getLogger(__name__)

DELIVERY = timedelta(hours=25)  # Firehose tries for 24 hours to write what it took
ARRIVAL = timedelta(hours=2)  # how long after a prediction its capture may reach S3
BUFFER = timedelta(minutes=15)  # an object's folder is the hour of the oldest record in it
_GZIP = b"\x1f\x8b"


class _Reduced(msgspec.Struct, frozen=True):
    """The first line of a reduced day: what went into it, and whether anything can follow."""

    sources: list[str] = []
    complete: bool = False


def closing(day: date, label_days: int) -> datetime:
    """Return when the labels of a day's predictions have had their time."""
    return midnight(day) + timedelta(days=1 + label_days)


def first_day(data: Store, kind: str) -> date | None:
    """Return the first UTC date on which records of a kind arrived, or None."""
    prefix = f"{kind}/"
    for _ in ("year", "month", "day"):
        folders = sorted(name for name in data.names(prefix) if name.endswith("/"))
        if not folders:
            return None
        prefix += folders[0]
    year, month, day = prefix.split("/")[1:4]
    return date(int(year), int(month), int(day))


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What of a capture its label is compared with; the features only as they stand there."""

    id: str
    time: Moment
    version: str
    variant: str
    score: float
    scores: dict[str, float] | None = None
    features: msgspec.Raw
    key: str | None = None
    failed: str | None = None
    ms: float | None = None


def answers_of(
    data: Store, endpoint: str, start: datetime, end: datetime
) -> Iterator[list[Answered]]:
    """Yield the same as `captures_of`, at a fraction of the memory."""
    return _made_between(data, endpoint, start, end, Answered)


def captures_of(
    data: Store, endpoint: str, start: datetime, end: datetime
) -> Iterator[list[Capture]]:
    """Yield the captures with start <= time < end, each id once, by time and then by id.

    The lists are of about a day each. A copy that arrives more than ARRIVAL after its time is none
    of the stream's and counts nowhere.
    """
    return _made_between(data, endpoint, start, end, Capture)


def _made_between[View: (Capture, Answered)](
    data: Store, endpoint: str, start: datetime, end: datetime, view: type[View]
) -> Iterator[list[View]]:
    waiting: dict[str, View] = {}  # for those that arrive on the next day
    for day, found in _by_day(data, "captures", endpoint, start, end, Capture, view):
        next_day = midnight(day) + timedelta(days=1)
        first, last = max(start, midnight(day) - ARRIVAL), min(end, next_day + BUFFER)
        for each in found:
            if first <= each.time < last:
                waiting.setdefault(each.id, each)
        ready = sorted(waiting.values(), key=lambda each: (each.time, each.id))
        place = bisect_left(ready, next_day - ARRIVAL, key=lambda each: each.time)
        yield ready[:place]
        waiting = {each.id: each for each in ready[place:]}
    yield list(waiting.values())


def labels_of(data: Store, endpoint: str, start: datetime, end: datetime) -> Iterator[list[Label]]:
    """Yield the labels with start <= time < end in lists, a day of arrival each."""
    for _, labels in _by_day(data, "labels", endpoint, start, end, Label, Label):
        yield [label for label in labels if start <= label.time < end]


def _by_day[Record: (Capture, Label), View](
    data: Store,
    kind: str,
    endpoint: str,
    start: datetime,
    end: datetime,
    record: type[Record],
    view: type[View],
) -> Iterator[tuple[date, list[View]]]:
    """Yield each day on which records of the time from start to end may have arrived, and these."""
    closed = (min(end, datetime.now(UTC)) - DELIVERY).astimezone(UTC).date()
    for day in days_of(start - BUFFER, end + ARRIVAL):
        lines = reduced_day(data, kind, endpoint, day, record, closed=day < closed)
        yield day, msgspec.json.Decoder(view).decode_lines(lines)


def reduced_day[Record: (Capture, Label)](
    data: Store, kind: str, endpoint: str, day: date, record: type[Record], *, closed: bool
) -> bytes:
    """Return one endpoint's distinct records that arrived on a UTC date, as lines, and keep them.

    closed: nothing more can arrive for this day, so that what is kept of it is complete.
    """
    key = f"days/{kind}/{endpoint}/{day}.jsonl.gz"
    decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(record)
    kept = data.get(key)
    reduced, lines = _unpacked(kept.body if kept else b"")
    if reduced.complete:
        return lines
    sources = list(data.keys(f"{kind}/{day:%Y/%m/%d}/"))
    encoder = msgspec.json.Encoder()
    if sources == reduced.sources and not closed:
        return lines
    if sources != reduced.sources:
        before: list[Record] = []
        new: list[str] = sources
        if set(reduced.sources) < set(sources):  # only more has come, as a rule
            before = decoder.decode_lines(lines)
            new = sorted(set(sources) - set(reduced.sources))
        records = [*before, *_read(data, new, endpoint, decoder)]
        lines = encoder.encode_lines(_distinct(records))
    head = encoder.encode(_Reduced(sources=sources, complete=closed))
    data.put(key, gzip.compress(head + b"\n" + lines, compresslevel=1, mtime=0))
    return lines


def _unpacked(body: bytes) -> tuple[_Reduced, bytes]:
    """Return a reduced day's head and lines; nothing for one that is damaged: it is a cache."""
    head, _, lines = (decompressed(body) or b"{}").partition(b"\n")
    try:
        return msgspec.json.decode(head, type=_Reduced), lines
    except UNDECODABLE:
        return _Reduced(), b""


def _read[Record: (Capture, Label)](
    data: Store, keys: Iterable[str], endpoint: str, decoder: msgspec.json.Decoder[Record]
) -> Iterator[Record]:
    for key in keys:
        stored = data.get(key)
        if stored is None:
            continue  # expired since it was listed
        body = decompressed(stored.body)
        if body is None:
            logger.warning("%s is damaged and was left out", key)
            continue
        bad: list[bytes] = []
        lines = decoded(body, decoder, bad.append)
        if bad:
            logger.warning("%d lines of %s could not be read", len(bad), key)
        yield from (line for line in lines if line.endpoint == endpoint)


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
    try:
        return decoder.decode_lines(lines)
    except UNDECODABLE:
        return list(_one_by_one(lines, decoder, bad))


def _one_by_one[T](
    lines: bytes, decoder: msgspec.json.Decoder[T], bad: Callable[[bytes], None]
) -> Iterator[T]:
    for line in lines.splitlines():
        try:
            yield decoder.decode(line)
        except UNDECODABLE:
            bad(line)


def _order(record: Capture | Label) -> tuple[datetime, bytes]:
    return record.time, msgspec.json.encode(record)


def _distinct[Record: (Capture, Label)](records: Iterable[Record]) -> list[Record]:
    """Drop repetitions, which Firehose and callers may make; labels that differ stay.

    Of repetitions the earliest stays, and the order is that of time, not that of arrival.
    """
    kept: dict[tuple[Any, ...], Record] = {}
    for record in records:
        identity = _identity(record)
        known = kept.get(identity)
        if known is None or _order(record) < _order(known):
            kept[identity] = record
    return sorted(kept.values(), key=lambda each: (each.time, each.id, str(each.label)))


def _identity(record: Capture | Label) -> tuple[Any, ...]:
    return (record.id, *told(record)) if isinstance(record, Label) else (record.id,)
