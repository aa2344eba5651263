"""What profiles cost: 1,000,000 captures reduced to an hour, and 30 days of hours checked.

Each is measured in a process of its own, so that its peak of memory is its own, too.
"""

import gzip
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np

from benchmarks import shown
from benchmarks.installed import BUILD
from evergreen.aws.s3 import Store, Stored
from evergreen.captures.examples import Examples
from evergreen.contract.schema import Columns
from evergreen.monitoring import assessment, drift, reference_profile, two_sample_tests
from evergreen.monitoring.hourly_profiles import HOUR_SAMPLE, Day, Hour, Profiles, Sampled, window
from evergreen.monitoring.performance import THRESHOLD
from evergreen.monitoring.report import Performance
from evergreen.registry.manifest import Expected, FeatureProfile, Manifest

FOLDER = BUILD / "captures"
AT = datetime(2013, 3, 1, 10, tzinfo=UTC)
VERSION = "20130201T000000Z-00000001"
NUMBERS, TEXTS = [f"x{n}" for n in range(15)], [f"t{n}" for n in range(5)]
FIELDS = {
    **{name: {"type": "number", "description": "a number"} for name in NUMBERS},
    **{name: {"type": "string", "description": "a category"} for name in TEXTS},
}
SCHEMA = {"type": "object", "properties": FIELDS, "required": list(FIELDS)}
OBJECT_BYTES = 64_000_000  # what Firehose collects before it writes, as the template has it
BATCH = 10_000
DAYS, A_DAY = 30, 24
HOUR_ROWS = 1_400
PEAK = "VmHWM"  # of this process; getrusage would count its parent's too


@dataclass(frozen=True)
class Reduced:
    """An hour's captures counted; peaks of the whole process, at the end and before it began.

    processor: seconds of the processor, which other processes hardly change.
    """

    rows: int
    objects: int
    seconds: float
    processor: float
    peak_mb: float
    before_mb: float


@dataclass(frozen=True)
class Checked:
    """Seconds, each the median of turns, that a check over 30 days of hourly profiles takes."""

    hours: int
    rows: int
    read: float
    compared: float
    whole: float

    @property
    def counts(self) -> float:
        """Return the seconds of reading, merging and all tests of counts."""
        return self.read + self.compared


class _Files:
    """A bucket as a folder: what is in it takes no memory of ours."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Stored | None:
        path = self._folder / key
        return Stored(path.read_bytes(), "") if path.exists() else None

    def put(self, key: str, body: bytes) -> None:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        found = (str(path.relative_to(self._folder)) for path in self._folder.rglob("*.gz"))
        return iter(sorted(key for key in found if key.startswith(prefix) and key > after))


def reduced(rows: int) -> Reduced:
    """Write so many captures of an hour, and measure their reduction in another process."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        objects = _write(rows)
        return Reduced(objects=objects, **_elsewhere("reduce"))
    finally:
        shutil.rmtree(FOLDER)


def checked(turns: int) -> Checked:
    """Measure a check over 30 days in another process, each part so many times."""
    return Checked(**_elsewhere("check", str(turns)))


