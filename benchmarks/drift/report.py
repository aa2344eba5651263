"""The figures as JSON, in a terminal, and in docs/monitoring.md."""

from pathlib import Path

from benchmarks import shown
from benchmarks.drift.goals import Measured, goals
from benchmarks.drift.tables import tables
from benchmarks.installed import BUILD
from benchmarks.shown import conditions
from local.template import ROOT

DOCUMENT = ROOT / "docs" / "monitoring.md"
COMMAND = "make bench-drift"
WIDTH = 110  # of the widest table


def write(measured: Measured, quick: bool) -> list[Path]:
    """Show everything and write it; a quick run leaves the document alone."""
    shown.show(tables(measured), WIDTH, conditions(measured))
    path = BUILD / "drift.json"
    shown.write_json(measured, goals(measured), path)
    if quick:
        return [path]
    write_document(measured)
    return [path, DOCUMENT]


def write_document(measured: Measured, path: Path = DOCUMENT) -> None:
    """Replace what stands between the two markers of the document."""
    shown.write_document(path, COMMAND, conditions(measured), tables(measured))
