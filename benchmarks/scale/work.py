"""Pieces of work that are measured, each in a process of its own, and the bucket that they read."""

import gzip
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import NamedTuple, cast

import msgspec
import numpy as np

from benchmarks.shown import BUILD, status_mb
from evergreen.aws.s3 import Store, Stored
from evergreen.captures.compaction import compact
from evergreen.captures.examples import Examples
from evergreen.captures.recorded import Recorded
from evergreen.captures.records import Capture, Label
from evergreen.contract.endpoint import Policy
from evergreen.contract.problem import Floats, Problem
from evergreen.contract.schema import Columns
from evergreen.monitoring import assessment, reference_profile
from evergreen.monitoring.daily_performance import Followed, follow
from evergreen.monitoring.hourly_counts import Hours, window
from evergreen.registry.manifest import Expected, FeatureProfile, Manifest
from evergreen.registry.state import Document
from evergreen.rollout.gathering import Gathering
from evergreen.rollout.paired_comparison import paired
from evergreen.serving.model import Model

FOLDER = BUILD / "scale"
START = datetime(2013, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
VERSION, OTHER = "20130201T000000Z-00000001", "20130202T000000Z-00000002"
NUMBERS, TEXTS = [f"x{n}" for n in range(15)], [f"t{n}" for n in range(5)]
WORDS = np.array(["alpha", "beta", "gamma", "delta"], dtype=object)
FIELDS = {
    **{name: {"type": "number", "description": "a number"} for name in NUMBERS},
    **{name: {"type": "string", "description": "a category"} for name in TEXTS},
}
SCHEMA = {"type": "object", "properties": FIELDS, "required": list(FIELDS)}
OBJECT_ROWS = 150_000  # about the 64 MB that Firehose collects before it writes
LABEL_DAYS = 7


class Files:
    """A bucket as a folder, which nobody else writes to: what is in it takes no memory of ours."""

    def get(self, key: str, most: int | None = None) -> Stored | None:
        """Return what a file holds."""
        path = FOLDER / key
        return Stored(path.read_bytes()[:most], "etag") if path.is_file() else None

    def create(self, key: str, body: bytes, _: str = "") -> bool:
        """Write a file."""
        path = FOLDER / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return True

    put = replace = create

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Return the keys in order."""
        base = FOLDER / prefix.rpartition("/")[0]
        found = (str(path.relative_to(FOLDER)) for path in base.rglob("*") if path.is_file())
        return iter(sorted(key for key in found if key.startswith(prefix) and key > after))

    def names(self, prefix: str) -> Iterator[str]:
        """Return what lies in a folder."""
        folder = FOLDER / prefix
        found = folder.iterdir() if folder.is_dir() else ()
        return iter(sorted(path.name + "/" * path.is_dir() for path in found))


def store() -> Store:
    """Return the bucket."""
    return cast(Store, Files())


def columns(rows: int, seed: int) -> Columns:
    """Return features as a model reads them."""
    random = np.random.default_rng(seed)
    return {
        **{name: random.normal(size=rows).astype(np.float32) for name in NUMBERS},
        **{name: WORDS[random.integers(0, len(WORDS), rows)] for name in TEXTS},
    }


def deliver(rows: int, hour: datetime, span: timedelta) -> None:
    """Write captures of a span from an hour, and their labels a day later, as Firehose does."""
    encoder, number = msgspec.json.Encoder(), int(hour.timestamp()) // 3600
    for first in range(0, rows, OBJECT_ROWS):
        some = range(first, min(first + OBJECT_ROWS, rows))
        values = {name: each.tolist() for name, each in columns(len(some), number + first).items()}
        captures: list[Capture | Label] = []
        labels: list[Capture | Label] = []
        for place, features in zip(some, zip(*values.values(), strict=True), strict=True):
            at = hour + span * (place / rows)
            draw = (place * 2654435761 + number) * 0x9E3779B97F4A7C15 % 2**80
            prediction = f"{int(at.timestamp() * 1000):012x}{draw:020x}-000"
            captures.append(
                Capture(
                    id=prediction, time=at, endpoint="bench", version=VERSION, variant="champion",
                    features=dict(zip(values, features, strict=True)), label=False,
                    score=place % 97 / 97, ms=3.0,
                )
            )  # fmt: skip
            true = place % 3 == 0
            labels.append(Label(id=prediction, time=at + DAY, endpoint="bench", label=true))
        for kind, when, lines in (("captures", hour, captures), ("labels", hour + DAY, labels)):
            body = gzip.compress(encoder.encode_lines(lines), 1)
            store().put(f"{kind}/{when:%Y/%m/%d/%H}/{first:09d}.jsonl.gz", body)


def manifest(version: str = VERSION) -> Manifest:
    """Return as much of a manifest as checks and comparisons look at."""
    rows = 20_000
    times = np.datetime64("2013-02-01", "us") + np.arange(rows) * np.timedelta64(60_000_000, "us")
    examples = Examples(columns(rows, 10), np.zeros(rows, dtype=bool), times)
    scores = FeatureProfile([0, rows, 0, 0], edges=[0.0, 1.0])
    found = SimpleNamespace(
        endpoint="bench",
        version=version,
        schema=SCHEMA,
        hidden=frozenset(),
        created=START,
        lineage=SimpleNamespace(data_end=START - DAY),
        problem=Problem(),
        reference=reference_profile.profile(examples, SCHEMA),
        expected=Expected(bounded=0.2, upper=0.2, similarity=0.0, calibration=[], scores=scores),
    )
    return cast(Manifest, found)


def compacted(hours: int) -> str:
    """Make parts of what arrived in so many hours."""
    found = compact(store(), lambda *_: SCHEMA, START + hours * HOUR)
    return f"{found['bench']:,} records"


def counted(hours: int) -> str:
    """Count so many hours in the champion's bins."""
    return f"{window(_hours().between(START, START + hours * HOUR)).rows:,} rows"


def joined(end: int) -> str:
    """Join the open days with their labels, as a daily check does."""
    found = follow(Recorded(store(), "bench"), _followed(), START + end * DAY, None)
    return f"{sum(day.labelled for day in found.days):,} labelled rows"


def checked(days: int) -> str:
    """Check days whose hours have been counted."""
    start, end = START, START + days * DAY
    read = _hours().between(start, end)
    found = assessment.assess(
        manifest(),
        assessment.Window(start, end, window(read), first=start),
        {},
        follow(Recorded(store(), "nobody"), _followed(), end, None),
        last_trained=start,
        repeat=DAY,
        before=None,
    )
    return f"{len(read)} hours of {found.rows:,} rows"


def ticked(days: int) -> str:
    """Compare two versions on the days that have closed, as a tick of the rollout does."""
    champion, other = (Model(manifest(name), _scores) for name in (VERSION, OTHER))
    document = cast(Document, SimpleNamespace(endpoint="bench"))
    at, policy = START + days * DAY, Policy(label_days=1)
    sources = Gathering(store(), document, policy, lambda _: champion, at)
    found = paired(sources, champion, other, START.date())
    return f"{sum(day.rows for day in found):,} rows scored twice"


def _scores(columns: Columns) -> Floats:
    return np.asarray(1 / (1 + np.exp(-columns["x0"].astype(np.float64))))


def _followed() -> Followed:
    known = manifest()
    return Followed(
        "bench", VERSION, [VERSION], LABEL_DAYS, ("t0",), lambda _: (known.problem, known.expected)
    )


def _hours() -> Hours:
    return Hours(Recorded(store(), "bench"), manifest(), [VERSION])


class Spent(NamedTuple):
    """What a piece of work said and took: seconds, of them the processor's, and peak memory."""

    said: str
    seconds: float
    processor: float
    peak_mb: float


def elsewhere(work: Callable[[int], str], argument: int) -> Spent:
    """Do a piece of work in a process of its own, so that its peak of memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, work, argument).result()


def _measured(work: Callable[[int], str], argument: int) -> Spent:
    began, busy = time.perf_counter(), time.process_time()
    said, took = work(argument), time.perf_counter() - began
    return Spent(said, took, time.process_time() - busy, status_mb("self", "VmHWM"))
