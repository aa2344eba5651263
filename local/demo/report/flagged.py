"""The weeks in which checks found drift or a violated schema, with what it was that changed."""

from collections.abc import Iterable
from datetime import date, timedelta

from evergreen.monitoring.report import CheckReport, FeatureDrift


def weeks(reports: Iterable[CheckReport]) -> list[list[str]]:
    """Return a row for each week with an alarm: its Monday, what moved, and how far."""
    by_week: dict[date, list[CheckReport]] = {}
    for report in reports:
        if any(alarm.kind != "performance" for alarm in report.alarms):
            day = report.end.date()
            by_week.setdefault(day - timedelta(days=day.weekday()), []).append(report)
    return [_row(monday, found) for monday, found in sorted(by_week.items())]


def _row(monday: date, found: list[CheckReport]) -> list[str]:
    about = {name: None for r in found for a in r.alarms if a.kind == "drift" for name in a.about}
    features = [f for r in found for f in r.compared if f.feature in r.confirmed]
    strongest = max(features, key=lambda feature: feature.psi, default=None)
    schema = {
        f"{v.feature} {v.kind}": f"{v.share:.1%} of rows, at most {v.bound:.1%} expected"
        for r in found
        for v in r.violations
        if v.flagged
    }
    said = [f"{strongest.feature}, PSI {strongest.psi:.2f}"] if strongest else []
    shares = [moved(strongest)] if strongest else []
    if schema:
        said.append(next(iter(schema)))
        shares.append(next(iter(schema.values())))
    names = ", ".join([*about, *(["schema"] if schema else [])])
    return [f"{monday:%d %b}", names, "; ".join(said), "; ".join(shares)]


def moved(feature: FeatureDrift) -> str:
    """Say which bin grew the most, and from which share of the rows to which."""
    if not feature.bins:
        return f"{feature.feature}: sensitive"
    was, now = sum(feature.reference), sum(feature.window)
    pairs = zip(feature.bins, feature.reference, feature.window, strict=True)
    name, before, after = max(pairs, key=lambda each: each[2] / now - each[1] / was)
    return f"{feature.feature} {name}: {before / was:.0%} → {after / now:.0%}"
