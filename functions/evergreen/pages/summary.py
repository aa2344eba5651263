"""What a check comes to, in a few words: nothing is called well without evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from evergreen.contract.problem import Floats
from evergreen.monitoring.ecusum.comparisons import LINE, SKILL
from evergreen.monitoring.report import TOGETHER, CheckReport, DayPerformance, Performance
from evergreen.pages.html import count, share

RECENT = 7  # closed days with labels, by which the champion is judged here
FEWEST = 3  # of them; fewer say nothing
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45)  # 97.5 % quantiles of t, of 2 to RECENT days
MISSING = 0.1  # of the labels that are due; more is said
TRAIN = "First look for broken data and wrong labels, then train on newer data"
RECALIBRATE = "First see whether its calibration is off for all, then recalibrate or train it"


@dataclass(frozen=True)
class Recent:
    """The champion's last closed days with labels.

    loss, low, high: with a 95 % interval over the days. behind: by how much it lost more than a
    constant, and the lower end of that; None where no constant is known. without: the share of
    the predictions of these days that has no label.
    """

    days: Sequence[DayPerformance]
    loss: float
    low: float
    high: float
    constant: float | None
    behind: tuple[float, float] | None
    without: float


def recent(report: CheckReport) -> Recent | None:
    """Return how the champion did lately, None where no closed day has labels."""
    days = _closed(report.performance, report.version)[-RECENT:]
    if not days:
        return None
    rows = np.array([day.labelled for day in days])
    loss = np.array([day.loss for day in days], dtype=np.float64)
    beside = np.array([day.constant for day in days], dtype=np.float64)  # None is NaN
    mean, width = float(loss @ rows / rows.sum()), _width(loss)
    known = not np.isnan(beside).any()
    constant = float(beside @ rows / rows.sum()) if known else None
    lost = loss - beside
    behind = None if constant is None else (mean - constant, mean - constant - _width(lost))
    without = 1 - float(rows.sum() / sum(day.captured for day in days))
    return Recent(days, mean, mean - width, mean + width, constant, behind, without)


def _closed(performance: Performance | None, version: str) -> list[DayPerformance]:
    days = performance.days if performance else []
    return [day for day in days if day.version == version and day.closed and day.labelled]


def _width(values: Floats) -> float:
    """Return half of the interval of a mean over days; nobody knows that of one day."""
    if len(values) < 2:
        return float("inf")
    return STUDENT[len(values) - 2] * float(values.std(ddof=1) / np.sqrt(len(values)))


def headline(report: CheckReport) -> str:
    """Return what matters: how good the answers are, what moved, and what breaks the schema."""
    said = [performance_words(report)]
    said.append("; ".join(filter(None, [_drift_words(report), _schema_words(report)])))
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in said)


def performance_words(report: CheckReport) -> str:
    """Return how the champion does, against what, and what to do where that is not well."""
    performance, found = report.performance, recent(report)
    if performance is None or performance.status == "no labels" or found is None:
        return _unknown(report)
    degraded = performance.status == "degraded"
    if not degraded and len(found.days) < FEWEST:
        return f"too few days have their labels to judge the model: {_figures(performance, found)}"
    since, advice = _since(report, "performance"), TRAIN
    if found.behind and found.behind[1] > 0:
        verdict = f"the model is worse than a constant since {_day(_worse_since(report))}"
    elif SKILL in performance.about:
        verdict = f"half of the model\u2019s skill is gone{since}"
    elif performance.about == [LINE]:
        verdict, advice = f"the model needs recalibration{since}", RECALIBRATE
    elif degraded:
        verdict = f"the model has become worse{since}"
    elif found.behind and found.behind[0] >= 0:
        verdict = "the model may be no better than a constant"
    elif performance.promised is None:
        verdict = "nothing was promised of the model"
    elif found.low > performance.promised:
        verdict = "the model is worse than on its holdout, by too little for an alarm"
    else:
        verdict, advice = "the model does as its holdout promised", ""
    if found.without > MISSING:
        verdict += (
            f", as far as labels tell: {share(round(1000 * found.without), 1000)} are missing"
        )
    text = f"{verdict}: {_figures(performance, found)}"
    return f"{text}. {advice}" if advice and (degraded or " constant" in verdict) else text


def _unknown(report: CheckReport) -> str:
    performance = report.performance
    days = [day for day in performance.days if day.captured] if performance else []
    labelled = [day for day in days if day.labelled]
    after = [day for day in days if not labelled or day.day > labelled[-1].day]
    number = count(sum(day.captured for day in after), "prediction")
    if performance and labelled and performance.status != "no labels":
        due = labelled[0].day + timedelta(days=performance.label_days + 1)
        return f"performance is unknown until the labels of a whole day are due, on {_day(due)}"
    since = f" since {_day(labelled[-1].day)}" if labelled else ""
    return f"without labels{since}, performance is unknown" + (
        f": {number} wait{'s' if number == '1 prediction' else ''} for one" if after else ""
    )


def _figures(performance: Performance, found: Recent) -> str:
    last, many = _day(found.days[-1].day), len(found.days)
    when = f"in the {many} days to {last}" if many > 1 else f"on {last}"
    interval = f" ({found.low:.3f} to {found.high:.3f})" if many > 1 else ""
    known = (performance.promised, "on its holdout"), (found.constant, "of a constant")
    against = [f"{loss:.3f} {where}" for loss, where in known if loss is not None]
    text = f"{performance.metric} {found.loss:.3f}{interval} {when}"
    return f"{text}, against {' and '.join(against)}" if against else text


def _worse_since(report: CheckReport) -> date:
    """Return the first day of the run of days until now whose week lost more than a constant."""
    days = [day for day in _closed(report.performance, report.version) if day.constant is not None]
    lost = [(day.loss or 0.0) - (day.constant or 0.0) for day in days]
    first = len(days) - 1
    while first > 0 and sum(lost[max(first - RECENT, 0) : first]) > 0:
        first -= 1
    return days[first].day


def _day(day: date) -> str:
    return f"{day.day} {day:%B}"


def _drift_words(report: CheckReport) -> str:
    if report.status == "insufficient data":
        few = f"{count(report.rows, 'prediction')} {'is' if report.rows == 1 else 'are'} too few"
        return f"{few} to judge drift" if report.rows else "no predictions came in this window"
    names = set(report.confirmed) or report.flagged
    number = len(names - {"prediction", TOGETHER})
    subjects = [count(number, "feature")] if number else []
    subjects += ["the predictions"] if "prediction" in names else []
    if not names:
        return "no feature has moved"
    who = " and ".join(subjects) or "how the features go together"
    singular = subjects in ([], ["1 feature"])
    if not report.confirmed:
        return f"{who} may have moved, as the next check will tell"
    stayed = report.prediction and "prediction" not in names
    calm = ", and the predictions have not" if stayed else ""
    return f"{who} {'has' if singular else 'have'} moved{_since(report, 'drift')}{calm}"


def _since(report: CheckReport, kind: str) -> str:
    found = [alarm.since for alarm in report.alarms if alarm.kind == kind]
    return f" since {_day(min(found).date())}" if found else ""


def _schema_words(report: CheckReport) -> str:
    number = len(report.violated - {"wrong schema"})
    verb = "breaks" if number == 1 else "break"
    fields = f"{count(number, 'field')} {verb} the schema" if number else ""
    return fields or ("requests do not fit the schema" if report.violated else "")
