"""What a check comes to, in one sentence."""

from evergreen.monitoring.report import TOGETHER, CheckReport
from evergreen.pages.html import count


def headline(report: CheckReport) -> str:
    """Return what matters: what moved, what breaks the schema, and whether the model suffers."""
    parts = [_drift_words(report), _schema_words(report), _performance_words(report)]
    text = "; ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:]}."


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
    return f"{who} {'has' if singular else 'have'} moved{_since(report, 'drift')}"


def _since(report: CheckReport, kind: str) -> str:
    found = [alarm.since for alarm in report.alarms if alarm.kind == kind]
    return f" since {min(found).day} {min(found):%B}" if found else ""


def _schema_words(report: CheckReport) -> str:
    number = len(report.violated - {"wrong schema"})
    verb = "breaks" if number == 1 else "break"
    fields = f"{count(number, 'field')} {verb} the schema" if number else ""
    return fields or ("requests do not fit the schema" if report.violated else "")


def _performance_words(report: CheckReport) -> str:
    status = report.performance.status if report.performance else "no labels"
    return {
        "no labels": "without labels, performance is unknown",
        "steady": "performance is as expected",
        "degraded": f"performance is worse than expected{_since(report, 'performance')}",
    }[status]
