"""The demo's report: one HTML page that fetches nothing, and the picture that tells the story."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evergreen.pages.html import render
from local.demo.levels import NAMES
from local.demo.report import charts, decisions, flagged
from local.demo.report.closing import compared, said_share
from local.demo.stages import Story, stories

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
        **periods(summary),
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
        about=summary.about,
        share_words=said_share(summary.share, summary.about.noun),
    )


def period(summary: "Summary") -> str:
    """Return the time of the replay, in words."""
    first, last = summary.edges[0], summary.edges[-1] - timedelta(days=1)
    day = "" if summary.about.unit in ("month", "year") else "%d "
    if day == "" and first.strftime("%m %Y") == last.strftime("%m %Y"):
        return f"{last:%B %Y}"
    year = "" if first.year == last.year else " %Y"
    return f"{first.strftime(f'{day}%B{year}')} to {last.strftime(f'{day}%B %Y')}"


def headline(summary: "Summary") -> str:
    """Return what it was worth, in a sentence."""
    loss = summary.loss
    return (
        f"On autopilot the {summary.about.metric} was {compared(loss.evergreen, loss.frozen)} "
        "that of the first model left alone, and "
        f"{compared(loss.evergreen, loss.base_rate)} the base rate’s."
    )


def title(summary: "Summary") -> str:
    """Return what it was worth, as the title of the picture."""
    loss = summary.loss
    return (
        f"Autopilot: {summary.about.metric} {compared(loss.evergreen, loss.frozen)} the "
        f"frozen model, {compared(loss.evergreen, loss.base_rate)} the base rate"
    )


def periods(summary: "Summary") -> dict[str, Any]:
    """Return the losses by period and of all periods, and the periods that another level won."""
    lines = charts.curves(summary)
    whole = {"base rate": summary.loss.base_rate, "1": summary.loss.frozen}
    whole |= {name: level.loss for name, level in summary.levels.items()}
    by_period = [
        {name: values[place] for name, values in lines.items()}
        for place in range(len(summary.periods))
    ]
    names = [summary.name(period.start) for period in summary.periods]
    rows = [period.rows for period in summary.periods]
    return {
        "head": [
            summary.about.unit,
            summary.about.noun,
            *(charts.SERIES[name][0] for name in lines),
        ],
        "periods": [
            {"name": name, "rows": number, "losses": [f"{losses[line]:.4f}" for line in lines]}
            for name, number, losses in zip(
                [*names, "all"], [*rows, sum(rows)], [*by_period, whole], strict=True
            )
        ],
        "lost": [
            name
            for name, losses in zip(names, by_period, strict=True)
            if min(losses, key=lambda line: losses[line]) != str(summary.top)
        ],
    }
