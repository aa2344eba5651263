"""The figures of the demo's report: log-loss, drift and versions over one time axis."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from evergreen.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    STYLE,
    WIDTH,
    beside,
    draw_heat,
    svg,
)
from evergreen.report import CheckReport
from local import flights

if TYPE_CHECKING:
    from local.summary import Event, Summary

FROZEN, BASE, EVERGREEN, DRIFT = ORANGE, GREY, GREEN, PURPLE  # each has one meaning throughout
BLACK = "#111111"
# Of candidates, in order of appearance: the colour of the bar, and of the number on it.
KINDS = ((BLUE, PAPER), ("#e69f00", BLACK), ("#56b4e9", BLACK), ("#f0e442", BLACK))
SERIES: dict[str, tuple[str, str, Any]] = {  # by field of LogLoss
    "frozen": ("January model, frozen", FROZEN, "-"),
    "base_rate": ("base rate, 30 days", BASE, (0, (4, 2))),
    "evergreen": ("Evergreen", EVERGREEN, "-"),
}
MARGINS = {"left": 0.085, "right": 0.80}  # the same in all, so that days stand below each other


def losses(summary: "Summary") -> str:
    """Return the figure of the log-loss by month, as SVG."""
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, 5.2))
        axes = drawn.add_subplot()
        drawn.subplots_adjust(**MARGINS, top=0.97, bottom=0.08)
        _draw_losses(axes, summary)
        _draw_months(axes, summary)
        return svg(drawn, "loss", "Line chart: log-loss by month of the three models")


def drift(summary: "Summary", reports: Sequence[CheckReport]) -> str:
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


def versions(summary: "Summary", reports: Sequence[CheckReport], kinds: dict[str, str]) -> str:
    """Return the timeline of versions and alarms, as SVG; kinds: the candidate of each version."""
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, 1.0 + 0.5 * len(_lanes(kinds))))
        axes = drawn.add_subplot()
        drawn.subplots_adjust(**MARGINS, top=0.98, bottom=0.4 / drawn.get_figheight())
        _draw_versions(axes, summary, reports, kinds)
        _draw_months(axes, summary)
        return svg(drawn, "versions", "Timeline: the versions that served, and drift alarms")


def picture(
    summary: "Summary", reports: Sequence[CheckReport], kinds: dict[str, str], title: str
) -> bytes:
    """Return the losses above the versions, as PNG, 1600 pixels wide and readable at 800."""
    with mpl.rc_context(STYLE | {"font.size": 17, "lines.linewidth": 2.5}):
        drawn = Figure(figsize=(16, 9.6))
        above, below = drawn.subplots(2, 1, sharex=True, height_ratios=[5, 2])
        drawn.subplots_adjust(left=0.05, right=0.785, top=0.855, bottom=0.05, hspace=0.12)
        drawn.text(0.018, 0.965, title, size=21, weight="bold", va="top")
        drawn.text(0.018, 0.905, "Log-loss by month, lower is better", color=MUTED, va="top")
        _draw_losses(above, summary)
        _draw_versions(below, summary, reports, kinds)
        _draw_months(above, summary)
        _draw_months(below, summary)
        file = io.BytesIO()
        drawn.savefig(file, format="png", dpi=100, metadata={"Software": None})
        return file.getvalue()


def first_of(month: int) -> datetime:
    """Return the beginning of a month of the replay; 13 is January of the year after."""
    return datetime(flights.YEAR + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=UTC)


def span(summary: "Summary") -> tuple[datetime, datetime]:
    """Return the beginning of the first month and the end of the last."""
    return first_of(summary.months[0].month), first_of(summary.months[-1].month + 1)


def promotions(summary: "Summary") -> list["Event"]:
    """Return the events by which a version began to serve."""
    return [event for event in summary.events if event.type == "Model Promoted"]


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
    """Draw a line for each of the three, its name at the end, and a tick for each promotion."""
    middles = [
        (_number(first_of(m.month)) + _number(first_of(m.month + 1))) / 2 for m in summary.months
    ]
    lines = {name: [getattr(m.log_loss, name) for m in summary.months] for name in SERIES}
    low, high = min(map(min, lines.values())), max(map(max, lines.values()))
    size = max(high - low, 0.02)
    axes.set_ylim(low - 0.16 * size, high + 0.06 * size)
    axes.locator_params(axis="y", nbins=6)
    axes.grid(axis="y")
    ends = _spread([values[-1] for values in lines.values()], 0.07 * size)
    for (name, values), end in zip(lines.items(), ends, strict=True):
        label, colour, style = SERIES[name]
        width = mpl.rcParams["lines.linewidth"] * (1.5 if name == "evergreen" else 1.1)
        axes.plot(middles, values, linestyle=style, color=colour, linewidth=width, marker="o",
                  markersize=2.6 * width)  # fmt: skip
        beside(axes, end, label, colour, data=True, weight="bold" if name == "evergreen" else None)
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


def _lanes(kinds: dict[str, str]) -> list[str]:
    """Return the kinds of candidates, in the order they appear."""
    return list(dict.fromkeys(kinds[version] for version in sorted(kinds)))


def _draw_versions(
    axes: Axes, summary: "Summary", reports: Sequence[CheckReport], kinds: dict[str, str]
) -> None:
    """Draw a lane for the alarms and one for each kind: bars serve, crosses were rejected."""
    lanes = _lanes(kinds)
    alarms = [_number(report.end) for report in reports if report.raised("drift")]
    axes.plot(alarms, [-1] * len(alarms), "v", color=DRIFT, markersize=8)
    beside(axes, -1, "drift alarms", DRIFT, data=True)
    for lane, kind in enumerate(lanes):
        beside(axes, lane, kind, INK, data=True)
    served = promotions(summary)
    ends = [event.time for event in served[1:]] + [span(summary)[1]]
    for number, (event, end) in enumerate(zip(served, ends, strict=True), 1):
        lane = lanes.index(kinds[event.detail["version"]])
        start, days = _number(event.time), max((end - event.time) / timedelta(days=1), 1.5)
        bar, text = KINDS[lane % len(KINDS)]
        axes.barh(lane, days, left=start, height=0.5, color=bar, edgecolor=PAPER, linewidth=1.5)
        if days > 4.5 * len(str(number)):
            axes.text(start + days / 2, lane + 0.02, str(number), color=text,
                      ha="center", va="center", size="small")  # fmt: skip
    rejected = [event for event in summary.events if event.type == "Candidate Rejected"]
    for event in rejected:
        if (version := event.detail.get("version")) in kinds:
            lane = lanes.index(kinds[version])
            axes.plot(_number(event.time), lane - 0.44, "x", color=INK, markersize=7)
    if rejected:
        beside(axes, -0.44, "× rejected", MUTED, data=True)
    axes.set_ylim(len(lanes) - 0.5, -1.4)
    axes.set_yticks([])
