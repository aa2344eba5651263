"""How a benchmark runs as a command, and shows its figures: in the terminal, on a page of docs/."""

import os
import platform
import signal
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.markdown import Markdown

from evergreen.contract.problem import Bools, Floats
from local import command_line, marked
from local.template import ROOT

Shown = tuple[str, str, list[str], list[list[str]]]  # title, remark, heads, rows
BUILD = ROOT / "build" / "bench"
WIDTH = 150  # of the widest table, in characters


class Goal(NamedTuple):
    """A figure and what it was to be, as text, and whether it is; against: what shows that not."""

    text: str
    figure: str
    goal: str
    reached: bool
    against: Sequence[str] = ()


class Part(NamedTuple):
    """What one part of a benchmark found: its tables, and what was to be reached."""

    tables: Sequence[Shown]
    goals: Sequence[Goal] = ()


@dataclass(frozen=True)
class Page:
    """A benchmark's page in docs/, with its figures between two markers.

    command: of make, which writes them, for at most so many minutes.
    """

    command: str
    path: Path
    minutes: int

    def parser(self, module: str, description: str | None) -> ArgumentParser:
        """Return the parser of a benchmark's options; --quick leaves the page alone."""
        parser = command_line.parser(module, description, f"{self.command} QUICK=1")
        more = "repeat less, and leave the page alone"
        parser.add_argument("--quick", action="store_true", help=more)
        return parser

    def run(
        self, module: str, description: str | None, bench: Callable[[bool], Iterable[Part]]
    ) -> None:
        """Measure everything that a benchmark measures, quick or whole, and write it down."""
        quick = self.parser(module, description).parse_args().quick
        self.limit()
        self.write(bench(quick), whole=not quick)

    def limit(self) -> None:
        """Let Ctrl-C, SIGTERM and the end of the minutes end all that runs."""
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(
                each, lambda number, _: sys.exit(f"ended by {signal.Signals(number).name}")
            )
        signal.alarm(60 * self.minutes)

    def write(self, parts: Iterable[Part], *, whole: bool) -> list[Goal]:
        """Show the goals and tables of all parts, write those of a whole run; return the goals."""
        BUILD.mkdir(parents=True, exist_ok=True)
        begun, load, found = time.monotonic(), os.getloadavg()[0], list[Part]()
        for part in parts:
            found.append(part)
            print(f"{part.tables[0][0]}: after {time.monotonic() - begun:.0f} s", flush=True)
        text = markdown(conditions(time.monotonic() - begun, load), found)
        Console(width=WIDTH).print(Markdown(text))
        if whole:
            marked.rewrite(self.path, self.command, text)
            print("Written to", self.path.relative_to(ROOT))
        goals = [goal for part in found for goal in part.goals]
        for goal in goals:
            for one in goal.against:
                print(f"NOT {goal.text}: {one}")
        return goals


def markdown(said: str, parts: Iterable[Part]) -> str:
    """Return a paragraph, the goals of all parts and their tables in Markdown."""
    rows = [[*goal[:3], "yes" if goal.reached else "NO"] for part in parts for goal in part.goals]
    goals = ("Goals", "", ["", "measured", "goal", "reached"], rows)
    blocks = [said]
    for title, remark, heads, lines in [goals, *(table for part in parts for table in part.tables)]:
        blocks += [f"**{title}**", *([remark] if remark else []), marked.table(heads, lines)]
    return "\n\n".join(blocks)


def conditions(seconds: float, load: float) -> str:
    """Return one paragraph on when and where; load: the machine's load average before."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} × {model}, Python "
        f"{platform.python_version()}, {seconds:.0f} s; "
        f"load average {load:.1f} before and {os.getloadavg()[0]:.1f} after."
    )


def first(found: Bools) -> Floats:
    """Return the day, from 1, on which something is first true in each run; infinity for never.

    found: shape (runs, days).
    """
    return np.where(found.any(axis=1), found.argmax(axis=1) + 1.0, np.inf)


def median(days: Floats, share: float = 0.5) -> str:
    """Return the day by which something has come in a share of the runs, or that it has not."""
    day = float(np.quantile(days, share, method="higher")) if len(days) else np.inf
    return "never" if np.isinf(day) else f"{day:,.0f}"


def status_mb(pid: int | str, field: str) -> float:
    """Return a process's memory by Linux: VmRSS, what it has now, or VmHWM, the most it had."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    return 0.0  # it has ended
