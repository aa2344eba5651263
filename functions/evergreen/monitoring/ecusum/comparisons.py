"""The champion beside what anybody could do: a constant, and itself, recalibrated.

Half of the skill is gone     its loss is more than that of the base rate of the last four weeks,
                              less half of what it was better on its holdout
recalibrated it is better     its loss is more than that of a line on the logit of its scores, which
                              was fitted on the last four weeks, by a margin

Both compare losses of the same rows, so what makes a day hard for all is in neither.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import msgspec
import numpy as np

from evergreen.contract.problem import Answer, Problem
from evergreen.monitoring.ecusum import days as by_day
from evergreen.monitoring.recalibrate import Learnt
from evergreen.monitoring.report import DayPerformance, Outcomes, Watch
from evergreen.registry.manifest import Expected

SKILL, LINE = "half of the skill is gone", "recalibrated it would be better"
THRESHOLDS = {SKILL: 100.0, LINE: 1_000.0}  # measured: see docs/monitoring.md
TRAILING = 28  # days that the constant is learnt from
MARGIN = 0.005  # nats; less is not worth an alarm
QUANTILES = 20  # that stand for the labels of a regression's day
HALF = 0.5  # of a row of each label, so that a new one has a chance


def outcomes_of(problem: Problem, labels: np.ndarray) -> Outcomes:
    """Return labels, shape (rows,), with their numbers; of a regression, of the rows per quantile.

    >>> outcomes_of(Problem(), np.array([True, False, True]))
    [(False, 1.0), (True, 2.0)]
    """
    if not len(labels):
        return []
    if problem.kind == "regression":
        middles = np.quantile(labels, (np.arange(QUANTILES) + 0.5) / QUANTILES)
        return [(float(value), len(labels) / QUANTILES) for value in middles]
    return [(label, float(rows)) for label, rows in sorted(Counter(labels.tolist()).items())]


def constant_loss(problem: Problem, known: Outcomes, outcomes: Outcomes) -> float | None:
    """Return the mean loss of the best constant for what is known, on other outcomes.

    >>> constant_loss(Problem(), [(True, 50), (False, 50)], [(True, 1), (False, 3)])
    0.6931471805599453
    """
    rows, before = sum(n for _, n in outcomes), sum(n for _, n in known)
    if not rows or not before:
        return None
    if problem.kind == "regression":
        values = np.array(sorted(known), dtype=np.float64)
        middle = values[np.searchsorted(values[:, 1].cumsum(), before / 2), 0]
        told = np.array(outcomes, dtype=np.float64)
        return float(problem.losses(told[:, 0], np.full(len(told), middle)) @ told[:, 1] / rows)
    counts = defaultdict[Answer, float](float)
    for label, n in known:
        counts[label] += n
    whole = before + HALF * len({*counts, *(label for label, _ in outcomes)})
    return float(sum(-n * np.log((counts[label] + HALF) / whole) for label, n in outcomes) / rows)


def compared(
    days: Sequence[DayPerformance],
    version: str,
    problem: Problem,
    expected: Expected | None,
    learnt: Learnt,
    *,
    skill: float,
    lag: int,
) -> list[DayPerformance]:
    """Return the days, those of a version with what the others lost, and what each bets.

    learnt: from the tallies of the holdout and of these days. skill: by how much the version was
    better than a constant on its holdout. lag: as of `learn`. What stands in a day is kept.
    """
    told, places = _told(days, expected), {day: place for place, day in enumerate(learnt.days)}
    series: tuple[list[float], list[float]] = ([], [])
    of_holdout = {at: found for at, found in _told((), expected).items() if at in places}
    whole = [pair for outcomes in of_holdout.values() for pair in outcomes]
    for at, outcomes in of_holdout.items():  # by which the first days are scaled
        constant, place = constant_loss(problem, whole, outcomes), places[at]
        _bets(series, learnt.raw[place], constant, learnt.line[place], skill=skill)
    found = list(days)
    for number, day in enumerate(days):
        if day.version != version or day.loss is None:
            continue
        kept = day if day.bets else _beside(day, problem, told, learnt, lag)
        if day.closed:
            bets = _bets(series, day.loss, kept.constant, kept.line, skill=skill)
            kept = msgspec.structs.replace(kept, bets=day.bets or bets)
        found[number] = kept
    return found


def _told(days: Iterable[DayPerformance], expected: Expected | None) -> dict[date, Outcomes]:
    """Return the outcomes of each closed day, and of the holdout's days."""
    found: dict[date, Outcomes] = {}
    for tally in expected.days if expected else ():
        true = float(sum(tally.true))
        found[tally.day] = [(False, sum(tally.rows) - true), (True, true)]
    own = defaultdict[date, Outcomes](list)  # of a day several versions may have a part
    for day in days:
        if day.closed and day.outcomes:
            own[day.day] += day.outcomes
    return found | own


def _beside(
    day: DayPerformance, problem: Problem, told: dict[date, Outcomes], learnt: Learnt, lag: int
) -> DayPerformance:
    window = (day.day - timedelta(days=lag + n) for n in range(TRAILING))
    known = [pair for one in window for pair in told.get(one, [])]
    line = mixed = None
    place = learnt.days.index(day.day) if day.day in learnt.days else None
    if place is not None and day.raw is not None and not np.isnan(learnt.raw[place]):
        # Sums by bins differ a little from those by rows, by as much for all of them.
        exact = day.raw - learnt.raw[place]
        line, mixed = float(learnt.line[place] + exact), float(learnt.served[place] + exact)
    constant = constant_loss(problem, known, day.outcomes)
    return msgspec.structs.replace(day, constant=constant, line=line, mixed=mixed)


def _bets(
    series: Iterable[list[float]], loss: float, *others: float | None, skill: float
) -> list[float | None]:
    """Append the differences of a day to those before it, and return what each of them bets.

    others: the loss of the constant, and of the line.
    """
    bets: list[float | None] = []
    for those, other, more in zip(series, others, (max(skill, 0.0) / 2, -MARGIN), strict=True):
        worth = None
        if other is not None:
            those.append(float(loss - other + more))
            worth = by_day.bet(np.array(those))
        bets.append(None if worth is None else float(worth))
    return bets


def watched(days: Iterable[DayPerformance], version: str) -> list[Watch]:
    """Return what the bets of a version's closed days come to."""
    own = [day.bets for day in days if day.version == version and day.closed and day.bets]
    found = []
    for place, (about, threshold) in enumerate(THRESHOLDS.items()):
        bets = (each[place] for each in own)
        evidence, on = by_day.follow((each for each in bets if each is not None), threshold)
        found.append(Watch(about=about, evidence=evidence, threshold=threshold, on=on))
    return found
