"""The figures as JSON, in a terminal, and in docs/monitoring.md."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.drift_goals import Measured, goals
from benchmarks.drift_tables import tables
from benchmarks.report import machine, markdown
from local import marked
from local.template import ROOT

DOCUMENT = ROOT / "docs" / "monitoring.md"
COMMAND = "make bench-drift"
WIDTH = 110  # of the widest table


def write_json(measured: Measured, path: Path) -> None:
    """Write everything."""
    document = {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": machine(),
        "goals": [asdict(goal) for goal in goals(measured)],
    }
    path.write_text(json.dumps(document | asdict(measured), indent=2) + "\n")


def show(measured: Measured) -> None:
    """Print the tables."""
    console = Console()
    console.width = max(console.width, WIDTH)
    for title, _, heads, rows in tables(measured):
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        for index, head in enumerate(heads):
            table.add_column(head, justify="right" if index else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(conditions(measured), highlight=False)


def write_document(measured: Measured, path: Path = DOCUMENT) -> None:
    """Replace what stands between the two markers of the document."""
    parts = [conditions(measured)]
    for title, remark, heads, rows in tables(measured):
        parts += [f"**{title}**", *([remark] if remark else []), markdown(heads, rows)]
    marked.rewrite(path, COMMAND, "\n\n".join(parts))


def conditions(measured: Measured) -> str:
    """Return one paragraph on when and where."""
    facts, (before, after) = machine(), measured.load
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {facts['cpus']} × {facts['cpu']}, "
        f"Python {facts['python']}, {measured.seconds:.0f} s; "
        f"load average {before:.1f} before and {after:.1f} after. Shares do not depend on the "
        "machine: seeds are fixed."
    )
