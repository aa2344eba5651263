"""The pieces of work that are measured, each by its name and argument."""

import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import numpy as np

from benchmarks import shown
from benchmarks.scale.stage import LABEL_DAYS, OTHER, SCHEMA, START, VERSION, manifest, store
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

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def compacted(hours: str) -> str:
    """Make parts of what arrived in so many hours."""
    found = compact(store(), lambda *_: SCHEMA, START + int(hours) * HOUR)
    return f"{found['bench']:,} records"


def counted(hours: str) -> str:
    """Count so many hours in the champion's bins."""
    hour = window(_hours().between(START, START + int(hours) * HOUR))
    return f"{hour.rows:,} rows"


def joined(end: str) -> str:
    """Join the open days with their labels, as a daily check does."""
    found = follow(Recorded(store(), "bench"), _followed(), START + int(end) * DAY, None)
    return f"{sum(day.labelled for day in found.days):,} labelled rows"


def checked(days: str) -> str:
    """Check days whose hours have been counted."""
    start, end = START, START + int(days) * DAY
    read = _hours().between(start, end)
    total = window(read)
    found = assessment.assess(
        manifest(),
        assessment.Window(start, end, total, first=start),
        {},
        follow(Recorded(store(), "nobody"), _followed(), end, None),
        last_trained=start,
        repeat=DAY,
        before=None,
    )
    return f"{len(read)} hours of {found.rows:,} rows"


def ticked(days: str) -> str:
    """Compare two versions on the days that have closed, as a tick of the rollout does."""
    champion, other = (Model(manifest(name), _scores) for name in (VERSION, OTHER))
    document = cast(Document, SimpleNamespace(endpoint="bench"))
    at, policy = START + int(days) * DAY, Policy(label_days=1)
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


def main() -> None:
    """Do a piece of work, and print what it took."""
    name, argument = sys.argv[1:]
    work: Callable[[str], str] = globals()[name]
    began, busy = time.perf_counter(), time.process_time()
    said = work(argument)
    spent = {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - busy,
        "peak_mb": shown.status_mb("self", "VmHWM"),
        "said": said,
    }
    print(json.dumps(spent))


if __name__ == "__main__":
    main()
