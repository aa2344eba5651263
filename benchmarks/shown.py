"""How a benchmark runs as a command, and shows its figures: terminal, JSON, a page of docs/."""

import json
import os
import platform
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.markdown import Markdown

from benchmarks.installed import BUILD
from local import command_line, marked
from local.template import ROOT

Shown = tuple[str, str, list[str], list[list[str]]]  # title, remark, heads, rows
SAME = " Shares do not depend on the machine: seeds are fixed."


@dataclass(frozen=True)
class Goal:
    """A figure and what it was to be, as text, and whether it is; against: what shows that not."""

    text: str
    figure: str
    goal: str
    reached: bool
    against: Sequence[str] = ()


@dataclass(frozen=True)
class Part:
    """What one part of a benchmark found: its tables, and what was to be reached.

    picture: a PNG to stand beside the page.
    """

    tables: list[Shown]
    goals: list[Goal] = field(default_factory=list)
    picture: bytes | None = None


@dataclass(frozen=True)
class Spent:
    """What a run took: seconds, and the machine's load average before and after."""

    seconds: float
    load: tuple[float, float]


@dataclass(frozen=True)
class Page:
    """A benchmark's page in docs/, with its figures between two markers.

    command: of make, which writes them. width: of the widest table, in characters. json: where the
    figures stand besides.
    """

    command: str
    path: Path
    width: int
    json: Path

    def parser(self, module: str, description: str | None) -> ArgumentParser:
        """Return the parser of a benchmark's options; --quick leaves the page alone."""
        parser = command_line.parser(module, description, f"{self.command} QUICK=1")
        more = "repeat less, and leave the page alone"
        parser.add_argument("--quick", action="store_true", help=more)
        return parser

    def write_parts(self, parts: Sequence[Part], said: str, *, whole: bool) -> None:
        """Show the goals and tables of all parts and write them; only a whole run is for the page.

        said: one paragraph on when and where.
        """
        goals = [goal for part in parts for goal in part.goals]
        tables = [reached(goals), *(table for part in parts for table in part.tables)]
        console, text = Console(), markdown(said, tables)
        console.width = max(console.width, self.width)
        console.print(Markdown(text))
        names = ("title", "remark", "heads", "rows")
        document = {
            "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "machine": machine(),
            "goals": [asdict(goal) for goal in goals],
            "tables": [dict(zip(names, table, strict=True)) for table in tables],
        }
        self.json.parent.mkdir(parents=True, exist_ok=True)
        self.json.write_text(json.dumps(document, indent=2) + "\n")
        written = [self.json]
        if whole:
            marked.rewrite(self.path, self.command, text)
            written.append(self.path)
        print("Written to", ", ".join(str(path.relative_to(ROOT)) for path in written))
        for goal in goals:
            for one in goal.against:
                print(f"NOT {goal.text}: {one}")
        for part in parts:
            if whole and part.picture:
                self.path.with_suffix(".png").write_bytes(part.picture)


def limited[Found](seconds: int, measure: Callable[[], Found]) -> tuple[Found, Spent]:
    """Measure, for so many seconds at most: SIGTERM, SIGALRM and Ctrl-C end all that runs."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(seconds)
    BUILD.mkdir(parents=True, exist_ok=True)
    begun, load = time.monotonic(), os.getloadavg()[0]
    try:
        found = measure()
        return found, Spent(time.monotonic() - begun, (load, os.getloadavg()[0]))
    except KeyboardInterrupt:
        sys.exit("\nStopped.")


def _stop(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(f"ended by {signal.Signals(number).name}")


def told[T](name: str, measure: Callable[[], T]) -> T:
    """Measure a part, and print how long that took."""
    begun = time.monotonic()
    found = measure()
    print(f"{name}: {time.monotonic() - begun:.1f} s", flush=True)
    return found


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    return {"cpus": os.cpu_count(), "cpu": model, "python": platform.python_version()}


def status_mb(pid: int | str, field: str) -> float:
    """Return a process's memory by Linux: VmRSS, what it has now, or VmHWM, the most it had."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    return 0.0  # it has ended


def conditions(spent: Spent, before: str = "", after: str = "") -> str:
    """Return one paragraph on when and where; before, after: what else there is to say."""
    facts, (first, last) = machine(), spent.load
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {facts['cpus']} × {facts['cpu']}, "
        f"Python {facts['python']}, {before}{spent.seconds:.0f} s; "
        f"load average {first:.1f} before and {last:.1f} after.{after}"
    )


def reached(goals: Iterable[Goal]) -> Shown:
    """Return the table of goals."""
    rows = [[one.text, one.figure, one.goal, "yes" if one.reached else "NO"] for one in goals]
    return "Goals", "", ["", "measured", "goal", "reached"], rows


def markdown(said: str, tables: Iterable[Shown]) -> str:
    """Return a paragraph and tables in Markdown, their first columns to the left."""
    parts = [said]
    for title, remark, heads, rows in tables:
        parts += [f"**{title}**", *([remark] if remark else []), marked.table(heads, rows)]
    return "\n\n".join(parts)
