"""Replay whole years on several data sets, at every level, from five starting days each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks import shown
from benchmarks.autopilot.histories import HISTORIES
from benchmarks.autopilot.versions import matrix
from benchmarks.autopilot.year import Course, Replay, approved, autopilot, frozen, hindsight, wrong
from benchmarks.installed import BUILD
from benchmarks.shown import SAME, Goal, Page, Part, conditions, told
from evergreen.contract.endpoint import Policy
from local.template import ROOT

PAGE = Page("make bench-autopilot", ROOT / "docs" / "promotion.md", 150, BUILD / "autopilot.json")
LIMIT_SECONDS = 3 * 3600  # on an idle machine the fits take half an hour
SEEDS = 5
CHOSEN_ON = ("rainfall", "accidents")  # the settings; the others only report
STEADY = ("loans", "work")  # no newer version is better there, so that there is nothing to gain
POLICY = Policy()
LEVELS: dict[str, Callable[[Replay], Course]] = {
    "1, 2: frozen": frozen,
    "3: approved a day later": lambda replay: approved(replay, POLICY.margin, 1),
    "3: approved a week later": lambda replay: approved(replay, POLICY.margin, 7),
    "4: autopilot": lambda replay: autopilot(replay, POLICY),
    **{
        f"4: {promotion}": lambda replay, rule=promotion: autopilot(  # type: ignore[misc]
            replay, replace(POLICY, promotion=rule)
        )
        for promotion in ("superior", "not worse", "expected regret")
        if promotion != POLICY.promotion
    },
    "the best version of each day": hindsight,
}
FROZEN, DAY_LATER, WEEK_LATER, OURS = list(LEVELS)[:4]
LEAST_DAYS = 60  # of a stream of scores that recalibration is judged on


@dataclass(frozen=True)
class Line:
    """Years at one level: the loss of each seed, and what was decided in them, on average.

    promoted, wrong, back, stopped: promotions, those worse over the next 60 days than the version
    before, rollbacks, and candidates refused or rejected.
    """

    losses: list[float]
    promoted: float
    wrong: float
    back: float
    stopped: float

    @property
    def mean(self) -> float:
        """Return the mean of the seeds."""
        return float(np.mean(self.losses))

    def said(self) -> list[str]:
        """Return the cells of a table."""
        decided = f"{self.promoted:.1f} ({self.wrong:.1f}) / {self.back:.1f} / {self.stopped:.1f}"
        return [f"{self.mean:.4f} ({max(self.losses):.4f})", decided]


def main() -> None:
    """Measure everything, and write it down."""
    quick = PAGE.parser("benchmarks.autopilot", __doc__).parse_args().quick
    found, spent = shown.limited(LIMIT_SECONDS, lambda: bench(quick=quick))
    PAGE.write_parts(found, conditions(spent, after=SAME), whole=not quick)


def bench(*, quick: bool) -> list[Part]:
    """Replay the years of each data set; quick: of two, one row in ten, and one seed."""
    names = ("flights", "rainfall") if quick else tuple(HISTORIES)
    return [told(name, lambda name=name: years(name, quick=quick)) for name in names]  # type: ignore[misc]


def years(name: str, *, quick: bool) -> Part:
    """Return what became of the years of one data set."""
    thinned = {"flights": 20}.get(name, 1) if quick else 1
    replays = [
        Replay(matrix(name, seed, thinned, kept=not quick)) for seed in range(1 if quick else SEEDS)
    ]
    return part(name, replays)


def part(name: str, replays: Sequence[Replay]) -> Part:
    """Return a table of all levels, served raw and recalibrated, and what was to be reached."""
    raw = {level: line(replays, year, recalibrate=False) for level, year in LEVELS.items()}
    own = {level: line(replays, year, recalibrate=True) for level, year in LEVELS.items()}
    rows = [[level, *raw[level].said(), *own[level].said()] for level in LEVELS]
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


def line(replays: Sequence[Replay], year: Callable[[Replay], Course], *, recalibrate: bool) -> Line:
    """Replay the years of all seeds at one level."""
    losses, counts = [], []
    for replay in replays:
        replay.recalibrate = recalibrate
        course = year(replay)
        stopped = course.count("challenger rejected", "candidate refused")
        found = [
            course.count("promoted"),
            wrong(replay, course),
            course.count("rolled back"),
            stopped,
        ]
        scale = 365 / (len(replay.rows) - replay.first)
        losses.append(replay.mean(course.served))
        counts.append([scale * count for count in found])
    return Line(losses, *np.mean(counts, axis=0).tolist())


def gained(replay: Replay) -> list[float]:
    """Return what recalibration gains per row for each version, from its making to the end."""
    found = []
    for place, version in enumerate(replay.versions):
        days = slice(version.made, None)
        if len(replay.rows) - version.made >= LEAST_DAYS:
            gain = (replay.raw - replay.recalibrated)[place, days]
            found.append(float(np.average(gain, weights=replay.rows[days])))
    return found


def goals(name: str, own: dict[str, Line], least: float) -> list[Goal]:
    """Return what was to be reached on a data set."""
    ours, day, week = own[OURS].mean, own[DAY_LATER].mean, own[WEEK_LATER].mean
    worst, better = max(own[OURS].losses), own[FROZEN].mean - ours
    more = 0.002 if name == "flights" else 0.005
    found = [
        (f"{name}: level 4 over level 3", f"{ours - day:+.4f}", f"≤ {more}", ours - day <= more),
        (f"{name}: least that recalibration gains", f"{least:+.4f}", "≥ -0.0005", least >= -0.0005),
    ]
    if name == "flights":
        found += [
            (f"{name}: level 4, mean", f"{ours:.4f}", "≤ 0.497", ours <= 0.497),
            (f"{name}: level 4, worst", f"{worst:.4f}", "≤ 0.502", worst <= 0.502),
            (f"{name}: level 4 over a week's wait", f"{ours - week:+.4f}", "< 0", ours < week),
        ]
    elif name not in STEADY:
        text = f"{name}: level 4 under the frozen model"
        found.append((text, f"{better:.4f}", "≥ 0.01", better >= 0.01))
    return [Goal(*each) for each in found]


if __name__ == "__main__":
    main()
