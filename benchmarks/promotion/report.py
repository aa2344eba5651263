"""The figures as JSON, in a terminal, and in docs/promotion.md with its picture."""

from pathlib import Path

from benchmarks import shown
from benchmarks.installed import BUILD
from benchmarks.promotion.figure import picture
from benchmarks.promotion.goals import Measured, goals
from benchmarks.promotion.tables import tables
from benchmarks.shown import conditions
from local.template import ROOT

DOCUMENT = ROOT / "docs" / "promotion.md"
PICTURE = ROOT / "docs" / "promotion.png"
COMMAND = "make bench-promotion"
WIDTH = 130  # of the widest table


def write(measured: Measured, quick: bool) -> list[Path]:
    """Show everything and write it; a quick run leaves the document alone."""
    shown.show(tables(measured), WIDTH, conditions(measured))
    path = BUILD / "promotion.json"
    shown.write_json(measured, goals(measured), path)
    if quick:
        return [path]
    write_document(measured)
    return [path, DOCUMENT, PICTURE]


def write_document(measured: Measured, document: Path = DOCUMENT, drawn: Path = PICTURE) -> None:
    """Replace what stands between the two markers of the document, and its picture."""
    shown.write_document(document, COMMAND, conditions(measured), tables(measured))
    drawn.write_bytes(picture(measured.points))
