"""Replay whole years on several data sets, at every level, from five starting days each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.autopilot.histories import HISTORIES
from benchmarks.autopilot.versions import matrix
from benchmarks.autopilot.year import Course, Replay, approved, autopilot, frozen, hindsight
from benchmarks.shown import Goal, Page, Part
from evergreen.contract.endpoint import Policy
from local.template import ROOT

# On an idle machine the fits take half an hour.
PAGE = Page("make bench-autopilot", ROOT / "docs" / "promotion.md", minutes=180)
SEEDS = 5
CHOSEN_ON = ("rainfall", "accidents")  # the settings; the others only report
STEADY = ("loans", "work")  # no newer version is better there, so that there is nothing to gain
POLICY = Policy()
FROZEN, DAY_LATER, WEEK_LATER, OURS = (
    "1, 2: frozen", "3: approved a day later", "3: approved a week later", "4: autopilot",
)  # fmt: skip
LEVELS: dict[str, Callable[[Replay], Course]] = {
    FROZEN: frozen,
    DAY_LATER: lambda replay: approved(replay, POLICY.margin, 1),
    WEEK_LATER: lambda replay: approved(replay, POLICY.margin, 7),
    OURS: lambda replay: autopilot(replay, POLICY),
    "4: superior": lambda replay: autopilot(replay, replace(POLICY, promotion="superior")),
    "4: expected regret": lambda replay: autopilot(
        replay, replace(POLICY, promotion="expected regret")
    ),
    "the best version of each day": hindsight,
}
LEAST_DAYS = 60  # of a stream of scores that recalibration is judged on


Line = tuple[float, float, str]  # of the years at one level: mean and worst loss, what was decided


def bench(quick: bool) -> Iterator[Part]:
    """Replay the years of each data set; quick: of two, one row in ten, and one seed."""
    for name in ("flights", "rainfall") if quick else HISTORIES:
        thinned = 20 if quick and name == "flights" else 1
        seeds = range(1 if quick else SEEDS)
        yield part(name, [Replay(matrix(name, seed, thinned, kept=not quick)) for seed in seeds])


def part(name: str, replays: Sequence[Replay]) -> Part:
    """Return a table of all levels, served raw and recalibrated, and what was to be reached."""
    raw, own = ({level: line(replays, year, recalibrated) for level, year in LEVELS.items()}
                for recalibrated in (False, True))  # fmt: skip
    rows = []
    for level in LEVELS:
        of_both = [(f"{a:.4f} ({b:.4f})", decided) for a, b, decided in (raw[level], own[level])]
        rows.append([level, *of_both[0], *of_both[1]])
    streams = np.concatenate([gained(replay) for replay in replays])
    days = len(replays[0].rows) - replays[0].first
    remark = (
        f"{days} days from {len(replays)} starting days, a training every two weeks: mean log-loss "
        "(the worst), and in a year promoted (of these, worse in the next 60 days than the version "
        f"before) / rolled back / refused or rejected. Recalibration gained {streams.mean():.4f} a "
        f"version, from {streams.min():.4f} to {streams.max():.4f}."
    )
    heads = ["level", "as the model scores", "decided", "recalibrated", "decided, recalibrated"]
    table = (f"{name}{', chosen on' if name in CHOSEN_ON else ''}", remark, heads, rows)
    return Part([table], goals(name, own, float(streams.min())))


def line(replays: Sequence[Replay], year: Callable[[Replay], Course], recalibrated: bool) -> Line:
    """Replay the years of all seeds at one level."""
    losses, counts = [], []
    for replay in replays:
        replay.loss = replay.recalibrated if recalibrated else replay.raw
        course = year(replay)
        stopped = course.count("challenger rejected", "candidate refused")
        decided = course.count("promoted"), replay.wrong(course), course.count("rolled back")
        losses.append(replay.mean(course.served))
        counts.append(np.array([*decided, stopped]) * 365 / (len(replay.rows) - replay.first))
    said = "{:.1f} ({:.1f}) / {:.1f} / {:.1f}".format(*np.mean(counts, axis=0))
    return float(np.mean(losses)), max(losses), said


def gained(replay: Replay) -> list[float]:
    """Return what recalibration gains per row for each version, from its making to the end."""
    gains, rows = replay.raw - replay.recalibrated, replay.rows
    return [
        float(np.average(gains[place, version.made :], weights=rows[version.made :]))
        for place, version in enumerate(replay.versions)
        if len(rows) - version.made >= LEAST_DAYS
    ]


def goals(name: str, own: dict[str, Line], least: float) -> list[Goal]:
    """Return what was to be reached on a data set."""
    (ours, worst, _), day, week = own[OURS], own[DAY_LATER][0], own[WEEK_LATER][0]
    better = own[FROZEN][0] - ours
    more = 0.002 if name == "flights" else 0.005
    found = [
        Goal("level 4 over level 3", f"{ours - day:+.4f}", f"≤ {more}", ours - day <= more),
        Goal("least that recalibration gains", f"{least:+.4f}", "≥ -0.0005", least >= -0.0005),
    ]
    if name == "flights":
        found += [
            Goal("level 4, mean", f"{ours:.4f}", "≤ 0.497", ours <= 0.497),
            Goal("level 4, worst", f"{worst:.4f}", "≤ 0.502", worst <= 0.502),
            Goal("level 4 over a week's wait", f"{ours - week:+.4f}", "< 0", ours < week),
        ]
    elif name not in STEADY:
        text = "level 4 under the frozen model"
        found.append(Goal(text, f"{better:.4f}", "≥ 0.01", better >= 0.01))
    return [goal._replace(text=f"{name}: {goal.text}") for goal in found]


if __name__ == "__main__":
    PAGE.run("benchmarks.autopilot", __doc__, bench)
