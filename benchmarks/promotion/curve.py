"""What caution costs on the real flights, and what it saves: the year under many policies."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

import endpoints.flight_delay as flight_delay
from benchmarks.promotion.flights import FIRST
from benchmarks.promotion.year import Course, Replay, autopilot, direct, frozen, oracle
from evergreen.contract.endpoint import Policy

SCHEDULES = {"every four weeks": 28, "every two weeks": 14, "weekly": 7}
OURS = "level 4: the policy"
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
        f"{field} = {value}": partial(_with, replay, _changed(POLICY, field, value))
        for field, values in GRID.items()
        for value in values
    }
    for schedule in SCHEDULES:
        begun = mornings(replay, schedule)[:starts]
        for name, year in ways.items():
            yield _point(replay, name, schedule, [year(days) for days in begun])


def _with(replay: Replay, policy: Policy, days: Collection[int]) -> Course:
    return autopilot(replay, days, policy)


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
