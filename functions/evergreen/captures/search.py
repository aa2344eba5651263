"""Recorded predictions as a person looks for them: newest first, each with what was told of it.

What no compaction has read yet is found as well: who has just asked for a prediction wants to see
it. So a prediction may be shown that a check will set aside.
"""

import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal

import msgspec

from evergreen.aws.s3 import Store
from evergreen.captures.arrivals import ARRIVAL, BUFFER, Kind, arrived, decoded, decompressed
from evergreen.captures.compaction import ledger_of
from evergreen.captures.recorded import NEVER, Recorded
from evergreen.captures.records import Capture, Label
from evergreen.contract.moments import days_of, midnight, moment
from evergreen.contract.problem import Answer

DAY = timedelta(days=1)
MOST_DAYS = 31  # that one search looks through
LAST_SECOND = 4_102_444_800  # since 1970, that a search may end at: the year 2100
LABEL = re.compile(r"[ -~]{1,200}")  # as people type one
FRESH_OBJECTS = 100  # the newest of those that no compaction has read
META = ("id", "time", "version", "variant", "score", "label", "failed", "ms")

Only = Literal["labelled", "unlabelled", "wrong", "failed"]


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for; until: exclusive; before: the id that the page before ended with.

    label: as JSON or as text, answered or told. only: `wrong` where what was told is not what was
    answered, `failed` where another version answered than should have.
    """

    until: datetime
    days: int = MOST_DAYS
    limit: int = 50
    id: str | None = None
    before: str | None = None
    version: str | None = None
    label: str | None = None
    only: Only | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction; outcome: what was told of it, None without; disputed: and something else too.

    fresh: no compaction has read it yet.
    """

    id: str
    time: datetime
    version: str
    variant: str
    score: float
    label: Answer
    failed: str | None = None
    ms: float | None = None
    outcome: Answer | None = None
    told: datetime | None = None
    disputed: bool = False
    fresh: bool = False


def search(data: Store, endpoint: str, wanted: Search, label_days: int) -> tuple[list[Found], bool]:
    """Return the newest predictions that fit, at most `limit`, and whether there are more.

    label_days: how long after its day a label may come.
    """
    start = wanted.until - timedelta(days=wanted.days)
    found = {each.id: each for each in _fresh(data, endpoint, wanted) if each.time >= start}
    recorded, most = Recorded(data, endpoint), wanted.limit + 1
    for day in reversed(days_of(start, wanted.until)):
        begin = midnight(day)
        recorded.tell(begin, begin + (1 + label_days) * DAY)
        rows = recorded.predictions(
            max(start, begin), min(wanted.until, begin + DAY),
            where=_where(wanted), told="LEFT", meta=META, last=most,
        )  # fmt: skip
        for values in zip(*(each.tolist() for each in rows.meta.values()), strict=True):
            one = _found(dict(zip(rows.meta, values, strict=True)))
            found[one.id] = one
        if len(found) >= most:
            break
    newest = sorted(found.values(), key=lambda each: each.id, reverse=True)
    return newest[: wanted.limit], len(newest) > wanted.limit


def _where(wanted: Search) -> str:
    conditions = {
        "labelled": "outcome IS NOT NULL", "unlabelled": "outcome IS NULL",
        "wrong": "outcome <> label", "failed": "failed IS NOT NULL",
    }  # fmt: skip
    parts = [conditions[wanted.only]] if wanted.only else []
    parts += [f"id = {_quoted(wanted.id)}"] if wanted.id else []
    parts += [f"id < {_quoted(wanted.before)}"] if wanted.before else []
    parts += [f"version = {_quoted(wanted.version)}"] if wanted.version else []
    if wanted.label is not None:
        texts = ", ".join(map(_quoted, _spelled(wanted.label)))
        parts.append(f"(label IN ({texts}) OR outcome IN ({texts}))")
    return " AND ".join(parts) or "true"


def _spelled(label: str) -> tuple[str, str]:
    """Return what stands for a label in a part: itself, if it is JSON, or as text."""
    return label, msgspec.json.encode(label).decode()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _found(row: dict[str, Any]) -> Found:
    """Return a row of a part; without a label, numbers of what was told are 0."""
    known = row["outcome"] is not None
    row |= {"time": moment(row["time"]), "told": moment(row["told"]) if known else None}
    row["ms"] = None if math.isnan(row["ms"]) else row["ms"]
    return Found(**row | {"disputed": known and row["disputed"] != NEVER})


def _fresh(data: Store, endpoint: str, wanted: Search) -> Iterator[Found]:
    end = wanted.until + ARRIVAL
    told = {label.id: label for label in uncompacted(data, "labels", end - DAY, end, Label)}
    for capture in uncompacted(data, "captures", end - DAY, end, Capture):
        label = told.get(capture.id)
        fits = {
            None: True,
            "labelled": label is not None,
            "unlabelled": label is None,
            "wrong": label is not None and label.label != capture.label,
            "failed": capture.failed is not None,
        }[wanted.only]
        seen = {msgspec.json.encode(one.label).decode() for one in (capture, label) if one}
        if (
            fits
            and capture.endpoint == endpoint
            and capture.time < wanted.until
            and wanted.version in (None, capture.version)
            and wanted.id in (None, capture.id)
            and (wanted.before is None or capture.id < wanted.before)
            and (wanted.label is None or seen & set(_spelled(wanted.label)))
        ):
            known: dict[str, Any] = {name: getattr(capture, name) for name in META}
            known |= {"outcome": label.label, "told": label.time} if label else {}
            yield Found(**known, fresh=True)


def uncompacted[T: (Capture, Label)](
    data: Store, kind: Kind, start: datetime, end: datetime, of: type[T], within: str = ""
) -> Iterator[T]:
    """Yield the records of all endpoints that arrived from start to end and are in no part yet.

    within: what the line of each that is wanted holds; all objects are then read, however many.
    """
    decoder = msgspec.json.Decoder(of)
    keys = []
    for day in days_of(start - BUFFER, end):
        read = ledger_of(data, kind, day).sources
        keys += [key for _, key in arrived(data, kind, day) if key not in read]
    for key in islice(reversed(keys), None if within else FRESH_OBJECTS):
        stored = data.get(key)
        lines = (decompressed(stored.body) or b"").splitlines() if stored else ()
        own = b"\n".join(line for line in lines if within.encode() in line)
        yield from decoded(own, decoder, lambda _: None)
