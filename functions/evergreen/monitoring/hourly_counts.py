"""Predictions as hourly histograms: hours/{endpoint}/{day}.json in the data bucket.

An hour is of the time of the prediction, not of its arrival, and is counted again whenever other
objects hold it than before; so late objects, repetitions and reruns cannot miscount. Once nothing
can arrive any more the day is complete and is only read. Hours are counted in the bins of one
version, the champion; after a promotion the days of a window are counted anew. They are a cache:
deleting them loses nothing.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from heapq import nsmallest
from typing import Any

import msgspec
import numpy as np

from evergreen.captures.arrivals import ARRIVAL, DELIVERY, HOUR, NOBODY
from evergreen.captures.compaction import Arrived, Ledger, ledger_of
from evergreen.captures.recorded import Recorded
from evergreen.captures.rows import Rows
from evergreen.contract.moments import days_of, microseconds, midnight
from evergreen.contract.schema import shortened
from evergreen.monitoring.domain_classifier import WINDOW_ROWS
from evergreen.monitoring.reference_profile import count
from evergreen.registry.manifest import FeatureProfile, Manifest
from evergreen.registry.stored_json import cached

HOUR_SAMPLE = 64  # rows kept of an hour, so that busy hours have their share of what a check sees
DAY = timedelta(days=1)
_HOUR = HOUR // timedelta.resolution
AT_ONCE = 250_000  # rows that are read together


class Sampled(msgspec.Struct, frozen=True, array_like=True):
    """A row of the sample: the hash of its id, which decides who is in it, its id and values."""

    hash: int
    id: str
    values: msgspec.Raw


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
    counted = [hour.counts for hour in hours if hour.counts]
    limit = min((hour.cutoff for hour in hours if hour.cutoff is not None), default=None)
    rows = (row for hour in hours for row in hour.sample if limit is None or row.hash <= limit)
    sample, cutoff = _lowest(rows, WINDOW_ROWS, limit)
    return Hour(
        rows=sum(hour.rows for hour in hours),
        versions=_added(hour.versions for hour in hours),
        counts={
            name: _summed([each[name] for each in counted]) for name in next(iter(counted), ())
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
    found = nsmallest(wanted + 1, rows, key=lambda row: (row.hash, row.id, bytes(row.values)))
    return found[:wanted], found[wanted - 1].hash if len(found) > wanted else limit


def _summed(rows: list[list[int]]) -> list[int]:
    return np.array(rows).sum(axis=0).tolist() if rows else []


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    return dict(sorted(sum(map(Counter, counts), Counter[str]()).items()))


@dataclass
class Hours:
    """Brings the hours of one endpoint up to date and reads them.

    manifest: the champion's; versions: ids of all versions of the endpoint.
    """

    recorded: Recorded
    manifest: Manifest
    versions: list[str]
    _ledgers: dict[date, Ledger] = field(default_factory=dict)

    def between(self, start: datetime, end: datetime) -> dict[datetime, Hour]:
        """Return the hours from start until before end in which anything was predicted."""
        found: dict[datetime, Hour] = {}
        for day in days_of(start, end):
            hours = self._day(midnight(day), end)
            found |= {midnight(day) + number * HOUR: hour for number, hour in hours.items()}
        return {at: hour for at, hour in found.items() if start <= at < end}

    def _day(self, first: datetime, end: datetime) -> dict[int, Hour]:
        data = self.recorded.data
        key = f"hours/{self.manifest.endpoint}/{first:%Y-%m-%d}.json"
        kept = cached(data, key, Day)
        if kept and kept.reference != self.manifest.version:
            kept = None
        if kept and kept.complete:
            return kept.hours
        hours = dict(self._counted(first, end, kept.hours if kept else {}))
        complete = first + DAY + ARRIVAL + DELIVERY <= end
        day = Day(reference=self.manifest.version, complete=complete, hours=hours)
        if day != kept:
            data.put(key, msgspec.json.encode(day))
        return hours

    def _counted(
        self, first: datetime, end: datetime, kept: dict[int, Hour]
    ) -> Iterator[tuple[int, Hour]]:
        """Yield the hours of a day; those that other objects hold than before are counted anew."""
        stale: dict[datetime, str] = {}
        rows = 0
        for at in (first + number * HOUR for number in range(24)):
            arrived = [self._arrived(at + n * HOUR) for n in range(-1, ARRIVAL // HOUR + 1)]
            names = [name for each in arrived for name in each.sources]
            if not names or at >= end:
                continue
            sources = hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
            before = kept.get(at.hour)
            if before and before.sources == sources:
                yield at.hour, before
                continue
            here = max(each.rows.get(self.manifest.endpoint, 0) for each in arrived)
            if rows + here > AT_ONCE:
                yield from self._read(stale, rows)
                stale, rows = {}, 0
            stale[at] = sources
            rows += here
        yield from self._read(stale, rows)

    def _arrived(self, folder: datetime) -> Arrived:
        day = folder.date()
        if day not in self._ledgers:
            self._ledgers[day] = ledger_of(self.recorded.data, "captures", day)
        return self._ledgers[day].hours.get(folder.hour, Arrived())

    def _read(self, stale: dict[datetime, str], rows: int) -> Iterator[tuple[int, Hour]]:
        """Count hours, which hold about so many rows, in shares of at most AT_ONCE."""
        if not stale:
            return
        manifest, first = self.manifest, min(stale)
        aside = {at: self._arrived(at).aside for at in stale}
        found = {
            at: [Hour(set_aside=_added(by.get(of, {}) for of in (NOBODY, manifest.endpoint)))]
            for at, by in aside.items()
        }
        shares = max(1, -(-rows // AT_ONCE))  # of the time: parts are in its order
        span = max(stale) + HOUR - first
        for share in range(shares):
            read = self.recorded.predictions(
                first + span * share / shares,
                first + span * (share + 1) / shares,
                schemas=[manifest.schema],
                where="variant = 'champion'",
                meta=("id", "time", "version", "score", "raw", "draw"),
            )
            if read.counts["conflicting"]:
                key = f"quarantine/{manifest.endpoint}/conflicting/{first:%Y-%m-%dT%H}.json"
                self.recorded.data.put(key, msgspec.json.encode(self.recorded.contradictory()))
            number = read["time"] // _HOUR
            for at, counted in found.items():
                # Of which hour a copy is, nobody can say who reads several: the first has them.
                copies = read.counts if at == first else Counter[str]()
                here = read.take(number == microseconds(at) // _HOUR)
                counted.append(self._count(here, copies))
        for at, sources in stale.items():
            total = merge(*found[at])
            sample, cutoff = _lowest(total.sample, HOUR_SAMPLE, total.cutoff)
            changes: dict[str, Any] = {"sample": sample, "cutoff": cutoff, "sources": sources}
            yield at.hour, msgspec.structs.replace(total, **changes)

    def _count(self, rows: Rows, copies: Counter[str]) -> Hour:
        manifest = self.manifest
        known = np.isin(rows["version"], self.versions)
        older = int((known & ~rows.fits).sum())
        rows = rows.take(known & rows.fits)
        sample, cutoff = _sample(rows, manifest)
        own = rows["version"] == manifest.version  # another's scores would be blamed on it
        scores = manifest.expected.scores if manifest.expected else None
        return Hour(
            rows=len(rows),
            versions=dict(sorted(Counter(rows["version"].tolist()).items())),
            counts={
                name: _counted(profile, rows.columns[0][name])
                for name, profile in manifest.reference.items()
            },
            scores=_counted(scores, rows.raw[own]) if scores else [],
            set_aside=dict(+(copies + Counter({"older schema": older}))),
            sample=sample,
            cutoff=cutoff,
        )


def _counted(profile: FeatureProfile, values: Any) -> list[int]:
    return [int(n) for n in count(profile, values)]


def _sample(rows: Rows, manifest: Manifest) -> tuple[list[Sampled], int | None]:
    """Return the rows whose ids have the lowest hashes: the same whatever their order."""
    hashes = rows["draw"]
    lowest = np.argsort(hashes, kind="stable")[: HOUR_SAMPLE + 1]
    columns = rows.columns[0] | {name: np.full(len(rows), None) for name in manifest.hidden}
    chosen = [shortened(values[lowest]).tolist() for values in columns.values()]
    plain = [msgspec.Raw(msgspec.json.encode(values)) for values in zip(*chosen, strict=True)]
    found = zip(hashes[lowest].tolist(), rows["id"][lowest].tolist(), plain, strict=True)
    return _lowest((Sampled(*parts) for parts in found), HOUR_SAMPLE)
