"""Medians of runs, their ratios, and what these were to reach."""

from collections.abc import Sequence
from operator import attrgetter
from statistics import median, quantiles

from benchmarks.serving.contenders import EMPTY, NOPYC, OURS, PATTERN
from benchmarks.serving.measure import Run
from benchmarks.shown import Goal, Part, Shown

OFF, ON = OURS.format("onnx", "off"), OURS.format("onnx", "on")

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
RATIOS = (  # what is compared, its figure, of whom, over whose, and what it is to be
    ("cold start", "caller.cold", OFF, PATTERN, "≤", 0.22),
    ("cold start", "caller.cold", OFF, EMPTY, "≤", 6.0),
    ("cold start", "caller.cold", OFF, NOPYC, "≤", 0.13),
    ("cold start", "handler.cold", ON, PATTERN, "≤", 0.22),
    ("cold start", "handler.cold", ON, NOPYC, "≤", 0.13),
    ("one row", "caller.one_p50", OFF, EMPTY, "≤", 2.0),
    ("one row", "handler.one_p50", ON, PATTERN, "≤", 0.5),
    ("one row", "caller.one_p50", ON, PATTERN, "≤", 0.5),
    ("rows per second", "handler.rows_per_second", OFF, PATTERN, "≥", 2.5),
    ("rows per second", "caller.rows_per_second", OFF, PATTERN, "≥", 2.5),
    ("rows per second", "handler.rows_per_second", ON, PATTERN, "≥", 1.2),
    ("rows per second", "caller.rows_per_second", ON, PATTERN, "≥", 1.2),
    ("peak memory", "peak_mb", ON, PATTERN, "≤", 0.6),
)


def part(runs: Sequence[Run], said: str) -> Part:
    """Return all figures as tables, and the goals; said: with what they were measured."""
    names = dict.fromkeys(run.contender for run in runs)
    results = {name: _figures([run for run in runs if run.contender == name]) for name in names}
    goals = []
    for text, figure, of, base, sign, limit in RATIOS:
        ratio = results[of][figure] / results[base][figure]
        seen = f", {figure.partition('.')[0]}" if "." in figure else ""
        reached = ratio >= limit if sign == "≥" else ratio <= limit
        goals.append(
            Goal(f"{text}{seen}: {of} / {base}", f"{ratio:.2f}", f"{sign} {limit}", reached)
        )
    tables: list[Shown] = []
    for side, title in SIDES.items():
        seen_by = [(n, one) for n, one in results.items() if side == "caller" or n != EMPTY]
        rows = [[name, *_cells(one, side)] for name, one in seen_by]
        heads = ["", *(head for head, _ in COLUMNS.values())]
        tables.append((title, "" if tables else said, heads, rows))
    heads = ["", "processor time of a cold start, ms", "peak MB"]
    own = [[n, f"{one['cold_cpu']:,.0f}", f"{one['peak_mb']:.0f}"] for n, one in results.items()]
    return Part([*tables, ("The function's process", "", heads, own)], goals)


def _cells(found: Figures, side: str) -> list[str]:
    named = {f"{side}.{name}": form for name, (_, form) in COLUMNS.items()}
    return [f"{found[name]:{form}}" if name in found else "" for name, form in named.items()]


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
