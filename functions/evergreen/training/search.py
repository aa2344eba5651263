"""Hyperparameters: many combinations on few rows, the better ones on more (successive halving)."""

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - the next import needs it
from sklearn.model_selection import HalvingRandomSearchCV, TimeSeriesSplit

from evergreen.captures.examples import Examples
from evergreen.contract import problem

FACTOR = 3  # a third of the combinations goes on, with three times the rows
SPLITS = 3  # of the rows by time; each is scored by what was fitted on those before it
MAX_TRIED = 243
FIXED = 0.1  # of the time of a fit, that fewer rows do not make shorter

Space = Mapping[str, Sequence[Any]]
Weights = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """The best combination, and how many were tried; the same seed and number find the same."""

    parameters: dict[str, Any]
    tried: int


def search(
    pipeline: Any, space: Space, rows: Examples, weights: Weights, seconds: float, seed: int
) -> Found:
    """Try as many combinations as there is time for; none where that is not enough for two.

    weights: of the rows, by the name that a pipeline passes to its last step's fit, or nothing.
    """
    start = time.perf_counter()
    clone(pipeline).fit(rows.frame(), rows.labels, **weights)
    tried = affordable(seconds, time.perf_counter() - start, combinations(space))
    return best_of(tried, pipeline, space, rows, weights, seed)


def combinations(space: Space) -> int:
    """Return how many combinations a space has."""
    return math.prod(len(values) for values in space.values())


def affordable(seconds: float, fit_seconds: float, most: int) -> int:
    """Return how many combinations can be tried in a time, 0 if not even two.

    fit_seconds: of one fit of all rows.

    >>> affordable(60.0, 1.0, 1000), affordable(0.5, 1.0, 1000)
    (111, 0)
    """
    tries = range(2, min(most, MAX_TRIED) + 1)
    return max((n for n in tries if _cost(n) * fit_seconds <= seconds), default=0)


def _cost(tried: int) -> float:
    """Return how many fits of all rows a search is as long as."""
    last = _last_round(tried)
    shares = (max(FACTOR ** (number - last), FIXED) for number in range(last + 1))
    fits = (math.ceil(tried / FACTOR**n) * share for n, share in enumerate(shares))
    return float(SPLITS * sum(fits))


def _last_round(tried: int) -> int:
    return next(n for n in range(tried) if FACTOR ** (n + 1) > tried)


def best_of(
    tried: int, pipeline: Any, space: Space, rows: Examples, weights: Weights, seed: int
) -> Found:
    """Return the best of a number of combinations, by the loss on later rows than were fitted."""
    if tried < 2:
        return Found({}, 0)
    halving = HalvingRandomSearchCV(
        pipeline,
        {name: list(values) for name, values in space.items()},
        n_candidates=tried,
        factor=FACTOR,
        min_resources=max(len(rows) // FACTOR ** _last_round(tried), 1),
        cv=TimeSeriesSplit(SPLITS),
        scoring=_score,
        refit=False,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a combination that cannot be fitted is no good one
        halving.fit(rows.frame(), rows.labels, **weights)
    return Found(dict(halving.best_params_), tried)


def _score(pipeline: Any, frame: Any, labels: Any) -> float:
    kind = {"b": "binary", "f": "regression"}.get(labels.dtype.kind, "multiclass")
    found = problem.of(kind, labels)  # type: ignore[arg-type]
    if kind == "multiclass":
        classes = [str(name) for name in pipeline.classes_]
        found = problem.Problem(kind="multiclass", classes=classes)
    return -float(found.losses(labels, problem.outputs(pipeline, frame, found)).mean())
