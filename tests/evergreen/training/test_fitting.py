"""What a fitted pipeline can answer is asked after its fit."""

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from evergreen.captures.examples import Examples
from evergreen.contract.errors import CandidateError
from evergreen.contract.problem import Problem
from evergreen.training.fitting import Candidate, check_able, fit_pipeline

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


def weighted(rows: int = 200) -> Examples:
    """Return rows whose label follows x in the half that weighs 1, and not in that of weight 0."""
    heavy = np.arange(rows) % 2 == 0
    times = np.datetime64("2013-01-01", "us") + np.arange(rows).astype("timedelta64[h]")
    x = np.linspace(-3, 3, rows).astype(np.float32)
    return Examples({"x": x}, np.where(heavy, x > 0, x < 0), times, heavy.astype(float))


@pytest.mark.parametrize(
    "pipeline",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), LogisticRegression())),
        make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression())),
        GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {}),
        two(voting="soft"),
    ],
    ids=lambda found: type(found).__name__,
)
def test_weights_reach_the_fit_of_the_last_step(pipeline: Any) -> None:
    rows = weighted()

    fit_pipeline(Candidate("weighted", pipeline, None, rows), seed=0)

    told = pipeline.predict_proba(rows.frame())[:, 1]
    assert (told[-5:] > 0.55).all(), "without weights the two halves cancel"


def test_weights_that_the_last_step_does_not_take_are_refused_with_its_name() -> None:
    neighbours = make_pipeline(StandardScaler(), KNeighborsClassifier())

    with pytest.raises(CandidateError, match="ends with KNeighborsClassifier, whose fit takes no"):
        fit_pipeline(Candidate("neighbours", neighbours, None, weighted()), seed=0)


def test_a_search_weighs_too() -> None:
    rows = weighted(600)
    space = {"logisticregression__C": [1.0, 2.0]}
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())

    found = fit_pipeline(Candidate("searched", pipeline, None, rows, space, 60.0), seed=0)

    assert found.tried == 2
