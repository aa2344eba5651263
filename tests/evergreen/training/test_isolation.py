"""What a pipeline does to its process ends with it, and a reason says who is at fault."""

import ctypes
import faulthandler
import os
import signal
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from threadpoolctl import threadpool_limits

from evergreen.contract.errors import CandidateError
from evergreen.training import isolation

X = np.random.default_rng(0).normal(size=(2_000, 3))
Y = X[:, 0] > 0


def test_what_it_returns_comes_back() -> None:
    scores, body = isolation.run(lambda: (X, b"0" * 3_000_000), 30)

    assert (scores == X).all()
    assert len(body) == 3_000_000


def crash() -> None:
    faulthandler.disable()  # it would tell of it
    ctypes.string_at(0)


def spin() -> None:
    while True:
        pass


@pytest.mark.parametrize("hang", [spin, lambda: ctypes.CDLL(None).pause()], ids=["Python", "C"])
def test_a_loop_in_python_or_c_ends_in_time_with_its_process(hang: Callable[[], None]) -> None:
    with pytest.raises(CandidateError, match=r"did not end within 0\.2 s"):
        isolation.run(hang, 0.2)

    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        (crash, r"crashed its process \(SIGSEGV\)"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "out of memory"),
        (lambda: os._exit(3), "with exit code 3"),
        (lambda: 1 / 0, "ZeroDivisionError"),
    ],
    ids=["crash", "killed", "exit", "error"],
)
def test_a_process_that_ends_without_an_answer_is_a_reason(
    deed: Callable[[], Any], said: str
) -> None:
    with pytest.raises(CandidateError, match=said):
        isolation.run(deed, 30)


@pytest.mark.slow
def test_a_parent_that_has_fitted_on_threads_does_not_hang_a_child_that_does() -> None:
    """A child of GNU OpenMP waits for its parent's threads for ever."""
    with threadpool_limits(2):
        HistGradientBoostingClassifier(max_iter=2).fit(X, Y)

        fitted = isolation.run(partial(HistGradientBoostingClassifier(max_iter=2).fit, X, Y), 30)

    assert fitted.score(X, Y) > 0.9


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ({"x": [1.0, None, 2.0]}, "ValueError in .*, raised by LogisticRegression; put a SimpleI"),
        ({"x": ["a", "b", "c"]}, "ValueError in .*; encode text with"),
        ({"x": [1.0, np.inf, 2.0]}, "ValueError in .*; give the fields of `row` limits"),
    ],
    ids=["missing", "text", "infinite"],
)
def test_a_reason_names_the_step_and_the_way_out_and_no_value(
    frame: dict[str, Any], said: str
) -> None:
    fit = partial(LogisticRegression().fit, pd.DataFrame(frame), [True, False, True])

    with (
        pytest.raises(CandidateError, match=f"^the pipeline cannot be fitted: {said}"),
        isolation.blaming("the pipeline cannot be fitted", "linear"),
    ):
        fit()


def test_an_error_names_its_candidate_to_who_sees_it_whole() -> None:
    with pytest.raises(CandidateError) as raised, isolation.blaming("it fails", "linear"):
        raise ValueError("of a library")

    assert raised.value.__cause__
    assert raised.value.__cause__.__notes__ == ["of the candidate linear"]


def warn(values: Any) -> Any:
    warnings.warn(f"{values[0]} is odd", FutureWarning, stacklevel=1)
    warnings.warn("nobody minds", DeprecationWarning, stacklevel=1)
    return values


def test_warnings_are_noted_once_with_who_warned_and_without_their_words() -> None:
    odd = make_pipeline(FunctionTransformer(warn), LogisticRegression(max_iter=1))
    found: dict[str, None] = {}

    with isolation.noting(found):
        odd.fit(X * [1, 100, 1], Y)
        odd.predict(X)

    assert list(found) == [
        "FutureWarning by FunctionTransformer",
        "ConvergenceWarning by LogisticRegression: raise max_iter, or scale the numbers",
    ]
    with pytest.raises(ConvergenceWarning):  # as before
        LogisticRegression(max_iter=1).fit(X * [1, 100, 1], Y)
