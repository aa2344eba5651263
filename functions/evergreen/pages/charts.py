"""The figures of a check's page, as SVG.

Drawing axes is slow, so the many small figures of distributions have none: one takes about 5 ms.
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator, PercentFormatter

from evergreen.monitoring.report import CalibrationBin, DayPerformance
from evergreen.pages.html import printable
from evergreen.pages.svg import (
    BLUE,
    GREEN,
    GREY,
    MUTED,
    ORANGE,
    PURPLE,
    RULE,
    STYLE,
    WIDTH,
    beside,
    draw_heat,
    short,
    svg,
)

MARGINS = {"left": 0.12, "right": 0.84}  # the same in all, so that days stand below each other
BINS = 16  # shown of a distribution; the others are added up
LABEL = 17  # characters of a bin's label
SMALL = (340, 112, 13)  # of a small figure: its width, where its bars begin, their distance; units

Days = Sequence[DayPerformance]
Numbers = npt.NDArray[np.float64]


def trend(psi: dict[date, dict[str, float]], alarms: Sequence[date]) -> Markup:
    """Return the heat strips of PSI by feature and day, with the days of alarms above them."""
    features = sorted({name for values in psi.values() for name in values})
    with mpl.rc_context(STYLE):
        height = 0.9 + 0.3 * max(len(features), 6)  # as the legend is
        drawn = Figure(figsize=(WIDTH, height))
        axes = drawn.add_subplot()
        drawn.subplots_adjust(**MARGINS, top=1 - 0.45 / height, bottom=0.45 / height)
        draw_heat(axes, psi, features, min(psi).toordinal() - 0.5)
        _draw_days(axes, min(psi), max(psi))
        _draw_alarms(axes, alarms)
        return svg(drawn, "trend", "Heat strips: drift of each feature by day")


def _draw_days(axes: Axes, first: date, last: date) -> None:
    """Draw the time axis; a day stands at its ordinal."""
    step = max(1, -(-((last - first).days + 1) // 9))
    days = [last - timedelta(days=back) for back in range(0, (last - first).days + 1, step)]
    axes.set_xlim(first.toordinal() - 0.5, last.toordinal() + 0.5)
    axes.set_xticks([day.toordinal() for day in days], [f"{day.day} {day:%b}" for day in days])


def _draw_alarms(axes: Axes, days: Sequence[date]) -> None:
    """Draw a triangle above each day on which an alarm went on."""
    if days:
        axes.plot([day.toordinal() for day in days], [1.0] * len(days), "v", color=ORANGE,
                  clip_on=False, transform=axes.get_xaxis_transform(), markersize=7)  # fmt: skip
        beside(axes, 1.0, "▼ alarm", ORANGE)


def distribution(
    bins: Sequence[str], reference: Sequence[int], window: Sequence[int], name: str, label: str
) -> Markup:
    """Return the shares of rows by bin: thin bars of the window on thick ones of the reference.

    reference: empty where there is nothing to compare with. name: of the figure, for its ids.
    """
    names, shares = _fewer(bins, [reference or [0] * len(window), window])
    width, left, step = SMALL
    height, top = step * len(names) + 18, step * np.arange(len(names)) + 2
    ticks = np.asarray(
        MaxNLocator(3, steps=[1, 2, 2.5, 5, 10]).tick_values(0, max(shares.max(), 0.01))
    )
    scale = (width - left - 16) / ticks[-1]
    with mpl.rc_context(STYLE | {"font.size": 10}):
        drawn = Figure(figsize=(width / 72, height / 72))
        _draw_boxes(drawn, left + ticks * scale - 0.5, ticks * 0, 1, height - 15, RULE)
        _draw_boxes(drawn, left, top, shares[0] * scale, step - 2, GREY, alpha=0.45)
        colour = PURPLE if len(reference) else GREY
        _draw_boxes(drawn, left, top + 3.5, shares[1] * scale, step - 9, colour)
        for tick in ticks:
            text = f"{tick:.0%}" if ticks[1] >= 0.01 else f"{tick:.1%}"
            drawn.text((left + tick * scale) / width, 3 / height, text, color=MUTED, ha="center")
        for middle, text in zip(top + step / 2, names, strict=True):
            drawn.text((left - 6) / width, 1 - middle / height, short(text, LABEL),
                       color=MUTED, ha="right", va="center")  # fmt: skip
        return svg(drawn, name, label)


def _fewer(bins: Sequence[str], rows: Sequence[Sequence[int]]) -> tuple[list[str], Numbers]:
    """Return the names of the largest bins, in order, and shares, shape (samples, bins).

    >>> _fewer(["a", "b"], [[0, 0], [3, 1]])[1].tolist()
    [[0.0, 0.0], [0.75, 0.25]]
    """
    counts = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    if len(bins) <= BINS:
        return list(bins), shares
    kept = np.sort(np.argsort(-shares.max(axis=0), kind="stable")[: BINS - 1])
    others = np.delete(shares, kept, axis=1).sum(axis=1, keepdims=True)
    names = [*(bins[place] for place in kept), f"{len(bins) - len(kept)} others"]
    return names, np.hstack([shares[:, kept], others])


def _draw_boxes(
    drawn: Figure, left: Any, top: Any, width: Any, height: Any, colour: str, **more: Any
) -> None:
    """Draw boxes as one shape; numbers, or arrays of them, in units from the upper left."""
    boxes = np.stack(np.broadcast_arrays(left, top, width, height), axis=1)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    points = boxes[:, None, :2] + corners * boxes[:, None, 2:]
    size = drawn.get_size_inches() * 72
    path = Path(np.array([0, 1]) + points.reshape(-1, 2) / size * [1, -1],
                [Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY] * len(boxes))  # fmt: skip
    drawn.add_artist(
        PathPatch(path, facecolor=colour, linewidth=0, transform=drawn.transFigure, **more)
    )


def losses(days: Days, alarms: Sequence[date], metric: str) -> Markup:
    """Return the metric by day with its interval, over bands of versions; below, what is known.

    days: oldest first. alarms: the days on which an alarm of performance went on.
    """
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, 5.6))
        above, below = drawn.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        drawn.subplots_adjust(**MARGINS, top=0.92, bottom=0.07, hspace=0.12)
        for version in dict.fromkeys(day.version for day in days):
            known = [day for day in days if day.version == version and day.loss is not None]
            at = [day.day.toordinal() for day in known]
            ends = np.array([(day.low, day.high) for day in known], dtype=np.float64).reshape(-1, 2)
            above.plot(at, [day.loss for day in known], "o-", color=GREEN, markersize=4)
            above.vlines(at, ends[:, 0], ends[:, 1], GREEN, alpha=0.35, linewidth=3)
        _draw_versions(above, days)
        above.grid(axis="y")
        beside(above, 0.9, metric, GREEN, weight="bold")
        beside(above, 0.82, "and 95% interval", MUTED)
        at, shares = _by_day(days, lambda day: (day.labelled, day.captured))
        sides, tops = np.add.outer(at, [-0.4, -0.4, 0.4, 0.4]), np.outer(shares, [0, 1, 1, 0])
        bars = np.stack([sides, tops], axis=2)  # as one shape: `bar` draws each day for itself
        below.add_collection(PolyCollection(list(bars), facecolor=GREY, alpha=0.6, linewidth=0))
        below.set_ylim(0, 1)
        below.set_yticks([0, 1], ["0%", "100%"])
        beside(below, 0.5, "labelled", GREY, weight="bold")
        _draw_days(below, days[0].day, days[-1].day)
        _draw_alarms(above, alarms)
        return svg(drawn, "losses", f"Line chart: {metric} by day; bars: the share with labels")


def _draw_versions(axes: Axes, days: Days) -> None:
    """Draw a band behind the days of each version, every other one darker, with its date above."""
    busiest = {day.day: day.version for day in sorted(days, key=lambda day: day.captured)}
    runs = groupby(sorted(busiest.items()), key=lambda item: item[1])
    span = (days[-1].day - days[0].day).days + 1
    for number, (version, run) in enumerate(runs):
        known = [day for day, _ in run]
        left, right = known[0].toordinal() - 0.5, known[-1].toordinal() + 0.5
        if number % 2 == 0:
            axes.axvspan(left, right, color=GREY, alpha=0.1, linewidth=0)
        if (right - left) / span > 0.1:
            axes.text((left + right) / 2, 1.05, printable(version[:8]), color=MUTED, ha="center",
                      size="small", transform=axes.get_xaxis_transform())  # fmt: skip


def _by_day(
    days: Days, part: Callable[[DayPerformance], tuple[float, float]]
) -> tuple[list[int], list[float]]:
    """Return ordinals of days, and quotients of the sums of what `part` returns of each entry."""
    found = []
    for day, entries in groupby(days, key=lambda day: day.day):
        above, below = np.sum([part(entry) for entry in entries], axis=0)
        if below:
            found.append((day.toordinal(), float(above / below)))
    return [day for day, _ in found], [value for _, value in found]


def accuracies(days: Days) -> Markup:
    """Return the accuracy by day, as the scores promise it and as labels show it."""
    promised = _by_day(days, lambda day: ((day.estimate or 0) * day.captured,
                                          day.captured * (day.estimate is not None)))  # fmt: skip
    actual = _by_day(days, lambda day: ((day.accuracy or 0) * day.labelled,
                                        day.labelled * (day.accuracy is not None)))  # fmt: skip
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, 3.2))
        axes = drawn.add_subplot()
        drawn.subplots_adjust(**MARGINS, top=0.97, bottom=0.12)
        axes.plot(*promised, color=BLUE, linestyle=(0, (4, 2)))
        axes.plot(*actual, "o-", color=GREEN, markersize=4)
        values = [*promised[1], *actual[1]]
        axes.set_ylim(min(values) - 0.03, max(values) + 0.03)
        axes.grid(axis="y")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        beside(axes, 0.9, "actual accuracy", GREEN, weight="bold")
        beside(axes, 0.77, "estimate", BLUE, weight="bold")
        _draw_days(axes, days[0].day, days[-1].day)
        return svg(drawn, "accuracies", "Line chart: accuracy by day, estimated and actual")


def calibration(bins: Sequence[CalibrationBin]) -> Markup:
    """Return the share of true labels by score; a larger point stands for more predictions."""
    rows = np.array([found.rows for found in bins])
    with mpl.rc_context(STYLE | {"font.size": 10}):
        drawn = Figure(figsize=(SMALL[0] / 72, 3.6))
        axes = drawn.add_subplot()
        drawn.subplots_adjust(left=0.16, right=0.97, top=0.97, bottom=0.14)
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (4, 2)), linewidth=1.2)
        axes.scatter([found.score for found in bins], [found.positive for found in bins],
                     15 + 120 * rows / rows.max(), GREEN, linewidth=0)  # fmt: skip
        axes.grid()
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set_xlabel("mean score", color=MUTED)
        axes.set_ylabel("share of true labels", color=MUTED)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        return svg(drawn, "calibration", "Scatter chart: share of true labels by score")
