"""Converters that make ONNX compute what scikit-learn computes: in its types, in its order.

XGBoost computes in float32, as onnxmltools converts it (see docs/gradient-boosting.md). LightGBM
compares in float64, so that its trees are converted like those of scikit-learn.

skl2onnx's own compute in float32. There a scaled number that is off by its last bit falls on the
other side of a split, the votes of a hundred trees that tie do not add up to 0.5, and a regression
of 300 is known to 3e-5. With these, ensembles of trees answer bit by bit as scikit-learn does (up
to a logistic function), and linear models up to the order of a sum in float64.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper
from skl2onnx import update_registered_converter
from skl2onnx._parse import _get_sklearn_operator_name, _parse_sklearn
from skl2onnx.common import shape_calculator
from skl2onnx.common._registration import get_converter
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType, StringTensorType
from sklearn import ensemble, impute, linear_model, preprocessing, tree
from sklearn.base import is_classifier

from evergreen.training.onnx.graph import Graph
from evergreen.training.onnx.tree_ensembles import Trees, lightgbm_trees, score_columns, trees_of

VOTES = (ensemble.VotingClassifier, ensemble.VotingRegressor)

Converter = Callable[[Any, Any, Any], None]


def declare_float64(operator: Any) -> None:
    """Declare the outputs of a pipeline's last step: its score keeps all of its digits."""
    if len(operator.outputs) == 2:
        operator.outputs[0].type = Int64TensorType([None])
    classes = getattr(operator.raw_operator, "classes_", [None])
    operator.outputs[-1].type = DoubleTensorType([None, len(classes)])


def convert_trees(scope: Any, operator: Any, container: Any) -> None:
    """Convert trees and what is made of many, in float64 as scikit-learn and LightGBM have it."""
    graph, model = Graph(scope, operator, container), operator.raw_operator
    found, link = lightgbm_trees(model) if hasattr(model, "booster_") else trees_of(model)
    classes = score_columns(model)
    starts = np.cumsum([0, *(len(each.leaf) for each in found)])[:-1]
    placed = zip(found, starts, strict=True)
    moved = [each._replace(left=each.left + at, right=each.right + at) for each, at in placed]
    nodes = Trees(*(np.concatenate(parts) for parts in zip(*moved, strict=True)))
    leaf, splits = nodes.leaf, Trees(*(part[~nodes.leaf] for part in nodes))
    place = np.where(leaf, np.cumsum(leaf), np.cumsum(~leaf)) - 1  # leaves are counted apart
    total = graph.node(
        "TreeEnsemble",
        graph.cast(graph.input(), np.float64),
        op_domain="ai.onnx.ml",
        op_version=3,  # it is of 5, which skl2onnx refuses: see twin.convert
        aggregate_function=1,  # the sum
        n_targets=len(classes),
        tree_roots=_ints(place[starts]),
        nodes_featureids=_ints(splits.feature),
        nodes_modes=numpy_helper.from_array(np.zeros(len(splits.left), dtype=np.uint8)),  # <=
        nodes_splits=numpy_helper.from_array(splits.threshold),
        nodes_truenodeids=_ints(place[splits.left]),
        nodes_trueleafs=_ints(leaf[splits.left]),
        nodes_falsenodeids=_ints(place[splits.right]),
        nodes_falseleafs=_ints(leaf[splits.right]),
        nodes_missing_value_tracks_true=_ints(splits.nan_left),
        leaf_targetids=_ints(nodes.target[leaf]),
        leaf_weights=numpy_helper.from_array(nodes.value[leaf]),
    )
    if not link:
        total = graph.node("Div", total, graph.value(np.float64(len(found) / len(classes))))
    graph.finish(total, link or "IdentityLink")


def _linear(scope: Any, operator: Any, container: Any) -> None:
    """Convert in the type of the coefficients, which is float32 where all columns were."""
    graph, model = Graph(scope, operator, container), operator.raw_operator
    weights, intercept = np.atleast_2d(model.coef_).T, np.ravel(model.intercept_)
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
    standard = isinstance(model, preprocessing.StandardScaler)
    center = getattr(model, "mean_" if getattr(model, "with_mean", False) else "center_", None)
    scaled = graph.cast(graph.input(), np.float32)
    for op, by in (("Sub", center), ("Div", model.scale_)):
        if by is not None:
            exact = by.astype(np.float32) if standard else by
            wide = graph.node(op, graph.cast(scaled, exact.dtype), graph.value(exact))
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


def parse_votes(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Let each of several models read the inputs, and their mean what they say."""
    operator = scope.declare_local_operator(_get_sklearn_operator_name(type(model)), model)
    outputs = [("label", Int64TensorType())] if is_classifier(model) else []
    for name, kind in [*outputs, ("scores", DoubleTensorType())]:
        operator.outputs.append(scope.declare_local_variable(name, kind))
    read = (_parse_sklearn(scope, each, inputs, custom_parsers) for each in model.estimators_)
    operator.inputs = [said[-1] for said in read]
    return operator.outputs


def convert_votes(scope: Any, operator: Any, container: Any) -> None:
    """Convert the mean of the inputs, in float64 and in the order of numpy."""
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


def register_boosting() -> None:
    """Let skl2onnx convert models of LightGBM and XGBoost, as far as they are in use."""
    if lightgbm := sys.modules.get("lightgbm"):
        _register(lightgbm.LGBMClassifier, lightgbm.LGBMRegressor, convert_trees)
    xgboost = sys.modules.get("xgboost")
    if xgboost and find_spec("onnxmltools"):
        module: Any = import_module("onnxmltools.convert.xgboost.operator_converters.XGBoost")
        _register(xgboost.XGBClassifier, xgboost.XGBRegressor, module.convert_xgboost)


def _register(classifier: type, regressor: type, converter: Any) -> None:
    names = ("zipmap", "nocl", "raw_scores", "output_class_labels")
    options = {name: [True, False, "columns"] for name in names}
    for model, shapes, own in (
        (classifier, shape_calculator.calculate_linear_classifier_output_shapes, options),
        (regressor, shape_calculator.calculate_linear_regressor_output_shapes, None),
    ):
        update_registered_converter(model, f"Own{model.__name__}", shapes, converter, options=own)


def _ints(values: npt.NDArray[Any]) -> list[int]:
    """Return plain integers, since protobuf refuses numpy's."""
    found: list[int] = values.astype(np.int64).tolist()
    return found


_HOW = ("RandomForest", "ExtraTrees", "GradientBoosting", "HistGradientBoosting")
_WHAT = ("Classifier", "Regressor")
_ENSEMBLES = [getattr(ensemble, how + what) for how in _HOW for what in _WHAT]
_LINEAR = ("LogisticRegression", "LinearRegression", "Ridge", "RidgeCV", "Lasso", "ElasticNet")
ESTIMATORS: dict[type, Converter] = {
    **dict.fromkeys(_ENSEMBLES, convert_trees),
    **dict.fromkeys((tree.DecisionTreeClassifier, tree.DecisionTreeRegressor), convert_trees),
    **{getattr(linear_model, name): _linear for name in _LINEAR},
}
TRANSFORMERS: dict[type, Converter] = {
    preprocessing.StandardScaler: _scaler,
    preprocessing.MaxAbsScaler: _scaler,
    preprocessing.RobustScaler: _scaler,
    impute.SimpleImputer: _imputer,
}
