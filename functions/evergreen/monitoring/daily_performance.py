"""What became of each day's predictions: captures meet labels, and a day becomes a few numbers.

The days that can still change are computed again by each check; a day is closed when all of its
labels have had `policy.label_days` to come, and is then carried from report to report. Labels that
come later teach (see training.dataset) but do not count here: every day is judged by labels of the
same age.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np

from evergreen.captures.arrivals import ARRIVAL, closing
from evergreen.captures.recorded import Recorded
from evergreen.captures.rows import Rows
from evergreen.contract.moments import EPOCH, days_of, microseconds, midnight
from evergreen.contract.problem import Bools, Kind, Problem, array, is_label
from evergreen.contract.schema import KEPT_TEXT
from evergreen.monitoring import performance
from evergreen.monitoring.earlier_checks import MEMORY
from evergreen.monitoring.ecusum import comparisons
from evergreen.monitoring.ecusum.rows import THRESHOLD
from evergreen.monitoring.recalibrate import Learnt, learn
from evergreen.monitoring.report import CheckReport, DayPerformance, Performance
from evergreen.registry.manifest import Expected

DAY = timedelta(days=1)
FIRST = timedelta(days=30)  # how far back the first check of all looks
DETAILS = timedelta(days=60)  # how long outcomes and tallies are kept after a day is closed
COUNTED = "counted"  # in its day, which is closed
DELAYS = (1, 6, 24, 48, 168, 720)  # hours
DELAY_NAMES = (*(f"<= {hours} h" for hours in DELAYS), f"> {DELAYS[-1]} h")
MOST = 1_000_000  # predictions of a day: more would not say more, and a share of them is drawn


@dataclass(frozen=True)
class Followed:
    """Whose predictions, how long labels may take, and what is told apart.

    version: the champion; versions: those that exist, as others are not counted. described: what
    a version predicts, and what was expected of it. promised: the loss of the champion on its
    holdout, and that of a constant.
    """

    endpoint: str
    version: str
    versions: Collection[str]
    label_days: int
    slices: tuple[str, ...]
    described: Callable[[str], tuple[Problem, Expected | None]]
    promised: tuple[float, float] | None = None


def follow(
    recorded: Recorded, followed: Followed, end: datetime, before: CheckReport | None
) -> Performance:
    """Return the performance by day as it is known at `end`."""
    kept = before.performance.days if before and before.performance else []
    start = _first_open(kept, end)
    memory = end - MEMORY - timedelta(days=followed.label_days)
    facts, delays = recorded.tell(start, end), Counter[str]()
    days = [day for day in kept if memory.date() <= day.day < start.date()]
    for day, rows in _by_day(recorded, followed, start, end):
        problem, expected = followed.described(version := rows["version"][0])
        closes = closing(day, followed.label_days)
        known = rows.take(_in_time(rows, closes, problem.kind, facts, delays))
        seen, closed = _told(problem, rows, known), closes + ARRIVAL <= end
        days.append(performance.summarize(day, version, problem, seen, expected, closed))
    for prediction, told in recorded.strays(start, end, _ours(followed)):
        facts[_stray(prediction, told, start, end, followed.label_days)] += 1
    del facts[COUNTED]
    problem, expected = followed.described(followed.version)
    days, learnt = _compared(days, followed, end)
    status, evidence = performance.judge(days, followed.version, expected)
    watches = comparisons.watched(days, followed.version)
    about = [problem.bounded_metric] if status == "degraded" else []
    if status != "no labels":
        about += [watch.about for watch in watches if watch.on]
    loss, constant = followed.promised or (None, None)
    intercept, slope = learnt.lines[-1, -1]
    return Performance(
        status="degraded" if about else status,
        metric=problem.metric,
        bounded_metric=problem.bounded_metric,
        expected=expected.bounded if expected else None,
        limit=expected.upper if expected else None,
        evidence=evidence,
        threshold=THRESHOLD,
        days=days,
        labels={kind: n for kind, n in sorted(facts.items()) if n},
        delays={name: delays[name] for name in DELAY_NAMES},
        watches=watches,
        about=about,
        promised=loss,
        constant=constant,
        line=(float(intercept), float(slope)) if learnt.rows[-1] else None,
        label_days=followed.label_days,
    )


def _compared(
    days: list[DayPerformance], followed: Followed, end: datetime
) -> tuple[list[DayPerformance], Learnt]:
    """Return the days beside what a constant and a recalibration lost, and without old details."""
    problem, expected = followed.described(followed.version)
    lag = followed.label_days + 1
    of_holdout = expected.days if expected else []
    own = [day.tally for day in days if day.version == followed.version and day.tally]
    learnt = learn([*of_holdout, *own], lag, end.date())
    loss, constant = followed.promised or (0.0, 0.0)
    found = comparisons.compared(
        days, followed.version, problem, expected, learnt, skill=constant - loss, lag=lag
    )
    oldest = (end - DETAILS - timedelta(days=followed.label_days)).date()
    return [
        msgspec.structs.replace(day, tally=None, outcomes=[]) if day.day < oldest else day
        for day in found
    ], learnt


def _first_open(kept: list[DayPerformance], end: datetime) -> datetime:
    after = kept[-1].day + DAY if kept else (end - FIRST).date()
    return midnight(min((day.day for day in kept if not day.closed), default=after))


def _ours(followed: Followed) -> str:
    versions = ", ".join(f"'{version}'" for version in sorted(followed.versions)) or "''"
    return f"variant = 'champion' AND version IN ({versions})"


def _by_day(
    recorded: Recorded, followed: Followed, start: datetime, end: datetime
) -> Iterator[tuple[date, Rows]]:
    """Yield the champion's predictions of a day and a version, with labels if any."""
    for first, last in recorded.spans(start, end, MOST):
        found = recorded.predictions(
            first,
            last,
            where=_ours(followed),
            told="LEFT",
            most=MOST,
            meta=("id", "time", "version", "score", "scores", "raw"),
            plain=followed.slices,
        )
        of_day = found["time"] // microseconds(EPOCH + DAY)
        for day in days_of(first, last):
            rows = found.take(of_day == (day - EPOCH.date()).days)
            for version in sorted(set(rows["version"].tolist())):
                yield day, rows.take(rows["version"] == version)


