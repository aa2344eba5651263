"""Measure what one function carries: how long each piece of work takes it, and how much memory."""

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta

from benchmarks.scale.work import (
    DAY,
    FOLDER,
    HOUR,
    START,
    checked,
    compacted,
    counted,
    deliver,
    elsewhere,
    joined,
    ticked,
)  # fmt: skip
from benchmarks.shown import Goal, Page, Part
from local.template import ROOT

PAGE = Page("make bench-scale", ROOT / "docs" / "scale.md", minutes=20)
MILLION = 1_000_000


def bench(quick: bool) -> Iterator[Part]:
    """Measure each piece of work; quick: a fiftieth of the rows."""
    try:
        yield _part(MILLION // 50 if quick else MILLION)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


def _part(million: int) -> Part:
    rows, goals = [], []

    def work(
        text: str, what: Callable[[int], str], argument: int, seconds: float, peak_mb: float
    ) -> None:
        spent = elsewhere(what, argument)
        took, most = f"{spent.processor:.1f} s", f"{spent.peak_mb:,.0f} MB"
        rows.append([text, spent.said, took, f"{spent.seconds:.1f} s", most])
        print(*rows[-1], sep=", ", flush=True)
        soon, small = spent.processor <= seconds, spent.peak_mb <= peak_mb
        goals.append(Goal(f"{text}, processor", took, f"≤ {seconds} s", soon))
        goals.append(Goal(f"{text}, memory", most, f"≤ {peak_mb:,.0f} MB", small))

    _fresh(million, HOUR)
    work("compact 1M captures of an hour, and their labels", compacted, 26, 28, 1_100)
    _fresh(4 * million, HOUR)
    work("compact 4M captures of an hour, and their labels", compacted, 26, 112, 1_300)
    work("count 4M rows of an hour", counted, 1, 3, 300)
    work("join 4M rows with their labels", joined, 2, 8, 1_500)
    _fresh(million, DAY)
    elsewhere(compacted, 49)
    work("a tick that compares 1M rows of a day", ticked, 3, 10, 1_000)
    _fresh(million // 50, HOUR, days=30)
    elsewhere(compacted, 32 * 24)
    elsewhere(counted, 30 * 24)
    work("a check of 30 days that have been counted", checked, 30, 0.2, 500)
    heads = ["", "what", "processor", "time", "peak memory"]
    return Part([("One function", "From files on a local disk, on two cores.", heads, rows)], goals)


def _fresh(rows: int, span: timedelta, days: int = 1) -> None:
    """Deliver so many rows of each day, anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for day in range(days):
        deliver(rows, START + day * DAY, span)


if __name__ == "__main__":
    PAGE.run("benchmarks.scale", __doc__, bench)
