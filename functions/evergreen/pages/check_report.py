"""The page of a check: one HTML file that fetches nothing, for people."""

from datetime import date
from itertools import takewhile

from evergreen.monitoring.drift import MAJOR
from evergreen.monitoring.report import CheckReport, FeatureDrift
from evergreen.pages import charts, performance_sections
from evergreen.pages.html import (
    count,
    document,
    figure,
    grid,
    on,
    panel,
    said,
    section,
    share,
    table,
    tile,
)
from evergreen.pages.summary import headline

CSS = """.grid { display: grid; gap: 1.5rem 2rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)) }
.grid figure { margin: 0; padding: 0 } .grid svg { min-width: 0; max-width: 24rem }
figcaption { margin-bottom: .35rem } figcaption, summary { font-size: .9375rem }
.alarm { color: var(--orange) } .major { color: var(--purple) } .none { color: var(--muted) }
.moved { min-width: 56rem } .moved :is(td, th):nth-child(n+3):nth-child(-n+8),
.counts :is(td, th):nth-child(n+2), :is(.slices, .schema) :is(td, th):nth-child(n+3) {
  text-align: right; white-space: nowrap }
.moved :is(td, th):nth-child(8) { padding-right: 1.5rem }
.counts { max-width: 30rem } .slices, .schema { max-width: 40rem }
@media (max-width: 60rem) { .moved { margin-left: -1rem } .moved :is(td, th):first-child {
  position: sticky; left: -1rem; padding-left: 1rem; background: var(--paper) } }
@media (max-width: 40rem) { .alarms :is(tbody, tr, td) { display: block; border: 0; padding: 0 }
  .alarms thead { display: none } .alarms td:nth-child(2)::before { content: "since " }
  .alarms { border-top: 1px solid var(--rule) }
  .alarms tr { padding: .5rem 0; border-bottom: 1px solid var(--rule) } }"""

NO_ROWS = "There are too few predictions in this window to compare."
RUNBOOK = {"drift": "drift", "schema": "schema-violated", "performance": "performance-degraded"}
WHOLE = "the row as a whole"
LIMIT = 20  # features with a figure
OPEN = 2  # figures shown though nothing moved


def page(report: CheckReport) -> str:
    """Return the page of a check; the same report gives the same bytes."""
    parts = (alarms, moved, distributions, trend, schema, together, *performance_sections.SECTIONS,
             set_aside, versions)  # fmt: skip
    return document(
        title=f"Evergreen: {said(report.endpoint)}, {on(report.end)}",
        kicker=f"{said(report.endpoint)} · version {said(report.version)} · "
        f"{on(report.start)} to {on(report.end)}",
        headline=headline(report),
        tiles="\n".join(tiles(report)),
        sections="\n".join(part(report) for part in parts),
        css=CSS,
    )


def tiles(report: CheckReport) -> list[str]:
    """Return the numbers below the headline."""
    days = performance_sections.days_of(report)
    labelled, captured = sum(day.labelled for day in days), sum(day.captured for day in days)
    drifted = len(set(report.confirmed) - {"prediction", "all together"})
    moved = f'<span class="major">{drifted}</span>' if drifted else "0"
    by = f"by {count(len(report.versions), 'version')}" if report.rows else "in this window"
    of = f"of {captured:,}, of all days shown" if captured else "no predictions yet"
    return [
        tile("predictions", f"{report.rows:,}", by),
        tile("drifted features", moved, f"of {len(report.features)} compared"),
        tile("labelled", share(labelled, captured), of),
        tile("model age", count(round(report.model_age_days), "day"),
             f"last training {count(round(report.trained_days_ago), 'day')} ago"),
    ]  # fmt: skip


def alarms(report: CheckReport) -> str:
    """Return the alarms that go on."""
    rows = [
        [
            f'<b class="alarm">{alarm.kind}</b>',
            on(alarm.since),
            said(", ".join(alarm.about)) or "–",
            f"<code>docs/runbook.md#{RUNBOOK[alarm.kind]}</code>",
        ]
        for alarm in report.alarms
    ]
    if not rows:
        return section("Alarms", "No alarm goes on.")
    found = table("alarms", ["alarm", "since", "about", "runbook"], rows)
    return section("Alarms", "These go on; the runbook says what to do.", figure(found))


def compared(report: CheckReport) -> list[FeatureDrift]:
    """Return the features, the most moved first, and the prediction last."""
    found = sorted(report.features, key=lambda feature: (-feature.psi, feature.feature))
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


