"""Fit one candidate on one window of history, and score the holdout with what would serve."""

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
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
from evergreen.registry.manifest import Scores, Service, VersionKind
from evergreen.serving.model import ARTIFACTS, JOBLIB, ONNX, OTHERS, runtime
from evergreen.training import onnx_export, search
from evergreen.training.manifest_builder import GOLDEN_ROWS

FALLBACK = "fallback"  # the name of the rule that answers when no model can be loaded
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


def fit(
    request: Request,
    endpoint: Endpoint,
    schema: JsonSchema,
    holdout: Examples,
    whole: Problem,
    name: str,
    pipeline: Any,
    window: int | None,
    rows: Examples,
    space: search.Space,
    seconds: float,
) -> Fitted:
    """Fit a candidate, and score the holdout with what would serve; whole: of all windows."""
    inputs = list(schema["properties"])
    own = problem.of(endpoint.problem, rows.labels).like(whole)
    kind: VersionKind = getattr(pipeline, "kind", "model")
    artifacts: dict[str, bytes] = {}
    if own.kind == "binary" and rows.labels.all() == rows.labels.any():
        raise CandidateError("all labels of its history are the same")
    try:
        found = search.Found({}, 0)
        if space:
            found = search.search(pipeline, space, rows, seconds, request.seed)
            pipeline.set_params(**found.parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            pipeline.fit(rows.frame(), rows.labels)
        if kind == "model":
            expected = problem.outputs(pipeline, holdout.frame(), own)
            artifacts[JOBLIB] = _dumped(pipeline)
            if request.runtime == "onnx":
                artifacts[ONNX] = onnx_export.convert(pipeline, schema, inputs)
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
            onnx_export.check_robust(score, schema, holdout.take(slice(GOLDEN_ROWS)).columns)
    except CandidateError:
        raise
    except Exception as error:  # it is the user's pipeline, and may raise whatever it likes
        way_out = f"; {onnx_export.WAY_OUT}" if ONNX in artifacts else ""
        raise CandidateError(worded(error) + way_out) from error
    losses = own.losses(holdout.labels, scores)
    described = Scores(
        candidate=name,
        window_days=window,
        rows=len(rows),
        loss=float(losses.mean()),
        twin_difference=onnx_export.difference(scores, expected, own) if kind == "model" else 0.0,
        parameters=_parameters(pipeline) | _plain(found.parameters),
        searched=found.tried,
    )
    return Fitted(
        scores=described,
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
