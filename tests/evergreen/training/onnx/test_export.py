"""The ONNX twin answers as the pipeline does, or the candidate is refused."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
import pytest
from onnxruntime import ExecutionMode
from sklearn.base import BaseEstimator, ClassifierMixin, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeCV,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from evergreen.contract.errors import CandidateError
from evergreen.contract.problem import Kind, Problem, outputs
from evergreen.contract.schema import Columns, columns_of
from evergreen.serving.runtime_onnx import run, session_of
from evergreen.training.onnx import export

pytestmark = pytest.mark.slow

FUNCTIONS = Path(__file__).parents[4] / "functions"
NUMBERS = ["temp", "amount", "count"]
TEXT = ["carrier", "dest"]
NAMES = [*NUMBERS, "unused", *TEXT]
REGRESSION = Problem(kind="regression")
SCHEMA = {
    "properties": {
        name: {"type": "string" if name in TEXT else "number"} | {"default": None} for name in NAMES
    }
}
Make = Callable[[], Any]


def columns(rows: int = 1_500, seed: int = 0, carriers: str = "ABC") -> Columns:
    """Return rows as training and serving see them; one value in ten is missing."""
    random = np.random.default_rng(seed)
    found: dict[str, Any] = {
        "temp": random.normal(55, 20, rows).round(2),
        "amount": random.lognormal(3, 2, rows).round(2),  # a scaler's mean is far from most of them
        "count": random.poisson(4, rows),
        "unused": np.ones(rows),
        "carrier": random.choice(list(carriers), rows),
        "dest": random.choice([f"D{number}" for number in range(12)], rows),
    }
    for name in (*NUMBERS, *TEXT):
        gaps = random.uniform(size=rows) < 0.1
        found[name] = np.where(gaps, None, found[name].astype(object))
    return columns_of(
        SCHEMA,
        [
            dict(zip(NAMES, row, strict=True))
            for row in zip(*(found[n] for n in NAMES), strict=True)
        ],
    )


def strange(rows: int = 3_000) -> Columns:
    """Return a holdout with categories that training has not seen, and numbers out of its range."""
    found = columns(rows, seed=1, carriers="ABCDé")
    random = np.random.default_rng(2)
    for name in NUMBERS:
        sign, size = random.choice([-1, 1], rows), 10.0 ** random.uniform(-30, 8, rows)
        found[name] = np.where(random.uniform(size=rows) < 0.1, sign * size, found[name]).astype(
            np.float32
        )
    return found


def values(found: Columns) -> npt.NDArray[np.float64]:
    """Return what a regression predicts: hundreds, of which float32 knows four decimals."""
    random = np.random.default_rng(3)
    amount = np.log(np.nan_to_num(found["amount"], nan=20) + 0.1)
    linear = np.nan_to_num(found["temp"], nan=55) / 20 + amount + (found["carrier"] == "A")
    noise = random.normal(size=len(amount))
    return np.asarray(np.abs(300 + 50 * (linear - linear.mean() + noise)), dtype=np.float64)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Fit as training does; OpenMP's threads wait for each other where processors are few."""
    with threadpool_limits(1):
        yield


def fitted(pipeline: Any, found: Columns | None = None) -> Any:
    found = found or columns()
    target = values(found)
    return pipeline.fit(pd.DataFrame(found), target > 300 if is_classifier(pipeline) else target)


def answers(pipeline: Any, found: Columns) -> npt.NDArray[np.float64]:
    frame = pd.DataFrame(found)
    if is_classifier(pipeline):
        return np.asarray(pipeline.predict_proba(frame)[:, 1], dtype=np.float64)
    return np.asarray(pipeline.predict(frame), dtype=np.float64)


def scores(pipeline: Any, found: Columns) -> npt.NDArray[np.float64]:
    return run(session_of(export.convert(pipeline, SCHEMA, NAMES)), found, NAMES)


def difference(pipeline: Any, found: Columns) -> float:
    """Return what training records, where it does not refuse the candidate."""
    expected = answers(pipeline, found)
    assert len(np.unique(expected)) > 2, "a constant model would agree with anything"
    kind: Kind = "binary" if is_classifier(pipeline) else "regression"
    return export.difference(scores(pipeline, found), expected, Problem(kind=kind))


def one_hot() -> Any:
    return OneHotEncoder(handle_unknown="ignore", sparse_output=False)


