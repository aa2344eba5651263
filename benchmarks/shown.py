"""How a long benchmark runs as a command, and shows its figures: terminal, JSON, a document."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.installed import BUILD
from benchmarks.serving.report import machine, markdown
from local import command_line, marked
from local.template import ROOT

Shown = tuple[str, str, list[str], list[list[str]]]  # title, remark, heads, rows


class Timed(Protocol):
    """What a benchmark found, with its seconds and the load average before and after."""

    @property
    def seconds(self) -> float:
        """Return how long it took."""

    @property
    def load(self) -> tuple[float, float]:
        """Return the load average before and after."""


def command[Found: Timed](
    module: str,
    make: str,
    description: str | None,
    limit_seconds: int,
    bench: Callable[[bool], Found],
    write: Callable[[Found, bool], list[Path]],
) -> None:
    """Measure everything, and write it down.

    bench: measures, quickly or in full. write: shows what was found, and returns what it wrote.
    """
    parser = command_line.parser(module, description, f"{make} QUICK=1")
    parser.add_argument(
        "--quick", action="store_true", help="repeat less, and leave the page alone"
    )
    quick = parser.parse_args().quick
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(limit_seconds)
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        found = bench(quick)
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
    written = write(found, quick)
    print("Written to", ", ".join(str(path.relative_to(ROOT)) for path in written))


def _stop(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(f"ended by {signal.Signals(number).name}")


def told[T](name: str, measure: Callable[[], T]) -> T:
    """Measure a part, and print how long that took."""
    begun = time.monotonic()
    found = measure()
    print(f"{name}: {time.monotonic() - begun:.1f} s", flush=True)
    return found


def write_json(measured: Any, goals: Iterable[Any], path: Path) -> None:
    """Write everything."""
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": machine(),
        "goals": [asdict(goal) for goal in goals],
    }
    path.write_text(json.dumps(document | asdict(measured), indent=2) + "\n")


def show(tables: Iterable[Shown], width: int, conditions: str) -> None:
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
    console.print(conditions, highlight=False)


def write_document(path: Path, prog: str, conditions: str, tables: Iterable[Shown]) -> None:
    """Replace what stands between the two markers of a document."""
    parts = [conditions]
    for title, remark, heads, rows in tables:
        parts += [f"**{title}**", *([remark] if remark else []), markdown(heads, rows)]
    marked.rewrite(path, prog, "\n\n".join(parts))


def conditions(measured: Timed) -> str:
    """Return one paragraph on when and where."""
    facts, (before, after) = machine(), measured.load
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {facts['cpus']} × {facts['cpu']}, "
        f"Python {facts['python']}, {measured.seconds:.0f} s; "
        f"load average {before:.1f} before and {after:.1f} after. Shares do not depend on the "
        "machine: seeds are fixed."
    )
