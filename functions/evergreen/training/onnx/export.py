"""The ONNX twin of a fitted scikit-learn pipeline: what predict runs."""

from typing import Any

import numpy as np
import skl2onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.base import is_classifier

from evergreen.contract.errors import CandidateError, worded
from evergreen.contract.problem import Floats, Problem
from evergreen.contract.schema import JsonSchema, is_text
from evergreen.training.onnx import converters, encoders
from evergreen.training.onnx.converters import ESTIMATORS, TRANSFORMERS, VOTES, declare_float64
from evergreen.training.onnx.encoders import ENCODERS

BINARY = Problem()
TOLERANCE = 1e-5
ODD = "that are odd: limits, gaps, new categories, neighbours of a jump"
NAMED_ROWS = 10
OPSET = {"": 21, "ai.onnx.ml": 3}  # the newest for which skl2onnx has been tested
TREE_OPSET = 5  # which has TreeEnsemble, and all else that skl2onnx writes unchanged
WAY_OUT = (
    "serve the pipeline itself (`make train RUNTIME=sklearn` tries it, ServingRuntime=sklearn "
    "deploys it), or leave this one out"
)


def last_step(pipeline: Any) -> Any:
    """Return the estimator that a pipeline ends with, also where pipelines are nested."""
    while hasattr(pipeline, "steps"):
        pipeline = pipeline.steps[-1][1]
    return pipeline


def last_steps(pipeline: Any) -> list[Any]:
    """Return the last step, or those of the models whose mean it is."""
    last = last_step(pipeline)
    models = last.estimators_ if type(last) in VOTES else []
    return [end for model in models for end in last_steps(model)] or [last]


def convert(pipeline: Any, schema: JsonSchema, inputs: list[str]) -> bytes:
    """Return a pipeline as an ONNX model whose inputs are its columns, each of shape (rows, 1).

    Its last output holds the scores: the probabilities of all classes, or a regression's values.
    Raises CandidateError where there is no converter for one of its steps.
    """
    kinds = {True: StringTensorType, False: FloatTensorType}
    types = [(name, kinds[is_text(schema["properties"][name])]([None, 1])) for name in inputs]
    own = ESTIMATORS | TRANSFORMERS | dict.fromkeys(ENCODERS, encoders.convert)
    own |= dict.fromkeys(VOTES, converters.convert_votes)
    converters.register_boosting()
    ends = last_steps(pipeline)
    exact = {type(last) for last in ends if type(last) in ESTIMATORS or hasattr(last, "booster_")}
    shapes: dict[type, Any] = dict.fromkeys(ENCODERS, encoders.declare_encoded)
    shapes |= dict.fromkeys([*VOTES, *exact], declare_float64)
    try:
        model = skl2onnx.convert_sklearn(
            pipeline,
            name="model",  # the default is a random one, and the same data must give the same bytes
            initial_types=types,
            options={id(each): {"zipmap": False} for each in ends if is_classifier(each)},
            target_opset=OPSET,
            custom_conversion_functions=own,
            custom_shape_calculators=shapes,
            custom_parsers=dict.fromkeys(VOTES, converters.parse_votes),
        )
    except Exception as error:  # converters raise whatever they like
        reason = worded(error)
        if isinstance(error, NotImplementedError | MissingShapeCalculator | MissingConverter):
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]  # names an operator
        raise CandidateError(f"there is no ONNX twin of it: {reason}; {WAY_OUT}") from error
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    if any(node.op_type == "TreeEnsemble" for node in model.graph.node):
        next(each for each in opsets if each.domain == "ai.onnx.ml").version = TREE_OPSET
    del model.opset_import[:]
    model.opset_import.extend(opsets)  # skl2onnx orders them by hash, another in each process
    return bytes(model.SerializeToString())


def difference(
    scores: Floats, expected: Floats, problem: Problem = BINARY, where: str = "in the holdout"
) -> float:
    """Return the largest difference between a twin's scores and its pipeline's.

    scores, expected: shape (rows,), or (rows, classes). That of a regression is in units of its
    scale, in odd rows of the score where that is larger: no float64 knows 1e30 to 1e-5. Raises
    CandidateError over TOLERANCE, for NaN, or for another label: what is measured must be what
    serves.
    """
    unit = np.maximum(problem.scale, np.abs(expected)) if where == ODD else problem.scale
    difference = (np.abs(scores - expected) / unit).reshape(len(scores), -1).max(axis=1)
    said = problem.answered(scores) != problem.answered(expected)
    flipped = said & (problem.kind != "regression")
    rows = np.flatnonzero(~(difference <= TOLERANCE) | flipped)
    if len(rows):
        named = ", ".join(map(str, rows[:NAMED_ROWS].tolist()))
        more = f" and {len(rows) - NAMED_ROWS:,} more" if len(rows) > NAMED_ROWS else ""
        also = f" and in {flipped.sum():,} labels" if flipped.any() else ""
        said = (
            f"its ONNX twin differs from scikit-learn by up to {difference[rows].max():.2g}{also}"
        )
        place = f"in rows {named}{more} of the {len(scores):,} {where}"
        raise CandidateError(f"{said}, {place}; {WAY_OUT}")
    return float(difference.max())
