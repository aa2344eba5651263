"""A stage: a bucket as a folder, and captures and labels in it."""

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import msgspec
import numpy as np

from benchmarks.shown import BUILD
from evergreen.aws.s3 import Store, Stored
from evergreen.captures.examples import Examples
from evergreen.captures.records import Capture, Label
from evergreen.contract.problem import Problem
from evergreen.contract.schema import Columns
from evergreen.monitoring import reference_profile
from evergreen.registry.manifest import Expected, FeatureProfile, Manifest

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
            time = hour + span * (place / rows)
            draw = (place * 2654435761 + number) * 0x9E3779B97F4A7C15 % 2**80
            prediction = f"{int(time.timestamp() * 1000):012x}{draw:020x}-000"
            captures.append(
                Capture(
                    id=prediction, time=time, endpoint="bench", version=VERSION, variant="champion",
                    features=dict(zip(values, features, strict=True)), label=False,
                    score=place % 97 / 97, ms=3.0,
                )
            )  # fmt: skip
            true = place % 3 == 0
            labels.append(Label(id=prediction, time=time + DAY, endpoint="bench", label=true))
        for kind, at, lines in (("captures", hour, captures), ("labels", hour + DAY, labels)):
            body = gzip.compress(encoder.encode_lines(lines), 1)
            store().put(f"{kind}/{at:%Y/%m/%d/%H}/{first:09d}.jsonl.gz", body)


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
