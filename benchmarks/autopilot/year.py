"""A year under a policy: the real `decide`, on what real versions lose."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from benchmarks.autopilot.histories import LABELS_AFTER
from benchmarks.autopilot.versions import Matrix
from evergreen.contract.endpoint import Policy
from evergreen.contract.problem import Problem
from evergreen.monitoring.recalibrate import learn
from evergreen.registry import transitions
from evergreen.registry.recalibration import tally
from evergreen.registry.state import Document, Type
from evergreen.registry.transitions import Change
from evergreen.rollout.decide import AUTOPILOT, decide
from evergreen.rollout.evidence import Evidence, Guard, PairedDay, Waiting
from evergreen.training import gates

Floats = npt.NDArray[np.float64]

TICKS = (5, 17)  # hours, UTC, at which the rollout looks: twice a day
NAME = "replayed"
ORIGIN = date(2013, 1, 1)
FOLLOWING = 60  # days on which a promotion is judged afterwards


@dataclass
class Course:
    """What became of a year. served: the loss of each day, shape (days,); one change per line."""

    served: Floats
    events: list[tuple[int, str, int]] = field(default_factory=list)

    def count(self, *kinds: str) -> int:
        """Return how many changes were of these kinds."""
        return sum(found in kinds for _, found, _ in self.events)


class Replay:
    """The versions of a year, prepared for many policies.

    raw, recalibrated: mean loss of each version on each day, shape (versions, days). recalibrate:
    which of them is served, and compared.
    """

    def __init__(self, matrix: Matrix, lag: int = LABELS_AFTER) -> None:
        self.versions, self.lag, self.recalibrate = matrix.versions, lag, True
        self._matrix = matrix
        self.first, days = matrix.history.first, matrix.history.days
        self.dates = [ORIGIN + timedelta(days=day) for day in range(days)]
        self.rows = np.bincount(matrix.history.day, minlength=days)
        self.index = {version.made: place for place, version in enumerate(self.versions)}
        self.raw, self.recalibrated = self._losses()
        self._gates: dict[tuple[int, int, bool], gates.Improvement] = {}

    def by_row(self, versions: Sequence[int], first: int, end: int) -> Floats:
        """Return what versions lose, as they score, on the rows of some days."""
        past = self._matrix.history
        rows = slice(*np.searchsorted(past.day, [first, end]))
        scores = self._matrix.scores[versions, rows].astype(np.float64)
        return np.array([Problem().losses(past.label[rows], each) for each in scores])

    def _losses(self) -> tuple[Floats, Floats]:
        past = self._matrix.history
        raw = np.full((len(self.versions), len(self.rows)), np.nan)
        served = raw.copy()
        starts = np.searchsorted(past.day, np.arange(len(self.rows) + 1))
        for place, version in enumerate(self.versions):
            days = range(version.until, len(self.rows))
            lost = self.by_row([place], days.start, days.stop)[0]
            sums = np.bincount(past.day[starts[days.start] :] - days.start, weights=lost)
            raw[place, days] = sums / self.rows[days]
            scores = self._matrix.scores[place].astype(np.float64)
            learnt = learn(
                [
                    tally(self.dates[day], scores[part], past.label[part])
                    for day, part in zip(
                        days, (slice(*starts[day : day + 2]) for day in days), strict=True
                    )
                ],
                self.lag,
            )
            served[place, days] = raw[place, days] + learnt.served - learnt.raw
        return raw, served

    @property
    def loss(self) -> Floats:
        """Return what each version loses as it is served, shape (versions, days)."""
        return self.recalibrated if self.recalibrate else self.raw

    def mean(self, served: Floats) -> float:
        """Return the mean loss of all rows from the first morning on."""
        weights = self.rows[self.first :]
        return float((served[self.first :] * weights).sum() / weights.sum())

    def passes(self, candidate: int, champion: int, margin: float) -> bool:
        """Say whether the gate of a training opens, on the newest days that neither has fitted."""
        key = candidate, champion, self.recalibrate
        if key not in self._gates:
            one, other = self.versions[candidate], self.versions[champion]
            days = np.arange(max(one.until, other.until), one.made - self.lag + 1)
            if not len(days):
                return False  # the first labels that neither has fitted are still to come
            rows = self.rows[days]
            theirs, own = (np.repeat(self.loss[each, days], rows) for each in (champion, candidate))
            found = gates.improvement(theirs, own, np.repeat(days, rows).astype("datetime64[D]"), 0)
            self._gates[key] = found
        return self._gates[key].lower >= -margin

    def paired(self, other: int, serving: int, first: int, today: int) -> list[PairedDay]:
        """Return the days from `first` whose labels are there today."""
        days = slice(first, max(first, today - self.lag + 1))
        gains = (self.loss[serving, days] - self.loss[other, days]).tolist()
        found = zip(self.dates[days], self.rows[days].tolist(), gains, strict=True)
        return [PairedDay(day=day, rows=rows, gain=gain) for day, rows, gain in found]

    def later_gain(self, other: int, serving: int, first: int, days: int = FOLLOWING) -> float:
        """Return by how much another version is better per row, over so many days from one on."""
        span = slice(first, first + days)
        gains = (self.loss[serving] - self.loss[other])[span]
        return float((gains * self.rows[span]).sum() / self.rows[span].sum())


def at(day: int, hour: int) -> datetime:
    """Return a moment of the year."""
    return datetime(ORIGIN.year, ORIGIN.month, ORIGIN.day, hour, tzinfo=UTC) + timedelta(days=day)


def frozen(replay: Replay) -> Course:
    """Levels 1 and 2: the first model answers all year."""
    return Course(replay.loss[0].copy())


def approved(replay: Replay, margin: float, delay: int) -> Course:
    """Level 3: what passes the gate is promoted `delay` days later, by a person."""
    champion, course = 0, frozen(replay)
    for day, candidate in sorted(replay.index.items())[1:]:
        if replay.passes(candidate, champion, margin):
            champion = candidate
            course.served[day + delay :] = replay.loss[candidate, day + delay :]
            course.events.append((day + delay, "promoted", candidate))
        else:
            course.events.append((day, "candidate refused", candidate))
    return course


def hindsight(replay: Replay) -> Course:
    """Return what it would be to know, each day, which of the versions at hand is the best."""
    made = np.array([version.made for version in replay.versions])
    days = np.arange(len(replay.rows))
    known = np.where(made[:, None] <= days, replay.loss, np.inf)
    return Course(np.where(days < replay.first, np.nan, known.min(axis=0)))


def autopilot(replay: Replay, policy: Policy) -> Course:
    """Level 4, as the rollout goes about it; a training waits until no other version is tried."""
    course = Course(np.full(len(replay.rows), np.nan))
    start = Change(type="promoted", version="0", by="bench", reason="first")
    document = transitions.first(NAME, start, at(replay.first, 0))
    for day in range(replay.first, len(replay.rows)):
        served = 0.0
        for hour in TICKS:
            evidence = _evidence(replay, document, day, hour)
            changed = decide(document, evidence, policy, AUTOPILOT)
            if changed is None and hour == TICKS[0] and day in replay.index:
                changed = _trained(replay, document, replay.index[day], policy.margin)
            if changed:
                document = transitions.apply(document, changed, evidence.at, document.generation)
                course.events.append((day, changed.type, int(changed.version)))
            served += _served(replay, document, day) / len(TICKS)
        course.served[day] = served
    return course


def _trained(replay: Replay, document: Document, candidate: int, margin: float) -> Change | None:
    """Enter the version of a morning as candidate, if its gate opens and no other is in flight."""
    if document.candidate or document.challenger or not candidate:
        return None
    passed = replay.passes(candidate, int(document.champion), margin)
    kind: Type = "candidate entered" if passed else "candidate refused"
    return Change(type=kind, version=str(candidate), by="train", reason="gate")


def _served(replay: Replay, document: Document, day: int) -> float:
    own = float(replay.loss[int(document.champion), day])
    others = {share: float(replay.loss[int(v), day]) for v, share in document.arms.items()}
    return own + sum(share * (loss - own) for share, loss in others.items())


def _evidence(replay: Replay, document: Document, day: int, hour: int) -> Evidence:
    champion, challenger = int(document.champion), document.challenger
    paired, watched, refreshed = [], [], False
    candidate = document.candidate
    waiting = Waiting(version=candidate, compared_with=document.champion) if candidate else None
    if challenger:
        other = int(challenger.version)
        first = replay.versions[other].made - replay.lag + 1
        paired = replay.paired(other, champion, first, day)
        refreshed = replay.versions[other].recipe == replay.versions[champion].recipe
    if document.previous:
        since = (document.since - at(0, 0)).days - replay.lag + 1  # those not decided on
        watched = replay.paired(int(document.previous), champion, since, day)
    return Evidence(
        at=at(day, hour),
        waiting=waiting,
        paired=paired,
        refreshed=refreshed,
        watched=watched,
        canary=Guard(requests=10_000, rows=10_000),
    )


def wrong(replay: Replay, course: Course) -> int:
    """Return how many promotions were worse than the champion before, in the days that followed."""
    champion, found = 0, 0
    for day, kind, version in course.events:
        if kind == "promoted":
            found += replay.later_gain(version, champion, day) < 0
        champion = version if kind in ("promoted", "rolled back") else champion
    return found
