"""The page of a check: one HTML file that fetches nothing, for people."""

from datetime import date
from itertools import takewhile
from typing import Any

from evergreen.monitoring.ecusum.comparisons import LINE
from evergreen.monitoring.report import MAJOR, MIN_ROWS, TOGETHER, Alarm, CheckReport, FeatureDrift
from evergreen.pages import charts, performance_sections
from evergreen.pages.html import TEMPLATES, on, render, share
from evergreen.pages.summary import headline

RUNBOOK = {"drift": "drift", "schema": "schema-violated", "performance": "performance-degraded"}
FIRST = {  # of what a person does; more is in the runbook
    "drift": "Ask what has changed: the world, or the data. Do not train on broken data.",
    "schema": "Ask the callers what they changed, and mend it where it comes from.",
    "performance": "Rule out wrong labels, a broken field and the last promotion; else train.",
    LINE: "See whether all scores are off, below; then recalibrate or train.",
}
LIMIT = 20  # features with a figure
OPEN = 2  # figures shown though nothing moved


def page(report: CheckReport) -> str:
    """Return the page of a check; the same report gives the same bytes."""
    return render(
        TEMPLATES / "check_report.html.jinja",
        report=report, headline=headline(report), runbook=RUNBOOK, major=MAJOR, least=MIN_ROWS,
        drifted=len(set(report.confirmed) - {"prediction", TOGETHER}),
        alarms=[(each, first(each)) for each in report.alarms],
        moved=[(each, since(report, each.feature)) for each in compared(report)],
        trend=charts.trend(psi_by_day(report), performance_sections.alarm_days(report, "drift")),
        violations=sorted(report.violations, key=lambda each: (not each.flagged, -each.share)),
        judged=report.rows + report.set_aside.get("wrong schema", 0) >= MIN_ROWS,
        set_aside=[[why, f"{rows:,}"] for why, rows in report.set_aside.items() if rows],
        versions=_versions(report.versions), **_distributions(report),
        **performance_sections.view(report),
    )  # fmt: skip


def first(alarm: Alarm) -> str:
    """Return what a person does first about an alarm."""
    return FIRST[LINE if alarm.about == [LINE] else alarm.kind]


def compared(report: CheckReport) -> list[FeatureDrift]:
    """Return the features, first those that moved answers the most, and the prediction last.

    That is how far a feature moved, times how far scores hang on it, where that was measured.
    """

    def impact(feature: FeatureDrift) -> float:
        return max(feature.psi, 0.0) * (1.0 if feature.influence is None else feature.influence)

    found = sorted(report.features, key=lambda each: (-impact(each), -each.psi, each.feature))
    return [*found, *([report.prediction] if report.prediction else [])]


def psi_by_day(report: CheckReport) -> dict[date, dict[str, float]]:
    """Return PSI by day and feature, of the earlier checks and this one, oldest first."""
    found = {past.end.date(): past.psi for past in report.trend}
    found[report.end.date()] = {each.feature: each.psi for each in report.compared}
    return dict(sorted(found.items()))


def since(report: CheckReport, feature: str) -> str:
    """Return the first day of the run of days, until now, on which a feature was major; or none."""
    days = reversed(psi_by_day(report).items())
    run = [day for day, psi in takewhile(lambda item: item[1].get(feature, 0.0) >= MAJOR, days)]
    return on(run[-1]) if run else ""


def _distributions(report: CheckReport) -> dict[str, Any]:
    found = [each for each in compared(report) if each.bins]  # and none of a sensitive field
    first = [each for each in found if each is not report.prediction][:LIMIT]
    last = [report.prediction] if report.prediction else []
    drawn = [
        (one, charts.distribution(one.bins, one.reference, one.window, f"rows by {one.feature}"))
        for one in [*first, *last]
    ]
    many = min(max(OPEN, sum(each.severity != "none" for each in first)), len(first))
    return {"shown": [*drawn[:many], *drawn[len(first) :]], "calm": drawn[many : len(first)]}


def _versions(rows: dict[str, int]) -> list[list[str]]:
    whole = sum(rows.values())
    newest_first = sorted(rows.items(), reverse=True)
    return [[version, f"{number:,}", share(number, whole)] for version, number in newest_first]
