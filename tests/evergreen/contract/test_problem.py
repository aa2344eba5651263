"""The kinds of problem: losses that can be compared, and answers that a caller can read."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, LogisticRegression

from evergreen.contract import problem
from evergreen.contract.errors import CandidateError
from evergreen.contract.problem import Problem

WEATHER = Problem(kind="multiclass", classes=["fog", "rain", "sun"])
MINUTES = Problem(kind="regression", scale=20.0)
X = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]})


def text(*labels: str) -> npt.NDArray[Any]:
    return np.array(labels, dtype=object)


def test_classes_are_those_of_the_rows_in_order_and_the_scale_is_what_a_median_is_off_by() -> None:
    assert problem.of("multiclass", text("sun", "fog", "sun", "rain")) == WEATHER
    assert problem.of("regression", np.array([0.0, 10.0, 20.0, 90.0])).scale == 25
    assert problem.of("regression", np.array([7.0, 7.0])).scale == 1
    assert problem.of("binary", np.array([True, False])) == Problem()


@pytest.mark.parametrize(
    ("found", "labels", "scores", "losses", "bounded"),
    [
        (Problem(), np.array([True, False]), [0.25, 0.25], [1.386, 0.288], [0.5625, 0.0625]),
        (WEATHER, text("rain", "sun"), [[0.1, 0.5, 0.4], [0, 0, 1]], [0.693, 0], [0.21, 0]),
        (MINUTES, np.array([10.0, 100.0]), [20.0, 0.0], [0.5, 5.0], [0.5, 1.0]),
    ],
    ids=["binary", "multiclass", "regression"],
)
def test_losses_are_of_each_row_and_the_bounded_one_is_at_most_one(
    found: Problem, labels: npt.NDArray[Any], scores: Any, losses: list[float], bounded: list[float]
) -> None:
    assert found.losses(labels, np.array(scores)).round(3).tolist() == losses
    assert found.bounded(labels, np.array(scores)).round(4).tolist() == bounded


@pytest.mark.parametrize("empty", [(0,), (0, 3)])
def test_no_rows_have_no_losses(empty: tuple[int, ...]) -> None:
    found, labels = (WEATHER, text()) if len(empty) == 2 else (Problem(), np.zeros(0, dtype=bool))

    assert found.losses(labels, np.zeros(empty)).tolist() == []
    assert found.bounded(labels, np.zeros(empty)).tolist() == []
    assert found.answers(np.zeros(empty)) == []


def test_a_class_that_training_never_saw_costs_most_and_is_finite() -> None:
    scores = np.array([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]])

    losses = WEATHER.losses(text("hail", "hail"), scores)

    assert np.isfinite(losses).all()
    assert (losses > 30).all()
    assert WEATHER.bounded(text("hail", "hail"), scores).tolist() == [0.69, 1.0]


@hypothesis_given(
    rows=st.lists(
        st.tuples(st.sampled_from(["fog", "rain", "sun", "hail"]), *[st.floats(0.01, 1)] * 3),
        min_size=1,
    )
)
def test_the_bounded_loss_of_several_classes_is_half_the_squared_distance(rows: list[Any]) -> None:
    labels = text(*(label for label, *_ in rows))
    scores = np.array([parts for _, *parts in rows])
    scores /= scores.sum(axis=1, keepdims=True)
    truth = np.array([[float(label == name) for name in WEATHER.classes] for label in labels])
    unknown = np.array([label == "hail" for label in labels])

    found = WEATHER.bounded(labels, scores)

    assert found == pytest.approx((((scores - truth) ** 2).sum(axis=1) + unknown) / 2)
    assert ((found >= 0) & (found <= 1)).all()


def test_errors_of_two_versions_are_compared_in_the_unit_of_one() -> None:
    older = Problem(kind="regression", scale=5.0)

    assert older.like(MINUTES).losses(np.array([10.0]), np.array([0.0])).tolist() == [0.5]
    assert WEATHER.like(MINUTES).classes == WEATHER.classes


def test_answers_have_a_label_of_the_kind_and_the_number_behind_it() -> None:
    assert Problem().answers(np.array([0.5, 0.4])) == [
        {"label": True, "score": 0.5},
        {"label": False, "score": 0.4},
    ]
    assert MINUTES.answers(np.array([12.5])) == [{"label": 12.5, "score": 12.5}]
    (found,) = WEATHER.answers(np.array([[0.2, 0.5, 0.3]]))
    assert found == {
        "label": "rain", "score": 0.5, "scores": {"fog": 0.2, "rain": 0.5, "sun": 0.3},
    }  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(found)) == found


@pytest.mark.parametrize(
    ("found", "scores"),
    [(Problem(), [0.25, 1.0]), (WEATHER, [[0.2, 0.5, 0.3], [1, 0, 0]]), (MINUTES, [3.0, -1.0])],
    ids=["binary", "multiclass", "regression"],
)
def test_recorded_answers_give_their_scores_back(found: Problem, scores: Any) -> None:
    answers = found.answers(np.array(scores, dtype=np.float64))

    back = found.recorded(
        [answer["score"] for answer in answers], [answer.get("scores") for answer in answers]
    )

    assert back.tolist() == np.array(scores).tolist()


def test_the_best_constant_is_the_share_the_shares_or_the_median() -> None:
    assert Problem().constant(np.array([True, False, False, False])) == 0.25
    assert WEATHER.constant(text("fog", "sun", "sun", "sun")).tolist() == [0.25, 0, 0.75]
    assert MINUTES.constant(np.array([1.0, 2.0, 90.0])) == 2


def test_what_came_true_is_the_label_or_that_the_answer_was_right() -> None:
    scores, true = WEATHER.came_true(text("sun", "sun"), np.array([[0, 0.4, 0.6], [0.7, 0.3, 0]]))

    assert (scores.tolist(), true.tolist()) == ([0.6, 0.7], [True, False])
    assert Problem().came_true(np.array([False]), np.array([0.9]))[1].tolist() == [False]
    assert [len(each) for each in MINUTES.came_true(np.ones(3), np.ones(3))] == [0, 0]


def test_a_pipeline_says_the_probability_of_true_or_of_each_class_or_a_number() -> None:
    labels = text("fog", "rain", "sun", "fog", "rain", "sun")

    of_true = LogisticRegression().fit(X, [False] * 3 + [True] * 3)
    of_each = LogisticRegression().fit(X, labels)
    number = LinearRegression().fit(X, X["x"] * 2)

    assert problem.outputs(of_true, X, Problem()).argmax() == 5
    assert problem.outputs(of_each, X, WEATHER).shape == (6, 3)
    assert problem.outputs(number, X, MINUTES) == pytest.approx(X["x"] * 2)


@pytest.mark.parametrize("labels", [["fog", "rain"] * 3, ["a", "b", "c"] * 2])
def test_a_pipeline_that_learnt_other_classes_is_left_out(labels: list[str]) -> None:
    fitted = LogisticRegression().fit(X, labels)

    with pytest.raises(CandidateError, match=r"it was fitted on \d classes"):
        problem.outputs(fitted, X, problem.of("multiclass", text("fog", "rain", "sun")))


def test_two_classes_of_text_are_a_binary_problem() -> None:
    two = problem.of("multiclass", text("fog", "rain"))
    fitted = LogisticRegression().fit(X, ["fog", "rain"] * 3)

    with pytest.raises(CandidateError, match="two are a binary problem"):
        problem.outputs(fitted, X, two)


@pytest.mark.parametrize(
    ("label", "kind"), [(True, "binary"), (1.0, "regression"), ("sun", "multiclass")], ids=str
)
def test_a_recorded_label_is_of_one_kind_only(label: Any, kind: str) -> None:
    assert [name for name in problem.KINDS if problem.is_label(name, label)] == [kind]
