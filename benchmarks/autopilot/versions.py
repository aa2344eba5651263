"""Every version that could have been trained on the way, and what each scores later rows."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import joblib
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from benchmarks.autopilot.histories import LABELS_AFTER, History, history
from benchmarks.installed import BUILD
from evergreen.contract.endpoint import Policy
from evergreen.contract.problem import Problem

EVERY_DAYS = 14  # a training starts, unless a version is in flight
WORKERS = 2
HOLDOUT_DAYS = Policy().holdout_days

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Version:
    """Made on the morning of day `made`, by the recipe of a candidate, from days before `until`."""

    made: int
    until: int
    recipe: str


@dataclass(frozen=True)
class Matrix:
    """Versions by age; scores: shape (versions, rows), NaN before a version's `until`."""

    history: History
    versions: list[Version]
    scores: Scores


def mornings(past: History, seed: int, every: int = EVERY_DAYS) -> list[int]:
    """Return the days of training; that of the first, which all seeds share, begins the year."""
    return [past.first, *range(past.first + 1 + 3 * seed + every // 2, past.days - 7, every)]


def matrix(
    name: str, seed: int, rows: int = 1, lag: int = LABELS_AFTER, *, kept: bool = True
) -> Matrix:
    """Return the versions of one starting day.

    rows: one of so many is taken. lag: days after which the labels of a day are known. kept: under
    build/, for the next run.
    """
    past = history(name, rows)
    made = mornings(past, seed)
    key = joblib.hash((past.candidates(seed), past.windows, made, lag, past.rows.shape))
    path = BUILD / "autopilot" / f"{name}-{seed}-{key}.npz"
    if kept and path.exists():
        with np.load(path) as found:
            said = [Version(int(a), int(b), str(c)) for a, b, c in found["said"]]
            return Matrix(past, said, found["scores"])
    with ProcessPoolExecutor(WORKERS) as pool:
        made_of = pool.map(partial(_trained, name, rows, seed, lag), made)
        versions, scores = zip(*made_of, strict=True)
    if kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = [(each.made, each.until, each.recipe) for each in versions]
        np.savez(path, said=np.array(text, dtype=str), scores=np.stack(scores))
    return Matrix(past, list(versions), np.stack(scores))


def _trained(name: str, rows: int, seed: int, lag: int, made: int) -> tuple[Version, Scores]:
    found: tuple[Version, Scores] = trained(history(name, rows), seed, lag, made)
    return found


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def trained(past: History, seed: int, lag: int, made: int) -> tuple[Version, Scores]:
    """Fit every candidate on every window, and return the best on the holdout."""
    day, problem = past.day, Problem()
    end = made if made == past.first else made - lag + 1
    cut = end - HOLDOUT_DAYS
    holdout = slice(*np.searchsorted(day, [cut, end]))
    best, chosen = np.inf, ("", None)
    for window in past.windows:
        fit = slice(*np.searchsorted(day, [0 if window is None else max(cut - window, 0), cut]))
        for recipe, pipeline in past.candidates(seed).items():
            pipeline.fit(past.rows[fit], past.label[fit])
            scores = pipeline.predict_proba(past.rows[holdout])[:, 1]
            loss = float(problem.losses(past.label[holdout], scores).mean())
            if loss < best:
                best, chosen = loss, (recipe, pipeline)
    later, found = day >= cut, np.full(len(day), np.nan, dtype=np.float32)
    found[later] = chosen[1].predict_proba(past.rows[later])[:, 1]  # type: ignore[attr-defined]
    return Version(made, cut, chosen[0]), found
