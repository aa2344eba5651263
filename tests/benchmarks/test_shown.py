"""The figures of a benchmark stand between two markers of its page."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from benchmarks import shown
from benchmarks.drift.tables import PAGE
from benchmarks.shown import Shown
from local import marked

BEGIN, END = marked.begin(PAGE.command), marked.END
TABLES: list[Shown] = [("T", "", ["", "n"], [["a", "1"]])]


@dataclass(frozen=True)
class Found:
    """What was measured."""

    seconds: float


def test_the_page_keeps_what_stands_around_the_tables(tmp_path: Path) -> None:
    page = replace(PAGE, path=tmp_path / "page.md")
    page.path.write_text(f"before\n{BEGIN}old{END}\nafter\n")

    page.rewrite("now", TABLES)

    text = page.path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "now\n\n**T**\n\n|  | n |\n| --- | ---: |\n| a | 1 |" in text
    assert "old" not in text


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = replace(PAGE, path=tmp_path / "page.md")
    page.path.write_text("mine\n")

    with pytest.raises(SystemExit, match="markers"):
        page.rewrite("now", TABLES)

    assert page.path.read_text() == "mine\n"


def test_the_page_has_a_place_for_the_tables() -> None:
    text = PAGE.path.read_text()

    assert 0 < text.index(BEGIN) < text.index(END)


def test_a_quick_run_leaves_the_page_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "ROOT", tmp_path)
    page = replace(PAGE, path=tmp_path / "page.md")
    page.path.write_text(f"{BEGIN}\nold\n{END}\n")
    found = Found(1.5)

    page.write(tmp_path / "page.json", found, "now", TABLES, whole=False)

    assert "old" in page.path.read_text()
