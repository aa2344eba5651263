"""The years stand in tables and in a picture."""

from dataclasses import replace

import pytest

from benchmarks.promotion import curve

pytestmark = pytest.mark.slow

NAMES = [curve.OURS, *(f"{field} = {v}" for field, values in curve.GRID.items() for v in values)]
POINTS = [
    curve.Point(name, schedule, 2, 0.9, 0.88, 0.91, 3.0, 0.5, 2.0, 1.0)
    for name in NAMES
    for schedule in curve.SCHEDULES
]


def test_every_way_of_deciding_has_a_line_and_the_same_years_the_same_picture() -> None:
    found = curve.part(POINTS)

    (_, _, heads, losses), (_, _, _, decided) = found.tables
    assert heads == ["", *curve.SCHEDULES]
    assert [line[0] for line in losses] == [line[0] for line in decided] == NAMES
    assert losses[0][1:] == ["0.900 (0.880 to 0.910)"] * 3
    assert decided[0][1:] == ["3.0 (1.0) / 0.5 / 2.0"] * 3
    assert found.picture
    assert found.picture.startswith(b"\x89PNG")
    assert found.picture == curve.part(POINTS).picture


def test_a_goal_that_is_missed_says_so() -> None:
    worse = [replace(point, ratio=0.95) for point in POINTS]

    assert all(goal.reached for goal in curve.part(POINTS).goals)
    assert not any(goal.reached for goal in curve.part(worse).goals)
