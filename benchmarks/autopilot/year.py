"""A year under a policy: the real `decide`, on what real versions lose."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.autopilot.histories import LABELS_AFTER
from benchmarks.autopilot.versions import HOLDOUT_DAYS, Matrix
from evergreen.contract.endpoint import Policy
from evergreen.contract.problem import Floats, Problem
from evergreen.monitoring.recalibrate import learn
from evergreen.registry import transitions
from evergreen.registry.recalibration import tally
from evergreen.registry.state import Document, Type
from evergreen.registry.transitions import Change
from evergreen.rollout.decide import AUTOPILOT, decide
from evergreen.rollout.evidence import Evidence, Guard, PairedDay, Waiting
from evergreen.training import gates

TICKS = (5, 17)  # hours, UTC, at which the rollout looks: twice a day
START = datetime(2013, 1, 1, tzinfo=UTC)
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

    raw, recalibrated: mean loss of each version on each day, shape (versions, days). loss: which of
    them is served, and compared.
    """

    def __init__(self, matrix: Matrix) -> None:
        self.versions, self._matrix = matrix.versions, matrix
        self.first, days = matrix.history.first, int(matrix.history.day[-1]) + 1
        self.dates = [(START + timedelta(days=day)).date() for day in range(days)]
        self.rows = np.bincount(matrix.history.day, minlength=days)
        self.index: dict[int, list[int]] = {}
        for place, version in enumerate(self.versions):
            self.index.setdefault(version.made, []).append(place)
        self.raw, self.recalibrated = self._losses()
        self.loss = self.recalibrated
        self._lowest: dict[tuple[int, int, bool], float] = {}

    def by_row(self, versions: Sequence[int], first: int, end: int) -> Floats:
        """Return what versions lose, as they score, on the rows of some days."""
        past = self._matrix.history
        rows = slice(*np.searchsorted(past.day, [first, end]))
        scores = self._matrix.scores[versions, rows].astype(np.float64)
        return np.array([Problem().losses(past.label[rows], each) for each in scores])

    def _losses(self) -> tuple[Floats, Floats]:
        past, count = self._matrix.history, len(self.rows)
        raw = np.full((len(self.versions), count), np.nan)
        served, starts = raw.copy(), np.searchsorted(past.day, np.arange(count + 1))
        for place, version in enumerate(self.versions):
            days, scores = range(version.until, count), self._matrix.scores[place]
            lost = self.by_row([place], days.start, count)[0]
            sums = np.bincount(past.day[starts[days.start] :] - days.start, weights=lost)
            raw[place, days] = sums / self.rows[days]
            parts = [slice(*starts[day : day + 2]) for day in days]
            tallies = [
                tally(self.dates[day], scores[part].astype(np.float64), past.label[part])
                for day, part in zip(days, parts, strict=True)
            ]
            learnt = learn(tallies, LABELS_AFTER)
            served[place, days] = raw[place, days] + learnt.served - learnt.raw
        return raw, served

    def mean(self, served: Floats) -> float:
        """Return the mean loss of all rows from the first morning on."""
        return float(np.average(served[self.first :], weights=self.rows[self.first :]))

    def chosen(self, made: int, champion: int, margin: float) -> int:
        """Return the version that a training makes, as `holdout.best_first` chooses it.

        What recipes were worth before the holdout is told by their versions of the morning before.
        """
        first, recipe = self.index[made][0], self.versions[champion].recipe
        pair = [self._of(recipe, made, first), first]
        over, _ = self._improvement(*pair)
        earlier = max(day for day in self.index if day < made)
        before = [self._of(self.versions[each].recipe, earlier, each) for each in pair]
        _, was = self._improvement(*before)
        return first if over > margin and was > margin else pair[0]

    def _of(self, recipe: str, made: int, other: int) -> int:
        """Return the version of a recipe that was made on a morning, or another without one."""
        same = [each for each in self.index[made] if self.versions[each].recipe == recipe]
        return same[0] if same else other

    def _improvement(self, own: int, other: int) -> tuple[float, float]:
        """Return how much better a version is than another on its holdout, at least and in mean."""
        span = self.versions[other].until, self.versions[other].until + HOLDOUT_DAYS
        days = np.repeat(np.arange(*span), self.rows[slice(*span)]).astype("datetime64[D]")
        theirs, ours = self.by_row([own, other], *span)
        over = gates.improvement(theirs, ours, days, 0)
        return over.lower, over.mean

    def passes(self, candidate: int, champion: int, margin: float) -> bool:
        """Say whether the gate of a training opens, on the newest days that neither has fitted."""
        key = candidate, champion, self.loss is self.raw
        if key not in self._lowest:
            one, other = self.versions[candidate], self.versions[champion]
            days = np.arange(max(one.until, other.until), one.made - LABELS_AFTER + 1)
            if not len(days):
                return False  # the first labels that neither has fitted are still to come
            rows = self.rows[days]
            theirs, own = (np.repeat(self.loss[each, days], rows) for each in (champion, candidate))
            found = gates.improvement(theirs, own, np.repeat(days, rows).astype("datetime64[D]"), 0)
            self._lowest[key] = found.lower
        return self._lowest[key] >= -margin

    def paired(self, other: int, serving: int, first: int, today: int) -> list[PairedDay]:
        """Return the days from `first` whose labels are there today."""
        days = slice(first, max(first, today - LABELS_AFTER + 1))
        gains = (self.loss[serving, days] - self.loss[other, days]).tolist()
        found = zip(self.dates[days], self.rows[days].tolist(), gains, strict=True)
        return [PairedDay(day=day, rows=rows, gain=gain) for day, rows, gain in found]

    def later_gain(self, loss: Floats, other: int, serving: int, first: int) -> float:
        """Return by how much another version is better per row, in the days that follow."""
        span = slice(first, first + FOLLOWING)
        return float(np.average((loss[serving] - loss[other])[span], weights=self.rows[span]))

    def wrong(self, course: Course) -> int:
        """Return how many promotions were worse than the champion before, in the days after."""
        champion, found = 0, 0
        for day, kind, version in course.events:
            if kind == "promoted":
                found += self.later_gain(self.loss, version, champion, day) < 0
            champion = version if kind in ("promoted", "rolled back") else champion
        return found


