"""Fit one candidate on one window of history, and score the holdout with what would serve."""

import inspect
import io
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_regressor
from sklearn.frozen import FrozenEstimator
from threadpoolctl import threadpool_limits

from evergreen.captures.examples import WEIGHT, Examples
from evergreen.contract import problem
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.errors import CandidateError
from evergreen.contract.problem import Floats, Problem
from evergreen.contract.schema import Columns, JsonSchema, Score
from evergreen.registry.manifest import Scores, Service, VersionKind
from evergreen.serving.model import ARTIFACTS, JOBLIB, ONNX, OTHERS, runtime
from evergreen.training import isolation, search
from evergreen.training.onnx import export
from evergreen.training.onnx.odd_rows import check_robust, odd_rows

PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Request:
    """What a run is about; `at` is the newest moment that it may know.

    fallback: whether a rule is wanted too, for when no model can be loaded; rule: the one that is
        there already. until: the moment of time.monotonic() until which candidates may be fitted.
    """

    endpoint: str
    run: str
    trigger: str
    at: datetime
    seed: int
    code_sha256: str
    runtime: str = "onnx"
    fallback: bool = False
    rule: str | None = None
    until: float = math.inf


@dataclass(frozen=True)
class Contest:
    """What the candidates of a run have in common; problem: as the rows of all windows have it."""

    request: Request
    endpoint: Endpoint
    schema: JsonSchema
    holdout: Examples
    problem: Problem


@dataclass(frozen=True)
class Candidate:
    """A pipeline, and the rows to fit it on; window: their days, None for all of history.

    space: of the parameters to search, for so many seconds.
    """

    name: str
    pipeline: Any
    window: int | None
    rows: Examples
    space: search.Space = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Fitted:
    """A candidate after its fit.

    problem: as its own rows have it. runtime: what runs it, of the artifact `served`. refits:
    whether it is a pipeline that other rows would fit otherwise.
    """

    scores: Scores
    problem: Problem
    artifacts: dict[str, bytes]
    kind: VersionKind
    runtime: str
    served: str
    score: Score
    examples: Examples
    holdout: Examples
    holdout_scores: Floats
    losses: Floats
    refits: bool = False
    service: Service | None = None


# The artifacts of a fit, the scores of the holdout, and what else Scores says of it.
_Made = tuple[dict[str, bytes], Floats, dict[str, Any]]


def fit(contest: Contest, candidate: Candidate) -> Fitted:
    """Fit a candidate, and score the holdout with what would serve.

    A pipeline is fitted in a process of its own, which may end as it likes. Raises CandidateError
    for whatever keeps it from serving: it says whether pipeline, twin or data are at fault.
    """
    request, holdout, rows = contest.request, contest.holdout, candidate.rows
    kind: VersionKind = getattr(candidate.pipeline, "kind", "model")
    own = problem.of(contest.endpoint.problem, rows.labels).like(contest.problem)
    if own.kind == "binary" and rows.labels.all() == rows.labels.any():
        raise CandidateError("the data of its history has one label only: give it a longer window")
    served = ARTIFACTS[request.runtime] if kind == "model" else OTHERS[kind]
    if kind == "model":
        work = partial(_make, request, contest.schema, holdout, candidate, own)
        seconds = contest.endpoint.policy.candidate_seconds + candidate.seconds
        artifacts, scores, about = isolation.run(work, seconds, request.until)
        columns = list(contest.schema["properties"])
        score = runtime(request.runtime).scorer(artifacts[served], columns)
    else:  # it is ours, its artifact is itself, and it counts how often it may be asked
        with isolation.blaming("it cannot be fitted", candidate.name):
            candidate.pipeline.fit(rows.frame(), rows.labels)
            score, about = candidate.pipeline.scores, {"twin_difference": 0.0}
            artifacts = {served: candidate.pipeline.artifact()}
            scores = finite(score(holdout.columns))
    losses = own.losses(holdout.labels, scores)
    return Fitted(
        scores=Scores(
            candidate=candidate.name,
            window_days=candidate.window,
            rows=len(rows),
            loss=float(losses.mean()),
            **about,
        ),
        problem=own,
        artifacts=artifacts,
        kind=kind,
        runtime=request.runtime if kind == "model" else kind,
        served=served,
        score=score,
        examples=rows,
        holdout=holdout,
        holdout_scores=scores,
        losses=losses,
        refits=kind == "model" and not isinstance(candidate.pipeline, FrozenEstimator),
        service=candidate.pipeline.service() if kind == "external" else None,
    )


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def _make(
    request: Request, schema: JsonSchema, holdout: Examples, candidate: Candidate, own: Problem
) -> _Made:
    """Fit a pipeline, make its twin, and compare the two; on one thread, as others would."""
    pipeline, inputs = candidate.pipeline, list(schema["properties"])
    blaming = partial(isolation.blaming, candidate=candidate.name)

    def ask(columns: Columns) -> Floats:
        return problem.outputs(pipeline, pd.DataFrame(columns), own)

    np.random.seed(request.seed)  # for what draws from numpy's global generator
    warned: dict[str, None] = {}
    with isolation.noting(warned):
        with blaming("the pipeline cannot be fitted"):
            found = fit_pipeline(candidate, request.seed)
            if isinstance(pipeline, FrozenEstimator):  # it was fitted elsewhere
                pipeline = pipeline.estimator
        with blaming("the pipeline cannot score the holdout"):
            check_able(pipeline, own)
            expected = finite(ask(holdout.columns))
    warnings.simplefilter("ignore")  # of what is odd, which nobody needs to know
    check_robust(ask, schema, holdout.columns)
    with blaming("the pipeline cannot be written"):
        joblib.dump(pipeline, dumped := io.BytesIO(), compress=3)
    artifacts = {JOBLIB: dumped.getvalue()}
    if request.runtime == "onnx":
        artifacts[ONNX] = export.convert(pipeline, schema, inputs)
    with blaming("its ONNX twin cannot score", way_out=export.WAY_OUT):
        score = runtime(request.runtime).scorer(artifacts[ARTIFACTS[request.runtime]], inputs)
        scores = score(holdout.columns)
        difference = export.difference(scores, expected, own)
        if request.runtime == "onnx":
            odd, expected = odd_rows(ask, schema, holdout.columns, request.seed)
            export.difference(score(odd), expected, own, export.ODD)
    last = export.last_step(pipeline)
    own_parameters = last.get_params(deep=False) if hasattr(last, "get_params") else {}
    parameters = _plain(own_parameters | found.parameters)
    about = {"parameters": parameters, "searched": found.tried, "warnings": list(warned)}
    return artifacts, scores, about | {"twin_difference": difference}


