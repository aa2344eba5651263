"""The figures of a benchmark stand between two markers of its page."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import shown
from benchmarks.drift.__main__ import PAGE
from benchmarks.shown import Goal, Part, Shown
from local import marked

BEGIN, END = marked.begin(PAGE.command), marked.END
TABLES: list[Shown] = [("T", "", ["", "n"], [["a", "1"]])]


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
    page = replace(PAGE, path=tmp_path / "page.md", json=tmp_path / "page.json")
    page.path.write_text(f"{BEGIN}\nold\n{END}\n")

    page.write("now", TABLES, whole=False)

    assert "old" in page.path.read_text()


@pytest.mark.parametrize("measured", [True, False])
def test_a_page_gets_all_goals_tables_and_pictures_if_every_part_was_measured(
    measured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "ROOT", tmp_path)
    page = replace(PAGE, path=tmp_path / "page.md", json=tmp_path / "page.json")
    page.path.write_text(f"{BEGIN}\nold\n{END}\n")
    missed = Goal("as many as asked", "1", "≥ 2", reached=False)
    parts = [Part(TABLES, [missed], picture=b"png"), Part([], whole=measured)]

    page.write_parts(parts, "now", whole=True)

    text = page.path.read_text()
    assert ("| as many as asked | 1 | ≥ 2 | NO |" in text, "| a | 1 |" in text) == (measured,) * 2
    assert ("old" in text) is not measured
    assert page.path.with_suffix(".png").exists() is measured
    assert json.loads(page.json.read_bytes())["goals"][0]["text"] == "as many as asked"