def _in_time(
    rows: Rows, closes: datetime, kind: Kind, facts: Counter[str], delays: Counter[str]
) -> Bools:
    """Say which rows have a label that counts in their day, and count all others by reason."""
    last = microseconds(closes)
    has = np.array([label is not None for label in rows["outcome"]], dtype=bool)
    agreed = has & (rows["disputed"] >= last)
    after = rows["told"] - rows["time"]
    places = np.searchsorted(np.array(DELAYS) * 3_600_000_000, after[agreed])
    delays.update(DELAY_NAMES[place] for place in places.tolist())
    late = agreed & (rows["told"] >= last)
    right = np.array([is_label(kind, label) for label in rows["outcome"]], dtype=bool)
    found = agreed & ~late & right
    for fact, those in (
        ("unlabelled", ~has), ("early", agreed & (after < 0)), ("late", late),
        ("of another kind", agreed & ~late & ~right), ("joined", found),
    ):  # fmt: skip
        facts[fact] += int(those.sum())
    return np.asarray(found)


def _stray(prediction: str, told: datetime, start: datetime, end: datetime, label_days: int) -> str:
    """Say what a label is that met no capture; our ids begin with the time of the prediction."""
    try:
        made = datetime.fromtimestamp(int(prediction[:12], 16) / 1000, tz=UTC)
    except (ValueError, OverflowError):
        return "unknown"
    if made < start:
        return COUNTED if told < closing(made.date(), label_days) else "late"
    return "waiting" if made > end - ARRIVAL else "unknown"


def _told(problem: Problem, rows: Rows, known: Rows) -> performance.Rows:
    return performance.Rows(
        scores=problem.recorded(known["score"].tolist(), known["scores"].tolist()),
        labels=array(problem.kind, known["outcome"].tolist()),
        captured=np.sort(rows.raw),
        slices={
            name: np.array([str(value)[:KEPT_TEXT] for value in values.tolist()], dtype=object)
            for name, values in known.plain.items()
        },
        raw=known.raw if problem.kind == "binary" else None,
    )
