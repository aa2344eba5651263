"""Converters that make ONNX compute what scikit-learn computes: in its types, in its order.

skl2onnx's own compute in float32. There a scaled number that is off by its last bit falls on the
other side of a split, the votes of a hundred trees that tie do not add up to 0.5, and a regression
of 300 is known to 3e-5. With these, ensembles of trees answer bit by bit as scikit-learn does (up
to a logistic function), and linear models up to the order of a sum in float64.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper
from skl2onnx.common._registration import get_converter
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType, StringTensorType
from sklearn import ensemble, impute, linear_model, preprocessing, tree

from evergreen.training.onnx.boosting import lightgbm_trees
from evergreen.training.onnx.graph import Graph
from evergreen.training.onnx.tree_ensembles import Trees, score_columns, trees_of

Values = npt.NDArray[Any]
Converter = Callable[[Any, Any, Any], None]


def declare_float64(operator: Any) -> None:
    """Declare the outputs of a pipeline's last step: its score keeps all of its digits."""
    if len(operator.outputs) == 2:
        operator.outputs[0].type = Int64TensorType([None])
    classes = getattr(operator.raw_operator, "classes_", [None])
    operator.outputs[-1].type = DoubleTensorType([None, len(classes)])


def convert_trees(scope: Any, operator: Any, container: Any) -> None:
    """Convert trees and what is made of many, in float64 as scikit-learn and LightGBM have it."""
    graph = Graph(scope, operator, container)
    model = operator.raw_operator
    found, link = lightgbm_trees(model) if hasattr(model, "booster_") else trees_of(model)
    classes = score_columns(operator.raw_operator)
    starts = np.cumsum([0, *(len(each.leaf) for each in found)])[:-1]
    moved = [
        each._replace(left=each.left + start, right=each.right + start)
        for each, start in zip(found, starts, strict=True)
    ]
    nodes = Trees(*(np.concatenate(parts) for parts in zip(*moved, strict=True)))
    inner, leaf = ~nodes.leaf, nodes.leaf
    place = np.where(leaf, np.cumsum(leaf), np.cumsum(inner)) - 1  # leaves are counted apart
    left, right = nodes.left[inner], nodes.right[inner]
    total = graph.node(
        "TreeEnsemble",
        graph.cast(graph.input(), np.float64),
        op_domain="ai.onnx.ml",
        op_version=3,  # it is of 5, which skl2onnx refuses: see twin.convert
        aggregate_function=1,  # the sum
        n_targets=len(classes),
        tree_roots=_ints(place[starts]),
        nodes_featureids=_ints(nodes.feature[inner]),
        nodes_modes=numpy_helper.from_array(np.zeros(len(left), dtype=np.uint8)),  # <=
        nodes_splits=numpy_helper.from_array(nodes.threshold[inner]),
        nodes_truenodeids=_ints(place[left]),
        nodes_trueleafs=_ints(leaf[left]),
        nodes_falsenodeids=_ints(place[right]),
        nodes_falseleafs=_ints(leaf[right]),
        nodes_missing_value_tracks_true=_ints(nodes.nan_left[inner]),
        leaf_targetids=_ints(nodes.target[leaf]),
        leaf_weights=numpy_helper.from_array(nodes.value[leaf]),
    )
    if not link:
        total = graph.node("Div", total, graph.value(np.float64(len(found) / len(classes))))
    graph.finish(total, link or "IdentityLink")


def _linear(scope: Any, operator: Any, container: Any) -> None:
    """Convert in the type of the coefficients, which is float32 where all columns were."""
    graph, model = Graph(scope, operator, container), operator.raw_operator
    weights, intercept = np.atleast_2d(model.coef_).T, np.asarray(model.intercept_).reshape(-1)
    total = graph.node("MatMul", graph.cast(graph.input(), weights.dtype), graph.value(weights))
    wider = np.result_type(weights, intercept)
    total = graph.node("Add", graph.cast(total, wider), graph.value(intercept.astype(wider)))
    classifier = "LogitLink" if len(score_columns(model)) == 1 else "MultinomialLogit"
    graph.finish(total, classifier if len(operator.outputs) == 2 else "IdentityLink")


def _scaler(scope: Any, operator: Any, container: Any) -> None:
    """Convert what numpy does in place to float32: it computes in the type of the parameter.

    A StandardScaler makes its parameters float32 first, and the others do not. (skl2onnx multiplies
    by one over the scale; its MinMaxScaler is exact.)
    """
    graph, model = Graph(scope, operator, container), operator.raw_operator
    if isinstance(model, preprocessing.StandardScaler):
        mean = model.mean_ if model.with_mean else None
        steps = [("Sub", mean), ("Div", model.scale_)]
        steps = [(op, None if by is None else by.astype(np.float32)) for op, by in steps]
    else:
        steps = [("Sub", getattr(model, "center_", None)), ("Div", model.scale_)]
    scaled = graph.cast(graph.input(), np.float32)
    for op, by in steps:
        if by is not None:
            wide = graph.node(op, graph.cast(scaled, by.dtype), graph.value(by))
            scaled = graph.cast(wide, np.float32)
    if getattr(model, "clip", False):
        scaled = graph.node("Clip", scaled, *(graph.value(np.float32(to)) for to in (-1, 1)))
    container.add_node("Identity", [scaled], operator.outputs[0].full_name)


def _imputer(scope: Any, operator: Any, container: Any) -> None:
    """Convert an imputer; text passes one of NaN, as in scikit-learn, since missing text is ""."""
    model = operator.raw_operator
    if model.add_indicator:
        raise NotImplementedError("SimpleImputer(add_indicator=True)")
    text = isinstance(operator.inputs[0].type, StringTensorType)
    if text and not isinstance(model.missing_values, str):
        same = Graph(scope, operator, container).input()
        container.add_node("Identity", [same], operator.outputs[0].full_name)
    else:
        get_converter("SklearnSimpleImputer")(scope, operator, container)


def _ints(values: Values) -> list[int]:
    """Return plain integers, since protobuf refuses numpy's."""
    found: list[int] = values.astype(np.int64).tolist()
    return found


ESTIMATORS: dict[type, Converter] = {
    ensemble.RandomForestClassifier: convert_trees,
    ensemble.RandomForestRegressor: convert_trees,
    ensemble.ExtraTreesClassifier: convert_trees,
    ensemble.ExtraTreesRegressor: convert_trees,
    ensemble.GradientBoostingClassifier: convert_trees,
    ensemble.GradientBoostingRegressor: convert_trees,
    ensemble.HistGradientBoostingClassifier: convert_trees,
    ensemble.HistGradientBoostingRegressor: convert_trees,
    tree.DecisionTreeClassifier: convert_trees,
    tree.DecisionTreeRegressor: convert_trees,
    linear_model.LogisticRegression: _linear,
    linear_model.LinearRegression: _linear,
    linear_model.Ridge: _linear,
    linear_model.RidgeCV: _linear,
    linear_model.Lasso: _linear,
    linear_model.ElasticNet: _linear,
}
TRANSFORMERS: dict[type, Converter] = {
    preprocessing.StandardScaler: _scaler,
    preprocessing.MaxAbsScaler: _scaler,
    preprocessing.RobustScaler: _scaler,
    impute.SimpleImputer: _imputer,
}
