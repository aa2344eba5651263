"""The mean of several models as ONNX, in float64: skl2onnx takes it in float32."""

from typing import Any

import numpy as np
from skl2onnx._parse import _get_sklearn_operator_name, _parse_sklearn
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType
from sklearn.base import is_classifier
from sklearn.ensemble import VotingClassifier, VotingRegressor

from evergreen.training.onnx.graph import Graph

VOTES = (VotingClassifier, VotingRegressor)


def parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Let each of the models read the inputs, and their mean what they say."""
    operator = scope.declare_local_operator(_get_sklearn_operator_name(type(model)), model)
    outputs = [("label", Int64TensorType())] if is_classifier(model) else []
    for name, kind in [*outputs, ("scores", DoubleTensorType())]:
        operator.outputs.append(scope.declare_local_variable(name, kind))
    read = (_parse_sklearn(scope, each, inputs, custom_parsers) for each in model.estimators_)
    operator.inputs = [said[-1] for said in read]
    return operator.outputs


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Convert the mean of the inputs, in the order of numpy."""
    graph, model = Graph(scope, operator, container), operator.raw_operator
    said = [graph.cast(each.full_name, np.float64) for each in operator.inputs]
    weights = np.array(model._weights_not_none or [1] * len(said), dtype=np.float64)
    terms = zip(said, map(graph.value, weights), strict=True)
    total = graph.node("Sum", *(graph.node("Mul", *pair) for pair in terms))
    mean = graph.node("Div", total, graph.value(weights.sum()))
    *label, output = (variable.full_name for variable in operator.outputs)
    if label:
        container.add_node("ArgMax", [mean], label, axis=1, keepdims=0)
    container.add_node("Identity", [mean], output)
