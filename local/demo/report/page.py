"""The demo's report: one HTML page that fetches nothing, and the picture that tells the story."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.pages.html import render
from local.demo.levels import NAMES
from local.demo.report import charts, decisions, flagged
from local.demo.report.closing import said_share
from local.demo.stages import Story, stories
from local.samples import flights

if TYPE_CHECKING:
    from local.demo.result import Result
    from local.demo.summary import Summary

TEMPLATE = Path(__file__).parent / "templates" / "demo.html.jinja"
COLOURS = {"Model Promoted": "evergreen", "Drift Detected": "drift", "Model Rolled Back": "frozen"}


def write(folder: Path, summary: "Summary", results: Mapping[int, "Result"]) -> None:
    """Write report.html and report.png into a folder; the same input gives the same bytes."""
    told = stories(results[summary.top].decisions)
    (folder / "report.html").write_text(page(summary, results, told), encoding="utf-8")
    (folder / "report.png").write_bytes(charts.picture(summary, told, title(summary)))


def page(summary: "Summary", results: Mapping[int, "Result"], told: list[Story]) -> str:
    """Return the report as HTML; told: what became of each version of the highest level."""
    top = results[summary.top]
    return render(
        TEMPLATE,
        summary=summary,
        names=NAMES,
        period=period(summary),
        headline=headline(summary),
        losses=charts.losses(summary),
        worth=decisions.worth(summary),
        **months(summary),
        versions=charts.versions(summary, told),
        turned=decisions.turned([*summary.rolled_back, *summary.refused]),
        recovered=[
            f"{level.days_to_recover:.1f} days at level {name}"
            for name, level in summary.levels.items()
            if level.days_to_recover is not None
        ],
        recoveries=decisions.recoveries(summary.recoveries),
        decisions={
            level: decisions.decided(result)
            for level, result in sorted(results.items(), reverse=True)
        },
        drift=charts.drift(summary, top.reports) if top.reports else None,
        weeks=flagged.weeks(top.reports),
        events=[
            {
                "time": f"{event.time:%Y-%m-%d %H:%M}",
                "type": event.type,
                "colour": COLOURS.get(event.type, ""),
                "detail": decisions.event_words(event),
            }
            for event in summary.events
        ],
        year=flights.YEAR,
        share_words=said_share(summary.share),
    )


def period(summary: "Summary") -> str:
    """Return the months of the replay, in words."""
    first, end = charts.span(summary)
    last = end - timedelta(days=1)
    return f"{last:%B %Y}" if len(summary.months) == 1 else f"{first:%B} to {last:%B %Y}"


def headline(summary: "Summary") -> str:
    """Return what it was worth, in a sentence."""
    loss = summary.log_loss
    return (
        f"On autopilot the log-loss was {compared(loss.evergreen, loss.frozen)} than that of the "
        f"first model left alone, and {compared(loss.evergreen, loss.base_rate)} than the "
        "base rate’s."
    )


def title(summary: "Summary") -> str:
    """Return what it was worth, as the title of the picture."""
    loss = summary.log_loss
    return (
        f"Autopilot: log-loss {compared(loss.evergreen, loss.frozen)} than the frozen model, "
        f"{compared(loss.evergreen, loss.base_rate)} than the base rate"
    )


def compared(ours: float, other: float) -> str:
    """Say how one loss compares with another.

    >>> compared(0.9, 1.0), compared(1.05, 1.0)
    ('10.0% lower', '5.0% higher')
    """
    return f"{abs(1 - ours / other):.1%} {'lower' if ours <= other else 'higher'}"


def months(summary: "Summary") -> dict[str, Any]:
    """Return the losses by month and of all months, and the months that another level won."""
    lines = charts.curves(summary)
    whole = {"base rate": summary.log_loss.base_rate, "1": summary.log_loss.frozen}
    whole |= {name: level.log_loss for name, level in summary.levels.items()}
    by_month = [
        {name: values[place] for name, values in lines.items()}
        for place in range(len(summary.months))
    ]
    names = [f"{charts.first_of(month.month):%B}" for month in summary.months]
    rows = [month.rows for month in summary.months]
    return {
        "head": ["month", "flights", *(charts.SERIES[name][0] for name in lines)],
        "months": [
            {"name": name, "rows": number, "losses": [f"{losses[line]:.4f}" for line in lines]}
            for name, number, losses in zip(
                [*names, "all"], [*rows, sum(rows)], [*by_month, whole], strict=True
            )
        ],
        "lost": [
            name
            for name, losses in zip(names, by_month, strict=True)
            if min(losses, key=lambda line: losses[line]) != str(summary.top)
        ],
    }