def ordinal(unknown: float = -1) -> Any:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=unknown)


def scaled(scaler: Any = None) -> Any:
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), scaler or StandardScaler()), NUMBERS), (one_hot(), TEXT)
    )


def untouched(unknown: float = -1) -> Any:
    return make_column_transformer((ordinal(unknown), TEXT), ("passthrough", NUMBERS))


LINEAR: dict[str, Make] = {
    "LogisticRegression": lambda: LogisticRegression(max_iter=500),
    "LinearRegression": LinearRegression,
    "Ridge": Ridge,
    "RidgeCV": RidgeCV,
    "Lasso": Lasso,
    "ElasticNet": ElasticNet,
}
NATIVE: dict[str, Make] = {  # these take NaN
    "RandomForestClassifier": lambda: RandomForestClassifier(20, random_state=0),
    "RandomForestRegressor": lambda: RandomForestRegressor(20, random_state=0),
    "ExtraTreesClassifier": lambda: ExtraTreesClassifier(20, random_state=0),
    "ExtraTreesRegressor": lambda: ExtraTreesRegressor(20, random_state=0),
    "HistGradientBoostingClassifier": lambda: HistGradientBoostingClassifier(max_iter=20),
    "HistGradientBoostingRegressor": lambda: HistGradientBoostingRegressor(max_iter=20),
    "DecisionTreeClassifier": lambda: DecisionTreeClassifier(max_depth=8, random_state=0),
    "DecisionTreeRegressor": lambda: DecisionTreeRegressor(max_depth=8, random_state=0),
}
BOOSTED: dict[str, Make] = {
    "GradientBoostingClassifier": lambda: GradientBoostingClassifier(
        n_estimators=20, random_state=0
    ),
    "GradientBoostingRegressor": lambda: GradientBoostingRegressor(n_estimators=20, random_state=0),
}
TREES = NATIVE | BOOSTED
ALL = LINEAR | TREES
CLASSIFIERS = [name for name, make in ALL.items() if is_classifier(make())]


@cache
def behind_all(name: str) -> Any:
    """Return a fitted pipeline that several tests ask something of."""
    return fitted(make_pipeline(scaled(), ALL[name]()))


@pytest.mark.parametrize("name", ALL)
def test_a_twin_answers_as_its_pipeline_behind_imputation_scaling_and_one_hot(name: str) -> None:
    pipeline = behind_all(name)

    assert difference(pipeline, strange()) < 1e-5
    assert difference(pipeline, columns(3_000, seed=1)) < 1e-9


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_twin_tells_several_classes_as_its_pipeline_does(name: str) -> None:
    """Bit by bit, but for the exponentials behind a sum."""
    found, others = columns(), columns(3_000, seed=1)
    thirds = np.digitize(values(found), np.quantile(values(found), [0.2, 0.5, 0.7]))
    pipeline = make_pipeline(scaled(), ALL[name]())
    pipeline.fit(pd.DataFrame(found), np.array(["b", "a", "d", "c"], dtype=object)[thirds])
    several = Problem(kind="multiclass", classes=list("abcd"))

    expected = outputs(pipeline, pd.DataFrame(others), several)
    scored = scores(pipeline, others)

    assert scored.shape == (3_000, 4)
    assert len(set(several.answered(scored))) == 4
    assert export.difference(scored, expected, several) < 1e-9
    assert export.difference(scores(pipeline, strange()), answers_of_each(pipeline), several) < 1e-5


def answers_of_each(pipeline: Any) -> npt.NDArray[np.float64]:
    return np.asarray(pipeline.predict_proba(pd.DataFrame(strange())), dtype=np.float64)


def test_a_class_that_differs_is_refused_however_close_its_score_is() -> None:
    expected = np.array([[0.4, 0.4 - 1e-9, 0.2], [0.1, 0.2, 0.7]])
    scores = np.array([[0.4 - 1e-9, 0.4, 0.2], [0.1, 0.2, 0.7]])
    several = Problem(kind="multiclass", classes=list("abc"))

    with pytest.raises(CandidateError, match=r"by up to 1e-09 and in 1 labels, in rows 0 of the 2"):
        export.difference(scores, expected, several)


