"""The holdout: the newest rows, on which all candidates are compared and none is fitted.

It begins `policy.holdout_days` before the newest row. Where the rows since then cannot tell two
models apart, as after a single label on a new day, it begins as long before the newest row at which
they could; and where no such span holds enough, or too little would be left to fit, with as few of
the newest days as do. It always ends with the newest row, and a newer row never leaves less to fit.

One holdout may be lucky, so the best are told apart on as many days before it too, which must then
be scored by a fit of their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import numpy as np
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from evergreen.captures.examples import MIN_PER_CLASS, Examples, check_enough, utc
from evergreen.contract import problem
from evergreen.contract.endpoint import Policy
from evergreen.contract.errors import CandidateError, DataError
from evergreen.contract.problem import Floats, Problem
from evergreen.registry.manifest import Manifest
from evergreen.serving.model import JOBLIB
from evergreen.serving.runtime_sklearn import pipeline_of
from evergreen.training import isolation
from evergreen.training.fitting import Contest, Fitted, finite, weights_of
from evergreen.training.gates import improvement

MIN_DAYS = 3  # the bootstrap draws days
CLOSEST = 3  # on the holdout, among which the days before it decide too; see docs/decisions.md


@dataclass(frozen=True)
class Split:
    """The holdout, which begins at `cut`, and the rows before it, which may be fitted."""

    cut: datetime
    holdout: Examples
    earlier: Examples

    @property
    def said(self) -> str:
        """Return which days the holdout has, for people."""
        days = np.unique(self.holdout.times.astype("datetime64[D]"))
        rows = f"{len(self.holdout):,} rows on {len(days)} days"
        return f"the holdout has {rows}, {days[0]} to {days[-1]}"


def split(examples: Examples, policy: Policy, after: datetime | None) -> Split:
    """Return the newest rows as the holdout, and the others.

    after: rows until then were fitted by the champion, whom they would flatter. Raises DataError
    where no holdout has enough rows, or none leaves enough to fit.
    """
    first = None if after is None else after + timedelta.resolution
    fresh, fault = examples.between(first, None), None
    for start in _starts(fresh, policy):
        cut = max(start, first or start)
        found = Split(cut, examples.between(cut, None), examples.between(None, cut))
        try:
            check_enough(found.earlier, min_rows=policy.min_rows)
            return found
        except DataError as error:
            fault = fault or DataError(f"too few rows are left to fit, as {found.said}: {error}")
    days = len(np.unique(fresh.times.astype("datetime64[D]")))
    both = "both labels" if fresh.kind == "binary" else "two labels that differ"
    needed = f"needs at least {int(_min_rows(policy)):,} on {MIN_DAYS}, and {both}"
    said = f"the rows that no champion was fitted on are {len(fresh):,} on {days} days"
    raise fault or DataError(f"{said}: a holdout {needed}")


def _starts(fresh: Examples, policy: Policy) -> Iterator[datetime]:
    """Yield the starts of holdouts that have enough rows: the best, and the one with the least."""
    if not len(fresh):
        return
    days, order = fresh.times.astype("datetime64[D]"), np.arange(len(fresh))
    begins = np.r_[True, days[1:] != days[:-1]]
    number = np.cumsum(begins)
    changes = np.r_[True, fresh.labels[1:] != fresh.labels[:-1]]
    alike = np.maximum.accumulate(np.where(changes, order, 0))  # since when the label is the same

    def enough(low: Any, high: Any) -> Any:
        rows = high - low + 1 >= _min_rows(policy)
        return rows & (number[high] - number[low] + 1 >= MIN_DAYS) & (alike[high] > low)

    last = np.flatnonzero(np.r_[begins[1:], True])  # row of each day
    since = fresh.times[last] - np.timedelta64(policy.holdout_days, "D")
    spans = since[enough(np.searchsorted(fresh.times, since), last)]
    starts = days[begins][enough(np.flatnonzero(begins), order[-1])]
    yield from (utc(found[-1].astype("datetime64[us]")) for found in (spans, starts) if len(found))


def _min_rows(policy: Policy) -> float:
    return max(1, policy.min_rows * MIN_PER_CLASS)


def best_first(
    contest: Contest, fitted: Sequence[Fitted], parts: Split, champion: Manifest | None
) -> list[Fitted]:
    """Return the candidates, the best first: of the closest by their mean loss on two spans.

    The champion's own recipe stays the first unless another is better by more than the policy's
    margin: surely on the holdout, and on the days before it too. Which recipe wins a holdout
    changes with its luck. A newer version of one recipe can follow within days; another one has to
    be compared for weeks, in which all versions grow old.
    """
    found = sorted(fitted, key=lambda each: each.scores.loss)
    recipe, code = champion and champion.recipe, contest.request.code_sha256
    same = [
        each for each in found if (each.scores.candidate, each.scores.parameters, code) == recipe
    ]
    if not same:
        tried = _on_two_spans(contest, found[:CLOSEST], parts)
        both = sorted(tried, key=lambda each: each.scores.loss + (each.scores.earlier or 0.0))
        return both + found[CLOSEST:]
    own, best = same[0], found[0]
    others = [each for each in found if each is not own]
    margin, days = contest.endpoint.policy.margin, contest.holdout.times.astype("datetime64[D]")
    if improvement(own.losses, best.losses, days, contest.request.seed).lower > margin:
        best, own = _on_two_spans(contest, [best, own], parts)
        before = [each.scores.earlier for each in (own, best) if each.scores.earlier is not None]
        if len(before) < 2 or before[0] - before[1] > margin:
            return [best, own, *others[1:]]
    return [own, *others]


def _on_two_spans(contest: Contest, closest: list[Fitted], parts: Split) -> list[Fitted]:
    """Return candidates with their loss on the days before the holdout.

    They are as they were where these days are too few, or one of them has no loss there: it was
    fitted elsewhere, is no model, or there was no time left.
    """
    if len(closest) < 2 or not all(each.refits for each in closest):
        return closest
    try:
        before = split(parts.earlier, contest.endpoint.policy, None)
        return [_with_earlier(contest, each, before) for each in closest]
    except (DataError, CandidateError):
        return closest


def _with_earlier(contest: Contest, found: Fitted, before: Split) -> Fitted:
    """Return a candidate with the loss of its like, fitted on earlier rows, on the days after."""
    window, policy = found.scores.window_days, contest.endpoint.policy
    start = None if window is None else before.cut - timedelta(days=window)
    rows = before.earlier.between(start, None)
    check_enough(rows, min_rows=policy.min_rows)
    own = problem.of(contest.endpoint.problem, rows.labels).like(found.problem)
    work = partial(_refitted, contest.request.seed, found.artifacts[JOBLIB], rows, before, own)
    scores = isolation.run(work, policy.candidate_seconds, contest.request.until)
    loss = float(own.losses(before.holdout.labels, scores).mean())
    return replace(found, scores=msgspec.structs.replace(found.scores, earlier=loss))


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def _refitted(seed: int, artifact: bytes, rows: Examples, before: Split, own: Problem) -> Floats:
    pipeline = clone(pipeline_of(artifact))
    np.random.seed(seed)
    with isolation.noting({}), isolation.blaming("it cannot be fitted again", "the pipeline"):
        pipeline.fit(rows.frame(), rows.labels, **weights_of(pipeline, rows))
        return finite(problem.outputs(pipeline, before.holdout.frame(), own))
