"""Measure how often promotion is wrong, and how soon it comes."""

from collections.abc import Iterator

from benchmarks.autopilot.versions import matrix
from benchmarks.autopilot.year import Replay
from benchmarks.promotion import pairs, simulated
from benchmarks.shown import Page, Part
from local.template import ROOT

PAGE = Page("make bench-promotion", ROOT / "docs" / "promotion.md", minutes=30)


def bench(quick: bool) -> Iterator[Part]:
    """Simulate what is known, and replay what is real; quick: of the flights one in twenty."""
    runs, every = (500, 20) if quick else (10_000, 1)
    yield simulated.wrong_promotions(runs)
    replay = Replay(matrix("flights", 0, every, kept=not quick))
    yield pairs.likeness(replay)
    yield pairs.promoted(replay)
    yield simulated.better(runs)
    yield simulated.worse(runs)


if __name__ == "__main__":
    PAGE.run("benchmarks.promotion", __doc__, bench)
