"""How a benchmark runs as a command, and shows its figures: terminal, JSON, a page of docs/."""

import json
import os
import platform
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.installed import BUILD
from local import command_line, marked
from local.template import ROOT

Shown = tuple[str, str, list[str], list[list[str]]]  # title, remark, heads, rows
SAME = " Shares do not depend on the machine: seeds are fixed."


class Timed(Protocol):
    """What a benchmark found, with its seconds and the load average before and after."""

    @property
    def seconds(self) -> float:
        """Return how long it took."""

    @property
    def load(self) -> tuple[float, float]:
        """Return the load average before and after."""


@dataclass(frozen=True)
class Goal:
    """A figure and what it was to be, as text, and whether it is."""

    text: str
    figure: str
    goal: str
    reached: bool


@dataclass(frozen=True)
class Page:
    """A benchmark's page in docs/, with its figures between two markers.

    command: of make, which writes them. width: of the widest table, in characters.
    """

    command: str
    path: Path
    width: int

    def parser(self, module: str, description: str | None) -> ArgumentParser:
        """Return the parser of a benchmark's options; --quick leaves the page alone."""
        parser = command_line.parser(module, description, f"{self.command} QUICK=1")
        more = "repeat less, and leave the page alone"
        parser.add_argument("--quick", action="store_true", help=more)
        return parser

    def rewrite(self, said: str, tables: Iterable[Shown]) -> None:
        """Replace what stands between the two markers of the page."""
        marked.rewrite(self.path, self.command, markdown(said, tables))

    def write(self, json_: Path, measured: Any, said: str, tables: Sequence[Shown], *,
              whole: bool, **facts: Any) -> None:  # fmt: skip
        """Show everything and write it; only a whole run is for the page.

        said: one paragraph on when and where. facts: what the JSON says beside what was measured.
        """
        show(tables, self.width, said)
        date = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        document = {"date": date, "machine": machine(), **facts, **asdict(measured)}
        json_.write_text(json.dumps(document, indent=2) + "\n")
        written = [json_]
        if whole:
            self.rewrite(said, tables)
            written.append(self.path)
        print("Written to", ", ".join(str(path.relative_to(ROOT)) for path in written))


def limited[Found](seconds: int, measure: Callable[[], Found]) -> Found:
    """Measure, for so many seconds at most: SIGTERM, SIGALRM and Ctrl-C end all that runs."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(seconds)
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        return measure()
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
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return 0.0  # it ends just now


def conditions(measured: Timed, before: str = "", after: str = "") -> str:
    """Return one paragraph on when and where; before, after: what else there is to say."""
    facts, (first, last) = machine(), measured.load
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {facts['cpus']} × {facts['cpu']}, "
        f"Python {facts['python']}, {before}{measured.seconds:.0f} s; "
        f"load average {first:.1f} before and {last:.1f} after.{after}"
    )


def reached(goals: Iterable[Goal]) -> Shown:
    """Return the table of goals."""
    rows = [[one.text, one.figure, one.goal, "yes" if one.reached else "NO"] for one in goals]
    return "Goals", "", ["", "measured", "goal", "reached"], rows


def show(tables: Iterable[Shown], width: int, said: str) -> None:
    """Print the tables; width: of the widest."""
    console = Console()
    console.width = max(console.width, width)
    for title, _, heads, rows in tables:
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        for index, head in enumerate(heads):
            table.add_column(head, justify="right" if index else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(said, highlight=False)


def markdown(said: str, tables: Iterable[Shown]) -> str:
    """Return a paragraph and tables in Markdown, their first columns to the left."""
    parts = [said]
    for title, remark, heads, rows in tables:
        parts += [f"**{title}**", *([remark] if remark else []), marked.table(heads, rows)]
    return "\n\n".join(parts)
