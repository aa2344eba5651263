"""Everything that promotion measures is in a table, and the year in a picture."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import shown
from benchmarks.promotion import chance, curve, figure, pairs, power
from benchmarks.promotion.draws import PROCESSES
from benchmarks.promotion.flights import DAYS, FIRST
from benchmarks.promotion.goals import Measured, goals
from benchmarks.promotion.tables import PAGE, tables
from benchmarks.promotion.year import Replay
from local import marked
from tests.benchmarks.promotion.test_year import year

pytestmark = pytest.mark.slow

BEGIN, END = marked.begin(PAGE.command), marked.END


def measured() -> Measured:
    """Return a small run of everything."""
    levels = [(day, 0.6 - 0.001 * (day - FIRST)) for day in range(FIRST, DAYS) if day % 7 in (3, 6)]
    replay = Replay(year(*levels, (DAYS, 0.5)))
    names = [
        *("level 1: frozen", "level 3: approved a day later", curve.OURS),
        "the best of the models, each day",
        *(f"{field} = {v}" for field, values in curve.GRID.items() for v in values),
    ]
    return Measured(
        wrong=[chance.wrong(process, 0.0, 100) for process in PROCESSES],
        power=[power.power(0.02, 0.045, margin, 100) for margin in (0.0, 0.01)],
        rollbacks=[power.rollback(0.1, 100)],
        likeness=pairs.likeness(replay),
        pairs=pairs.Pairs(10, 5, 0, 0, 0.04, 0.0, 0),
        points=[
            curve.Point(name, schedule, 2, 0.9, 0.88, 0.91, 3.0, 0.5, 2.0, 1.0)
            for name in names
            for schedule in curve.SCHEDULES
        ],
        models=3,
        seconds=1.0,
        load=(0.1, 0.2),
    )


def test_the_figures_stand_between_the_markers_and_in_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "ROOT", tmp_path)
    page = replace(PAGE, path=tmp_path / "promotion.md")
    page.path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    found = measured()

    page.write(
        tmp_path / "promotion.json", found, "now", tables(found), whole=True, goals=["reached"]
    )

    text = page.path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| 0.900 (0.880 to 0.910) |" in text
    written = json.loads((tmp_path / "promotion.json").read_bytes())
    assert (written["goals"], written["models"]) == (["reached"], 3)
    assert figure.picture(found.points).startswith(b"\x89PNG")
    assert figure.picture(found.points) == figure.picture(found.points)


def test_a_goal_that_is_missed_says_so() -> None:
    found = measured()
    worse = [replace(point, ratio=0.95) for point in found.points]

    reached = {goal.text: goal.reached for goal in goals(replace(found, points=worse))}

    assert reached["promoted wrongly, real flights (50% by rows)"]
    assert not reached["log-loss of level 4 over level 1, trained weekly"]
