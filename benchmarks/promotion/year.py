"""A year of flights under a policy: the real `decide`, on the losses of real models."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np

from benchmarks.promotion.flights import DAYS, FIRST, LABELS_AFTER, Floats, Year
from evergreen.contract.endpoint import Policy
from evergreen.registry import transitions
from evergreen.registry.state import Document, Type
from evergreen.registry.transitions import Change
from evergreen.rollout.decide import AUTOPILOT, decide
from evergreen.rollout.evidence import Evidence, Guard, PairedDay, Waiting
from evergreen.training import gates
from local.samples.flights import YEAR

TICKS = (5, 17)  # hours, UTC, at which the rollout looks: twice a day
NAME = "flight-delay"


@dataclass
class Course:
    """What became of a year. served: the loss of each day, shape (days,); one change per line."""

    served: Floats
    events: list[tuple[int, str, int]] = field(default_factory=list)

    def count(self, *kinds: str) -> int:
        """Return how many changes were of these kinds."""
        return sum(found in kinds for _, found, _ in self.events)


class Replay:
    """The matrix of a year, prepared for many policies."""

    def __init__(self, year: Year) -> None:
        self.year = year
        self.rows = np.bincount(year.day, minlength=DAYS)  # flights of each day
        self.starts = np.searchsorted(year.day, np.arange(DAYS + 1))
        sums = np.add.reduceat(year.losses.astype(np.float64), self.starts[:-1], axis=1)
        self.loss = sums / self.rows  # of each model on each day, shape (models, days)
        self.index = {model.made: number for number, model in enumerate(year.models)}
        self.dates = [date(YEAR, 1, 1) + timedelta(days=day) for day in range(DAYS)]
        self._gates: dict[tuple[int, int], gates.Improvement] = {}

    def mean(self, served: Floats) -> float:
        """Return the mean loss of all flights from February on."""
        weights = self.rows[FIRST:]
        return float((served[FIRST:] * weights).sum() / weights.sum())

    def improvement(self, candidate: int, champion: int) -> gates.Improvement:
        """Return what the gate of a training finds on the newest days that neither has fitted."""
        if (candidate, champion) not in self._gates:
            one, other = self.year.models[candidate], self.year.models[champion]
            rows = slice(
                self.starts[max(one.until, other.until)], self.starts[one.made - LABELS_AFTER + 1]
            )
            losses = self.year.losses[[champion, candidate], rows].astype(np.float64)
            days = self.year.day[rows].astype("datetime64[D]")
            found = gates.improvement(losses[0], losses[1], days, 0)
            self._gates[candidate, champion] = found
        return self._gates[candidate, champion]

    def paired(self, other: int, serving: int, first: int, today: int) -> list[PairedDay]:
        """Return the days from `first` whose labels are there today."""
        days = slice(first, today - LABELS_AFTER + 1)
        gains = (self.loss[serving, days] - self.loss[other, days]).tolist()
        found = zip(self.dates[days], self.rows[days].tolist(), gains, strict=True)
        return [PairedDay(day=day, rows=rows, gain=gain) for day, rows, gain in found]

    def later_gain(self, other: int, serving: int, first: int, days: int) -> float:
        """Return by how much another model is better per flight, over so many days from one on."""
        span = slice(first, min(first + days, DAYS))
        gains = (self.loss[serving] - self.loss[other])[span]
        return float((gains * self.rows[span]).sum() / self.rows[span].sum())


def _at(day: int, hour: int) -> datetime:
    return datetime(YEAR, 1, 1, hour, tzinfo=UTC) + timedelta(days=day)


def frozen(replay: Replay) -> Course:
    """Level 1: the model of January answers all year."""
    return Course(replay.loss[replay.index[FIRST]].copy())


def direct(replay: Replay, mornings: Collection[int], margin: float, delay: int) -> Course:
    """Level 3: what passes the gate is promoted `delay` days later, by a person or at once."""
    champion = replay.index[FIRST]
    course = frozen(replay)
    for day in sorted(mornings):
        candidate = replay.index[day]
        if day > FIRST and replay.improvement(candidate, champion).lower >= -margin:
            champion = candidate
            course.served[day + delay :] = replay.loss[candidate, day + delay :]
            course.events.append((day + delay, "promoted", candidate))
    return course


def oracle(replay: Replay, mornings: Collection[int]) -> Course:
    """Return what it would be to know, each day, which of the models at hand is the best."""
    made = sorted({FIRST, *mornings})
    best = [
        min(replay.loss[replay.index[m], day] for m in made if m <= day)
        for day in range(FIRST, DAYS)
    ]
    return Course(np.concatenate([np.full(FIRST, np.nan), best]))


def autopilot(replay: Replay, mornings: Collection[int], policy: Policy) -> Course:
    """Level 4, as the rollout goes about it; a training waits until no other version is tried."""
    course = Course(np.full(DAYS, np.nan))
    start = Change(type="promoted", version=str(replay.index[FIRST]), by="bench", reason="first")
    document = transitions.first(NAME, start, _at(FIRST, 0))
    for day in range(FIRST, DAYS):
        served = 0.0
        for hour in TICKS:
            evidence = _evidence(replay, document, day, hour)
            changed = decide(document, evidence, policy, AUTOPILOT)
            if changed is None and hour == TICKS[0] and day in mornings:
                changed = _trained(replay, document, day, policy.margin)
            if changed:
                document = transitions.apply(document, changed, evidence.at, document.generation)
                course.events.append((day, changed.type, int(changed.version)))
            served += _served(replay, document, day) / len(TICKS)
        course.served[day] = served
    return course


def _trained(replay: Replay, document: Document, day: int, margin: float) -> Change | None:
    """Enter the model of a morning as candidate, if its gate opens and no other is in flight."""
    if document.candidate or document.challenger:
        return None
    candidate = replay.index[day]
    passed = replay.improvement(candidate, int(document.champion)).lower >= -margin
    kind: Type = "candidate entered" if passed else "candidate refused"
    return Change(type=kind, version=str(candidate), by="train", reason="gate")


def _served(replay: Replay, document: Document, day: int) -> float:
    own = float(replay.loss[int(document.champion), day])
    others = {share: float(replay.loss[int(v), day]) for v, share in document.arms.items()}
    return own + sum(share * (loss - own) for share, loss in others.items())


def _evidence(replay: Replay, document: Document, day: int, hour: int) -> Evidence:
    champion, challenger, paired, watched = int(document.champion), document.challenger, [], []
    candidate = document.candidate
    waiting = Waiting(version=candidate, compared_with=document.champion) if candidate else None
    if challenger:
        other = int(challenger.version)
        first = replay.year.models[other].made - LABELS_AFTER + 1
        paired = replay.paired(other, champion, first, day)
    if document.previous:
        since = (document.since - _at(0, 0)).days - LABELS_AFTER + 1  # those not decided on
        watched = replay.paired(int(document.previous), champion, since, day)
    return Evidence(
        at=_at(day, hour),
        waiting=waiting,
        paired=paired,
        watched=watched,
        canary=Guard(requests=10_000, rows=10_000),
    )
