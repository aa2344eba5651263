"""The year's log-loss against caution, as a picture."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.promotion.curve import GRID, SCHEDULES, Point
from benchmarks.promotion.goals import RATIO

FIELDS = ("shadow_days", "max_shadow_days", "alpha", "margin")


def picture(points: Sequence[Point]) -> bytes:
    """Return four panels as PNG, 1600 pixels wide: one for each part of caution."""
    drawn = Figure(figsize=(16, 6), layout="constrained")
    for axes, field in zip(drawn.subplots(1, len(FIELDS), sharey=True), FIELDS, strict=True):
        for schedule in SCHEDULES:
            own = {point.name: point for point in points if point.schedule == schedule}
            line = [own[f"{field} = {value}"] for value in GRID[field]]
            places = list(map(str, GRID[field]))
            axes.plot(places, [point.ratio for point in line], "-o", label=schedule)
            axes.vlines(places, [p.best for p in line], [p.worst for p in line], alpha=0.5)
        axes.axhline(RATIO, linestyle="--", label="the goal")
        axes.set(xlabel=field, ylabel="log-loss over the frozen model's")
    axes.legend(title="level 4, trained")
    file = io.BytesIO()
    drawn.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()
