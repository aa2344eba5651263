"""What a fitted pipeline can answer is asked after its fit."""

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from evergreen.contract.errors import CandidateError
from evergreen.contract.problem import Problem
from evergreen.training.fitting import check_able

X = np.random.default_rng(0).normal(size=(200, 3))
NUMBER = Problem(kind="regression")


def two(**more: Any) -> VotingClassifier:
    return VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier())], **more)


@pytest.mark.parametrize(
    ("estimator", "own", "said"),
    [
        (two(voting="hard"), Problem(), 'voting="soft"'),
        (LinearSVC(), Problem(), "CalibratedClassifierCV"),
        (SVC(), Problem(kind="multiclass"), "CalibratedClassifierCV"),
        (DecisionTreeRegressor(), Problem(), "is a regressor: end it with a classifier"),
        (StandardScaler(), Problem(), "no predict_proba"),
        (StandardScaler(), NUMBER, "has no predict"),
        (GridSearchCV(DecisionTreeRegressor(), {}, refit=False), NUMBER, "has no predict"),
        (LogisticRegression(), NUMBER, "is a classifier, and the labels are numbers"),
    ],
    ids=lambda found: type(found).__name__,
)
def test_what_it_cannot_answer_is_refused_with_what_to_change(
    estimator: Any, own: Problem, said: str
) -> None:
    fitted = estimator.fit(X, X[:, 0] > 0)

    with pytest.raises(CandidateError, match=said):
        check_able(fitted, own)


@pytest.mark.parametrize(
    ("estimator", "own"),
    [
        (StackingClassifier([("a", LogisticRegression()), ("b", LinearSVC())]), Problem()),
        (two(voting="soft"), Problem()),
        (CalibratedClassifierCV(LinearSVC()), Problem()),
        (GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}), Problem()),
        (TransformedTargetRegressor(LinearRegression()), NUMBER),
    ],
    ids=lambda found: type(found).__name__,
)
def test_what_it_can_answer_once_it_is_fitted_is_taken(estimator: Any, own: Problem) -> None:
    check_able(estimator.fit(X, X[:, 0] if own == NUMBER else X[:, 0] > 0), own)
