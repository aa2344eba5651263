"""The figures of a benchmark stand between two markers of its page."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import shown
from benchmarks.drift.__main__ import PAGE
from benchmarks.shown import Goal, Page, Part, Shown
from local import marked

BEGIN, END = marked.begin(PAGE.command), marked.END
TABLES: list[Shown] = [("T", "", ["", "n"], [["a", "1"]])]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    """Return a page whose figures are old."""
    monkeypatch.setattr(shown, "ROOT", tmp_path)
    found = replace(PAGE, path=tmp_path / "page.md")
    found.path.write_text(f"before\n{BEGIN}old{END}\nafter\n")
    return found


def test_the_page_keeps_what_stands_around_the_tables(page: Page) -> None:
    page.write([Part(TABLES)], whole=True)

    text = page.path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "**T**\n\n|  | n |\n| --- | ---: |\n| a | 1 |" in text
    assert ", Python 3." in text
    assert "old" not in text


def test_a_page_without_markers_is_left_alone(page: Page) -> None:
    page.path.write_text("mine\n")

    with pytest.raises(SystemExit, match="markers"):
        page.write([Part(TABLES)], whole=True)

    assert page.path.read_text() == "mine\n"


def test_the_page_has_a_place_for_the_tables() -> None:
    text = PAGE.path.read_text()

    assert 0 < text.index(BEGIN) < text.index(END)


@pytest.mark.parametrize("whole", [True, False])
def test_a_page_gets_all_goals_and_tables_of_a_whole_run(whole: bool, page: Page) -> None:
    missed = Goal("as many as asked", "1", "≥ 2", reached=False)

    goals = page.write([Part(TABLES), Part(TABLES, [missed])], whole=whole)

    text = page.path.read_text()
    assert ("| as many as asked | 1 | ≥ 2 | NO |" in text, "| a | 1 |" in text) == (whole,) * 2
    assert ("old" in text) is not whole
    assert goals == [missed]