def frozen(replay: Replay) -> Course:
    """Levels 1 and 2: the first model answers all year."""
    return Course(replay.loss[0].copy())


def approved(replay: Replay, margin: float, delay: int) -> Course:
    """Level 3: what passes the gate is promoted `delay` days later, by a person."""
    champion, course = 0, frozen(replay)
    for day in sorted(replay.index)[1:]:
        candidate = replay.chosen(day, champion, margin)
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
    course = Course(np.zeros(len(replay.rows)))
    start = Change(type="promoted", version="0", by="bench", reason="first")
    document = transitions.first("replayed", start, START + timedelta(days=replay.first))
    for day in range(replay.first, len(replay.rows)):
        for hour in TICKS:
            evidence = _evidence(replay, document, day, hour)
            changed = decide(document, evidence, policy, AUTOPILOT)
            if changed is None and hour == TICKS[0] and day in replay.index:
                changed = _trained(replay, document, day, policy.margin)
            if changed:
                document = transitions.apply(document, changed, evidence.at, document.generation)
                course.events.append((day, changed.type, int(changed.version)))
            own = replay.loss[int(document.champion), day]
            others = [
                share * (replay.loss[int(v), day] - own) for v, share in document.arms.items()
            ]
            course.served[day] += (own + sum(others)) / len(TICKS)
    return course


def _trained(replay: Replay, document: Document, made: int, margin: float) -> Change | None:
    """Enter the version of a morning as candidate, if its gate opens and no other is in flight."""
    if document.candidate or document.challenger or made == replay.first:
        return None
    champion = int(document.champion)
    candidate = replay.chosen(made, champion, margin)
    passed = replay.passes(candidate, champion, margin)
    kind: Type = "candidate entered" if passed else "candidate refused"
    return Change(type=kind, version=str(candidate), by="train", reason="gate")


def _evidence(replay: Replay, document: Document, day: int, hour: int) -> Evidence:
    champion, challenger = int(document.champion), document.challenger
    candidate = document.candidate
    paired, watched, refreshed = [], [], False
    if challenger:
        other = replay.versions[int(challenger.version)]
        first = other.made - LABELS_AFTER + 1
        paired = replay.paired(int(challenger.version), champion, first, day)
        refreshed = other.recipe == replay.versions[champion].recipe
    if document.previous:
        since = (document.since - START).days - LABELS_AFTER + 1  # those not decided on
        watched = replay.paired(int(document.previous), champion, since, day)
    return Evidence(
        at=START + timedelta(days=day, hours=hour),
        waiting=Waiting(version=candidate, compared_with=document.champion) if candidate else None,
        paired=paired,
        refreshed=refreshed,
        watched=watched,
        canary=Guard(requests=10_000, rows=10_000),
    )
