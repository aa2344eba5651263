"""Contenders asked in turns, one process after the other: medians, ratios, and their goals."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import median, quantiles
from typing import Any, NamedTuple

from benchmarks.serving import emulator
from benchmarks.serving.contenders import EMPTY, NOPYC, OURS, PATTERN, Contender
from benchmarks.shown import BUILD, Goal, Part, Shown
from local.template import ROOT

EVENT = ROOT / "events" / "predict.json"
SAME = 1e-5  # what the twin may differ from its pipeline
OFF, ON = OURS.format("onnx", "off"), OURS.format("onnx", "on")
# `caller`: until the emulator's answer was there, and `handler`: until the handler returned; from
# the sending of the request for a cold start, else from the handler's entry.
SIDES = {"caller": "As the emulator's caller sees it", "handler": "Until the handler returns"}
COLUMNS: dict[
    str, tuple[str, Callable[[list[float]], float], str]
] = {  # what was asked, its figure of the seconds, and a format
    "cold, ms": ("cold", lambda seconds: 1000 * median(seconds), ",.0f"),
    "1 row, ms": ("1", lambda seconds: 1000 * median(seconds), ".2f"),
    "p99, ms": ("1", lambda seconds: 1000 * quantiles(seconds, n=100)[98], ".2f"),
    "100 rows, ms": ("100", lambda seconds: 1000 * median(seconds), ".2f"),
    "rows/s of 1,000": ("1000", lambda seconds: 1000 / median(seconds), ",.0f"),
}
CPU, PEAK = "processor time of a cold start, ms", "peak MB"
RATIOS = (  # what is compared, by whom it is seen, of whom, over whose, and what it is to be
    ("cold start", "caller, cold, ms", OFF, PATTERN, "≤", 0.22),
    ("cold start", "caller, cold, ms", OFF, EMPTY, "≤", 6.0),
    ("cold start", "caller, cold, ms", OFF, NOPYC, "≤", 0.13),
    ("cold start", "handler, cold, ms", ON, PATTERN, "≤", 0.22),
    ("cold start", "handler, cold, ms", ON, NOPYC, "≤", 0.13),
    ("one row", "caller, 1 row, ms", OFF, EMPTY, "≤", 2.0),
    ("one row", "handler, 1 row, ms", ON, PATTERN, "≤", 0.5),
    ("one row", "caller, 1 row, ms", ON, PATTERN, "≤", 0.5),
    ("rows per second", "handler, rows/s of 1,000", OFF, PATTERN, "≥", 2.5),
    ("rows per second", "caller, rows/s of 1,000", OFF, PATTERN, "≥", 2.5),
    ("rows per second", "handler, rows/s of 1,000", ON, PATTERN, "≥", 1.2),
    ("rows per second", "caller, rows/s of 1,000", ON, PATTERN, "≥", 1.2),
    ("peak memory", PEAK, ON, PATTERN, "≤", 0.6),
)

Samples = Mapping[str, list[float]]  # of a contender: seconds and MB, by side and what was asked


class Plan(NamedTuple):
    """How often: processes per contender, how many of them go on warm, and requests in each.

    requests: by rows in a request.
    """

    processes: int
    warm_processes: int
    requests: dict[int, int]


FULL = Plan(processes=11, warm_processes=5, requests={1: 300, 100: 40, 1_000: 15})
QUICK = Plan(processes=3, warm_processes=1, requests={1: 50, 100: 10, 1_000: 5})


def samples(
    contenders: Sequence[Contender], plan: Plan, rows: Sequence[Any]
) -> Mapping[str, Samples]:
    """Ask in turns, and return what was measured of each.

    Raises SystemExit where two contenders do not score the same rows alike.
    """
    template, bodies = json.loads(EVENT.read_text()), {}
    for count in plan.requests:  # as API Gateway would send them
        body = json.dumps({"instances": rows[:count]})
        bodies[count] = json.dumps(template | {"body": body}).encode()
    scores: dict[int, list[float]] = {}
    measured = {contender.name: defaultdict[str, list[float]](list) for contender in contenders}
    with (BUILD / "emulator.log").open("w") as log:
        for turn in range(plan.processes):
            for contender in contenders:
                own, warm = measured[contender.name], turn < plan.warm_processes
                warm = warm and contender.name != NOPYC
                counts = [n for n, often in plan.requests.items() for _ in range(often) if warm]
                with emulator.started(contender, log) as function:
                    asked = [function.ask(bodies[1])]
                    own[CPU].append(1000 * function.cpu_seconds())
                    asked += [function.ask(bodies[count]) for count in counts]
                    returned, peak_mb = list(function.returned()), function.peak_mb()
                if warm or contender.name == NOPYC:  # more rows need more memory
                    own[PEAK].append(peak_mb)
                own["caller cold"].append(asked[0].seconds)
                own["handler cold"].append(returned[0][1] - asked[0].sent)
                for count, one, (seconds, _) in zip(counts, asked[1:], returned[1:], strict=True):
                    own[f"caller {count}"].append(one.seconds)
                    own[f"handler {count}"].append(seconds)
                for count, one in zip([1, *counts], asked, strict=True):
                    _check(contender.name, one.answer, scores.setdefault(count, []))
                print(f"{contender.name}: {1000 * asked[0].seconds:,.0f} ms cold", flush=True)
    return measured


def _check(name: str, answer: Any, expected: list[float]) -> None:
    """Compare scores with those of the first who answered: else they are not the same work."""
    if name == EMPTY:
        return
    found = [row["score"] for row in json.loads(answer["body"])["predictions"]]
    expected[:] = expected or found
    pairs = zip(found, expected, strict=True)
    if not all(math.isclose(one, other, abs_tol=SAME) for one, other in pairs):
        raise SystemExit(f"{name} scores {len(found)} rows differently")


def part(measured: Mapping[str, Samples], said: str) -> Part:
    """Return all figures as tables, and the goals; said: with what they were measured."""
    tables: list[Shown] = []
    figures = {
        name: {CPU: median(found[CPU]), PEAK: median(found[PEAK])}
        for name, found in measured.items()
    }
    for side, title in SIDES.items():
        rows = []
        for name, found in measured.items():
            cells = []
            for head, (what, figured, form) in COLUMNS.items():
                seconds = found.get(f"{side} {what}")  # of who was asked so
                if seconds:
                    figures[name][f"{side}, {head}"] = figured(seconds)
                cells.append(f"{figured(seconds):{form}}" if seconds else "")
            rows += [[name, *cells]] if side == "caller" or name != EMPTY else []
        tables.append((title, "" if tables else said, ["", *COLUMNS], rows))
    rows = [[name, f"{one[CPU]:,.0f}", f"{one[PEAK]:.0f}"] for name, one in figures.items()]
    tables.append(("The function's process", "", ["", CPU, PEAK], rows))
    goals = []
    for text, figure, of, base, sign, limit in RATIOS:
        ratio = figures[of][figure] / figures[base][figure]
        seen = f", {figure.partition(',')[0]}" if "," in figure else ""
        about = f"{text}{seen}: {of} / {base}"
        reached = ratio >= limit if sign == "≥" else ratio <= limit
        goals.append(Goal(about, f"{ratio:.2f}", f"{sign} {limit}", reached))
    return Part(tables, goals)
