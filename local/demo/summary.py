"""What the levels come to together: the figures of summary.json."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any

import msgspec

from evergreen.monitoring.report import MIN_ROWS, CheckReport
from local.demo.levels import Options
from local.demo.life import About
from local.demo.result import Event, Losses, Result
from local.demo.stages import stories

DAY = timedelta(days=1)
ALARMS = {"Drift Detected": "drift", "Performance Degraded": "performance"}


class Period(msgspec.Struct):
    """One month, or whatever else the unit is, of the replay."""

    start: date
    rows: int
    loss: Losses


class Level(msgspec.Struct, kw_only=True):
    """What one level is worth.

    periods: its loss by period. alarms: on how many days a check found one, by kind. log_loss: the
    loss again, where it is that, for what has read it by this name since the first release.
    """

    loss: float
    log_loss: float | None
    periods: dict[date, float]
    promotions: int
    alarms: dict[str, int]
    days_to_recover: float | None
    requests: dict[str, int]
    dead_letters: int
    seconds: float


class Turned(msgspec.Struct, kw_only=True):
    """A version that was refused or rolled back, and why; injected: what was wrong on purpose.

    figures: that a rollback was decided on.
    """

    level: int
    time: datetime
    version: str | None
    reason: str
    injected: str | None = None
    figures: dict[str, Any] = {}


class Recovery(msgspec.Struct, kw_only=True):
    """An episode of drift or of worse answers.

    alarm: when the first alarm of the episode was announced; promoted: when another version became
    champion, which ends the episode, whether by a promotion or by a rollback; None if none did.
    """

    level: int
    kind: str
    alarm: datetime
    promoted: datetime | None = None

    @property
    def days(self) -> float | None:
        """Return how long it took."""
        return (self.promoted - self.alarm) / DAY if self.promoted else None


class Summary(msgspec.Struct, kw_only=True):
    """What the page and the table show, and `written` writes to summary.json.

    share: of the rows after the first part, one in so many was replayed. levels: by number. The
    fields from periods to alarms are those of the highest level; loss: over all rows, frozen is the
    first model, which is what level 1 answers with. alarms: the days on which a check found one
    going on, by its kind. held_back: sentences on what could not act. refused, rolled_back: of all
    levels; what had begun to answer was rolled back. days_to_recover: median over the recoveries of
    the highest level that came to an end; None if none did. requests: of all levels together.
    """

    endpoint: str
    seed: int
    share: int
    about: About
    levels: dict[str, Level]
    periods: list[Period]
    loss: Losses
    events: list[Event]
    captures: dict[str, int]
    labels: dict[str, int]
    alarms: dict[str, list[date]]
    held_back: list[str]
    refused: list[Turned]
    rolled_back: list[Turned]
    recoveries: list[Recovery]
    days_to_recover: float | None
    requests: dict[str, int]
    dead_letters: int
    peak_memory_mb: int
    seconds: float

    @property
    def top(self) -> int:
        """Return the highest level that was replayed."""
        return max(map(int, self.levels))

    @property
    def lines(self) -> list[dict[str, float]]:
        """Return the losses of each period: of the base rate, and of each level by its number.

        Where level 1 was not replayed, its place has the first model's, which is the same.
        """
        return [
            {"base rate": period.loss.base_rate, "1": period.loss.frozen}
            | {name: level.periods[period.start] for name, level in self.levels.items()}
            for period in self.periods
        ]

    @property
    def whole(self) -> dict[str, float]:
        """Return the losses of all periods together, as `lines` has them."""
        levels = {name: level.loss for name, level in self.levels.items()}
        return {"base rate": self.loss.base_rate, "1": self.loss.frozen, **levels}

    @property
    def rows(self) -> int:
        """Return the rows of all periods together."""
        return sum(period.rows for period in self.periods)

    @property
    def edges(self) -> list[date]:
        """Return the first day of each period, and the day after the last."""
        starts = [period.start for period in self.periods]
        return [*starts, self.about.after(starts[-1])]

    def name(self, period: date, *, short: bool = False) -> str:
        """Return the name of a period, with its year where there are several."""
        month = "%b" if short else "%B"
        name = {"year": "%Y", "month": month}.get(self.about.unit, f"%d {month}")
        years = self.about.unit == "month" and self.edges[0].year != self.periods[-1].start.year
        return period.strftime(f"{name} %Y" if years else name)


def written(summary: Summary) -> bytes:
    """Return summary.json, which has the same names whatever the metric and the unit are."""
    return msgspec.json.format(msgspec.json.encode(summary))


def merge(results: Mapping[int, Result], options: Options, about: About, seconds: float) -> Summary:
    """Return what the results of the levels come to."""
    top = results[max(results)]
    found = [episode for result in results.values() for episode in recoveries(result)]
    return Summary(
        endpoint=options.endpoint,
        seed=options.seed,
        share=options.share,
        about=about,
        levels={str(level): _level(results[level], about) for level in sorted(results)},
        periods=[
            Period(start, tally.rows, tally.mean()) for start, tally in sorted(top.tallies.items())
        ],
        loss=top.total.mean(),
        events=top.events,
        captures=top.captures,
        labels=top.labels,
        alarms=alarm_days(top.reports),
        held_back=held_back(top),
        refused=[turned for level in sorted(results) for turned in refused(results[level])],
        rolled_back=[turned for level in sorted(results) for turned in rolled_back(results[level])],
        recoveries=sorted(found, key=lambda episode: (episode.level, episode.alarm)),
        days_to_recover=_median(recoveries(top)),
        requests={
            name: sum(result.requests[name] for result in results.values())
            for name in ("sent", "answered", "errors")
        },
        dead_letters=sum(result.dead_letters for result in results.values()),
        peak_memory_mb=max(result.peak_memory_mb for result in results.values()),
        seconds=seconds,
    )


def _level(result: Result, about: About) -> Level:
    loss = result.total.mean().evergreen
    return Level(
        loss=loss,
        log_loss=loss if about.metric == "log-loss" else None,
        periods={start: each.mean().evergreen for start, each in sorted(result.tallies.items())},
        promotions=sum(decision.type == "promoted" for decision in result.decisions),
        alarms={kind: len(days) for kind, days in alarm_days(result.reports).items() if days},
        days_to_recover=_median(recoveries(result)),
        requests=result.requests,
        dead_letters=result.dead_letters,
        seconds=result.seconds,
    )


def refused(result: Result) -> list[Turned]:
    """Return the candidates that a gate, a comparison or a person rejected, oldest first."""
    back = {turned.version for turned in rolled_back(result)}
    return [
        _turned(result, event.detail.get("version"), time=event.time, reason=event.detail["reason"])
        for event in result.events
        if event.type == "Candidate Rejected" and event.detail.get("version") not in back
    ]


def rolled_back(result: Result) -> list[Turned]:
    """Return the versions that had begun to answer and were taken out again, oldest first."""
    back = {story.version for story in stories(result.decisions) if story.how == "rolled back"}
    return [
        _turned(result, version, time=made.time, reason=made.reason, figures=made.figures)
        for made in result.decisions
        for version, status in made.moves.items()
        if status == "rejected" and version in back
    ]


def _turned(result: Result, version: str | None, **said: Any) -> Turned:
    injected = result.injected_names.get(version)
    return Turned(level=result.level, version=version, injected=injected, **said)


def recoveries(result: Result) -> list[Recovery]:
    """Return the episodes of a level: from the first alarm to the change of champion that ended it.

    An episode begins with the first Drift Detected or Performance Degraded while none is open, and
    takes the kind of that alarm. It ends when another version becomes champion.
    """
    found: list[Recovery] = []
    for event in result.events:
        open_one = found[-1] if found and found[-1].promoted is None else None
        if event.type in ALARMS and open_one is None:
            kind = ALARMS[event.type]
            found.append(Recovery(level=result.level, kind=kind, alarm=event.time))
        if event.type in ("Model Promoted", "Model Rolled Back") and open_one:
            open_one.promoted = event.time
    return found


def _median(episodes: Iterable[Recovery]) -> float | None:
    days = [episode.days for episode in episodes if episode.days is not None]
    return round(median(days), 2) if days else None


def held_back(result: Result) -> list[str]:
    """Say what could not act: checks of too few rows, and trainings that were skipped."""
    lines, reports = [], result.reports
    rows = int(median(report.rows for report in reports)) if reports else MIN_ROWS
    if rows < MIN_ROWS:
        enough = (report for report in reports if report.status != "insufficient data")
        judged, days = ({report.end.date() for report in some} for some in (enough, reports))
        lines.append(
            f"Drift was judged on {len(judged)} of {len(days)} days: a window of "
            f"{(reports[0].end - reports[0].start).days} days has about {rows} rows, and "
            f"{MIN_ROWS} are needed; raise policy.drift_window_days."
        )
    found = [each.detail["reason"] for each in result.events if each.type == "Training Skipped"]
    alike = r"\d{8}T\d{6}Z-[0-9a-f]{8}|[\d.,:]+"  # but for versions and numbers
    kinds = [re.sub(alike, "", reason) for reason in found]
    last = dict(zip(kinds, found, strict=True))
    parts = [f"{number:,}, {last[kind]}" for kind, number in Counter(kinds).most_common(3)]
    if parts:
        lines.append(f"Trainings skipped ({len(found):,}): {'; '.join(parts)}.")
    return lines


def alarm_days(reports: Sequence[CheckReport]) -> dict[str, list[date]]:
    """Return the days on which alarms went on, by kind."""
    days: dict[str, list[date]] = {"drift": [], "schema": [], "performance": []}
    for report in reports:
        for alarm in report.alarms:
            days[alarm.kind].append(report.end.date())
    return days
