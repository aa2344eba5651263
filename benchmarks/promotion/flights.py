"""A year of real flights, and every model that Evergreen could have trained on the way.

Each model scores every flight after what it was fitted on. With that matrix a year under any policy
is replayed in a fraction of a second.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

import endpoints.flight_delay as flight_delay
from evergreen.captures.examples import Examples, from_table, utc
from evergreen.contract import problem
from evergreen.contract.schema import schema_of
from local.samples import flights

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

FIRST = 31  # the first of February; days count from 0, the first of January
DAYS = 365
LABELS_AFTER = 2  # days: outcomes come the next morning, and a day is judged once it is closed
WORKERS = 2


@dataclass(frozen=True)
class Model:
    """A version, made on the morning of day `made` and fitted on days before `until`.

    holdout: its loss there.
    """

    made: int
    until: int
    candidate: str
    holdout: float


@dataclass(frozen=True)
class Year:
    """All flights, their days (UTC), and the loss of each model on each.

    day: shape (rows,), ascending. losses: shape (models, rows), NaN before a model's `until`.
    """

    models: list[Model]
    day: Ints
    losses: npt.NDArray[np.float32]


def mornings() -> list[int]:
    """Return the days on which models are made: twice a week from the first of February on."""
    return [day for day in range(FIRST, DAYS) if (day - FIRST) % 7 in (0, 3)]


def year(every: int, apart: int) -> Year:
    """Return the year, of which each model is fitted anew.

    every: of the flights, one in so many. apart: of the mornings of training, one in so many.
    """
    day = _days(_examples(every))  # here first, so that the workers have them
    with ProcessPoolExecutor(WORKERS) as pool:
        found = pool.map(partial(_trained, every), mornings()[::apart])
        models, losses = zip(*found, strict=True)
    return Year(list(models), day, np.stack(losses))


@cache  # once in each process
def _examples(every: int) -> Examples:
    endpoint = flight_delay.endpoint
    table = endpoint.examples(flights.flights().iloc[::every])
    return from_table(schema_of("flight-delay", endpoint.row), table)


def _days(examples: Examples) -> Ints:
    """Return the day of each row; the first hours of the new year belong to the old one's last."""
    since = examples.times.astype("datetime64[D]") - np.datetime64(f"{flights.YEAR}-01-01")
    return np.asarray(np.minimum(since.astype(np.intp), DAYS - 1))


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def _trained(every: int, made: int) -> tuple[Model, npt.NDArray[np.float32]]:
    """Fit every candidate on every window, and return the best on the holdout."""
    examples, policy = _examples(every), flight_delay.endpoint.policy
    day = _days(examples)
    known = examples.take(day <= (made - 1 if made == FIRST else made - LABELS_AFTER))
    cut = utc(known.times[-1]) - timedelta(days=policy.holdout_days)
    holdout, binary = known.between(cut, None), problem.Problem()
    best, fitted = None, None
    for window in policy.windows_days:
        fit = known.between(None if window is None else cut - timedelta(days=window), cut)
        for name, pipeline in flight_delay.candidates(0).items():
            pipeline.fit(fit.frame(), fit.labels)
            scores = pipeline.predict_proba(holdout.frame())[:, 1]
            loss = float(binary.losses(holdout.labels, scores).mean())
            if best is None or loss < best.holdout:
                until = int(day[len(examples.between(None, cut))])
                best, fitted = Model(made, until, name, loss), pipeline
    assert best is not None
    assert fitted is not None
    losses = np.full(len(examples), np.nan, dtype=np.float32)
    later = day >= best.until
    scores = fitted.predict_proba(examples.take(later).frame())[:, 1]
    losses[later] = binary.losses(examples.labels[later], scores)
    return best, losses
