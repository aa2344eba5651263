"""Twins of XGBoost and LightGBM, for who has installed them: see docs/gradient-boosting.md.

XGBoost computes in float32, as onnxmltools converts it. LightGBM compares in float64, so that its
trees are converted like those of scikit-learn.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from evergreen.training.onnx.tree_ensembles import Trees, constant, trees_from

LINKS = {  # of LightGBM's objectives
    "binary": "LogitLink",
    "multiclass": "MultinomialLogit",
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "LogLink"),
    **dict.fromkeys(
        ("regression", "regression_l1", "huber", "fair", "quantile", "mape"), "IdentityLink"
    ),
}


def register(trees: Any) -> None:
    """Let skl2onnx convert what of them is in use; trees: converts models of LightGBM."""
    lightgbm, xgboost = sys.modules.get("lightgbm"), sys.modules.get("xgboost")
    if lightgbm:
        _register(lightgbm.LGBMClassifier, lightgbm.LGBMRegressor, trees)
    if xgboost and find_spec("onnxmltools"):
        module: Any = import_module("onnxmltools.convert.xgboost.operator_converters.XGBoost")
        _register(xgboost.XGBClassifier, xgboost.XGBRegressor, module.convert_xgboost)


def _register(classifier: type, regressor: type, converter: Any) -> None:
    names = ("zipmap", "nocl", "raw_scores", "output_class_labels")
    options = {name: [True, False, "columns"] for name in names}
    shapes = calculate_linear_classifier_output_shapes
    update_registered_converter(
        classifier, f"Own{classifier.__name__}", shapes, converter, options=options
    )
    shapes = calculate_linear_regressor_output_shapes
    update_registered_converter(regressor, f"Own{regressor.__name__}", shapes, converter)


def lightgbm_trees(model: Any) -> tuple[list[Trees], str]:
    """Return the trees of a LightGBM model, and the link of their sum.

    Raises NotImplementedError for what they cannot say: categories, zeros as missing values, an
    objective of one's own, random forests, another slope than 1.
    """
    dumped = model.booster_.dump_model()
    objective, *more = dumped.get("objective", "custom").split()
    slopes = [each for each in more if each.startswith("sigmoid:")]
    if objective not in LINKS or dumped["average_output"] or slopes not in ([], ["sigmoid:1"]):
        raise NotImplementedError(f"objective={objective!r} of LightGBM with {more}")
    if "sqrt" in more:
        raise NotImplementedError("reg_sqrt of LightGBM")
    classes = dumped["num_tree_per_iteration"]
    trees = []
    for number, tree in enumerate(dumped["tree_info"]):
        nodes: list[tuple[Any, ...]] = []
        _walk(tree["tree_structure"], nodes)
        target = number % classes
        if len(nodes) == 1:
            trees.append(constant(nodes[0][6], target))
        else:
            trees.append(trees_from(nodes, target))
    return trees, LINKS[objective]


def _walk(node: dict[str, Any], nodes: list[tuple[Any, ...]]) -> int:
    """Append a node and those below it, as the fields of Trees; return its place."""
    place = len(nodes)
    if "leaf_value" in node:
        nodes.append((True, 0, 0.0, 0, 0, 0, node["leaf_value"]))
        return place
    missing = node["missing_type"]
    if node["decision_type"] != "<=" or missing == "Zero":
        raise NotImplementedError("categorical_feature or zero_as_missing of LightGBM")
    # Of a feature that had no gaps, NaN is taken for 0.
    nan_left = node["default_left"] if missing == "NaN" else node["threshold"] >= 0
    nodes.append(())
    left, right = _walk(node["left_child"], nodes), _walk(node["right_child"], nodes)
    feature, threshold = node["split_feature"], node["threshold"]
    nodes[place] = (False, feature, threshold, left, right, int(nan_left), 0.0)
    return place
