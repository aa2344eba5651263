"""Whether one number alone says the label: then it was known only afterwards."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from evergreen.contract.problem import Kind

AUC = 0.999
RIGHT = 0.999
CORRELATION = 0.9999  # a law of physics may come close to 1


def leaks(values: npt.NDArray[Any], labels: npt.NDArray[Any], kind: Kind) -> str | None:
    """Return how well a number alone says the labels, where that is too well to be true.

    values, labels: shape (rows,).
    """
    measure, found, limit = {
        "binary": ("AUC", _auc, AUC),
        "multiclass": ("share of right answers", _right, RIGHT),
        "regression": ("rank correlation", _correlation, CORRELATION),
    }[kind]
    told = found(values, labels)
    return f"{measure} {told:.4f}" if told > limit else None


def _ranks(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.asarray(pd.Series(values).rank(na_option="top"), dtype=np.float64)


def _auc(values: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    area = roc_auc_score(labels, _ranks(values))
    return float(max(area, 1 - area))


def _right(values: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    """Return the share of the rows not of the commonest class that a tree on a number gets right.

    A tree of a few leaves per class: a number that says the class needs no more.
    """
    classes, codes = np.unique(labels, return_inverse=True)
    tree = DecisionTreeClassifier(max_leaf_nodes=2 * len(classes), random_state=0)
    wrong = tree.fit(values.reshape(-1, 1), codes).predict(values.reshape(-1, 1)) != codes
    return float(1 - wrong.sum() / (len(codes) - np.bincount(codes).max()))


def _correlation(values: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    ranks = _ranks(values), _ranks(labels)
    if min(rank.std() for rank in ranks) == 0:
        return 0.0
    return float(abs(np.corrcoef(*ranks)[0, 1]))
