"""The views of the console, as fragments of HTML: the same through each door.

A view is made of what the API answers, decoded from JSON, and asks for nothing. It has no script,
fetches nothing, and shows no text without escaping it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Literal

import msgspec
from markupsafe import Markup

from evergreen.monitoring.report import CheckReport
from evergreen.pages import charts, performance_sections
from evergreen.pages.check_report import compared, psi_by_day, since
from evergreen.pages.html import render as rendered

TEMPLATES = Path(__file__).parent / "templates"
IN_PLAY = ("candidate", "shadow", "canary", "ab")

Theme = Literal["auto", "light", "dark"]
Data = Mapping[str, Any]


@dataclass(frozen=True)
class Door:
    """By which a person has come.

    acts: whether there are buttons; without them a view shows the command instead. zone: of the
    times that are shown, that of this machine if none is named. now: by the clock of the stack.
    """

    acts: bool
    now: datetime
    zone: tzinfo | None = None

    def when(self, time: str | datetime | None) -> Markup:
        """Return a time as the reader's clock shows it, with UTC on hover."""
        if time is None:
            return Markup("–")
        at = datetime.fromisoformat(time) if isinstance(time, str) else time
        near = at.astimezone(self.zone)
        shown = f"{near.day} {near:%b %Y} {near:%H:%M}"
        said = Markup('<time datetime="{}" title="{:%Y-%m-%d %H:%M:%S} UTC">{}</time>')
        return said.format(at.isoformat(), at.astimezone(UTC), shown)

    def age(self, time: str | datetime) -> str:
        """Return how long ago something was.

        >>> Door(acts=True, now=datetime(2013, 2, 3, tzinfo=UTC)).age("2013-02-01T00:00:00Z")
        '2 days'
        """
        at = datetime.fromisoformat(time) if isinstance(time, str) else time
        passed = max(self.now - at, timedelta(0))
        for unit, name in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour")):
            if passed >= unit:
                return f"{passed // unit} {name}{'' if passed // unit == 1 else 's'}"
        return "less than an hour"


def render(view: str, data: Data, theme: Theme, door: Door) -> Markup:
    """Return a view as a fragment of HTML; data: what VIEWS says of it."""
    shown = dict(data) | VIEWS.get(view, dict)(data)
    made = rendered(TEMPLATES / f"{view}.html.jinja", theme=theme, door=door, **shown)
    return Markup(made)  # noqa: S704 - its template has escaped what it shows


def _endpoint(data: Data) -> dict[str, Any]:
    document = data["document"]
    evidence = (data["status"] or {}).get("evidence")
    comparison = evidence["comparison"] if evidence else {}
    by_day = comparison.get("by_day") or []
    statuses = document["statuses"] if document else {}
    return {
        "in_play": [version for version, status in statuses.items() if status in IN_PLAY],
        "past": [version for version, status in statuses.items() if status == "retired"],
        "comparison": comparison,
        "gains": charts.gains(by_day, comparison) if by_day else None,
    }


def _report(data: Data) -> CheckReport | None:
    """Return the newest check; None without one, or where another Evergreen wrote it."""
    try:
        return msgspec.convert(data["report"], CheckReport) if data["report"] else None
    except msgspec.ValidationError:
        return None


def _quality(data: Data) -> dict[str, Any]:
    report = _report(data)
    return {"report": report} | (performance_sections.view(report) if report else {})


def _drift(data: Data) -> dict[str, Any]:
    report = _report(data)
    if report is None:
        return {"report": None}
    moved = compared(report)
    if report.prediction:  # a score that has moved concerns every caller
        moved = [moved[-1], *moved[:-1]]
    days = psi_by_day(report)
    drawn = [
        (each, charts.distribution(each.bins, each.reference, each.window, each.feature))
        for each in [each for each in moved if each.bins][:6]
    ]
    return {
        "report": report, "moved": [(each, since(report, each.feature)) for each in moved],
        "drawn": drawn, "names": [each.feature for each in moved],
        "trend": charts.trend(days, performance_sections.alarm_days(report, "drift")),
        "days": list(reversed(days.items())),
    }  # fmt: skip


Shows = Callable[[Data], dict[str, Any]]  # what a view shows besides what it is given
VIEWS: dict[str, Shows] = {"endpoint": _endpoint, "quality": _quality, "drift": _drift}
