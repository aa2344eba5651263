"""The year's log-loss against caution, as a picture."""

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.promotion.curve import GRID, POLICY, SCHEDULES, Point
from benchmarks.promotion.goals import RATIO
from local.demo.report.drawing import BLUE, GREEN, GREY, INK, MUTED, ORANGE, STYLE

FIELDS = {
    "shadow_days": "days in shadow, at least",
    "max_shadow_days": "days in shadow, at most",
    "alpha": "alpha",
    "margin": "margin, nats",
}
COLOURS = dict(zip(SCHEDULES, (BLUE, GREEN, ORANGE), strict=True))
LIMITS = (0.81, 1.01)
BESIDE = "every two weeks"  # the extremes differ little by schedule
LEVELS = {
    "level 1: frozen": "level 1: frozen",
    "level 3: approved a day later": "level 3",
    "the best of the models, each day": "best, each day",
}


def picture(points: Sequence[Point]) -> bytes:
    """Return four panels as PNG, 1600 pixels wide: one for each part of caution."""
    with mpl.rc_context(STYLE | {"font.size": 16, "lines.linewidth": 2.5}):
        drawn = Figure(figsize=(16, 7.2))
        panels = drawn.subplots(1, len(FIELDS), sharey=True)
        drawn.subplots_adjust(left=0.05, right=0.83, top=0.79, bottom=0.13, wspace=0.08)
        title = "What caution costs: the year's log-loss over that of the frozen model"
        drawn.text(0.018, 0.96, title, size=21, weight="bold", va="top")
        said = "level 4 on the flights, by how often it trains; bars: by the day on which it begins"
        drawn.text(0.018, 0.885, said, color=MUTED, va="top")
        shown = {point.name: point for point in points if point.schedule == BESIDE}
        for axes, (field, label) in zip(panels, FIELDS.items(), strict=True):
            for name in LEVELS:
                axes.axhline(shown[name].ratio, color=GREY, linewidth=1)
            _draw(axes, points, field, label)
        _name(panels[-1], shown)
        file = io.BytesIO()
        drawn.savefig(file, format="png", dpi=100, metadata={"Software": None})
        return file.getvalue()


def _draw(axes: Axes, points: Sequence[Point], field: str, label: str) -> None:
    """Draw a line for each schedule, and a grey band where the policy is."""
    values = list(GRID[field])
    axes.set_ylim(*LIMITS)
    axes.grid(axis="y")
    axes.set_xticks(range(len(values)), [f"{value:g}" for value in values], size=14)
    axes.set_xlabel(label, color=MUTED)
    axes.axhline(RATIO, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    if getattr(POLICY, field) in values:
        place = values.index(getattr(POLICY, field))
        axes.axvspan(place - 0.3, place + 0.3, color=GREY, alpha=0.12, linewidth=0)
    for number, (schedule, colour) in enumerate(COLOURS.items()):
        own = {point.name: point for point in points if point.schedule == schedule}
        line = [own[f"{field} = {value}"] for value in values]
        places = [place + 0.1 * (number - 1) for place in range(len(values))]
        axes.plot(places, [point.ratio for point in line], "-o", color=colour, label=schedule)
        lows, highs = [point.best for point in line], [point.worst for point in line]
        axes.vlines(places, lows, highs, colour, linewidth=1.5, alpha=0.5)


def _name(axes: Axes, own: Mapping[str, Point]) -> None:
    """Write names to the right: of the extremes where they are, of the lines below each other."""
    beside = axes.get_yaxis_transform()
    for name, text in LEVELS.items():
        axes.text(1.03, own[name].ratio, text, color=MUTED, va="center", transform=beside)
    axes.text(1.03, RATIO, f"goal {RATIO:g}", va="center", transform=beside)
    for number, (schedule, colour) in enumerate(COLOURS.items()):
        axes.text(1.03, 0.83 - 0.055 * number, schedule, color=colour, weight="bold", va="center",
                  transform=axes.transAxes)  # fmt: skip
