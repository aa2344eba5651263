"""Captures as hourly histograms: profiles/{endpoint}/{day}.json in the data bucket.

An hour is of the time of the prediction, not of its arrival, and is counted again from its objects
whenever there are others than before; so late objects, repetitions and reruns cannot miscount. Once
nothing can arrive any more the day is complete and is only read. Profiles are counted in the bins
of one version, the champion; after a promotion the days of a window are counted anew. They are a
cache: deleting them loses nothing.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from evergreen.aws.s3 import Store
from evergreen.captures.recorded_days import ARRIVAL, DELIVERY
from evergreen.captures.validation import (
    HOUR,
    HOUR_OF,
    ID,
    META,
    SCORE,
    VERSION,
    Read,
    Reader,
    take,
)
from evergreen.contract.decoding import UNDECODABLE
from evergreen.contract.moments import days_of, midnight
from evergreen.contract.schema import Columns
from evergreen.monitoring.domain_classifier import WINDOW_ROWS
from evergreen.monitoring.reference_profile import count
from evergreen.registry.manifest import FeatureProfile, Manifest

HOUR_SAMPLE = 64  # rows kept of an hour, so that busy hours have their share of what a check sees
DAY = timedelta(days=1)
HOURS = {f"{number:02d}" for number in range(24)}


class Sampled(msgspec.Struct, frozen=True, array_like=True):
    """A row of the sample: the hash of its id, which decides who is in it, its id and values."""

    hash: int
    id: str
    values: msgspec.Raw

    @property
    def rank(self) -> tuple[int, str, bytes]:
        """Return what the samples of several hours are ordered by."""
        return self.hash, self.id, bytes(self.values)


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """The distinct predictions of an hour, counted.

    versions: rows by the version that made them; counts: rows per bin, by feature; scores: rows per
    bin of the champion's scores. set_aside: records in the folder of this hour that were not
    counted, by reason. sample: the rows whose ids have hashes up to the cutoff; None is all rows.
    sources: hash of the names of the objects that it was counted from.
    """

    rows: int = 0
    versions: dict[str, int] = {}
    counts: dict[str, list[int]] = {}
    scores: list[int] = []
    set_aside: dict[str, int] = {}
    sample: list[Sampled] = []
    cutoff: int | None = None
    sources: str = ""


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """The hours of a UTC day, by number, in the bins of a version."""

    reference: str
    complete: bool
    hours: dict[int, Hour]


def merge(*hours: Hour) -> Hour:
    """Return the counts of all: of any hours, in any order and grouping."""
    counted = [hour for hour in hours if hour.counts]
    limit = min((hour.cutoff for hour in hours if hour.cutoff is not None), default=None)
    rows = (row for hour in hours for row in hour.sample if limit is None or row.hash <= limit)
    sample, cutoff = _lowest(rows, WINDOW_ROWS, limit)
    return Hour(
        rows=sum(hour.rows for hour in hours),
        versions=_added(hour.versions for hour in hours),
        counts={
            name: _summed([hour.counts[name] for hour in counted])
            for name in (counted[0].counts if counted else ())
        },
        scores=_summed([hour.scores for hour in hours if hour.scores]),
        set_aside=_added(hour.set_aside for hour in hours),
        sample=sample,
        cutoff=cutoff,
    )


def window(hours: dict[datetime, Hour]) -> Hour:
    """Return the sum of hours."""
    return merge(*hours.values())


def _lowest(
    rows: Iterable[Sampled], wanted: int, limit: int | None = None
) -> tuple[list[Sampled], int | None]:
    """Return the rows with the lowest hashes, and the hash up to which they are all there are."""
    found = list(rows)
    if len(found) <= wanted:
        return sorted(found, key=lambda row: row.rank), limit
    last = sorted(row.hash for row in found)[wanted - 1]  # most rows need not be put in order
    kept = sorted((row for row in found if row.hash <= last), key=lambda row: row.rank)[:wanted]
    return kept, last


def _decoded(body: bytes) -> Day | None:
    """Return a day, or None where it cannot be read: it is a cache, and is made again."""
    try:
        return msgspec.json.decode(body, type=Day)
    except UNDECODABLE:
        return None


def _summed(rows: list[list[int]]) -> list[int]:
    return np.array(rows).sum(axis=0).tolist() if rows else []


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))


@dataclass(frozen=True)
class _Folder:
    """What the objects in the folder of an hour of arrival hold."""

    rows: dict[int, list[Columns]]  # by the hour of the prediction
    aside: Counter[str]


@dataclass
class Profiles:
    """Brings the profiles of one endpoint up to date and reads them.

    manifest: the champion's; versions: ids of all versions of the endpoint.
    """

    data: Store
    manifest: Manifest
    versions: list[str]
    _folders: dict[date, dict[datetime, list[str]]] = field(default_factory=dict)
    _read: dict[datetime, _Folder] = field(default_factory=dict)

    def hours(self, start: datetime, end: datetime) -> dict[datetime, Hour]:
        """Return the hours from start until before end in which anything was predicted."""
        found: dict[datetime, Hour] = {}
        for day in days_of(start, end):
            hours = self._day(midnight(day), end)
            found |= {midnight(day) + number * HOUR: hour for number, hour in hours.items()}
        return {at: hour for at, hour in found.items() if start <= at < end}

    def _day(self, first: datetime, end: datetime) -> dict[int, Hour]:
        key = f"profiles/{self.manifest.endpoint}/{first:%Y-%m-%d}.json"
        stored = self.data.get(key)
        kept = _decoded(stored.body) if stored else None
        if kept and kept.reference != self.manifest.version:
            kept = None
        if kept and kept.complete:
            return kept.hours
        hours = {
            number: hour
            for number in range(24)
            if first + number * HOUR < end
            and (hour := self._hour(first + number * HOUR, kept)) is not None
        }
        complete = first + DAY + ARRIVAL + DELIVERY <= end
        day = Day(reference=self.manifest.version, complete=complete, hours=hours)
        if day != kept:
            self.data.put(key, msgspec.json.encode(day))
        return hours

    def _hour(self, at: datetime, kept: Day | None) -> Hour | None:
        """Return an hour, counted anew if its objects are not those it was counted from."""
        folders = [at + n * HOUR for n in range(-1, ARRIVAL // HOUR + 1)]
        names = [name for folder in folders for name in self._names(folder)]
        if not names:
            return None
        sources = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
        before = kept.hours.get(at.hour) if kept else None
        if before and before.sources == sources:
            return before
        for folder in [folder for folder in self._read if folder < folders[0]]:
            del self._read[folder]  # hours come in order, and each is counted once
        number = int(at.timestamp()) // 3600
        parts = [part for found in map(self._of, folders) for part in found.rows.pop(number, [])]
        empty = self._reader.table([], [])
        rows = {name: np.concatenate([part[name] for part in parts or [empty]]) for name in empty}
        return self._count(at, rows, self._of(at).aside.copy(), sources)

    def _names(self, folder: datetime) -> list[str]:
        """Return the keys in the folder of an hour."""
        day = folder.date()
        if day not in self._folders:
            listed: dict[datetime, list[str]] = {}
            for key in self.data.keys(f"captures/{day:%Y/%m/%d}/"):
                number, _, name = key.removeprefix(f"captures/{day:%Y/%m/%d}/").partition("/")
                if name and number in HOURS:  # else a person put it there
                    at = midnight(day) + int(number) * HOUR
                    listed.setdefault(at, []).append(key)
            self._folders[day] = listed
        return self._folders[day].get(folder, [])

    def _of(self, folder: datetime) -> _Folder:
        """Return what the objects of a folder hold, and put what is not counted into quarantine."""
        if folder not in self._read:
            rows: dict[int, list[Columns]] = {}
            aside = Counter[str]()
            for key in self._names(folder):
                stored = self.data.get(key)
                if stored is None:
                    continue  # expired since it was listed
                found = self._reader.read(stored.body, folder)
                self._quarantine(key, stored.body, found)
                hours = found.rows.get(HOUR_OF, np.zeros(0))
                for number in np.unique(hours).tolist():
                    rows.setdefault(number, []).append(take(found.rows, hours == number))
                aside += found.counts
            self._read[folder] = _Folder(rows, aside)
        return self._read[folder]

    @cached_property
    def _reader(self) -> Reader:
        manifest = self.manifest
        return Reader(manifest.endpoint, manifest.schema, self.versions, manifest.version)

    def _quarantine(self, key: str, body: bytes, found: Read) -> None:
        to = f"quarantine/{self.manifest.endpoint}/{key}"
        if found.damaged:
            self.data.put(to, body)
        elif found.aside:
            self.data.put(f"{to}.jsonl", msgspec.json.Encoder().encode_lines(found.aside))

    def _count(self, at: datetime, rows: Columns, aside: Counter[str], sources: str) -> Hour:
        """Count the rows of an hour, each id once; ids of which there are different rows, not."""
        if not pd.Index(rows[ID]).is_unique:
            rows, odd = _distinct(rows, aside)
            if len(odd):
                to = f"quarantine/{self.manifest.endpoint}/conflicting/{at:%Y-%m-%dT%H}.jsonl"
                self.data.put(to, odd.to_json(orient="records", lines=True).encode())
        unknown = {name: np.full(len(rows[ID]), None) for name in self.manifest.hidden}
        sample, cutoff = _sample(rows | unknown)
        own = rows[VERSION] == self.manifest.version  # another's scores would be blamed on it
        scores = self.manifest.expected.scores if self.manifest.expected else None
        return Hour(
            rows=len(rows[ID]),
            versions=dict(sorted(Counter(rows[VERSION].tolist()).items())),
            counts={
                name: _counted(profile, rows[name])
                for name, profile in self.manifest.reference.items()
            },
            scores=_counted(scores, rows[SCORE][own]) if scores else [],
            set_aside={reason: n for reason, n in aside.items() if n},
            sample=sample,
            cutoff=cutoff,
            sources=sources,
        )


def _distinct(rows: Columns, aside: Counter[str]) -> tuple[Columns, pd.DataFrame]:
    """Return each row once, without those that contradict each other, and these."""
    table = pd.DataFrame({name: pd.Series(values) for name, values in rows.items()})
    distinct = ~table.duplicated()
    twice = distinct & table[ID].where(distinct).duplicated(keep=False)
    aside += Counter(repeated=int((~distinct).sum()), conflicting=int(twice.sum()))
    return take(rows, (distinct & ~twice).to_numpy()), table[twice].sort_values(ID)


def _counted(profile: FeatureProfile, values: npt.NDArray[Any]) -> list[int]:
    return [int(n) for n in count(profile, values)]


def _sample(rows: Columns) -> tuple[list[Sampled], int | None]:
    """Return the rows whose ids have the lowest hashes: the same whatever their order."""
    hashes = pd.util.hash_array(rows[ID])
    lowest = np.argsort(hashes, kind="stable")[: HOUR_SAMPLE + 1]
    chosen = [values[lowest].tolist() for name, values in rows.items() if name not in META]
    plain = [msgspec.Raw(msgspec.json.encode(values)) for values in zip(*chosen, strict=True)]
    found = zip(hashes[lowest].tolist(), rows[ID][lowest].tolist(), plain, strict=True)
    return _lowest((Sampled(*parts) for parts in found), HOUR_SAMPLE)
