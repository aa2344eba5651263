"""The charts of pages: their numbers, which `templates/charts.svg.jinja` writes as SVG.

Numbers are in units of a chart's viewBox, from its upper left. A bar is its start, where it stands
across, and its end. Nothing has an id, so that a page may hold any number of charts.
"""

import math
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import groupby, pairwise
from textwrap import wrap
from typing import Any

from markupsafe import Markup

from evergreen.monitoring.report import MAJOR, MODERATE, CalibrationBin, DayPerformance
from evergreen.pages.html import draw, printable
from evergreen.pages.scales import Scale, days, finite, numbers, rows, ticks

WIDE = (115, 806)  # from left to right: the same in all, so that days stand below each other
STEPS = (MODERATE, MAJOR, 1.0, 3.0, math.inf)  # of the corrected PSI, nats; inf is unknown
# Colour and opacity below the steps, between them, and where there were too few rows.
SHADES = (*(("purple", opacity) for opacity in (0.05, 0.2, 0.45, 0.7, 1.0)), ("grey", 0.25))
BETWEEN = [f"{low:g} to {high:g}" for low, high in pairwise(STEPS[:-1])]
MEANINGS = (f"below {STEPS[0]:g}", *BETWEEN, f"{STEPS[-2]:g} and more", "too few rows")
STRIP = 22  # from a feature to the next, at least, and from a line of the legend to the next
BINS = 16  # shown of a distribution; the others are added up
BAR = 13  # from one of them to the next

Psi = dict[date, dict[str, float]]  # by day and feature
Days = Sequence[DayPerformance]
Counts = Sequence[int]
Points = list[tuple[float, float]]


