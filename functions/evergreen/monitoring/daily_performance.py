"""What became of each day's predictions: captures meet labels, and a day becomes a few numbers.

The days that can still change are computed again by each check; a day is closed when all of its
labels have had `policy.label_days` to come, and is then carried from report to report. Labels that
come later teach (see training.dataset) but do not count here: every day is judged by labels of the
same age.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np

from evergreen.aws.s3 import Store
from evergreen.captures.label_join import Labels, read_labels
from evergreen.captures.recorded_days import ARRIVAL, Answered, answers_of, closing
from evergreen.captures.records import Label
from evergreen.contract.moments import midnight
from evergreen.contract.problem import Answer, Problem, array, is_label
from evergreen.contract.schema import KEPT_TEXT
from evergreen.monitoring import performance
from evergreen.monitoring.earlier_checks import MEMORY
from evergreen.monitoring.report import CheckReport, DayPerformance, Performance
from evergreen.registry.manifest import Expected

DAY = timedelta(days=1)
FIRST = timedelta(days=30)  # how far back the first check of all looks
COUNTED = "counted"  # in its day, which is closed
DELAYS = (1, 6, 24, 48, 168, 720)  # hours


@dataclass(frozen=True)
class Followed:
    """Whose predictions, how long labels may take, and what is told apart.

    version: the champion; versions: those that exist, as others are not counted. described: what
    a version predicts, and what was expected of it.
    """

    endpoint: str
    version: str
    versions: Collection[str]
    label_days: int
    slices: tuple[str, ...]
    described: Callable[[str], tuple[Problem, Expected | None]]


@dataclass
class _Tally:
    """The predictions of one day and version: the scores of all, and those with a label."""

    captured: list[float] = field(default_factory=list)
    labelled: list[tuple[Answered, Answer, list[str]]] = field(default_factory=list)


def follow(
    data: Store, followed: Followed, end: datetime, before: CheckReport | None
) -> Performance:
    """Return the performance by day as it is known at `end`."""
    kept = before.performance.days if before and before.performance else []
    start = _first_open(kept, end)
    settled = [day for day in kept if (end - MEMORY).date() <= day.day < start.date()]
    labels = read_labels(data, followed.endpoint, start, end)
    facts: Counter[str] = Counter(conflicting=len(labels.contradicted), repeated=labels.repeated)
    delays: Counter[str] = Counter()
    tallies = _tallied(data, followed, labels, start, end, facts, delays)
    fresh = [
        _summary(day, version, tally, followed, end)
        for (day, version), tally in sorted(tallies.items())
    ]
    days = [*settled, *fresh]
    problem, expected = followed.described(followed.version)
    status, evidence = performance.judge(days, followed.version, expected)
    return Performance(
        status=status,
        metric=problem.metric,
        bounded_metric=problem.bounded_metric,
        expected=expected.bounded if expected else None,
        limit=expected.upper if expected else None,
        evidence=evidence,
        threshold=performance.THRESHOLD,
        days=days,
        labels={kind: n for kind, n in sorted(facts.items()) if n},
        delays={_delay_name(hours): delays[_delay_name(hours)] for hours in (*DELAYS, None)},
    )


def _first_open(kept: list[DayPerformance], end: datetime) -> datetime:
    """Return the beginning of the first day that may still change."""
    if not kept:
        first = (end - FIRST).date()
    else:
        first = min(
            (day.day for day in kept if not day.closed), default=max(day.day for day in kept) + DAY
        )
    return midnight(first)


def _tallied(
    data: Store,
    followed: Followed,
    labels: Labels,
    start: datetime,
    end: datetime,
    facts: Counter[str],
    delays: Counter[str],
) -> dict[tuple[date, str], _Tally]:
    """Join the champion's captures from start to end with labels that came in time."""
    tallies: dict[tuple[date, str], _Tally] = defaultdict(_Tally)
    waiting = dict(labels.first)
    for capture in _ours(data, followed, start, end):
        label = waiting.pop(capture.id, None)
        day = capture.time.astimezone(UTC).date()
        closes = closing(day, followed.label_days)
        tally = tallies[day, capture.version]
        tally.captured.append(capture.score)
        if label is None:
            facts["unlabelled"] += 1
            continue
        if labels.disputed(capture.id, closes):
            continue
        delay = label.time - capture.time
        facts["early"] += delay < timedelta(0)
        delays[_delay_name(delay / timedelta(hours=1))] += 1
        if label.time >= closes:
            facts["late"] += 1
            continue
        if not is_label(followed.described(capture.version)[0].kind, label.label):
            facts["of another kind"] += 1
            continue
        facts["joined"] += 1
        values = _values(capture, followed.slices)
        tally.labelled.append((capture, label.label, values))
    for label in waiting.values():
        if not labels.disputed(label.id, end):
            facts[_stray(label, start, end, followed.label_days)] += 1
    del facts[COUNTED]
    return tallies


def _ours(data: Store, followed: Followed, start: datetime, end: datetime) -> Iterator[Answered]:
    for answers in answers_of(data, followed.endpoint, start, end):
        for answer in answers:
            if answer.variant == "champion" and answer.version in followed.versions:
                yield answer


def _values(answer: Answered, slices: tuple[str, ...]) -> list[str]:
    if not slices:
        return []
    features = msgspec.json.decode(answer.features)
    return [str(features.get(name))[:KEPT_TEXT] for name in slices]


def _stray(label: Label, start: datetime, end: datetime, label_days: int) -> str:
    """Say what a label is that met no capture; our ids begin with the time of the prediction."""
    try:
        made = datetime.fromtimestamp(int(label.id[:12], 16) / 1000, tz=UTC)
    except (ValueError, OverflowError):
        return "unknown"
    if made < start:
        return COUNTED if label.time < closing(made.date(), label_days) else "late"
    return "waiting" if made > end - ARRIVAL else "unknown"


def _summary(
    day: date, version: str, tally: _Tally, followed: Followed, end: datetime
) -> DayPerformance:
    rows = sorted(tally.labelled, key=lambda row: (row[0].time, row[0].id))
    problem, expected = followed.described(version)
    answers = [answer for answer, _, _ in rows]
    seen = performance.Rows(
        scores=problem.recorded(
            [each.score for each in answers], [each.scores for each in answers]
        ),
        labels=array(problem.kind, [label for _, label, _ in rows]),
        captured=np.sort(np.array(tally.captured, dtype=np.float64)),
        slices={
            name: np.array([values[place] for *_, values in rows], dtype=object)
            for place, name in enumerate(followed.slices)
        },
    )
    closed = closing(day, followed.label_days) + ARRIVAL <= end
    return performance.summarize(day, version, problem, seen, expected=expected, closed=closed)


def _delay_name(hours: float | None) -> str:
    limit = next((limit for limit in DELAYS if hours is not None and hours <= limit), None)
    return f"<= {limit} h" if limit else f"> {DELAYS[-1]} h"
