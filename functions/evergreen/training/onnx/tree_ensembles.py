"""The trees of a fitted model of scikit-learn, as arrays of their nodes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]


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
        grown = getattr(model, "estimators_", [model])
        return [
            _grown(each.tree_, 1.0, column, max(column, 0)) for each in grown for column in classes
        ], ""
    if hasattr(model, "_predictors"):
        if model.is_categorical_ is not None:
            raise NotImplementedError("categorical_features, instead of an OrdinalEncoder")
        start = model._baseline_prediction
        found = [
            _boosted(predictor.nodes, target)
            for one_each in model._predictors
            for target, predictor in enumerate(one_each)
        ]
    else:
        if model.init not in (None, "zero"):
            raise NotImplementedError(f"init={model.init!r}")
        start = model._raw_predict_init(np.zeros((1, model.n_features_in_), dtype=np.float32))
        found = [
            _grown(each.tree_, model.learning_rate, -1, target)
            for one_each in model.estimators_
            for target, each in enumerate(one_each)
        ]
    starts = [constant(value, target) for target, value in enumerate(np.ravel(start))]
    return [*starts, *found], type(model._loss.link).__name__


def _grown(grown: Any, rate: float, column: int, target: int) -> Trees:
    value = rate * grown.value[:, 0, column]
    if len(value) == 1:
        return constant(value[0], target)
    leaf, targets = grown.children_left == -1, np.full(len(value), target)
    split = grown.feature, grown.threshold, grown.children_left, grown.children_right
    return Trees(leaf, *split, grown.missing_go_to_left, value, targets)


def _boosted(nodes: Values, target: int) -> Trees:
    if len(nodes) == 1:
        return constant(nodes["value"][0], target)
    below = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    split = nodes["feature_idx"], nodes["num_threshold"], *below
    last = nodes["missing_go_to_left"], nodes["value"], np.full(len(nodes), target)
    return Trees(nodes["is_leaf"] == 1, *split, *last)


def trees_from(nodes: Sequence[tuple[Any, ...]], target: int) -> Trees:
    """Return a tree from its nodes, each with all fields of Trees but the last."""
    return Trees(*[*map(np.array, zip(*nodes, strict=True)), np.full(len(nodes), target)])


def constant(value: float, target: int) -> Trees:
    """Return a tree with one leaf; a TreeEnsemble wants a node above it."""
    zeros, ones = np.zeros(2, dtype=np.int64), np.ones(2, dtype=np.int64)
    leaf = np.array([False, True])
    values = np.array([0.0, value])
    return Trees(leaf, zeros, np.zeros(2), ones, ones, zeros, values, np.full(2, target))
