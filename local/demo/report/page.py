"""The demo's report: one HTML page that fetches nothing."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.monitoring.report import CheckReport
from evergreen.pages.charts import trend
from evergreen.pages.html import render
from local.demo.levels import NAMES
from local.demo.report import charts, decisions
from local.demo.report.closing import compared, said_share
from local.demo.stages import Story, stories

if TYPE_CHECKING:
    from local.demo.result import Result
    from local.demo.summary import Summary

TEMPLATE = Path(__file__).parent / "templates" / "demo.html.jinja"
COLOURS = {  # of events and decisions, those that change who answers above all
    "Model Promoted": "evergreen", "Drift Detected": "drift", "Model Rolled Back": "frozen",
    "promoted": "evergreen", "rolled back": "frozen",
}  # fmt: skip


def write(folder: Path, summary: "Summary", results: Mapping[int, "Result"]) -> None:
    """Write report.html into a folder; the same input gives the same bytes."""
    told = stories(results[summary.top].decisions)
    (folder / "report.html").write_text(page(summary, results, told), encoding="utf-8")


def page(summary: "Summary", results: Mapping[int, "Result"], told: list[Story]) -> str:
    """Return the report as HTML; told: what became of each version of the highest level."""
    top = results[summary.top]
    return render(
        TEMPLATE,
        summary=summary,
        names=NAMES,
        period=period(summary),
        compared=compared,
        losses=charts.losses(summary),
        **periods(summary),
        versions=charts.versions(summary, told),
        results=results,
        colours=COLOURS,
        words=decisions,
        drift=drift(top.reports),
        about=summary.about,
        share_words=said_share(summary.share, summary.about.noun),
    )


def drift(reports: Sequence[CheckReport]) -> str:
    """Return the heat strips of drift by feature and day, with the days on which it was announced.

    Empty where no check had enough rows.
    """
    psi = {report.end.date(): {f.feature: f.psi for f in report.features} for report in reports}
    return trend(psi, [report.end.date() for report in reports if report.raised("drift")])


def period(summary: "Summary") -> str:
    """Return the time of the replay, in words."""
    first, last = summary.edges[0], summary.edges[-1] - timedelta(days=1)
    day = "" if summary.about.unit in ("month", "year") else "%d "
    if day == "" and first.strftime("%m %Y") == last.strftime("%m %Y"):
        return f"{last:%B %Y}"
    year = "" if first.year == last.year else " %Y"
    return f"{first.strftime(f'{day}%B{year}')} to {last.strftime(f'{day}%B %Y')}"


def periods(summary: "Summary") -> dict[str, Any]:
    """Return the losses by period and of all periods, and the periods that another level won."""
    about, names = summary.about, [summary.name(period.start) for period in summary.periods]
    rows = [*(period.rows for period in summary.periods), summary.rows]
    lines = [*summary.lines, summary.whole]
    return {
        "head": [about.unit, about.noun, *(charts.SERIES[name][0] for name in summary.whole)],
        "periods": [
            {"name": name, "rows": number, "losses": [f"{loss:.4f}" for loss in line.values()]}
            for name, number, line in zip([*names, "all"], rows, lines, strict=True)
        ],
        "lost": [
            name
            for name, line in zip(names, summary.lines, strict=True)
            if min(line, key=lambda level: line[level]) != str(summary.top)
        ],
    }