def test_a_regression_may_differ_by_a_share_of_its_scale() -> None:
    minutes = Problem(kind="regression", scale=100.0)

    assert export.difference(np.array([150.0005]), np.array([150.0]), minutes) < 1e-5
    with pytest.raises(CandidateError, match="differs"):
        export.difference(np.array([150.002]), np.array([150.0]), minutes)


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("unknown", [-1, np.nan], ids=["unseen is -1", "unseen is NaN"])
def test_a_twin_of_trees_that_take_nan_sends_it_down_the_same_side(
    name: str, unknown: float
) -> None:
    pipeline = fitted(make_pipeline(untouched(unknown), NATIVE[name]()))

    assert difference(pipeline, strange()) < 1e-9


@pytest.mark.parametrize(
    "scaler",
    [StandardScaler(with_mean=False), StandardScaler(with_std=False), MinMaxScaler(),
     MaxAbsScaler(), RobustScaler(),
     RobustScaler(with_centering=False, with_scaling=False)],
    ids=str,
)  # fmt: skip
def test_a_twin_rounds_a_scaled_number_as_numpy_does(scaler: Any) -> None:
    """Or it falls on the other side of a split: trees tell neighbouring numbers apart."""
    pipeline = fitted(make_pipeline(scaled(scaler), RandomForestRegressor(20, random_state=0)))

    assert difference(pipeline, strange()) == 0
    assert difference(pipeline, columns()) == 0


@pytest.mark.parametrize("scaler", [MinMaxScaler((-2, 3), clip=True), MaxAbsScaler(clip=True)])
def test_a_twin_clips_what_is_out_of_the_range_that_its_scaler_saw(scaler: Any) -> None:
    pipeline = fitted(make_pipeline(scaled(scaler), LinearRegression()))

    assert difference(pipeline, strange()) < 1e-9


@pytest.mark.parametrize(
    "imputer",
    [SimpleImputer(strategy="most_frequent"), SimpleImputer(strategy="constant", fill_value="?"),
     SimpleImputer(missing_values="", strategy="most_frequent"),
     SimpleImputer(missing_values="", strategy="constant"),
     SimpleImputer(missing_values="", strategy="constant", fill_value="?"),
     SimpleImputer(missing_values=None, strategy="most_frequent")],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("encoder", [one_hot, ordinal])
def test_a_twin_imputes_text_or_not_as_its_pipeline_does(imputer: Any, encoder: Make) -> None:
    filled = make_column_transformer(
        (make_pipeline(imputer, encoder()), TEXT),
        (SimpleImputer(strategy="constant", fill_value=-1), ["temp"]),
        (SimpleImputer(strategy="median"), ["amount"]),
        (SimpleImputer(strategy="most_frequent"), ["count"]),
    )
    pipeline = fitted(make_pipeline(filled, RandomForestRegressor(10, random_state=0)))

    assert difference(pipeline, strange()) == 0


def test_a_number_that_is_no_category_is_none_to_the_twin_either() -> None:
    encoded = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["count", *TEXT]))
    found = columns()
    found["count"] = np.nan_to_num(found["count"], nan=4)
    pipeline = fitted(make_pipeline(encoded, LogisticRegression(max_iter=500)), found)
    odd = np.array([2.5, -0.5, 4.000001, np.nan, 1e6, -3e38, 3e38, 2**62, 2**63], dtype=np.float32)

    others = {name: values[: len(odd)] for name, values in found.items()} | {"count": odd}

    assert difference(pipeline, others) < 1e-9


def test_a_twin_gives_the_label_of_its_pipeline_to_a_vote_that_ties() -> None:
    """In float32 a hundred votes of 0.01 are not 1: default forests lose their ties."""
    pipeline = fitted(make_pipeline(scaled(), RandomForestClassifier(100, random_state=0)))
    found = columns(3_000, seed=1)
    expected = answers(pipeline, found)
    assert (expected == 0.5).sum() > 10

    assert scores(pipeline, found).tolist() == expected.tolist()


def test_a_linear_twin_keeps_the_digits_of_large_terms_that_cancel() -> None:
    random = np.random.default_rng(0)
    found = columns()
    found["amount"] = random.uniform(1e6, 2e6, len(found["amount"])).astype(np.float32)
    found["temp"] = found["amount"] + random.normal(size=len(found["temp"])).astype(np.float32)
    chosen = make_column_transformer(("passthrough", ["amount", "temp"]), (one_hot(), TEXT))
    pipeline = make_pipeline(chosen, LinearRegression())
    pipeline.fit(pd.DataFrame(found), found["temp"] - found["amount"])

    assert difference(pipeline, found) < 1e-5


