"""How good were the predictions, and have they become worse than the version's holdout promised?

A day becomes a few numbers, once; the e-CUSUMs work on these.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2
from scipy.stats import t as student
from sklearn.isotonic import IsotonicRegression

from evergreen.contract.problem import THRESHOLD as TRUE
from evergreen.contract.problem import Bools, Floats, Problem
from evergreen.monitoring.ecusum import comparisons
from evergreen.monitoring.ecusum import rows as by_row
from evergreen.monitoring.ecusum.days import rings
from evergreen.monitoring.report import CalibrationBin, DayPerformance, Outcome, SlicePerformance
from evergreen.registry.manifest import Expected
from evergreen.registry.recalibration import tally

LEVEL = 0.05  # of the upper end of what is expected, one-sided
CAUTION = 0.1  # chance that the design effect is higher than assumed, as days are few
TENTHS = 10
RECENT = 7  # closed days; without labels in them nothing is known of today
MAX_SLICES = 20  # values of a field that are told apart
MAX_POINTS = 50  # of the calibration map


def expected(
    labels: npt.NDArray[Any],
    scores: Floats,
    days: npt.NDArray[np.datetime64],
    problem: Problem = Problem(),  # noqa: B008 - it is immutable
) -> Expected:
    """Measure on a holdout what to expect of a version.

    labels, days: shape (rows,); days have the unit day. scores: shape (rows,), or (rows, classes)
    for multiclass.

    The limit is not below 3 / rows, the 95 % bound on what was never seen (rule of three). One day
    does not show how days differ: its limit is that of its rows, and it counts as one row.
    """
    rows = len(labels)
    if not rows:
        return Expected(bounded=1.0, upper=1.0, similarity=1.0, calibration=[])
    bounded = problem.bounded(labels, scores)
    each_day, sizes = np.unique(days, return_counts=True)
    told = each_day if problem.kind == "binary" else each_day[:0]
    count, size = len(sizes), float((sizes**2).sum() / rows)  # the size of a row's day
    effect = max(_design_effect(bounded, days), 1.0) if count > 1 else 1.0
    error = float(np.sqrt(effect * bounded.var() / max(rows - 1, 1)))
    similarity, units = 1.0, count if count > 1 else rows
    if count > 1 and size > 1:  # the upper end of 90 %: few days often look too much alike
        cautious = effect * (count - 1) / float(chi2.ppf(CAUTION, count - 1))
        similarity = float(np.clip((cautious - 1) / (size - 1), 0.0, 1.0))
    width = float(student.ppf(1 - LEVEL, max(units - 1, 1))) * error
    return Expected(
        bounded=float(bounded.mean()),
        upper=min(max(float(bounded.mean()) + width, 3 / rows), 1.0),
        similarity=similarity,
        calibration=_calibration(*problem.came_true(labels, scores)),
        days=[tally(day.astype(date), scores[days == day], labels[days == day]) for day in told],
    )


def _design_effect(losses: Floats, days: npt.NDArray[np.datetime64]) -> float:
    """Return the variance of the mean by days over that by rows (Kish); 1 for independent rows."""
    _, place, sizes = np.unique(days, return_inverse=True, return_counts=True)
    rows, count = len(losses), len(sizes)
    by_rows = losses.var() * rows**2 / (rows - 1)
    off = np.bincount(place, weights=losses - losses.mean())  # of each day's sum
    return float((off**2).sum() * count / (count - 1) / by_rows) if by_rows > 0 else 1.0


def _calibration(scores: Floats, true: Bools) -> list[tuple[float, float]]:
    """Return points of the ascending map from score to the share of what came true."""
    if not len(scores):
        return []
    fitted = IsotonicRegression(y_min=0, y_max=1).fit(scores, true.astype(np.float64))
    x, y = fitted.X_thresholds_, fitted.y_thresholds_
    kept = np.unique(np.linspace(0, len(x) - 1, MAX_POINTS).round().astype(int))
    return [(float(x[i]), float(y[i])) for i in kept]


def judge(
    days: Iterable[DayPerformance], version: str, expected: Expected | None
) -> tuple[Outcome, float]:
    """Decide from the days of a version, oldest first, whether it is worse than its limit.

    Only closed days are evidence: what has few of its labels has the labels that came early, and
    those are not like the rest. Returns the e-value too; `ecusum.rows.THRESHOLD` is degraded.
    """
    own = [day for day in days if day.version == version]
    closed = [day for day in own if day.closed]
    state, on = by_row.START, False
    for day in closed if expected else ():
        state = by_row.accumulate(state, day.evidence)
        on = bool(rings(on, by_row.e_value(state), by_row.THRESHOLD, by_row.OVER))
    found = by_row.e_value(state)
    if not any(day.labelled for day in closed[-RECENT:] or own):
        return "no labels", found
    return ("degraded" if on else "steady"), found


@dataclass(frozen=True)
class Rows:
    """The predictions of a version on one day.

    scores, labels: of the labelled rows, shape (rows,) or of scores (rows, classes), ordered by
    time and id; only the evidence depends on the order. captured: scores of the answers of all
    rows, labelled or not. slices: by field, the value of each labelled row, shape (rows,). raw: of
    a binary problem, the scores before recalibration; None where they are those.
    """

    scores: Floats
    labels: npt.NDArray[Any]
    captured: Floats
    slices: Mapping[str, npt.NDArray[np.generic]]
    raw: Floats | None = None


def summarize(
    day: date, version: str, problem: Problem, rows: Rows, expected: Expected | None, closed: bool
) -> DayPerformance:
    """Summarize what became of the predictions of a version on one day."""
    scores, labels = rows.scores, rows.labels
    bounded, loss = problem.bounded(labels, scores), problem.losses(labels, scores)
    numbers = problem.kind == "regression"  # which no answer hits, and no score is a chance of
    mean, low, high = _interval(loss)
    effect = by_row.design_effect(len(labels), expected.similarity) if expected else 1.0
    raw = scores if rows.raw is None else rows.raw
    binary = problem.kind == "binary" and len(labels) > 0
    return DayPerformance(
        day=day,
        version=version,
        captured=len(rows.captured),
        labelled=len(labels),
        loss=mean,
        low=low,
        high=high,
        bounded=_mean(bounded),
        accuracy=None if numbers else _mean(problem.answered(scores) == labels),
        estimate=_estimate(rows.captured, expected, problem),
        calibration=[] if numbers else calibration_bins(*problem.came_true(labels, scores)),
        slices={field: _slices(values, loss) for field, values in rows.slices.items()},
        evidence=by_row.evidence(bounded, expected.upper, effect) if expected else [],
        closed=closed,
        outcomes=comparisons.outcomes_of(problem, labels),
        tally=tally(day, raw, labels) if binary else None,
        raw=_mean(problem.losses(labels, raw)) if binary else None,
    )


def _mean(values: npt.NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None


def _interval(values: Floats) -> tuple[float | None, float | None, float | None]:
    """Return the mean and its 95 % interval; of a single row there is no spread to know."""
    if not len(values):
        return None, None, None
    mean = float(values.mean())
    width = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return mean, mean - width, mean + width


def _estimate(scores: Floats, expected: Expected | None, problem: Problem) -> float | None:
    """Return the accuracy that calibrated scores promise, without any label.

    The chance that the answer is right, and not max(c, 1 - c): a score of 0.6 answers true even
    where it means 0.3, as it does after class_weight="balanced".
    """
    if expected is None or problem.kind == "regression":
        return None
    points = np.array(expected.calibration).reshape(-1, 2)
    chance = np.interp(scores, points[:, 0], points[:, 1]) if len(points) else scores
    if problem.kind == "multiclass":  # the score is that of the answer
        return _mean(chance)
    return _mean(np.where(scores >= TRUE, chance, 1 - chance))


def calibration_bins(scores: Floats, true: Bools) -> list[CalibrationBin]:
    """Return ten bins of equal width, of which those without rows are all zeros."""
    found = zip(*by_tenth(scores, true), strict=True)
    return [CalibrationBin(int(n), float(s), float(p)) for n, s, p in found]


def by_tenth(scores: Floats, true: Bools) -> tuple[Floats, Floats, Floats]:
    """Return the rows of each tenth, their mean score and the share of true, 0 without rows."""
    tenths = np.clip((scores * TENTHS).astype(int), 0, TENTHS - 1)
    rows, *sums = (np.bincount(tenths, each, TENTHS) for each in (None, scores, true))
    score, positive = (each / np.maximum(rows, 1) for each in sums)
    return rows.astype(np.float64), score, positive


def _slices(values: npt.NDArray[np.generic], loss: Floats) -> dict[str, SlicePerformance]:
    """Return the performance by value, of the values with the most rows; the rest is one."""
    found = list(map(str, values.tolist()))
    counts = Counter(value for value in found if value != "other")
    named = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_SLICES]
    index = {value: place for place, value in enumerate(named)}
    places = np.array([index.get(value, len(named)) for value in found], dtype=np.intp)
    rows, sums = (np.bincount(places, each, len(named) + 1) for each in (None, loss))
    return {
        value: SlicePerformance(int(n), float(total / n))
        for value, n, total in zip([*named, "other"], rows, sums, strict=True)
        if n
    }
