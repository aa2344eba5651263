"""Replays that never ran: what levels of the demo left behind, for tests of its report."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from evergreen.monitoring.report import CheckReport
from evergreen.registry.state import Decision, Document, Type
from evergreen.registry.transitions import Change, apply, first
from local.demo.flights.life import DATA
from local.demo.levels import Options
from local.demo.life import About
from local.demo.result import Event, Injected, Result, Tally
from local.demo.summary import Summary, merge
from tests.support import checks, given

BAD = "a service that drifts away"
SECTIONS = [
    "Log-loss by month",
    "What each level is worth",
    "The months in numbers",
    "Versions",
    "Rolled back and refused",
    "From drift to recovery",
    "Decisions at level 4, autopilot",
    "Drift by feature",
    "All events",
    "What this is, and what it is not",
]
ABOUT = About(
    metric="log-loss", unit="month", base="the late rate of some days", data=DATA, noun="flights"
)
FIRST, SECOND, THIRD = given.version(1), given.version(14), given.version(20)
KINDS = {FIRST: "logistic-regression", SECOND: "hist-gradient-boosting", THIRD: "a-third-kind"}
ROLLED_BACK = "the champion before would have been better by 0.5"


def day(number: int) -> datetime:
    return datetime(2013, 2, 1, 5, tzinfo=UTC) + timedelta(days=number - 1)


def event(number: int, kind: str, **detail: Any) -> Event:
    return Event(day(number), kind, {"endpoint": given.NAME, "trigger": "drift", **detail})


def promoted(number: int, version: str, previous: str | None) -> Event:
    reason = "log-loss 0.5 beats the constant's 0.6"
    return event(number, "Model Promoted", version=version, previous=previous, reason=reason)


def drifted(number: int, kind: str = "Drift Detected") -> Event:
    return event(number, kind, features=["temp"], since=day(number).isoformat())


def rejected(number: int, reason: str = "too close", version: str = THIRD) -> Event:
    return event(number, "Candidate Rejected", version=version, reason=reason, stage="training")


def history(*changes: tuple[int, Type, str, float]) -> list[Decision]:
    """Return the decisions after the first promotion: day, type, version, share."""
    document: Document | None = None
    made = []
    for number, kind, version, share in ((1, "promoted", FIRST, 0.0), *changes):
        change = Change(
            type=kind,
            version=version,
            by="rollout",
            reason=ROLLED_BACK if kind == "rolled back" else "for a reason",
            figures={"days": 14, "gain": 0.02, "lower": 0.001},
            share=share,
        )
        document = (
            apply(document, change, day(number), document.generation)
            if document
            else first(given.NAME, change, day(number))
        )
        made.append(document.last)
    return made


STORY = history(
    (5, "candidate entered", SECOND, 0.0),
    (5, "shadow started", SECOND, 0.0),
    (20, "canary started", SECOND, 0.05),
    (21, "canary widened", SECOND, 0.25),
    (24, "promoted", SECOND, 0.0),
    (26, "candidate refused", THIRD, 0.0),
    (30, "rolled back", FIRST, 0.0),
)


def result(
    level: int,
    *months: tuple[int, float, float],
    more: tuple[Event, ...] = (),
    reports: tuple[CheckReport, ...] = (),
) -> Result:
    """Return a replay; months: number, and log-loss of the first model and of the answers."""
    rows = 1234
    return Result(
        level=level,
        tallies={
            date(2013, month, 1): Tally(rows, frozen * rows, ours * rows, 0.55 * rows)
            for month, frozen, ours in months or ((2, 0.6, 0.5), (3, 0.6, 0.5))
        },
        events=[promoted(1, FIRST, None), *more],
        decisions=STORY if level == 4 else STORY[:1],
        injected=[Injected(BAD, day(5), SECOND)] if level == 4 else [],
        kinds=KINDS,
        reports=list(reports),
        requests={"sent": 3001, "answered": 3000, "errors": 1},
        captures={"written": 30_001, "distinct": 30_000},
        labels={"sent": 20_001, "joined": 20_000},
        dead_letters=0,
        peak_memory_mb=900,
        seconds=1.0,
    )


def both(*months: tuple[int, float, float], **more: Any) -> dict[int, Result]:
    """Return the first model left alone at level 1, and level 4 beside it."""
    alone = tuple((month, frozen, frozen) for month, frozen, _ in months)
    return {1: result(1, *alone or ((2, 0.6, 0.6), (3, 0.6, 0.6))), 4: result(4, *months, **more)}


def merged(results: dict[int, Result]) -> Summary:
    return merge(results, Options(endpoint=given.NAME, share=3), ABOUT, 2.0)


def check(number: int, *, alarm: bool = False, name: str = "temp") -> CheckReport:
    return checks.healthy(
        version=FIRST,
        start=day(number - 7),
        end=day(number),
        status="drifted" if alarm else "steady",
        features=[checks.feature(name, 2.5)],
        confirmed=["all together", "prediction", name] if alarm else [],
        alarms=[checks.alarm("drift", day(number), [name])] if alarm else [],
        trend=[],
    )


CHECKS = (check(9), check(10, alarm=True))
