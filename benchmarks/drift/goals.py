"""All that one `make bench-drift` found, and what was to be reached."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.drift.alarms import Cell, Delay, Year
from benchmarks.drift.cost import Checked, Reduced
from benchmarks.drift.ecusum import Clustered, Found, Quiet
from benchmarks.drift.power import Power, Together
from benchmarks.drift.rival import Race
from benchmarks.shown import Goal
from evergreen.monitoring.two_sample_tests import upper_bound


@dataclass(frozen=True)
class Measured:
    """All that one `make bench-drift` found; load: the machine's average before and after.

    race: None where evidently was left out. It, reduced and checked depend on the machine.
    """

    reduced: Reduced
    checked: Checked
    race: Race | None
    cells: list[Cell]
    years: list[Year]
    delays: list[Delay]
    power: list[Power]
    together: list[Together]
    quiet: Quiet
    found: list[Found]
    clustered: list[Clustered]
    seconds: float
    load: tuple[float, float]


def goals(measured: Measured) -> Iterator[Goal]:
    """Yield what was to be reached."""
    for level in ("significant", "warning", "flagged", "schema"):
        worst = max(bound(cell, level) for cell in measured.cells)
        text = f"false alarms, {level}: upper bound, worst cell"
        yield Goal(text, f"{worst:.2%}", "≤ 1 %", worst <= 0.01)
    for year in measured.years:
        text = f"drift alarms a year at {year.rows_a_day:,} rows a day, worst of {year.years} years"
        yield Goal(text, str(year.worst_year), "≤ 1", year.worst_year <= 1)
    for one in measured.power:
        floor = one.floor or 0.0
        text = f"found: {one.name}, n = {one.rows:,}"
        yield Goal(text, f"{one.significant:.1%}", f"≥ {floor:.1%}", one.significant >= floor)
    together = measured.together[0]
    share = together.flagged / together.repetitions
    yield Goal("found: a correlation of 0.5", f"{share:.0%}", "≥ 80%", share >= 0.8)
    rows = next(one.median for one in measured.found if one.error == 0.3)
    yield Goal("rows until an error of 0.3 for 0.2 is found", f"{rows:.0f}", "≤ 313", rows <= 313)
    yield from _costs(measured)


def bound(cell: Cell, level: str) -> float:
    """Return the one-sided 95 % upper bound of the share of a cell's checks at a level."""
    return upper_bound(getattr(cell, level), cell.checks)


def _costs(measured: Measured) -> Iterator[Goal]:
    race, reduced, checked = measured.race, measured.reduced, measured.checked
    if race:
        faster = race.times_faster(race.report, race.compared)
        yield Goal("faster than evidently's report", f"{faster:.0f} ×", "≥ 20 ×", faster >= 20)
    text = f"{reduced.rows:,} captures reduced"
    yield Goal(text, f"{reduced.seconds:.1f} s", "≤ 10 s", reduced.seconds <= 10)
    yield Goal(text, f"{reduced.peak_mb:.0f} MiB", "≤ 1,024 MiB", reduced.peak_mb <= 1_024)
    for name, seconds in (("counts", checked.counts), ("and the classifiers", checked.whole)):
        text = f"a check of 30 days of hours, {name}"
        yield Goal(text, f"{seconds:.2f} s", "≤ 1 s", seconds <= 1)
