"""All that one `make bench-promotion` found, and what was to be reached."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.promotion.chance import Wrong
from benchmarks.promotion.curve import OURS, Point
from benchmarks.promotion.pairs import Likeness, Pairs
from benchmarks.promotion.power import Power, Rollback
from benchmarks.shown import Goal
from evergreen.contract.endpoint import Policy

MOST = 0.06  # false promotions at 5 %
RATIO = 0.92  # of level 4's log-loss over level 1's


@dataclass(frozen=True)
class Measured:
    """All of it; models: how many were fitted; seconds: of the run, less where fits were kept."""

    wrong: list[Wrong]
    power: list[Power]
    rollbacks: list[Rollback]
    likeness: Likeness
    pairs: Pairs
    points: list[Point]
    models: int
    seconds: float
    load: tuple[float, float]


def goals(measured: Measured) -> Iterator[Goal]:
    """Yield what was to be reached."""
    days = Policy().shadow_days
    for one in measured.wrong:
        allowed = f", at the margin of {one.margin:g}" if one.margin else ""
        for span, counts in (("a year", one.promoted), ("a comparison", one.in_time)):
            share = counts[days] / one.runs
            text = f"promoted wrongly, {one.process}{allowed}: looking daily for {span}"
            yield Goal(text, f"{share:.1%}", "≤ 6 %", share <= MOST)
    pairs = measured.pairs
    share = pairs.by_day / pairs.worse
    text = f"promoted wrongly, real flights ({pairs.by_row / pairs.worse:.0%} by rows)"
    yield Goal(text, f"{share:.1%}", "≤ 6 %", share <= MOST)
    for point in measured.points:
        if point.name == OURS:
            text = f"log-loss of level 4 over level 1, trained {point.schedule}"
            yield Goal(text, f"{point.ratio:.3f}", "≤ 0.92", point.ratio <= RATIO)