def check_able(pipeline: Any, own: Problem) -> None:
    """Raise CandidateError where a fitted pipeline cannot answer a problem, with the way out."""
    if own.kind == "regression":
        if is_classifier(pipeline):
            raise CandidateError("the pipeline is a classifier, and the labels are numbers")
        if not hasattr(pipeline, "predict"):
            raise CandidateError("the pipeline has no predict: end it with a regressor")
    elif is_regressor(pipeline):
        raise CandidateError("the pipeline is a regressor: end it with a classifier")
    elif not hasattr(pipeline, "predict_proba"):
        raise CandidateError(
            "the pipeline gives no probabilities (it has no predict_proba): wrap its last step in "
            'CalibratedClassifierCV, or set voting="soft" or loss="log_loss" where it has that'
        )


def finite(scores: Floats) -> Floats:
    """Return scores; raise CandidateError where one is no number."""
    if not np.isfinite(scores).all():
        raise CandidateError("the pipeline has scores that are no numbers")
    return scores


def fit_pipeline(candidate: Candidate, seed: int) -> search.Found:
    """Fit a pipeline, with the parameters that a search chose where one is wanted."""
    pipeline, rows = candidate.pipeline, candidate.rows
    found, weights = search.Found({}, 0), weights_of(pipeline, rows)
    if candidate.space:
        found = search.search(pipeline, candidate.space, rows, weights, candidate.seconds, seed)
        pipeline.set_params(**found.parameters)
    pipeline.fit(rows.frame(), rows.labels, **weights)
    return found


def weights_of(pipeline: Any, rows: Examples) -> dict[str, Floats]:
    """Return the weights of rows by the name that a pipeline passes to its last step's fit."""
    if rows.weights is None:
        return {}
    last, path = pipeline, ""
    while hasattr(last, "steps") or hasattr(getattr(last, "estimator", None), "steps"):
        last = last if hasattr(last, "steps") else last.estimator  # of a search over a pipeline
        path, last = f"{path}{last.steps[-1][0]}__", last.steps[-1][1]
    taken = inspect.signature(last.fit).parameters.values()
    if not any(each.name == WEIGHT or each.kind == each.VAR_KEYWORD for each in taken):
        said = f"the pipeline ends with {type(last).__name__}, whose fit takes no {WEIGHT}"
        way_out = "leave that column out of what `examples` returns"
        raise CandidateError(f"{said}: {way_out}, or end it with another estimator")
    return {path + WEIGHT: rows.weights}


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: v.item() if hasattr(v, "item") else v for name, v in parameters.items()}
    return {name: value for name, value in plain.items() if isinstance(value, PLAIN)}
