"""What a check's page shows of what became of the predictions, as far as labels tell."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
from markupsafe import Markup

from evergreen.monitoring.report import AlarmKind, CalibrationBin, CheckReport, DayPerformance
from evergreen.pages import charts

RECENT = timedelta(days=7)  # of slices
FOUR_WEEKS = 28  # days with labels
WORST = 10  # values shown of each field

Days = Sequence[DayPerformance]


def view(report: CheckReport) -> dict[str, Any]:
    """Return what the sections show; what is None or empty stands for a sentence that says so."""
    found = report.performance
    days = found.days if found else []
    labelled = [day for day in days if day.labelled]
    own = [day for day in labelled if day.version == report.version]
    alarms = alarm_days(report, "performance")
    estimated = any(day.estimate is not None for day in days)
    return {
        "labelled": sum(day.labelled for day in days),
        "captured": sum(day.captured for day in days),
        "losses": charts.losses(days, alarms, found.metric) if found and labelled else None,
        "calibration": _calibration(own),
        "worth": _worth(own) if found and found.line else None,
        "scoreless": any(not day.calibration for day in own),
        "slices": _slices(labelled),
        "labels": _labels(found.labels) if found else [],
        "delays": _delays(found.delays) if found else None,
        "accuracies": charts.accuracies(days) if estimated else None,
    }


def alarm_days(report: CheckReport, kind: AlarmKind) -> list[date]:
    """Return the days on which an alarm of a kind went on."""
    days = {past.end.date() for past in report.trend if kind in past.alarms}
    if any(alarm.kind == kind for alarm in report.alarms):
        days.add(report.end.date())
    return sorted(days)


def _calibration(days: Days) -> dict[str, Any] | None:
    tenths = [_summed(bins) for bins in zip(*(day.calibration for day in days), strict=False)]
    known = [tenth for tenth in tenths if tenth.rows]
    if not known:
        return None
    rows = sum(tenth.rows for tenth in known)
    error = sum(tenth.rows * abs(tenth.score - tenth.positive) for tenth in known) / rows
    return {"rows": rows, "error": error, "drawn": charts.calibration(known)}


def _worth(days: Days) -> dict[str, float] | None:
    """Return what the last four weeks lost: raw, as served, and recalibrated each morning."""
    known = [day for day in days if day.closed and day.mixed is not None][-FOUR_WEEKS:]
    if not known:
        return None
    rows = [day.labelled for day in known]
    losses = np.array([(day.raw, day.loss, day.mixed) for day in known])
    means = np.average(losses, axis=0, weights=rows).tolist()
    return dict(zip(("raw", "served", "mixed"), means, strict=True)) | {"days": len(known)}


def _summed(bins: Sequence[CalibrationBin]) -> CalibrationBin:
    parts = [(each.rows, each.rows * each.score, each.rows * each.positive) for each in bins]
    rows, scores, positives = np.sum(parts, axis=0)
    most = max(rows, 1)
    return CalibrationBin(int(rows), float(scores / most), float(positives / most))


def _slices(days: Days) -> dict[str, Any] | None:
    recent = [day for day in days if day.day > days[-1].day - RECENT]
    fields = sorted({field for day in recent for field in day.slices})
    if not fields:
        return None
    rows = [row for field in fields for row in _worst(field, recent)]
    predictions = sum(day.labelled for day in recent)
    return {"end": days[-1].day, "predictions": predictions, "most": WORST, "rows": rows}


def _worst(field: str, days: Days) -> list[list[str]]:
    sums: dict[str, tuple[int, float]] = {}
    for value, found in (item for day in days for item in day.slices.get(field, {}).items()):
        rows, loss = sums.get(value, (0, 0.0))
        sums[value] = rows + found.rows, loss + found.rows * found.loss
    means = [(-loss / max(rows, 1), value, rows) for value, (rows, loss) in sums.items()]
    return [
        [field, value, f"{rows:,}", f"{-mean:.3f}"] for mean, value, rows in sorted(means)[:WORST]
    ]


def _labels(fates: dict[str, int]) -> list[list[str]]:
    return [[fate, f"{rows:,}"] for fate, rows in fates.items()] if any(fates.values()) else []


def _delays(delays: dict[str, int]) -> Markup | None:
    names = [name.replace("<=", "≤") for name in delays]
    label = "labels by the hours that they took"
    rows = list(delays.values())
    return charts.distribution(names, [], rows, label) if any(rows) else None
