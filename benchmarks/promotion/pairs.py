"""Pairs of real models, an older and a younger: how their days differ, and who is promoted."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.promotion.curve import FOLLOWING, POLICY
from benchmarks.promotion.draws import Floats, bounds, first
from benchmarks.promotion.flights import DAYS, LABELS_AFTER
from benchmarks.promotion.year import Replay
from evergreen.rollout.confidence_sequence import radius

PEEK_ROWS = 50
LEAST_ROWS = 200
AGES = (7, 45)  # days between the trainings of a pair
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Likeness:
    """How the days of pairs differ, as quantiles over the pairs.

    day_sd, row_sd: standard deviations of the gain of a day and of a row, in nats. effect: the
    variance of a day's mean over what it were if rows were independent. memory: the correlation of
    a day with the next.
    """

    pairs: int
    day_sd: list[float]
    row_sd: list[float]
    effect: list[float]
    skew: list[float]
    memory: list[float]


def likeness(replay: Replay) -> Likeness:
    """Measure 60 days from the training of the younger of each pair on."""
    found = [_of_pair(replay, *pair[:3]) for pair in _pairs(replay)]
    columns = np.quantile(np.array(found), QUANTILES, axis=0).T.tolist()
    return Likeness(len(found), *columns)


def _of_pair(replay: Replay, younger: int, older: int, start: int) -> tuple[float, ...]:
    days = (replay.loss[older] - replay.loss[younger])[start : start + FOLLOWING]
    rows = _rows(replay, younger, older, start, FOLLOWING)
    off = days - days.mean()
    spread, row_sd = float(days.std(ddof=1)), float(rows.std())
    return (
        spread,
        row_sd,
        spread**2 / (row_sd**2 * len(days) / len(rows)),
        float((off**3).mean() / off.std() ** 3),
        float((off[1:] * off[:-1]).mean() / off.var()),
    )


def _rows(replay: Replay, younger: int, older: int, start: int, days: int) -> Floats:
    losses = replay.year.losses[:, replay.starts[start] : replay.starts[start + days]]
    return np.asarray(losses[older] - losses[younger], dtype=np.float64)


def _pairs(replay: Replay) -> Iterator[tuple[int, int, int, float]]:
    """Yield younger and older model, the first day to compare on, and what the younger gains."""
    for younger, model in enumerate(replay.year.models):
        start = model.made - LABELS_AFTER + 1
        for older in range(younger):
            age = model.made - replay.year.models[older].made
            if AGES[0] <= age <= AGES[1] and start + FOLLOWING <= DAYS:
                yield younger, older, start, replay.later_gain(younger, older, start, FOLLOWING)


@dataclass(frozen=True)
class Pairs:
    """Pairs of real models of which the younger was worse over the 60 days after its training.

    by_row: how many a sequence that takes rows for units promoted; by_day: how many that of days
    did, and both: of these, how many the one by rows did too. lost: the most per flight, in nats,
    that a promotion lost over the 60 days, by rows and by days. beyond: pairs of which days
    promoted the younger as not worse by more than the margin, and it was.
    """

    worse: int
    by_row: int
    by_day: int
    both: int
    lost_by_row: float
    lost_by_day: float
    beyond: int


def pairs(replay: Replay) -> Pairs:
    """Promote for superiority, unless rejected before, within max_shadow_days."""
    found = [pair for pair in _pairs(replay) if pair[-1] < 0]
    loss = -np.array([pair[-1] for pair in found])
    end = POLICY.max_shadow_days
    days = np.array(
        [
            (replay.loss[older] - replay.loss[younger])[start : start + end]
            for younger, older, start, _ in found
        ]
    )
    lower, upper = (ends[:, POLICY.shadow_days - 1 :] for ends in bounds(days, POLICY.alpha))
    by_day = first(lower > 0) < first(upper < 0)
    allowed = first(lower > -POLICY.margin) < first(upper < 0)
    by_row = np.array([_by_rows(replay, *pair[:3]) for pair in found])
    return Pairs(
        worse=len(found),
        by_row=int(by_row.sum()),
        by_day=int(by_day.sum()),
        both=int((by_row & by_day).sum()),
        lost_by_row=float(loss[by_row].max(initial=0)),
        lost_by_day=float(loss[by_day].max(initial=0)),
        beyond=int((allowed & (loss > POLICY.margin)).sum()),
    )


def _by_rows(replay: Replay, younger: int, older: int, start: int) -> bool:
    """Say whether the younger model is promoted when rows are taken for units."""
    rows = _rows(replay, younger, older, start, POLICY.max_shadow_days)
    n = np.arange(1, len(rows) + 1)
    mean = rows.cumsum() / n
    spread = np.sqrt(np.maximum((rows**2).cumsum() / n - mean**2, 0))
    looks = slice(LEAST_ROWS - 1, None, PEEK_ROWS)
    width = (spread * radius(n, POLICY.alpha))[looks]
    up, down = (mean[looks] - width > 0)[None], (mean[looks] + width < 0)[None]
    return bool(first(up)[0] < first(down)[0])
