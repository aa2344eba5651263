"""The figures of the demo's report: log-loss, drift and versions over one time axis."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from evergreen.monitoring.report import CheckReport
from evergreen.pages.svg import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    STYLE,
    WIDTH,
    beside,
    draw_heat,
    svg,
)
from local.samples import flights

if TYPE_CHECKING:
    from local.demo.result import Event
    from local.demo.stages import Story
    from local.demo.summary import Summary

FROZEN, BASE, EVERGREEN, DRIFT = ORANGE, GREY, GREEN, PURPLE  # each has one meaning throughout
AMBER = "#b88000"
SERIES: dict[str, tuple[str, str, Any]] = {  # by level, and what stands beside them
    "base rate": ("base rate, 30 days", BASE, (0, (4, 2))),
    "1": ("1 frozen", FROZEN, "-"),
    "2": ("2 with alarms", AMBER, (0, (1.5, 2.5))),
    "3": ("3 approved", BLUE, "-"),
    "4": ("4 autopilot", EVERGREEN, "-"),
}
SHOWN_STAGES = ("shadow", "canary", "champion")
SIGNS = {"refused": ("x", MUTED), "rejected": ("x", INK), "rolled back": ("v", FROZEN)}
# How a version is drawn in each stage: height and colour of its bar.
STAGES = {
    "candidate": (0.12, MUTED),
    "shadow": (0.3, "#56b4e9"),
    "canary": (0.5, "#e69f00"),
    "ab": (0.5, PURPLE),
    "champion": (0.72, EVERGREEN),
}
WIDTHS = {"base rate": 0.6, "2": 2.2}  # thin, and dots that show on the line of level 1
MARGINS = {"left": 0.085, "right": 0.80}  # the same in all, so that days stand below each other


def losses(summary: "Summary") -> Markup:
    """Return the figure of the log-loss by month, as SVG."""
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, 5.2))
        axes = drawn.add_subplot()
        drawn.subplots_adjust(**MARGINS, top=0.97, bottom=0.08)
        _draw_losses(axes, summary)
        _draw_months(axes, summary)
        return svg(drawn, "loss", "Line chart: log-loss by month of the levels")


def drift(summary: "Summary", reports: Sequence[CheckReport]) -> Markup:
    """Return the heatmap of drift by feature and day, as SVG."""
    features = list(dict.fromkeys(f.feature for report in reports for f in report.features))
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, 1.15 + 0.3 * max(len(features), 1)))
        axes = drawn.add_subplot()
        drawn.subplots_adjust(**MARGINS, top=1 - 0.4 / drawn.get_figheight(),
                              bottom=0.4 / drawn.get_figheight())  # fmt: skip
        _draw_drift(axes, reports, features)
        axes.set_ylim(max(len(features), 1) + 0.3, -0.5)  # the last strip is for the promotions
        _draw_promotions(axes, summary, 0.6 / (max(len(features), 1) + 0.8))
        _draw_months(axes, summary)
        return svg(drawn, "drift", "Heatmap: drift of each feature by day")


def versions(summary: "Summary", told: Sequence["Story"]) -> Markup:
    """Return the timeline of versions and their stages, as SVG."""
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, 1.1 + 0.3 * len(told)))
        axes = drawn.add_subplot()
        drawn.subplots_adjust(**MARGINS, top=0.99, bottom=0.4 / drawn.get_figheight())
        _draw_versions(axes, summary, told)
        _draw_months(axes, summary)
        return svg(drawn, "versions", "Timeline: the stages of each version")


def picture(summary: "Summary", told: Sequence["Story"], title: str) -> bytes:
    """Return the losses above the versions, as PNG, 1600 pixels wide and readable at 800."""
    with mpl.rc_context(STYLE | {"font.size": 17, "lines.linewidth": 2.5}):
        drawn = Figure(figsize=(16, 10.4))
        above, below = drawn.subplots(2, 1, sharex=True, height_ratios=[5, 3])
        drawn.subplots_adjust(left=0.05, right=0.805, top=0.865, bottom=0.045, hspace=0.1)
        drawn.text(0.018, 0.97, title, size=21, weight="bold", va="top")
        above_it = "Log-loss by month, lower is better; below, the versions of the highest level"
        drawn.text(0.018, 0.91, above_it, color=MUTED, va="top")
        _draw_losses(above, summary)
        _draw_versions(below, summary, told)
        _draw_months(above, summary)
        _draw_months(below, summary)
        file = io.BytesIO()
        drawn.savefig(file, format="png", dpi=100, metadata={"Software": None})
        return file.getvalue()


def first_of(month: int) -> datetime:
    """Return the beginning of a month of the replay; 13 is January of the year after."""
    return datetime(flights.YEAR + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)


def curves(summary: "Summary") -> dict[str, list[float]]:
    """Return the log-loss by month of the base rate and of each level, in order of the levels.

    Where level 1 was not replayed, its place has the first model's, which is the same.
    """
    months = [str(month.month) for month in summary.months]
    lines = {
        "base rate": [month.log_loss.base_rate for month in summary.months],
        "1": [month.log_loss.frozen for month in summary.months],
    }
    for name, level in summary.levels.items():
        lines[name] = [level.months[month] for month in months]
    return lines


def span(summary: "Summary") -> tuple[datetime, datetime]:
    """Return the beginning of the first month and the end of the last."""
    return first_of(summary.months[0].month), first_of(summary.months[-1].month + 1)


def promotions(summary: "Summary") -> list["Event"]:
    """Return the events by which a version of the highest level began to serve."""
    return [e for e in summary.events if e.type in ("Model Promoted", "Model Rolled Back")]


def _number(time: datetime) -> float:
    return float(date2num(time))


def _draw_months(axes: Axes, summary: "Summary") -> None:
    """Draw the time axis: a name in the middle of each month, a tick where it begins."""
    start, end = span(summary)
    latest = max([end, *(event.time for event in promotions(summary))])
    axes.set_xlim(_number(start) - 0.5, _number(latest) + 2)
    months = [month.month for month in summary.months]
    edges = [_number(first_of(month)) for month in [*months, months[-1] + 1]]
    axes.set_xticks(edges, minor=True)
    axes.set_xticks(
        [sum(pair) / 2 for pair in pairwise(edges)], [f"{first_of(m):%b}" for m in months]
    )


def _draw_losses(axes: Axes, summary: "Summary") -> None:
    """Draw a line for each level, its name at the end, and a tick for each promotion."""
    middles = [
        (_number(first_of(m.month)) + _number(first_of(m.month + 1))) / 2 for m in summary.months
    ]
    lines = curves(summary)
    low, high = min(map(min, lines.values())), max(map(max, lines.values()))
    size = max(high - low, 0.02)
    axes.set_ylim(low - 0.16 * size, high + 0.06 * size)
    axes.locator_params(axis="y", nbins=6)
    axes.grid(axis="y")
    ends = _spread([values[-1] for values in lines.values()], 0.075 * size)
    for (name, values), end in zip(lines.items(), ends, strict=True):
        label, colour, style = SERIES[name]
        best = name == str(summary.top)
        width = mpl.rcParams["lines.linewidth"] * (1.5 if best else WIDTHS.get(name, 1.1))
        axes.plot(middles, values, linestyle=style, color=colour, linewidth=width,
                  marker=None if name in WIDTHS else "o", markersize=2.6 * width)  # fmt: skip
        beside(axes, end, label, colour, data=True, weight="bold" if best else None)
    _draw_promotions(axes, summary, 0.045)


def _draw_promotions(axes: Axes, summary: "Summary", height: float) -> None:
    """Draw a tick on the time axis for each promotion, so high in parts of the axes."""
    times = [_number(event.time) for event in promotions(summary)]
    axes.vlines(times, 0, height, EVERGREEN, linewidth=2.5, transform=axes.get_xaxis_transform())
    beside(axes, height / 2, "promotions", EVERGREEN)


def _spread(values: Sequence[float], gap: float) -> list[float]:
    """Move values apart until no two are closer than a gap, each as little as may be.

    >>> _spread([1.0, 5.0, 1.0], 2.0)
    [0.0, 5.0, 2.0]
    """
    moved = np.array(values, dtype=float)
    for _ in range(100):
        order = np.argsort(moved, kind="stable")
        for low, high in pairwise(order):
            lacking = gap - (moved[high] - moved[low])
            if lacking > 0:
                moved[low] -= lacking / 2
                moved[high] += lacking / 2
    return [float(value) for value in moved]


def _draw_drift(axes: Axes, reports: Sequence[CheckReport], features: list[str]) -> None:
    """Draw a row for each feature and a column for each day, stronger where it drifted more."""
    psi = {report.end.date(): {f.feature: f.psi for f in report.features} for report in reports}
    first = min(psi)
    draw_heat(
        axes, psi, features, _number(datetime(first.year, first.month, first.day, tzinfo=UTC))
    )
    alarms = [
        (_number(report.end), report.confirmed) for report in reports if report.raised("drift")
    ]
    axes.plot([time for time, _ in alarms], [1.03] * len(alarms), "v", color=INK, clip_on=False,
              transform=axes.get_xaxis_transform(), markersize=8)  # fmt: skip
    axes.plot(*_points(alarms, features), "o", color=INK, markersize=4.5)
    beside(axes, 1.03, "▼ alarm, ● its features", INK)


def _points(
    alarms: list[tuple[float, list[str]]], features: list[str]
) -> tuple[list[float], list[int]]:
    """Return the coordinates of the features that each alarm was for."""
    points = [
        (time, features.index(name))
        for time, confirmed in alarms
        for name in confirmed
        if name in features  # and not the prediction, or all together
    ]
    return [time for time, _ in points], [row for _, row in points]


def _draw_versions(axes: Axes, summary: "Summary", told: Sequence["Story"]) -> None:
    """Draw a line for each version, higher in each stage, and a sign for how it ended."""
    start, end = span(summary)
    for row, story in enumerate(told):
        for stage in story.stages:
            height, colour = STAGES[stage.status]
            left, right = _number(max(stage.start, start)), _number(min(stage.end or end, end))
            axes.barh(row, max(right - left, 0.6), left=left, height=height, color=colour)
        at = _number(story.end or end)
        if story.how in SIGNS:
            sign, colour = SIGNS[story.how]
            axes.plot(at + 1.5, row, sign, color=colour, markersize=8)
    axes.set_ylim(max(len(told), 6) - 0.3, -0.7)
    axes.set_yticks(range(len(told)), [str(number) for number in range(1, len(told) + 1)],
                    fontsize="small")  # fmt: skip
    ended = {story.how for story in told}
    keys: list[Any] = [Patch(facecolor=STAGES[name][1]) for name in SHOWN_STAGES]
    keys += [
        Line2D([], [], marker=SIGNS[how][0], color=SIGNS[how][1], linestyle="", markersize=8)
        for how in SIGNS
        if how in ended
    ]
    names = [*SHOWN_STAGES, *(how for how in SIGNS if how in ended)]
    axes.legend(keys, names, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0),
                handlelength=1.2, fontsize="small")  # fmt: skip
