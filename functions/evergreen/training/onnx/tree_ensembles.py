"""The trees of a fitted model of scikit-learn, or of LightGBM, as arrays of their nodes."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]
LINKS = {  # of LightGBM's objectives
    "binary": "LogitLink",
    "multiclass": "MultinomialLogit",
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "LogLink"),
    **dict.fromkeys(
        ("regression", "regression_l1", "huber", "fair", "quantile", "mape"), "IdentityLink"
    ),
}


class Trees(NamedTuple):
    """The nodes of one tree, or of several: left and right are places in these arrays.

    target: the class whose score a leaf adds to, 0 where there is only one score.
    """

    leaf: Values
    feature: Values
    threshold: Values
    left: Values
    right: Values
    nan_left: Values
    value: Values
    target: Values


def score_columns(model: Any) -> list[int]:
    """Return the columns of scores that a model has: one for a regression and for two classes.

    They are columns of a tree's values, of which the last of two classes is true.
    """
    count = len(getattr(model, "classes_", ()))
    return list(range(count)) if count > 2 else [-1]


def trees_of(model: Any) -> tuple[list[Trees], str]:
    """Return trees and the link of their sum, or "" for a forest, whose answer is their mean.

    A leaf adds to one score only, so that of several classes each has trees of its own.
    """
    classes = score_columns(model)
    if not hasattr(model, "_loss"):
        grown = [each.tree_ for each in getattr(model, "estimators_", [model])]
        return [_grown(each, 1.0, at, max(at, 0)) for each in grown for at in classes], ""
    if hasattr(model, "_predictors"):
        if model.is_categorical_ is not None:
            raise NotImplementedError("categorical_features, instead of an OrdinalEncoder")
        start, rounds = model._baseline_prediction, model._predictors
        found = [_boosted(each.nodes, at) for one in rounds for at, each in enumerate(one)]
    else:
        if model.init not in (None, "zero"):
            raise NotImplementedError(f"init={model.init!r}")
        start = model._raw_predict_init(np.zeros((1, model.n_features_in_), dtype=np.float32))
        rate, rounds = model.learning_rate, model.estimators_
        found = [_grown(each.tree_, rate, -1, at) for one in rounds for at, each in enumerate(one)]
    starts = [_constant(value, target) for target, value in enumerate(np.ravel(start))]
    return [*starts, *found], type(model._loss.link).__name__


def _grown(grown: Any, rate: float, column: int, target: int) -> Trees:
    leaf, value = grown.children_left == -1, rate * grown.value[:, 0, column]
    split = grown.feature, grown.threshold, grown.children_left, grown.children_right
    return _tree(target, leaf, *split, grown.missing_go_to_left, value)


def _boosted(nodes: Values, target: int) -> Trees:
    below = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    split = nodes["feature_idx"], nodes["num_threshold"], *below
    return _tree(target, nodes["is_leaf"] == 1, *split, nodes["missing_go_to_left"], nodes["value"])


def _tree(target: int, *fields: Values) -> Trees:
    """Return a tree of all fields of Trees but the last."""
    value = fields[-1]
    if len(value) == 1:
        return _constant(value[0], target)
    return Trees._make([*fields, np.full(len(value), target)])


def _constant(value: float, target: int) -> Trees:
    """Return a tree with one leaf; a TreeEnsemble wants a node above it."""
    zeros, ones = np.zeros(2, dtype=np.int64), np.ones(2, dtype=np.int64)
    leaf, values = np.array([False, True]), np.array([0.0, value])
    return Trees(leaf, zeros, np.zeros(2), ones, ones, zeros, values, np.full(2, target))


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
    trees = []
    for number, tree in enumerate(dumped["tree_info"]):
        nodes = zip(*_walk(tree["tree_structure"], 0), strict=True)
        trees.append(_tree(number % dumped["num_tree_per_iteration"], *map(np.array, nodes)))
    return trees, LINKS[objective]


def _walk(node: dict[str, Any], place: int) -> Iterator[tuple[Any, ...]]:
    """Yield a node, which is at this place, and those below it, each as the fields of Trees."""
    if "leaf_value" in node:
        yield True, 0, 0.0, 0, 0, 0, node["leaf_value"]
        return
    missing, feature, threshold = node["missing_type"], node["split_feature"], node["threshold"]
    if node["decision_type"] != "<=" or missing == "Zero":
        raise NotImplementedError("categorical_feature or zero_as_missing of LightGBM")
    # Of a feature that had no gaps, NaN is taken for 0.
    nan_left = node["default_left"] if missing == "NaN" else threshold >= 0
    left = list(_walk(node["left_child"], place + 1))
    right = place + 1 + len(left)
    yield False, feature, threshold, place + 1, right, int(nan_left), 0.0
    yield from left
    yield from _walk(node["right_child"], right)
