"""Converters that make ONNX compute what scikit-learn computes: in its types, in its order.

skl2onnx's own compute in float32. There a scaled number that is off by its last bit falls on the
other side of a split, the votes of a hundred trees that tie do not add up to 0.5, and a regression
of 300 is known to 3e-5. With these, ensembles of trees answer bit by bit as scikit-learn does (up
to a logistic function), and linear models up to the order of a sum in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, numpy_helper
from skl2onnx.common._registration import get_converter
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
    guess_proto_type,
)
from sklearn import ensemble, impute, linear_model, preprocessing, tree

from evergreen.training.onnx.tree_ensembles import Trees, score_columns, trees_of

Values = npt.NDArray[Any]
Converter = Callable[[Any, Any, Any], None]

_NO_CATEGORY = np.float32(2**62)
_LINKS = {  # from the sum of a model to its score
    "IdentityLink": [],
    "LogLink": ["Exp"],
    "LogitLink": ["Sigmoid"],
    "HalfLogitLink": ["Add", "Sigmoid"],  # of the sum and itself
    "MultinomialLogit": ["Softmax"],
}


@dataclass(frozen=True)
class _Graph:
    """The nodes that one step of a pipeline becomes; a value of the graph is known by its name."""

    scope: Any
    operator: Any
    container: Any

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        output: str = self.scope.get_unique_variable_name(op.lower())
        self.container.add_node(op, list(inputs), output, **attributes)
        return output

    def value(self, value: npt.ArrayLike) -> str:
        name: str = self.scope.get_unique_variable_name("value")
        self.container.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def cast(self, name: str, kind: npt.DTypeLike) -> str:
        to = TensorProto.DOUBLE if kind == np.float64 else TensorProto.FLOAT
        return self.node("Cast", name, to=to)

    def input(self) -> str:
        names = [variable.full_name for variable in self.operator.inputs]
        return names[0] if len(names) == 1 else self.node("Concat", *names, axis=1)

    def finish(self, total: str, link: str) -> None:
        """Write the outputs of an estimator from what it links, of shape (rows, 1 or classes)."""
        options = self.container.get_options(self.operator.raw_operator, {}, fail=False)
        for op in [] if options.get("raw_scores") else _LINKS[link]:  # calibrators want them raw
            total = self.node(op, *[total] * (2 if op == "Add" else 1))
        score = self.cast(total, np.float64)
        *label, output = (variable.full_name for variable in self.operator.outputs)
        if label and len(self.operator.raw_operator.classes_) > 2:
            self.container.add_node("ArgMax", [score], label, axis=1, keepdims=0)
        elif label:
            other = self.node("Sub", self.value(np.ones(1)), score)
            score = self.node("Concat", other, score, axis=1)
            self.container.add_node("ArgMax", [score], label, axis=1, keepdims=0)
        declared = guess_proto_type(self.operator.outputs[-1].type)  # float32 in another estimator
        self.container.add_node("Cast", [score], output, to=declared)


def declare_float64(operator: Any) -> None:
    """Declare the outputs of a pipeline's last step: its score keeps all of its digits."""
    if len(operator.outputs) == 2:
        operator.outputs[0].type = Int64TensorType([None])
    classes = getattr(operator.raw_operator, "classes_", [None])
    operator.outputs[-1].type = DoubleTensorType([None, len(classes)])


def _trees(scope: Any, operator: Any, container: Any) -> None:
    graph = _Graph(scope, operator, container)
    found, link = trees_of(operator.raw_operator)
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
    graph, model = _Graph(scope, operator, container), operator.raw_operator
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
    graph, model = _Graph(scope, operator, container), operator.raw_operator
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
        same = _Graph(scope, operator, container).input()
        container.add_node("Identity", [same], operator.outputs[0].full_name)
    else:
        get_converter("SklearnSimpleImputer")(scope, operator, container)


def _one_hot(scope: Any, operator: Any, container: Any) -> None:
    """Convert a one-hot; of a number that is no category it makes one that none can be.

    skl2onnx casts numbers to integers: 2.5 would be 2, and NaN whatever the processor makes of it.
    """
    graph = _Graph(scope, operator, container)
    inputs = []
    for variable in operator.inputs:
        name, kind = variable.full_name, variable.type
        if isinstance(kind, FloatTensorType):
            whole = graph.node("Equal", graph.node("Floor", name), name)
            name = graph.node("Where", whole, name, graph.value(_NO_CATEGORY))
        inputs.append(SimpleNamespace(full_name=name, type=kind))
    encoder = SimpleNamespace(
        raw_operator=operator.raw_operator,
        inputs=inputs,
        output_full_names=operator.output_full_names,
    )
    get_converter("SklearnOneHotEncoder")(scope, encoder, container)


def _ints(values: Values) -> list[int]:
    """Return plain integers, since protobuf refuses numpy's."""
    found: list[int] = values.astype(np.int64).tolist()
    return found


ESTIMATORS: dict[type, Converter] = {
    ensemble.RandomForestClassifier: _trees,
    ensemble.RandomForestRegressor: _trees,
    ensemble.ExtraTreesClassifier: _trees,
    ensemble.ExtraTreesRegressor: _trees,
    ensemble.GradientBoostingClassifier: _trees,
    ensemble.GradientBoostingRegressor: _trees,
    ensemble.HistGradientBoostingClassifier: _trees,
    ensemble.HistGradientBoostingRegressor: _trees,
    tree.DecisionTreeClassifier: _trees,
    tree.DecisionTreeRegressor: _trees,
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
    preprocessing.OneHotEncoder: _one_hot,
    impute.SimpleImputer: _imputer,
}
