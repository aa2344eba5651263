"""Medians of runs, their ratios, and what these were to reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median, quantiles

from benchmarks.serving.contenders import EMPTY, NOPYC, PATTERN, ours
from benchmarks.serving.measure import Run
from benchmarks.shown import Goal, Part, Shown

HEADS = ["", "cold, ms", "1 row, ms", "p99, ms", "100 rows, ms", "rows/s of 1,000"]
OFF, ON = ours("onnx", "off"), ours("onnx", "on")


@dataclass(frozen=True)
class Times:
    """Figures of one contender in ms, seen from one side; None where it was not asked warm."""

    cold: float
    one_p50: float | None = None
    one_p99: float | None = None
    hundred_p50: float | None = None
    rows_per_second: float | None = None


@dataclass(frozen=True)
class Result:
    """All figures of one contender.

    caller: until the emulator's answer was there. handler: until the handler returned; from the
    sending of the request for a cold start, else from the handler's entry. cold_cpu_ms: processor
    time of the function's process until the first answer, which other processes hardly change.
    """

    caller: Times
    handler: Times
    cold_cpu_ms: float
    peak_mb: float


@dataclass(frozen=True)
class Ratio:
    """A figure of one contender over that of another, and what it is to be.

    figure: by whom it is seen, the emulator's caller or the handler, and which it is.
    """

    text: str
    figure: str
    of: str
    base: str
    limit: float
    at_least: bool = False

    def goal(self, results: Mapping[str, Result]) -> Goal:
        """Return the ratio beside its limit."""
        figure = attrgetter(self.figure)
        ratio = float(figure(results[self.of]) / figure(results[self.base]))
        seen = f", {self.figure.partition('.')[0]}" if "." in self.figure else ""
        reached = ratio >= self.limit if self.at_least else ratio <= self.limit
        sign = "≥" if self.at_least else "≤"
        text = f"{self.text}{seen}: {self.of} / {self.base}"
        return Goal(text, f"{ratio:.2f}", f"{sign} {self.limit}", reached)


RATIOS = (
    Ratio("cold start", "caller.cold", OFF, PATTERN, 0.22),
    Ratio("cold start", "caller.cold", OFF, EMPTY, 6.0),
    Ratio("cold start", "caller.cold", OFF, NOPYC, 0.13),
    Ratio("cold start", "handler.cold", ON, PATTERN, 0.22),
    Ratio("cold start", "handler.cold", ON, NOPYC, 0.13),
    Ratio("one row", "caller.one_p50", OFF, EMPTY, 2.0),
    Ratio("one row", "handler.one_p50", ON, PATTERN, 0.5),
    Ratio("one row", "caller.one_p50", ON, PATTERN, 0.5),
    Ratio("rows per second", "handler.rows_per_second", OFF, PATTERN, 2.5, at_least=True),
    Ratio("rows per second", "caller.rows_per_second", OFF, PATTERN, 2.5, at_least=True),
    Ratio("rows per second", "handler.rows_per_second", ON, PATTERN, 1.2, at_least=True),
    Ratio("rows per second", "caller.rows_per_second", ON, PATTERN, 1.2, at_least=True),
    Ratio("peak memory", "peak_mb", ON, PATTERN, 0.6),
)


def part(results: Mapping[str, Result]) -> Part:
    """Return all figures as tables, and the goals of all who were measured."""
    goals = [one.goal(results) for one in RATIOS if {one.of, one.base} <= results.keys()]
    sides = (
        ("As the emulator's caller sees it", "caller"),
        ("Until the handler returns", "handler"),
    )
    tables: list[Shown] = []
    for title, side in sides:
        seen = {n: one for n, one in results.items() if side == "caller" or n != EMPTY}
        rows = [[name, *_cells(attrgetter(side)(one))] for name, one in seen.items()]
        tables.append((title, "", HEADS, rows))
    heads = ["", "processor time of a cold start, ms", "peak MB"]
    own = [[n, f"{one.cold_cpu_ms:,.0f}", f"{one.peak_mb:.0f}"] for n, one in results.items()]
    return Part([*tables, ("The function's process", "", heads, own)], goals)


def _cells(times: Times) -> list[str]:
    precise = [times.one_p50, times.one_p99, times.hundred_p50]
    return [
        f"{times.cold:,.0f}",
        *("" if value is None else f"{value:.2f}" for value in precise),
        "" if times.rows_per_second is None else f"{times.rows_per_second:,.0f}",
    ]


def results(runs: Sequence[Run]) -> dict[str, Result]:
    """Return the figures of each contender, in the order in which they ran."""
    names = list(dict.fromkeys(run.contender for run in runs))
    return {name: _result([run for run in runs if run.contender == name]) for name in names}


def _result(runs: Sequence[Run]) -> Result:
    warm = [run for run in runs if run.warm]
    return Result(
        caller=_times(runs, "caller"),
        handler=_times(runs, "handler"),
        cold_cpu_ms=1000 * median(run.cold_cpu for run in runs),
        # who stops after one row needs less memory than who goes on to 1,000
        peak_mb=median(run.peak_mb for run in warm or runs),
    )


def _times(runs: Sequence[Run], side: str) -> Times:
    seconds = attrgetter(side)
    cold = 1000 * median(seconds(run.cold) for run in runs)
    warm = {
        count: [seconds(sample) for run in runs if run.warm for sample in run.warm[count]]
        for count in (1, 100, 1_000)
    }
    if not warm[1]:
        return Times(cold)
    return Times(
        cold,
        one_p50=1000 * median(warm[1]),
        one_p99=1000 * quantiles(warm[1], n=100)[98],
        hundred_p50=1000 * median(warm[100]),
        rows_per_second=1000 / median(warm[1_000]),
    )
