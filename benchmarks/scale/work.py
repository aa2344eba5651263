"""The pieces of work that are measured, each in a process of its own."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace
from typing import NamedTuple, cast

import numpy as np

from benchmarks.scale.stage import DAY, HOUR, OTHER, SCHEMA, START, VERSION, manifest, store
from benchmarks.shown import status_mb
from evergreen.captures.compaction import compact
from evergreen.captures.recorded import Recorded
from evergreen.contract.endpoint import Policy
from evergreen.contract.problem import Floats
from evergreen.contract.schema import Columns
from evergreen.monitoring import assessment
from evergreen.monitoring.daily_performance import Followed, follow
from evergreen.monitoring.hourly_counts import Hours, window
from evergreen.registry.state import Document
from evergreen.rollout.gathering import Gathering
from evergreen.rollout.paired_comparison import paired
from evergreen.serving.model import Model

LABEL_DAYS = 7


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
