"""The figures of the demo's report, over one time axis: their numbers, as pages/charts.py has them.

`templates/figures.svg.jinja` writes them as SVG.
"""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from evergreen.pages.scales import Scale, numbers, rows, ticks

if TYPE_CHECKING:
    from local.demo.stages import Story
    from local.demo.summary import Summary

WIDE = (60, 800)  # from left to right: the same in both, so that days stand below each other
NAMES = 14  # of periods that fit below an axis
LABEL = 19  # from the name of a line to the next, at least
ROW = 22  # from a version to the next
# By level, and what stands beside them: a name, the one colour that it has throughout, dashes.
SERIES = {
    "base rate": ("base rate, 30 days", "grey", "7 4"),
    "1": ("1 frozen", "orange", "none"),
    "2": ("2 with alarms", "ink", "2 5"),
    "3": ("3 approved", "blue", "none"),
    "4": ("4 autopilot", "green", "none"),
}
# How a version is drawn in each stage: height, colour and opacity of its bar.
STAGES = {
    "candidate": (3, "muted", 1),
    "shadow": (6, "blue", 0.6),
    "canary": (10, "purple", 0.6),
    "ab": (10, "purple", 1),
    "champion": (15, "green", 1),
}
LEGEND = ("shadow", "canary", "champion")
SIGNS = {"refused": ("✕", "muted"), "rejected": ("✕", "ink"), "rolled back": ("▼", "orange")}


def losses(summary: "Summary") -> dict[str, Any]:
    """Return the losses by period: a line for each level, and where champions changed."""
    x = _days(summary)
    values = {name: [line[name] for line in summary.lines] for name in summary.whole}
    shown = [loss for line in values.values() for loss in line]
    y = numbers(ticks(min(shown), max(shown)), 330, 12)
    lines, at = [], -float(LABEL)
    middles = [x.at(ordinal) for ordinal in _middles(summary)]
    for name, line in sorted(values.items(), key=lambda item: -item[1][-1]):  # as they end
        points = list(zip(middles, map(y.at, line), strict=True))
        at = max(points[-1][1], at + LABEL)
        lines.append((points, at, *SERIES[name], name == str(summary.top)))
    changes = [
        x.at(event.time.toordinal())
        for event in summary.events
        if event.type in ("Model Promoted", "Model Rolled Back")
    ]
    label = f"Line chart: {summary.about.metric} by {summary.about.unit} of the levels"
    return {"label": label, "x": x, "y": y, "lines": lines, "changes": changes}


def versions(summary: "Summary", told: Sequence["Story"]) -> dict[str, Any]:
    """Return the stages of each version, and how it ended."""
    x = _days(summary)
    y = rows([str(number) for number in range(1, len(told) + 1)], 8, ROW)
    start, end = summary.edges[0], summary.edges[-1]
    bars: list[tuple[float, str, float, list[tuple[float, float, float]]]] = []
    signs = []
    for row, story in enumerate(told):
        for stage in story.stages:
            left = _between(stage.start.date(), start, end)
            right = _between(stage.end.date() if stage.end else end, start, end)
            ends = x.at(left.toordinal()), x.at(max(right.toordinal(), left.toordinal() + 0.6))
            bars.append((*STAGES[stage.status], [(ends[0], y.at(row), ends[1])]))
        if story.how in SIGNS and story.end:
            at = _between(story.end.date(), start, end).toordinal()
            signs.append((x.at(at) + 8, y.at(row), *SIGNS[story.how]))
    keys = {name: STAGES[name] for name in LEGEND}
    ended = {how: sign for how, sign in SIGNS.items() if how in {story.how for story in told}}
    return {"x": x, "y": y, "bars": bars, "signs": signs, "keys": keys, "ended": ended}


def _between(day: date, first: date, last: date) -> date:
    return min(max(day, first), last)


def _days(summary: "Summary") -> Scale:
    """Return the scale of days by ordinal, on which periods are named in their middles."""
    first, *_, last = [edge.toordinal() for edge in summary.edges]
    latest = max([last, *(event.time.toordinal() for event in summary.events)])
    some = slice(None, None, -(-len(summary.periods) // NAMES))
    names = [summary.name(period.start, short=True) for period in summary.periods]
    named = dict(zip(_middles(summary)[some], names[some], strict=True))
    return Scale(first, latest + 1, *WIDE, named)


def _middles(summary: "Summary") -> list[float]:
    """Return the middle of each period, by ordinal."""
    return [(low.toordinal() + high.toordinal()) / 2 for low, high in pairwise(summary.edges)]
