"""The figures as JSON, as tables for a terminal, and as tables in docs/performance.md."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.installed import Folders
from benchmarks.serving.contenders import EMPTY, PATTERN
from benchmarks.serving.measure import Plan
from benchmarks.serving.results import Goal, Result, Times, goals, ratios
from local import marked
from local.template import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
LIBRARIES = ("scikit-learn", "pandas", "joblib", "numpy", "onnxruntime", "awslambdaric", "botocore")
WIDTH = 100  # of the widest table
WARM = ["1 row, ms", "p99, ms", "100 rows, ms", "rows/s of 1,000"]

Cells = list[list[str]]


@dataclass(frozen=True)
class Measured:
    """All that one `make bench` found.

    load: the machine's load average before and after; ours alone is about 1.
    """

    results: dict[str, Result]
    plan: Plan
    seconds: float
    libraries: dict[str, str]
    load: tuple[float, float]


def libraries(folders: Folders) -> dict[str, str]:
    """Return the versions of the libraries that matter."""
    paths = [folders.runtime, folders.pattern, *folders.layers.values()]
    found = {one.name: one.version for one in distributions(path=[str(path) for path in paths])}
    return {name: found[name] for name in LIBRARIES if name in found}


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    return {"cpus": os.cpu_count(), "cpu": model, "python": platform.python_version()}


def write_json(measured: Measured, path: Path) -> None:
    """Write everything."""
    results = measured.results
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": machine(),
        "goals": [
            asdict(goal) | {"ratio": goal.ratio(results), "reached": goal.reached(results)}
            for goal in goals(results)
        ],
        "over": {base: ratios(results, base) for base in (EMPTY, PATTERN)},
    }
    path.write_text(json.dumps(document | asdict(measured), indent=2) + "\n")


def show(measured: Measured) -> None:
    """Print the tables."""
    console = Console()
    console.width = max(console.width, WIDTH)
    for title, heads, rows in tables(measured.results):
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        for index, head in enumerate(heads):
            table.add_column(head, justify="right" if index else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(conditions(measured), highlight=False)


def write_document(measured: Measured) -> None:
    """Replace what stands between the two markers of the document."""
    parts = [conditions(measured)]
    for title, heads, rows in tables(measured.results):
        parts += [f"**{title}**", markdown(heads, rows)]
    marked.rewrite(DOCUMENT, "make bench", "\n\n".join(parts))


def markdown(heads: Sequence[str], rows: Cells) -> str:
    """Return a table in Markdown, its first column to the left."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def conditions(measured: Measured) -> str:
    """Return one paragraph on when and where."""
    facts = machine()
    versions = ", ".join(f"{name} {version}" for name, version in measured.libraries.items())
    before, after = measured.load
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {facts['cpus']} × {facts['cpu']}, "
        f"Python {facts['python']}, {versions}. {measured.plan.processes} processes of each, "
        f"{measured.plan.warm_processes} of them also warm, in turns, {measured.seconds:.0f} s; "
        f"load average {before:.1f} before and {after:.1f} after."
    )


def tables(results: Mapping[str, Result]) -> list[tuple[str, list[str], Cells]]:
    """Return the title, heads and rows of each table."""
    return [
        (
            "As the emulator's caller sees it",
            ["", "cold, ms", *WARM],
            [[name, *_cells(one.caller)] for name, one in results.items()],
        ),
        (
            "Until the handler returns",
            ["", "cold, ms", *WARM],
            [[name, *_cells(one.handler)] for name, one in results.items() if name != EMPTY],
        ),
        (
            "The function's process",
            ["", "processor time of a cold start, ms", "peak MB"],
            [
                [name, f"{one.cold_cpu_ms:,.0f}", f"{one.peak_mb:.0f}"]
                for name, one in results.items()
            ],
        ),
        (
            "Goals",
            ["", "seen by", "of", "over", "ratio", "goal", "reached"],
            [_goal(goal, results) for goal in goals(results)],
        ),
    ]


def _cells(times: Times) -> list[str]:
    precise = [times.one_p50, times.one_p99, times.hundred_p50]
    return [
        f"{times.cold:,.0f}",
        *("" if value is None else f"{value:.2f}" for value in precise),
        "" if times.rows_per_second is None else f"{times.rows_per_second:,.0f}",
    ]


def _goal(goal: Goal, results: Mapping[str, Result]) -> list[str]:
    limit = f"≤ {goal.at_most}" if goal.at_most is not None else f"≥ {goal.at_least}"
    verdict = "yes" if goal.reached(results) else "NO"
    ratio = f"{goal.ratio(results):.2f}"
    return [goal.text, goal.seen, goal.of, goal.base, ratio, limit, verdict]