def moved(report: CheckReport) -> str:
    """Return the table of features."""
    text = (
        "The most moved first. PSI, in nats and corrected for its bias, is major from "
        f"{MAJOR} on; p is the chance of such a divergence had the feature only moved as it does "
        "from week to week; Wasserstein is in standard deviations of the reference."
    )
    head = ["feature", "severity", "PSI", "Wasserstein", "p", "missing", "unseen", "outside",
            "major since", "examples"]  # fmt: skip
    rows = [
        [
            _named(each.feature, each.flagged),
            f'<span class="{each.severity}">{each.severity}</span>',
            f"{each.psi:.2f}",
            f"{each.wasserstein:.2f}" if each.wasserstein else "–",
            "&lt; 0.001" if each.p < 0.001 else f"{each.p:.3f}",
            *(share(part) for part in (each.missing, each.unseen, each.outside)),
            since(report, each.feature),
            _folded(count(len(each.rows), "id"), "<br>".join(map(said, each.rows)))
            if each.rows else "",
        ]
        for each in compared(report)
    ]  # fmt: skip
    return (
        section("How far each feature moved", text, figure(table("moved", head, rows)))
        if rows
        else section("How far each feature moved", NO_ROWS)
    )


def _named(name: str, flagged: bool) -> str:
    return f"<b>{said(name)}</b>" if flagged else said(name)


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>\n{content}\n</details>"


def distributions(report: CheckReport) -> str:
    """Return the figures of the most moved features, and of the others folded."""
    title, found = "Distributions", compared(report)
    if not found:
        return section(title, NO_ROWS)
    last = [report.prediction] if report.prediction else []
    first = found[: min(len(report.features), LIMIT)]
    drawn = [_distribution(number, each) for number, each in enumerate([*first, *last])]
    number = max(OPEN, sum(each.severity != "none" for each in first))
    shown, folded = [*drawn[:number], *drawn[len(first) :]], drawn[number : len(first)]
    text = (
        'Shares of rows: <b class="major">this window</b> on the <b class="grey">reference</b>, '
        "which is the training data of the champion."
    )
    more = [_folded(f"{count(len(folded), 'more feature')}, not moved", grid(folded))]
    return section(title, text, grid(shown), *(more if folded else []))


def _distribution(number: int, each: FeatureDrift) -> str:
    label = f"Bar chart: shares of rows by {each.feature}"
    drawn = charts.distribution(each.bins, each.reference, each.window, f"bins{number}", label)
    text = f"<b>{said(each.feature)}</b> PSI {each.psi:.2f}"
    severity = f', <span class="major">{each.severity}</span>' if each.severity != "none" else ""
    return panel(drawn, text + severity)


def trend(report: CheckReport) -> str:
    """Return the heat strips."""
    psi = psi_by_day(report)
    if not any(psi.values()):
        return section("Drift by day", "No check has had enough predictions yet to compare.")
    text = (
        'The last check of each day; <b class="major">stronger is further</b> from the reference.'
    )
    return section(
        "Drift by day",
        text,
        figure(charts.trend(psi, performance_sections.alarm_days(report, "drift"))),
    )


def schema(report: CheckReport) -> str:
    """Return the table of violations."""
    rows = [
        [
            _named(each.feature or WHOLE, each.flagged),
            each.kind,
            f"{each.share:.2%}",
            f"{each.bound:.2%}",
        ]
        for each in sorted(report.violations, key=lambda each: (not each.flagged, -each.share))
    ]
    if not rows:
        text = "Every share of missing, unseen and outlying values is one that the reference had."
        return section("Schema", text if report.rows else "There are no predictions to look at.")
    text = "Shares of rows that the reference did not have; in bold what cannot be chance."
    head = ["feature", "what", "share", "most expected"]
    return section("Schema", text, figure(table("schema", head, rows)))


def together(report: CheckReport) -> str:
    """Return the line on all features at once."""
    found = report.multivariate
    if not found:
        return section("All features together", NO_ROWS)
    verdict = "which is more" if found.flagged else "which is not more"
    text = (
        f"A classifier tells {found.rows:,} rows of this window from the reference with an AUC of "
        f"{found.auc:.3f}, {verdict} than the {found.limit:.3f} by which weeks of the reference "
        "differ; 0.5 is chance. It is an alarm if two checks in a row find it so."
    )
    return section("All features together", text)


def set_aside(report: CheckReport) -> str:
    """Return what was not counted."""
    rows = [[said(reason), f"{number:,}"] for reason, number in report.set_aside.items() if number]
    if not rows:
        return section("Set aside", "Every record could be read and was counted.")
    text = (
        "Records that could not be counted, by the reason why. What could not be read is under "
        "<code>quarantine/</code> in the data bucket."
    )
    return section("Set aside", text, table("counts", ["reason", "records"], rows))


def versions(report: CheckReport) -> str:
    """Return the versions that made the predictions."""
    rows = [
        [said(version), f"{number:,}", share(number, sum(report.versions.values()))]
        for version, number in sorted(report.versions.items(), reverse=True)
    ]
    text = f"The champion is {said(report.version)}; the newest version comes first."
    if not rows:
        return section("Versions in the window", "No version made a prediction in this window.")
    return section(
        "Versions in the window", text, table("counts", ["version", "predictions", "share"], rows)
    )
