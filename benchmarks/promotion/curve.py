"""What caution costs on the real flights, and what it saves: the year under many policies."""

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import endpoints.flight_delay as flight_delay
from benchmarks.promotion.flights import FIRST
from benchmarks.promotion.year import Course, Replay, autopilot, direct, frozen, oracle
from benchmarks.shown import Goal, Part
from evergreen.contract.endpoint import Policy

SCHEDULES = {"every four weeks": 28, "every two weeks": 14, "weekly": 7}
OURS = "level 4: the policy"
RATIO = 0.92  # of level 4's log-loss over level 1's
FOLLOWING = 60  # days on which a promotion is judged afterwards
POLICY = flight_delay.endpoint.policy
GRID: dict[str, tuple[Any, ...]] = {
    "shadow_days": (3, 5, 7, 10, 14, 21, 30),
    "max_shadow_days": (14, 21, 30, 45),
    "alpha": (0.01, 0.05, 0.1, 0.2),
    "margin": (0.0, 0.002, 0.005, 0.01, 0.02),
    "promotion": ("superior", "not worse"),
    "canary_days": (0.5, 1.0, 2.0),
}
DRAWN = ("shadow_days", "max_shadow_days", "alpha", "margin")


@dataclass(frozen=True)
class Point:
    """Years under one way of deciding, from several starting points of a schedule.

    ratio: the mean of their log-loss from February on, over that of the frozen model; best and
    worst: of the starting points. promoted, back, rejected: a year. worse: promotions a year that
    were worse than the previous champion over the following 60 days.
    """

    name: str
    schedule: str
    years: int
    ratio: float
    best: float
    worst: float
    promoted: float
    back: float
    rejected: float
    worse: float

    def loss(self) -> str:
        """Return the ratio, with the best and the worst where these are others."""
        if self.worst - self.best < 1e-9:
            return f"{self.ratio:.3f}"
        return f"{self.ratio:.3f} ({self.best:.3f} to {self.worst:.3f})"

    def decided(self) -> str:
        """Return what was decided in a year."""
        return f"{self.promoted:.1f} ({self.worse:.1f}) / {self.back:.1f} / {self.rejected:.1f}"


def part(points: Sequence[Point]) -> Part:
    """Return the years as tables and as a picture."""
    names = list(dict.fromkeys(point.name for point in points))
    by_place = {(point.name, point.schedule): point for point in points}
    lines = {name: [by_place[name, schedule] for schedule in SCHEDULES] for name in names}
    ours = lines[OURS]
    policy = ", ".join(f"{name} {getattr(POLICY, name)}" for name in GRID)
    remark = (
        "February to December, by how often a training starts unless a version is in flight. The "
        f"policy is {policy}; each other line changes one of these. Means over "
        f"{', '.join(str(point.years) for point in ours)} starting points, and "
        "the best and the worst of them."
    )
    decided = (
        "A year, on average: promoted (of these, worse than the previous champion over the next 60 "
        "days) / rolled back / refused or rejected."
    )
    heads = ["", *SCHEDULES]
    losses = [[name, *(point.loss() for point in line)] for name, line in lines.items()]
    changes = [[name, *(point.decided() for point in line)] for name, line in lines.items()]
    goals = [
        Goal(
            f"log-loss of level 4 over level 1, trained {point.schedule}",
            f"{point.ratio:.3f}",
            "≤ 0.92",
            point.ratio <= RATIO,
        )
        for point in ours
    ]
    tables = [
        ("The year's log-loss over that of level 1", remark, heads, losses),
        ("What was decided in these years", decided, heads, changes),
    ]
    return Part(tables, goals, picture(lines))


def picture(lines: dict[str, list[Point]]) -> bytes:
    """Return four panels as PNG, 1600 pixels wide: one for each part of caution."""
    drawn = Figure(figsize=(16, 6), layout="constrained")
    for axes, field in zip(drawn.subplots(1, len(DRAWN), sharey=True), DRAWN, strict=True):
        places = list(map(str, GRID[field]))
        for number, schedule in enumerate(SCHEDULES):
            line = [lines[f"{field} = {value}"][number] for value in places]
            axes.plot(places, [point.ratio for point in line], "-o", label=schedule)
            axes.vlines(places, [p.best for p in line], [p.worst for p in line], alpha=0.5)
        axes.axhline(RATIO, linestyle="--", label="the goal")
        axes.set(xlabel=field, ylabel="log-loss over the frozen model's")
    axes.legend(title="level 4, trained")
    file = io.BytesIO()
    drawn.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()


def points(replay: Replay, starts: int) -> Iterator[Point]:
    """Yield the extremes on each schedule, and every policy that differs from ours in one thing.

    starts: how many of the starting points of a schedule at most.
    """
    extremes: dict[str, Callable[[Collection[int]], Course]] = {
        "level 1: frozen": lambda _: frozen(replay),
        "level 3: approved at once": lambda days: direct(replay, days, POLICY.margin, 0),
        "level 3: approved a day later": lambda days: direct(replay, days, POLICY.margin, 1),
        OURS: lambda days: autopilot(replay, days, POLICY),
        "the best of the models, each day": lambda days: oracle(replay, days),
    }
    ways = extremes | {
        f"{field} = {value}": partial(autopilot, replay, policy=_changed(POLICY, field, value))
        for field, values in GRID.items()
        for value in values
    }
    for schedule in SCHEDULES:
        begun = mornings(replay, schedule)[:starts]
        for name, year in ways.items():
            yield _point(replay, name, schedule, [year(days) for days in begun])


def _changed(policy: Policy, field: str, value: Any) -> Policy:
    changed = replace(policy, **{field: value})
    days = changed.shadow_days
    if field == "max_shadow_days":
        return replace(changed, shadow_days=min(days, value))
    return replace(changed, max_shadow_days=max(days, changed.max_shadow_days))


def mornings(replay: Replay, schedule: str) -> list[list[int]]:
    """Return the days of training of each starting point of a schedule."""
    period = SCHEDULES[schedule]
    days = [day for day in replay.index if day > FIRST]
    starts = [day - FIRST for day in replay.index if day - FIRST < period]
    return [[day for day in days if (day - FIRST - start) % period == 0] for start in starts]


def _point(replay: Replay, name: str, schedule: str, courses: list[Course]) -> Point:
    base = replay.mean(frozen(replay).served)
    ratios = [replay.mean(course.served) / base for course in courses]

    def a_year(count: Callable[[Course], int]) -> float:
        return float(np.mean([count(course) for course in courses]))

    return Point(
        name,
        schedule,
        len(courses),
        float(np.mean(ratios)),
        min(ratios),
        max(ratios),
        a_year(lambda course: course.count("promoted")),
        a_year(lambda course: course.count("rolled back")),
        a_year(lambda course: course.count("challenger rejected", "candidate refused")),
        a_year(lambda course: _worse(replay, course)),
    )


def _worse(replay: Replay, course: Course) -> int:
    champion, found = replay.index[FIRST], 0
    for day, kind, version in course.events:
        if kind == "promoted":
            found += replay.later_gain(version, champion, day, FOLLOWING) < 0
        champion = version if kind in ("promoted", "rolled back") else champion
    return found
