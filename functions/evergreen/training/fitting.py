"""Fit one candidate on one window of history, and score the holdout with what would serve."""

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import joblib
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from evergreen.captures.examples import Examples
from evergreen.contract import problem
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.errors import CandidateError, worded
from evergreen.contract.problem import Floats, Problem
from evergreen.contract.schema import JsonSchema, Score
from evergreen.registry.manifest import GOLDEN_ROWS, Scores, Service, VersionKind
from evergreen.serving.model import ARTIFACTS, JOBLIB, ONNX, OTHERS, runtime
from evergreen.training import search
from evergreen.training.onnx import export

PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Request:
    """What a run is about; `at` is the newest moment that it may know.

    fallback: whether a rule is wanted too, for when no model can be loaded; rule: the one that is
        there already.
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

    problem: as its own rows have it. runtime: what runs it, of the artifact `served`.
    """

    scores: Scores
    problem: Problem
    artifacts: dict[str, bytes]
    kind: VersionKind
    runtime: str
    served: str
    score: Score
    inputs: list[str]
    examples: Examples
    holdout: Examples
    holdout_scores: Floats
    losses: Floats
    service: Service | None = None

    @property
    def has_twin(self) -> bool:
        """Say whether what serves is not what was fitted."""
        return self.served == ONNX


def fit(contest: Contest, candidate: Candidate) -> Fitted:
    """Fit a candidate, and score the holdout with what would serve.

    Raises CandidateError for whatever keeps it from serving.
    """
    request, schema, holdout = contest.request, contest.schema, contest.holdout
    pipeline, rows, inputs = candidate.pipeline, candidate.rows, list(schema["properties"])
    kind: VersionKind = getattr(pipeline, "kind", "model")
    own = problem.of(contest.endpoint.problem, rows.labels).like(contest.problem)
    artifacts: dict[str, bytes] = {}
    difference = 0.0
    if own.kind == "binary" and rows.labels.all() == rows.labels.any():
        raise CandidateError("all labels of its history are the same")
    try:
        found = _fit_pipeline(candidate, request.seed)
        if kind == "model":
            expected = problem.outputs(pipeline, holdout.frame(), own)
            artifacts[JOBLIB] = _dumped(pipeline)
            if request.runtime == "onnx":
                artifacts[ONNX] = export.convert(pipeline, schema, inputs)
            served = ARTIFACTS[request.runtime]
            score = runtime(request.runtime).scorer(artifacts[served], inputs)
        else:  # its artifact is itself, and it counts how often it may be asked
            served = OTHERS[kind]
            artifacts[served] = pipeline.artifact()
            score = pipeline.scores
        scores = score(holdout.columns)
        if not np.isfinite(scores).all():
            raise CandidateError("it has scores that are no numbers")
        if kind == "model":
            export.check_robust(score, schema, holdout.take(slice(GOLDEN_ROWS)).columns)
            difference = export.difference(scores, expected, own)
    except CandidateError:
        raise
    except Exception as error:  # it is the user's pipeline, and may raise whatever it likes
        way_out = f"; {export.WAY_OUT}" if ONNX in artifacts else ""
        raise CandidateError(worded(error) + way_out) from error
    losses = own.losses(holdout.labels, scores)
    return Fitted(
        scores=_described(candidate, found, float(losses.mean()), difference),
        problem=own,
        artifacts=artifacts,
        kind=kind,
        runtime=request.runtime if kind == "model" else kind,
        served=served,
        score=score,
        inputs=inputs,
        examples=rows,
        holdout=holdout,
        holdout_scores=scores,
        losses=losses,
        service=pipeline.service() if kind == "external" else None,
    )


def _described(candidate: Candidate, found: search.Found, loss: float, difference: float) -> Scores:
    return Scores(
        candidate=candidate.name,
        window_days=candidate.window,
        rows=len(candidate.rows),
        loss=loss,
        twin_difference=difference,
        parameters=_parameters(candidate.pipeline) | _plain(found.parameters),
        searched=found.tried,
    )


def _fit_pipeline(candidate: Candidate, seed: int) -> search.Found:
    """Fit a pipeline, with the parameters that a search chose where one is wanted."""
    pipeline, rows = candidate.pipeline, candidate.rows
    found = search.Found({}, 0)
    if candidate.space:
        found = search.search(pipeline, candidate.space, rows, candidate.seconds, seed)
        pipeline.set_params(**found.parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        pipeline.fit(rows.frame(), rows.labels)
    return found


def _parameters(pipeline: Any) -> dict[str, Any]:
    """Return the parameters of the last step of a pipeline, as far as they are plain values."""
    last = pipeline
    while hasattr(last, "steps"):
        last = last.steps[-1][1]
    return _plain(last.get_params(deep=False)) if hasattr(last, "get_params") else {}


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    plain = {
        name: getattr(value, "item", lambda v=value: v)() for name, value in parameters.items()
    }
    return {name: value for name, value in plain.items() if isinstance(value, PLAIN)}


def _dumped(pipeline: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(pipeline, buffer, compress=3)
    return buffer.getvalue()
