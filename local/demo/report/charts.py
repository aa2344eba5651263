"""The figures of the demo's report: losses and versions over one time axis."""

import io
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.optimize import isotonic_regression

from local.demo.report.drawing import (
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
    svg,
)

if TYPE_CHECKING:
    from local.demo.result import Event
    from local.demo.stages import Story
    from local.demo.summary import Summary

FROZEN, BASE, EVERGREEN = ORANGE, GREY, GREEN  # each has one meaning throughout
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
NAMES = 14  # of periods that fit below an axis
MARGINS = {"left": 0.085, "right": 0.80}  # the same in all, so that days stand below each other


def losses(summary: "Summary") -> Markup:
    """Return the figure of the losses by period, as SVG."""
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, 5.2))
        axes = drawn.add_subplot()
        drawn.subplots_adjust(**MARGINS, top=0.97, bottom=0.08)
        _draw_losses(axes, summary)
        _draw_periods(axes, summary)
        metric, unit = summary.about.metric, summary.about.unit
        return svg(drawn, "loss", f"Line chart: {metric} by {unit} of the levels")


def versions(summary: "Summary", told: Sequence["Story"]) -> Markup:
    """Return the timeline of versions and their stages, as SVG."""
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, 1.1 + 0.3 * len(told)))
        axes = drawn.add_subplot()
        drawn.subplots_adjust(**MARGINS, top=0.99, bottom=0.4 / drawn.get_figheight())
        _draw_versions(axes, summary, told)
        _draw_periods(axes, summary)
        return svg(drawn, "versions", "Timeline: the stages of each version")


def picture(summary: "Summary", told: Sequence["Story"], title: str) -> bytes:
    """Return the losses above the versions, as PNG, 1600 pixels wide and readable at 800."""
    with mpl.rc_context(STYLE | {"font.size": 17, "lines.linewidth": 2.5}):
        drawn = Figure(figsize=(16, 10.4))
        above, below = drawn.subplots(2, 1, sharex=True, height_ratios=[5, 3])
        drawn.subplots_adjust(left=0.05, right=0.805, top=0.865, bottom=0.045, hspace=0.1)
        drawn.text(0.018, 0.97, title, size=21, weight="bold", va="top")
        by = f"{summary.about.loss} by {summary.about.unit}"
        above_it = f"{by}, lower is better; below, the versions of the highest level"
        drawn.text(0.018, 0.91, above_it, color=MUTED, va="top")
        _draw_losses(above, summary)
        _draw_versions(below, summary, told)
        _draw_periods(above, summary)
        _draw_periods(below, summary)
        file = io.BytesIO()
        drawn.savefig(file, format="png", dpi=100, metadata={"Software": None})
        return file.getvalue()


def promotions(summary: "Summary") -> list["Event"]:
    """Return the events by which a version of the highest level began to serve."""
    return [e for e in summary.events if e.type in ("Model Promoted", "Model Rolled Back")]


def _number(time: date) -> float:
    return float(date2num(time))


def _middles(summary: "Summary") -> list[float]:
    starts = [period.start for period in summary.periods]
    return [(_number(start) + _number(summary.about.after(start))) / 2 for start in starts]


def _draw_periods(axes: Axes, summary: "Summary") -> None:
    """Draw the time axis: a tick where a period begins, its name in its middle if there is room."""
    edges = [_number(edge) for edge in summary.edges]
    latest = max([edges[-1], *(_number(event.time) for event in promotions(summary))])
    axes.set_xlim(edges[0] - 0.5, latest + 2)
    axes.set_xticks(edges, minor=True)
    some = slice(None, None, -(-len(summary.periods) // NAMES))
    names = [summary.name(period.start, short=True) for period in summary.periods]
    axes.set_xticks(_middles(summary)[some], names[some])


def _draw_losses(axes: Axes, summary: "Summary") -> None:
    """Draw a line for each level, its name at the end, and a tick for each promotion."""
    middles = _middles(summary)
    lines = {name: [line[name] for line in summary.lines] for name in summary.whole}
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
    order, steps = np.argsort(values, kind="stable"), gap * np.arange(len(values))
    moved = np.empty(len(values))
    moved[order] = isotonic_regression(np.array(values)[order] - steps).x + steps
    return [float(value) for value in moved]


def _draw_versions(axes: Axes, summary: "Summary", told: Sequence["Story"]) -> None:
    """Draw a line for each version, higher in each stage, and a sign for how it ended."""
    start, end = _number(summary.edges[0]), _number(summary.edges[-1])
    for row, story in enumerate(told):
        for stage in story.stages:
            height, colour = STAGES[stage.status]
            left = max(_number(stage.start), start)
            right = min(_number(stage.end), end) if stage.end else end
            axes.barh(row, max(right - left, 0.6), left=left, height=height, color=colour)
        at = _number(story.end) if story.end else end
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
