"""Every version that could have been trained on the way, and what each scores later rows."""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import joblib
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from benchmarks.autopilot.histories import LABELS_AFTER, History, history
from benchmarks.shown import BUILD
from evergreen.contract.endpoint import Policy
from evergreen.contract.problem import Problem

EVERY_DAYS = 14  # a training starts, unless a version is in flight
WORKERS = 2
MEMORY = joblib.Memory(BUILD / "autopilot", verbose=0)
HOLDOUT_DAYS = Policy().holdout_days
LOSS = itemgetter(0)

Scores = npt.NDArray[np.float32]


class Version(NamedTuple):
    """Made on the morning of day `made`, by the recipe of a candidate, from days before `until`."""

    made: int
    until: int
    recipe: str


@dataclass(frozen=True)
class Matrix:
    """Versions by age, those of a morning by their loss on the holdout, the best first.

    scores: shape (versions, rows), NaN before a version's `until`.
    """

    history: History
    versions: list[Version]
    scores: Scores


def matrix(name: str, seed: int, rows: int = 1, *, kept: bool = True) -> Matrix:
    """Return the versions of one starting day; the first, which all seeds share, begins the year.

    rows: one of so many is taken. kept: under build/, for the next run.
    """
    past = history(name, rows)
    starts = range(past.first + 1 + 3 * seed + EVERY_DAYS // 2, int(past.day[-1]) - 6, EVERY_DAYS)
    fit = MEMORY.cache(fitted) if kept else fitted
    versions, scores = fit(name, rows, seed, [past.first, *starts], past.candidates(seed))
    return Matrix(past, versions, scores)


def fitted(
    name: str, rows: int, seed: int, made: list[int], _: Mapping[str, Any]
) -> tuple[list[Version], Scores]:
    """Train on each morning; what is kept is as good as long as the candidates are the same."""
    with ProcessPoolExecutor(WORKERS) as pool:
        mornings = pool.map(partial(trained, name, rows, seed), made)
        versions, scores = zip(*chain.from_iterable(mornings), strict=True)
    return list(versions), np.stack(scores)


def trained(name: str, rows: int, seed: int, made: int) -> list[tuple[Version, Scores]]:
    """Fit every candidate on every window; return each on its best, and what it scores from then.

    The order is that of the losses on the holdout.
    """
    past = history(name, rows)
    cut = (made if made == past.first else made - LABELS_AFTER + 1) - HOLDOUT_DAYS
    holdout = slice(*np.searchsorted(past.day, [cut, cut + HOLDOUT_DAYS]))
    start, label, best = int(holdout.start), past.label[holdout], dict[str, tuple[float, Scores]]()
    with threadpool_limits(1):
        for window in past.windows:
            begin = 0 if window is None else max(cut - window, 0)
            fit = slice(*np.searchsorted(past.day, [begin, cut]))
            for recipe, pipeline in past.candidates(seed).items():
                pipeline.fit(past.rows[fit], past.label[fit])
                found = np.full(len(past.day), np.nan, dtype=np.float32)
                found[start:] = pipeline.predict_proba(past.rows[start:])[:, 1]
                lost = Problem().losses(label, found[holdout].astype(np.float64)).mean()
                best[recipe] = min(
                    best.get(recipe, (np.inf, found)), (float(lost), found), key=LOSS
                )
    ordered = sorted(best.items(), key=lambda one: one[1][0])
    return [(Version(made, cut, recipe), scores) for recipe, (_, scores) in ordered]
