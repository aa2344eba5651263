"""The sections of a check's page on what became of the predictions, as far as labels tell."""

from collections.abc import Callable, Iterable
from datetime import date, timedelta

import numpy as np

from evergreen.monitoring.report import AlarmKind, CalibrationBin, CheckReport, DayPerformance
from evergreen.pages import charts
from evergreen.pages.html import count, figure, grid, on, panel, said, section, table

NO_LABELS = "No labels have come for these days yet: send them to <code>/feedback</code>."
RECENT = timedelta(days=7)  # of slices
WORST = 10  # values shown of each field


def days_of(report: CheckReport) -> list[DayPerformance]:
    """Return the performance by day and version, oldest first."""
    return report.performance.days if report.performance else []


def alarm_days(report: CheckReport, kind: AlarmKind) -> list[date]:
    """Return the days on which an alarm of a kind went on."""
    days = {past.end.date() for past in report.trend if kind in past.alarms}
    if any(alarm.kind == kind for alarm in report.alarms):
        days.add(report.end.date())
    return sorted(days)


def performance(report: CheckReport) -> str:
    """Return the metric by day."""
    found, title = report.performance, "Performance by day"
    if not found or not any(day.labelled for day in found.days):
        return section(title, NO_LABELS)
    unit = " in nats" if found.metric == "log-loss" else ""
    text = (
        f"{found.metric.capitalize()}{unit}, lower is better, over bands of the versions that "
        "answered."
    )
    if found.expected is not None and found.limit is not None:
        text += (
            f" The champion had a {found.bounded_metric} of {found.expected:.3f} on its holdout; "
            f"the evidence "
            f"that it is now above {found.limit:.3f} is {_number(found.evidence)}, and "
            f"{found.threshold:,.0f} raises the alarm."
        )
    drawn = charts.losses(found.days, alarm_days(report, "performance"), found.metric)
    return section(title, text, figure(drawn))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def calibration(report: CheckReport) -> str:
    """Return how the champion's scores compare with what came."""
    days = [day for day in days_of(report) if day.version == report.version and day.labelled]
    tenths = [_summed(bins) for bins in zip(*(day.calibration for day in days), strict=False)]
    known = [tenth for tenth in tenths if tenth.rows]
    if days and not tenths:
        return section("Calibration", "The scores of a regression are no probabilities.")
    if not known:
        return section("Calibration", NO_LABELS)
    rows = sum(tenth.rows for tenth in known)
    error = sum(tenth.rows * abs(tenth.score - tenth.positive) for tenth in known) / rows
    text = (
        f"{count(rows, 'labelled prediction')} of the champion, by tenths of the score. On the "
        f"dashed line scores come true as they say; on average they are off by {error:.1%}."
    )
    return section("Calibration", text, grid([panel(charts.calibration(known))]))


def _summed(bins: Iterable[CalibrationBin]) -> CalibrationBin:
    """Return one bin for the same tenth of several days."""
    parts = [(each.rows, each.rows * each.score, each.rows * each.positive) for each in bins]
    rows, scores, positives = np.sum(parts, axis=0)
    most = max(rows, 1)
    return CalibrationBin(int(rows), float(scores / most), float(positives / most))


def slices(report: CheckReport) -> str:
    """Return the metric of the last days with labels, by value of each field."""
    title, days = "Performance by slice", [day for day in days_of(report) if day.labelled]
    recent = [day for day in days if day.day > days[-1].day - RECENT]
    fields = sorted({field for day in recent for field in day.slices})
    rows = [row for field in fields for row in _worst(field, recent)]
    if not rows or not report.performance:
        return section(title, "The endpoint’s file names no slices." if days else NO_LABELS)
    metric = report.performance.metric
    text = (
        f"Mean {metric} of the {count(sum(day.labelled for day in recent), 'prediction')} with "
        f"labels in the week to {on(recent[-1].day)}; of each field the {WORST} worst values."
    )
    head = ["field", "value", "predictions", metric]
    return section(title, text, figure(table("slices", head, rows)))


def _worst(field: str, days: list[DayPerformance]) -> list[list[str]]:
    """Return a row for each of the worst values of a field."""
    sums: dict[str, tuple[int, float]] = {}
    for value, found in (item for day in days for item in day.slices.get(field, {}).items()):
        rows, loss = sums.get(value, (0, 0.0))
        sums[value] = rows + found.rows, loss + found.rows * found.loss
    means = [(-loss / max(rows, 1), value, rows) for value, (rows, loss) in sums.items()]
    return [
        [said(field), said(value), f"{rows:,}", f"{-mean:.3f}"]
        for mean, value, rows in sorted(means)[:WORST]
    ]


def labels(report: CheckReport) -> str:
    """Return what became of the labels, and how long they took."""
    found = report.performance
    if not found or not any(found.labels.values()):
        return section("Labels", NO_LABELS)
    rows = [[said(fate), f"{number:,}"] for fate, number in found.labels.items()]
    text = "What became of the labels of days that may still get some, and how long they took."
    label = "Bar chart: shares of labels by the hours that they took"
    delays, numbers = (
        [name.replace("<=", "≤") for name in found.delays],
        list(found.delays.values()),
    )
    drawn = charts.distribution(delays, [], numbers, "delays", label)
    slow = [panel(drawn, "time from prediction to label")] if any(numbers) else []
    return section("Labels", text, grid([table("counts", ["labels", "number"], rows), *slow]))


def estimate(report: CheckReport) -> str:
    """Return the accuracy that the scores promise, beside the actual one."""
    title, days = "Accuracy as the scores promise it", days_of(report)
    if all(day.estimate is None for day in days):
        return section(title, "There are no probabilities to estimate it from.")
    text = (
        "An estimate from the scores alone, for the days whose labels are still to come. It trusts "
        "the model to know how sure it is, so it is never acted on alone."
    )
    return section(title, text, figure(charts.accuracies(days)))


SECTIONS: tuple[Callable[[CheckReport], str], ...] = (
    performance, calibration, slices, labels, estimate,
)  # fmt: skip