@pytest.mark.parametrize(
    "estimator",
    [GradientBoostingClassifier(loss="exponential", n_estimators=10),
     GradientBoostingClassifier(init="zero", n_estimators=10),
     GradientBoostingRegressor(loss="huber", n_estimators=10),
     HistGradientBoostingRegressor(loss="poisson", max_iter=10),
     HistGradientBoostingRegressor(loss="absolute_error", max_iter=10)],
    ids=str,
)  # fmt: skip
def test_a_boosted_twin_links_the_sum_of_its_trees_as_its_loss_does(estimator: Any) -> None:
    pipeline = fitted(make_pipeline(scaled(), estimator))

    assert difference(pipeline, strange()) < 1e-9


@pytest.mark.parametrize("name", TREES)
def test_a_twin_may_have_trees_that_never_split(name: str) -> None:
    leaves = {"min_samples_leaf": 1_000}
    pipeline = fitted(make_pipeline(scaled(), TREES[name]().set_params(**leaves)))

    expected = answers(pipeline, strange())
    assert scores(pipeline, strange()) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "estimator",
    [CalibratedClassifierCV(HistGradientBoostingClassifier(max_iter=5), cv=2),
     CalibratedClassifierCV(LogisticRegression(), cv=2),
     StackingClassifier([("forest", RandomForestClassifier(5, random_state=0))], cv=2),
     GridSearchCV(RandomForestClassifier(5, random_state=0), {"max_depth": [2, 3]}, cv=2)],
    ids=lambda estimator: type(estimator).__name__,
)  # fmt: skip
def test_a_twin_may_hold_an_estimator_within_another(estimator: Any) -> None:
    pipeline = fitted(make_pipeline(scaled(), estimator))

    assert difference(pipeline, strange()) < 1e-5


def mean_of(linear: Any, boosting: Any, weights: list[float] | None) -> Any:
    """Return the mean of two pipelines, the first of which clips its numbers."""
    numbers = make_pipeline(SimpleImputer(), MinMaxScaler(clip=True))
    clipped = make_column_transformer((numbers, NUMBERS), (one_hot(), TEXT))
    both = [("a", make_pipeline(clipped, linear)), ("b", make_pipeline(untouched(), boosting))]
    if is_classifier(boosting):
        return VotingClassifier(both, voting="soft", weights=weights)
    return VotingRegressor(both, weights=weights)


@pytest.mark.parametrize("weights", [None, [1, 3]])
@pytest.mark.parametrize(
    ("linear", "boosting"),
    [(LogisticRegression(max_iter=500), HistGradientBoostingClassifier(max_iter=20)),
     (Ridge(), HistGradientBoostingRegressor(max_iter=20))],
    ids=["classifiers", "regressors"],
)  # fmt: skip
def test_a_twin_may_be_the_mean_of_pipelines(
    linear: Any, boosting: Any, weights: list[float] | None
) -> None:
    pipeline = fitted(mean_of(linear, boosting, weights))

    assert difference(pipeline, strange()) < 1e-9


def test_a_mean_may_be_of_several_classes() -> None:
    found, others = columns(), strange()
    thirds = np.digitize(values(found), np.quantile(values(found), [0.3, 0.6]))
    trees = HistGradientBoostingClassifier(max_iter=10)
    pipeline = mean_of(LogisticRegression(max_iter=500), trees, None)
    pipeline.fit(pd.DataFrame(found), np.array(["b", "a", "c"], dtype=object)[thirds])
    several = Problem(kind="multiclass", classes=list("abc"))

    expected = outputs(pipeline, pd.DataFrame(others), several)

    assert export.difference(scores(pipeline, others), expected, several) < 1e-9


def test_columns_may_be_chosen_by_name_selector_or_drop() -> None:
    chosen = make_column_transformer(
        ("passthrough", make_column_selector("^count$")),
        ("drop", ["unused"]),
        (ordinal(), TEXT),
        remainder=SimpleImputer(),
    )
    pipeline = fitted(make_pipeline(chosen, SimpleImputer(), LogisticRegression(max_iter=500)))

    assert difference(pipeline, strange()) < 1e-5