def trend(psi: Psi, alarms: Sequence[date]) -> str:
    """Return the heat strips of PSI by feature and day, with the days of alarms above them.

    Where no day has a PSI there is nothing to draw, and the text is empty.
    """
    features = sorted({name for values in psi.values() for name in values})
    if not features:
        return ""
    strip = max(STRIP, (1 + len(SHADES)) * STRIP // len(features))  # not below the legend
    x, y = days(min(psi), max(psi), *WIDE), rows(features, 32, strip)
    known = {day.toordinal(): values for day, values in psi.items()}
    whole = range(min(known), max(known) + 1)
    bars: list[list[tuple[float, float, float]]] = [[] for _ in SHADES]
    for row, feature in enumerate(features):
        found = [bisect(STEPS, known.get(day, {}).get(feature, math.inf)) for day in whole]
        for shade, run in groupby(zip(found, whole, strict=True), key=lambda item: item[0]):
            start, *_, end = [day for _, day in run] * 2
            bars[shade].append((x.at(start - 0.5), y.at(row), x.at(end + 0.5)))
    shades = list(zip(SHADES, MEANINGS, bars, strict=True))
    return draw("trend", x=x, y=y, shades=shades, strip=strip, alarms=_shown(alarms, x))


def _shown(alarms: Sequence[date], x: Scale) -> list[float]:
    return [x.at(n) for n in map(date.toordinal, alarms) if x.low < n < x.high]


def distribution(bins: Sequence[str], reference: Counts, window: Counts, shares_of: str) -> Markup:
    """Return the shares of rows by bin: thin bars of the window on thick ones of the reference.

    reference: empty where there is nothing to compare with.
    """
    names, shares = _fewer(bins, [reference or [0] * len(window), window])
    x = numbers(ticks(0, max(1, *shares[0], *shares[1]), most=4), 112, 320, "%")
    y = rows(names, 1, BAR)
    bars = [[(x.start, y.at(row), x.at(part)) for row, part in enumerate(each)] for each in shares]
    return draw("distribution", of=shares_of, x=x, y=y, bars=bars, compared=bool(reference))


def _fewer(bins: Sequence[str], samples: list[Counts]) -> tuple[list[str], list[list[float]]]:
    """Return the names of the largest bins, in order, and their shares in percent by sample.

    >>> _fewer(["a", "b"], [[0, 0], [3, 1]])
    (['a', 'b'], [[0.0, 0.0], [75.0, 25.0]])
    """
    shares = [[100 * part / (sum(sample) or 1) for part in sample] for sample in samples]
    if len(bins) <= BINS:
        return list(bins), shares
    largest = sorted(range(len(bins)), key=lambda place: -max(each[place] for each in shares))
    kept, others = sorted(largest[: BINS - 1]), largest[BINS - 1 :]
    names = [*(bins[place] for place in kept), f"{len(others)} others"]
    return names, [[*(each[n] for n in kept), sum(each[n] for n in others)] for each in shares]


def losses(found: Days, alarms: Sequence[date], metric: str) -> Markup:
    """Return the metric by day with its interval, over bands of versions; below, what is known.

    found: oldest first. alarms: the days on which an alarm of performance went on.
    """
    shown = finite(part for day in found for part in (day.loss, day.low, day.high))
    x = days(found[0].day, found[-1].day, *WIDE)
    y = numbers(ticks(min(shown, default=0), max(shown, default=1)), 291, 32)
    below = numbers([0, 100], 375, 310, "%")
    lines: dict[str, Points] = {}
    intervals = []
    for day in found:
        at, ends = x.at(day.day.toordinal()), finite([day.low, day.high])
        for loss in finite([day.loss]):
            lines.setdefault(day.version, []).append((at, y.at(loss)))
        if len(ends) > 1:
            intervals.append((y.at(ends[0]), at, y.at(ends[1])))
    labelled = _by_day(found, lambda day: (day.labelled, day.captured))
    return draw(
        "losses", x=x, y=y, below=below, lines=list(lines.values()), intervals=intervals,
        metric=wrap(printable(metric), 17, max_lines=2, placeholder="…"),
        alarms=_shown(alarms, x), versions=_versions(found, x),
        labelled=[(below.start, x.at(day), below.at(share)) for day, share in labelled],
    )  # fmt: skip


def _versions(found: Days, x: Scale) -> list[tuple[float, float, str]]:
    """Return of each run of days which version answered most: its ends, and a name if it fits."""
    busiest = {day.day: day.version for day in sorted(found, key=lambda day: day.captured)}
    runs = []
    for version, run in groupby(sorted(busiest.items()), key=lambda item: item[1]):
        first, *_, last = [day.toordinal() for day, _ in run] * 2
        start, end = x.at(first - 0.5), x.at(last + 0.5)
        runs.append((start, end, version[:8] if end - start > 70 else ""))
    return runs


def _by_day(found: Days, part: Callable[[DayPerformance], tuple[float, float]]) -> Points:
    """Return by ordinal of a day the quotient, in percent, of sums of what `part` returns."""
    quotients = []
    for day, entries in groupby(found, key=lambda day: day.day):
        above, below = map(sum, zip(*map(part, entries), strict=True))
        if below and finite([above / below]):
            quotients.append((day.toordinal(), 100 * above / below))
    return quotients


def gains(by_day: Sequence[Mapping[str, Any]], known: Mapping[str, float]) -> Markup:
    """Return by how much the other version was better, day by day, and the interval of the mean.

    by_day: `day` and `gain` of each. known: `gain`, `lower` and `upper`, once there are enough.
    """
    dates = [date.fromisoformat(each["day"]) for each in by_day]
    ends = finite([known.get("lower"), known.get("upper")])
    shown = finite([0.0, *ends, *(each["gain"] for each in by_day)])
    x, y = days(min(dates), max(dates), *WIDE), numbers(ticks(min(shown), max(shown)), 203, 8)
    points = [
        (x.at(day.toordinal()), y.at(each["gain"])) for day, each in zip(dates, by_day, strict=True)
    ]
    band = [(x.start, sum(map(y.at, ends)) / 2, x.end)] if len(ends) > 1 else []
    thick = abs(y.at(ends[0]) - y.at(ends[-1])) if band else 0
    return draw("gains", x=x, y=y, points=points, band=band, thick=thick, zero=y.at(0.0))


def accuracies(found: Days) -> Markup:
    """Return the accuracy by day, as the scores promise it and as labels show it."""
    promised = _by_day(found, lambda day: ((day.estimate or 0) * day.captured,
                                           day.captured * (day.estimate is not None)))  # fmt: skip
    actual = _by_day(found, lambda day: ((day.accuracy or 0) * day.labelled,
                                         day.labelled * (day.accuracy is not None)))  # fmt: skip
    shown = [share for _, share in [*promised, *actual]] or [100]
    x = days(found[0].day, found[-1].day, *WIDE)
    y = numbers(ticks(max(min(shown) - 3, 0), min(max(shown) + 3, 100)), 203, 8, "%")
    lines = [[(x.at(day), y.at(share)) for day, share in each] for each in (promised, actual)]
    return draw("accuracies", x=x, y=y, promised=lines[0], actual=lines[1])


def calibration(bins: Sequence[CalibrationBin]) -> Markup:
    """Return the share of true labels by score; a larger point stands for more predictions."""
    x, y = (numbers(range(0, 101, 20), *ends, "%") for ends in ((54, 322), (223, 8)))
    most = max((found.rows for found in bins), default=1)
    points = [
        (x.at(100 * found.score), y.at(100 * found.positive),
         round(math.sqrt(15 + 120 * found.rows / most) / 2, 1))
        for found in bins
        if found.rows and len(finite([found.score, found.positive])) > 1
    ]  # fmt: skip
    return draw("calibration", x=x, y=y, points=points)
