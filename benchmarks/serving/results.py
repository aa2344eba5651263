"""Medians of runs, their ratios, and what these were to reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median, quantiles

from benchmarks.serving.contenders import EMPTY, NOPYC, PATTERN, ours
from benchmarks.serving.measure import Run
from benchmarks.shown import Goal, Part, Shown

OFF, ON = ours("onnx", "off"), ours("onnx", "on")


Figures = dict[str, float]  # of one contender, by name, but for those of what was not asked warm
# By side: `caller`, until the emulator's answer was there, and `handler`, until the handler
# returned; from the sending of the request for a cold start, else from the handler's entry.
COLUMNS = {  # of a side's table, by the name of the figure, and its format
    "cold": ("cold, ms", ",.0f"),
    "one_p50": ("1 row, ms", ".2f"),
    "one_p99": ("p99, ms", ".2f"),
    "hundred_p50": ("100 rows, ms", ".2f"),
    "rows_per_second": ("rows/s of 1,000", ",.0f"),
}
SIDES = {"caller": "As the emulator's caller sees it", "handler": "Until the handler returns"}


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

    def goal(self, results: Mapping[str, Figures]) -> Goal:
        """Return the ratio beside its limit."""
        ratio = results[self.of][self.figure] / results[self.base][self.figure]
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


def part(results: Mapping[str, Figures]) -> Part:
    """Return all figures as tables, and the goals of all who were measured."""
    goals = [one.goal(results) for one in RATIOS if {one.of, one.base} <= results.keys()]
    tables: list[Shown] = []
    for side, title in SIDES.items():
        seen = {n: found for n, found in results.items() if side == "caller" or n != EMPTY}
        rows = [[name, *_cells(found, side)] for name, found in seen.items()]
        tables.append((title, "", ["", *(head for head, _ in COLUMNS.values())], rows))
    heads = ["", "processor time of a cold start, ms", "peak MB"]
    own = [[n, f"{one['cold_cpu']:,.0f}", f"{one['peak_mb']:.0f}"] for n, one in results.items()]
    return Part([*tables, ("The function's process", "", heads, own)], goals)


def _cells(found: Figures, side: str) -> list[str]:
    named = {f"{side}.{name}": form for name, (_, form) in COLUMNS.items()}
    return [f"{found[name]:{form}}" if name in found else "" for name, form in named.items()]


def results(runs: Sequence[Run]) -> dict[str, Figures]:
    """Return the figures of each contender, in the order in which they ran."""
    names = list(dict.fromkeys(run.contender for run in runs))
    return {name: _figures([run for run in runs if run.contender == name]) for name in names}


def _figures(runs: Sequence[Run]) -> Figures:
    """Return medians; cold_cpu: ms of the processor until the first answer."""
    warm = [run for run in runs if run.warm]
    found = {
        "cold_cpu": 1000 * median(run.cold_cpu for run in runs),
        # who stops after one row needs less memory than who goes on to 1,000
        "peak_mb": median(run.peak_mb for run in warm or runs),
    }
    for side in SIDES:
        seconds = attrgetter(side)
        found[f"{side}.cold"] = 1000 * median(seconds(run.cold) for run in runs)
        if warm:
            one, hundred, thousand = (
                [seconds(sample) for run in warm for sample in run.warm[count]]
                for count in (1, 100, 1_000)
            )
            found[f"{side}.one_p50"] = 1000 * median(one)
            found[f"{side}.one_p99"] = 1000 * quantiles(one, n=100)[98]
            found[f"{side}.hundred_p50"] = 1000 * median(hundred)
            found[f"{side}.rows_per_second"] = 1000 / median(thousand)
    return found