@pytest.mark.parametrize("steps", [[StandardScaler()], []], ids=["scaled", "bare"])
@pytest.mark.parametrize("estimator", [LogisticRegression(), RandomForestClassifier(5)], ids=str)
def test_a_pipeline_without_a_column_transformer_reads_all_columns(
    steps: list[Any], estimator: Any
) -> None:
    numbers = {name: np.nan_to_num(columns()[name], nan=1) for name in NUMBERS}
    schema = {"properties": {name: {"type": "number"} for name in numbers}}
    pipeline = make_pipeline(*steps, estimator)
    pipeline.fit(pd.DataFrame(numbers), numbers["temp"] > 55)

    found = run(session_of(export.convert(pipeline, schema, NUMBERS)), numbers, NUMBERS)

    assert export.difference(found, answers(pipeline, numbers)) < 1e-5


class Homemade(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that no converter knows."""

    def fit(self, _: Any, y: Any) -> "Homemade":
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x: Any) -> Any:
        return np.full((len(x), 2), 0.5)


@pytest.mark.parametrize(
    ("step", "estimator"),
    [
        (untouched(), Homemade()),
        (untouched(), HistGradientBoostingClassifier(max_iter=2, categorical_features=[0])),
        (scaled(), GradientBoostingClassifier(n_estimators=2, init=LogisticRegression(C=0.1))),
        (
            make_column_transformer((SimpleImputer(add_indicator=True), NUMBERS)),
            LogisticRegression(max_iter=500),
        ),
    ],
    ids=["an own estimator", "categories in the trees", "an estimator first", "an indicator"],
)
def test_what_has_no_converter_is_refused_with_the_way_out(step: Any, estimator: Any) -> None:
    pipeline = fitted(make_pipeline(step, estimator))

    with pytest.raises(CandidateError, match=r"no ONNX twin .*ServingRuntime=sklearn"):
        export.convert(pipeline, SCHEMA, NAMES)


def test_a_twin_that_rounds_otherwise_is_refused() -> None:
    """Behind a one-hot, scikit-learn scales in float64 and the twin in float32."""
    mixed = make_column_transformer((SimpleImputer(), NUMBERS), (one_hot(), TEXT))
    boosting = HistGradientBoostingRegressor(max_iter=20)
    pipeline = fitted(make_pipeline(mixed, StandardScaler(), boosting))

    with pytest.raises(
        CandidateError, match=r"rows \d+.* in the holdout; .*ServingRuntime=sklearn"
    ):
        difference(pipeline, columns())


def test_a_score_over_the_tolerance_is_refused_with_its_row() -> None:
    expected = np.full(1_200, 0.25)
    scores = expected.copy()
    scores[[3, 900]] += [2e-5, -0.125]

    with pytest.raises(CandidateError) as caught:
        export.difference(scores, expected)

    assert "by up to 0.12, in rows 3, 900 of the 1,200 in the holdout" in str(caught.value)


def test_a_label_that_differs_is_refused_however_close_its_score_is() -> None:
    expected = np.array([0.1, 0.5, 0.5, 0.9])
    scores = np.array([0.1, 0.5 - 1e-9, 0.5, 0.9])

    with pytest.raises(CandidateError, match=r"by up to 1e-09 and in 1 labels, in rows 1 of the 4"):
        export.difference(scores, expected)


def test_a_regression_has_no_label_that_could_differ() -> None:
    assert export.difference(np.array([0.5 - 1e-9]), np.array([0.5]), REGRESSION) < 1e-8


@pytest.mark.parametrize("score", [np.nan, 0.5 + 2e-5], ids=["no number", "far away"])
@pytest.mark.parametrize("problem", [Problem(), REGRESSION])
def test_a_score_that_is_not_the_same_is_refused(score: float, problem: Problem) -> None:
    with pytest.raises(CandidateError, match="differs from scikit-learn"):
        export.difference(np.array([0.5, score]), np.array([0.5, 0.5]), problem)


def test_many_rows_are_counted_and_the_first_are_named() -> None:
    with pytest.raises(CandidateError, match=r"rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 1,990 more"):
        export.difference(np.zeros(2_000), np.ones(2_000))


def test_a_score_within_the_tolerance_is_recorded() -> None:
    found = export.difference(np.array([0.2, 0.7]), np.array([0.2 + 5e-6, 0.7]))

    assert found == pytest.approx(5e-6)


def test_a_session_has_one_thread_and_runs_its_nodes_in_order() -> None:
    """More of either would add up in an order that depends on the number of cores."""
    session = session_of(
        export.convert(behind_all("HistGradientBoostingClassifier"), SCHEMA, NAMES)
    )

    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.execution_mode == ExecutionMode.ORT_SEQUENTIAL
    assert session.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize("name", ALL)
def test_a_row_has_the_same_score_alone_and_in_a_batch_of_any_size(name: str) -> None:
    """Bit by bit, but for a logistic function: several at once are computed otherwise than one."""
    pipeline = behind_all(name)
    session = session_of(export.convert(pipeline, SCHEMA, NAMES))
    found = strange(200)
    together = run(session, found, NAMES)
    logistic = name in ("LogisticRegression", "GradientBoostingClassifier",
                        "HistGradientBoostingClassifier")  # fmt: skip

    for size in (1, 2, 3, 50, 51, 127):
        batches = [
            run(session, {n: found[n][start : start + size] for n in NAMES}, NAMES)
            for start in range(0, 200, size)
        ]
        apart = np.abs(np.concatenate(batches) - together).max()
        assert apart <= (1e-15 if logistic else 0)


@pytest.mark.parametrize("name", ALL)
def test_a_twin_is_valid_onnx_and_its_last_output_the_scores(name: str) -> None:
    pipeline = behind_all(name)

    model = onnx.load_from_string(export.convert(pipeline, SCHEMA, NAMES))

    onnx.checker.check_model(model, full_check=True)
    names = [output.name for output in model.graph.output]
    assert names == (["label", "probabilities"] if is_classifier(pipeline) else ["variable"])


def test_the_same_pipeline_has_the_same_twin_byte_for_byte() -> None:
    pipeline = behind_all("HistGradientBoostingClassifier")

    first, second = (export.convert(pipeline, SCHEMA, NAMES) for _ in range(2))

    assert first == second


def test_the_bytes_of_a_twin_do_not_depend_on_the_process_that_makes_it(tmp_path: Path) -> None:
    joblib.dump((behind_all("HistGradientBoostingClassifier"), SCHEMA, NAMES), tmp_path / "given")
    code = (
        "import hashlib, joblib, sys; from evergreen.training.onnx import export;"
        "made = export.convert(*joblib.load(sys.argv[1]));"
        "print(hashlib.sha256(made).hexdigest())"
    )

    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / "given"],
            env=os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            cwd=FUNCTIONS,
            stdout=subprocess.PIPE,
        )
        for seed in ("4", "5")  # which order skl2onnx's set of opsets one way, and the other
    ]

    found = [process.communicate()[0] for process in started]
    assert len(found[0]) == 65
    assert found[0] == found[1]


dense = partial(OneHotEncoder, sparse_output=False)
ENCODERS = [
    one_hot(),
    dense(handle_unknown="ignore", drop="if_binary", dtype=np.float32),
    dense(handle_unknown="ignore", drop="first"),
    dense(handle_unknown="infrequent_if_exist", min_frequency=0.08),
    OneHotEncoder(
        sparse_output=False, handle_unknown="infrequent_if_exist", max_categories=4, drop="first"
    ),
    ordinal(),
    ordinal(np.nan),
    OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=-2,
        encoded_missing_value=-1,
        max_categories=5,
    ),
]


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
def test_a_twin_encodes_numbers_with_gaps_and_text_as_its_pipeline_does(encoder: Any) -> None:
    """Together, so that the columns of one do not become those of another."""
    encoded = make_column_transformer((encoder, ["count", "carrier", "dest"]))
    grown = HistGradientBoostingRegressor(max_iter=20, min_samples_leaf=5)
    pipeline = fitted(make_pipeline(encoded, grown))
    found = strange()
    found["count"][:8] = [2.5, -0.5, 4.000001, np.nan, 1e6, -3e38, 3e38, 2**62]

    assert difference(pipeline, found) == 0


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
def test_a_twin_encodes_what_an_imputer_filled_as_its_pipeline_does(encoder: Any) -> None:
    filled = SimpleImputer(missing_values="", strategy="most_frequent")
    encoded = make_column_transformer(
        (make_pipeline(filled, encoder), TEXT),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), encoder), ["count", "unused"]),
    )
    pipeline = fitted(make_pipeline(encoded, HistGradientBoostingRegressor(max_iter=20)))

    assert difference(pipeline, strange()) == 0