def _elsewhere(*what: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.drift.cost", *what]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return cast(dict[str, Any], json.loads(done.stdout))


def _columns(rows: int, random: np.random.Generator) -> Columns:
    words = np.array(["alpha", "beta", "gamma", "delta"], dtype=object)
    return {
        **{name: random.normal(size=rows).astype(np.float32) for name in NUMBERS},
        **{name: words[random.integers(0, len(words), rows)] for name in TEXTS},
    }


def _write(rows: int) -> int:
    """Write captures as Firehose does: lines until there are 64 MB, compressed. Return objects."""
    random, encoder = np.random.default_rng(9), msgspec.json.Encoder()
    store, objects, body = _Files(FOLDER), 0, bytearray()
    for begin in range(0, rows, BATCH):
        values = {name: column.tolist() for name, column in _columns(BATCH, random).items()}
        for n, features in enumerate(zip(*values.values(), strict=True), begin):
            body += encoder.encode(_capture(n, dict(zip(values, features, strict=True)))) + b"\n"
        last = begin + BATCH >= rows
        if last or len(body) > OBJECT_BYTES - len(body) * BATCH // (begin + BATCH):
            key = f"captures/{AT:%Y/%m/%d/%H}/{objects:03d}.gz"
            store.put(key, gzip.compress(bytes(body), 1))
            objects, body = objects + 1, bytearray()
    return objects


def _capture(number: int, features: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"{number:012x}{number * 2654435761 % 2**80:020x}-000",
        "time": AT + timedelta(milliseconds=3.5 * (number % 1_000_000)),
        "endpoint": "bench",
        "version": VERSION,
        "variant": "champion",
        "features": features,
        "label": False,
        "score": 0.3,
    }


def _manifest() -> Manifest:
    """Return as much of a manifest as profiles and checks look at."""
    rows, random = 20_000, np.random.default_rng(10)
    minutes = np.arange(rows) * np.timedelta64(60_000_000, "us")
    times = np.datetime64("2013-02-01", "us") + minutes
    examples = Examples(_columns(rows, random), np.zeros(rows, dtype=bool), times)
    scores = FeatureProfile([0, rows, 0, 0], edges=[0.0, 1.0])
    found = SimpleNamespace(
        endpoint="bench",
        version=VERSION,
        schema=SCHEMA,
        hidden=frozenset(),
        created=AT,
        reference=reference_profile.profile(examples, SCHEMA),
        expected=Expected(bounded=0.2, upper=0.2, similarity=0.0, calibration=[], scores=scores),
    )
    return cast(Manifest, found)


def _profiles(manifest: Manifest, folder: Path = FOLDER) -> Profiles:
    return Profiles(cast(Store, _Files(folder)), manifest, [VERSION])


def _reduce() -> dict[str, Any]:
    profiles = _profiles(_manifest())
    before = shown.status_mb("self", PEAK)
    begun, busy = time.perf_counter(), time.process_time()
    (hour,) = profiles.hours(AT, AT + timedelta(hours=1)).values()
    seconds, processor = time.perf_counter() - begun, time.process_time() - busy
    assert not hour.set_aside
    return {
        "rows": hour.rows,
        "seconds": seconds,
        "processor": processor,
        "peak_mb": shown.status_mb("self", PEAK),
        "before_mb": before,
    }


def _check(turns: int) -> dict[str, Any]:
    manifest, random = _manifest(), np.random.default_rng(11)
    end = datetime(2013, 4, 1, tzinfo=UTC)
    start = end - timedelta(days=DAYS)
    shutil.rmtree(FOLDER, ignore_errors=True)
    for day in range(DAYS):
        hours = {hour: _hour(manifest, random) for hour in range(A_DAY)}
        stored = Day(reference=VERSION, complete=True, hours=hours)
        at = start + timedelta(days=day)
        _Files(FOLDER).put(f"profiles/bench/{at:%Y-%m-%d}.json", msgspec.json.encode(stored))
    reference = _columns(2_000, random)
    read = _median(turns, lambda: window(_profiles(manifest).hours(start, end)))
    total = window(_profiles(manifest).hours(start, end))
    shutil.rmtree(FOLDER)
    return {
        "hours": DAYS * A_DAY,
        "rows": total.rows,
        "read": read,
        "compared": _median(turns, lambda: _compare(manifest, total)),
        "whole": read + _median(turns, lambda: _assess(manifest, total, reference, start, end)),
    }


def _median(turns: int, what: Callable[[], object]) -> float:
    found = []
    for _ in range(turns):
        begun = time.perf_counter()
        what()
        found.append(time.perf_counter() - begun)
    return median(found)


def _hour(manifest: Manifest, random: np.random.Generator) -> Hour:
    counts = {}
    for name, profile in manifest.reference.items():
        shares = np.array(profile.counts) / sum(profile.counts)
        counts[name] = random.multinomial(HOUR_ROWS, shares).tolist()
    rows = zip(*(column.tolist() for column in _columns(HOUR_SAMPLE, random).values()), strict=True)
    hashes = np.sort(random.integers(2**60, size=HOUR_SAMPLE)).tolist()
    return Hour(
        rows=HOUR_ROWS,
        versions={VERSION: HOUR_ROWS},
        counts=counts,
        scores=[0, HOUR_ROWS, 0, 0],
        sample=[
            Sampled(n, f"{n:036x}", msgspec.Raw(msgspec.json.encode(row)))
            for n, row in zip(hashes, rows, strict=True)
        ],
        sources="0123456789abcdef",
    )


def _compare(manifest: Manifest, total: Hour) -> None:
    counts: dict[str, two_sample_tests.Counts] = {
        name: np.array(rows, dtype=np.float64) for name, rows in total.counts.items()
    }
    assert drift.compare(manifest.reference, counts)
    drift.violations(manifest.reference, counts, 0)


def _assess(
    manifest: Manifest, total: Hour, reference: Columns, start: datetime, end: datetime
) -> None:
    nothing = Performance(
        status="no labels",
        expected=None,
        limit=None,
        evidence=1.0,
        threshold=THRESHOLD,
        days=[],
        labels={},
        delays={},
    )
    found = assessment.assess(
        manifest,
        assessment.Window(start, end, total, first=start),
        reference,
        nothing,
        last_trained=start,
        repeat=timedelta(days=1),
        before=None,
    )
    assert found.multivariate


if __name__ == "__main__":
    print(json.dumps(_check(int(sys.argv[2])) if sys.argv[1] == "check" else _reduce()))
