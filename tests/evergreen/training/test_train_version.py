"""One training run is a function of its inputs: a version and a verdict, or the reason."""

import ctypes
import dataclasses
import gzip
import html
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from msgspec import Meta
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from evergreen.captures.examples import Examples
from evergreen.contract.endpoint import Endpoint, Policy
from evergreen.contract.endpoint_checks import check_endpoint
from evergreen.contract.errors import DataError, NoCandidateError
from evergreen.contract.rule import Rule, When
from evergreen.contract.schema import schema_of
from evergreen.registry.registry import fingerprint
from evergreen.serving import model
from evergreen.serving.model import JOBLIB, ONNX, REFERENCE, REPORT, RULE
from evergreen.training import train_version
from evergreen.training.fitting import Request
from evergreen.training.onnx import export
from evergreen.training.train_version import Trained
from tests.support import given
from tests.support.given import train

pytestmark = pytest.mark.slow


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """Two numbers."""

    x: Annotated[float, Meta(description="tells the label")]
    y: Annotated[float, Meta(description="tells nothing")] | None = None


SCHEMA = schema_of("test", Row)
REQUEST = Request("test", "run 1", "manual", given.NOW, 0, "code")


def pipeline(**parameters: Any) -> Any:
    columns = make_column_transformer((SimpleImputer(), ["x", "y"]))
    return make_pipeline(columns, LogisticRegression(**parameters))


def endpoint(candidates: Mapping[str, Any] | None = None, **policy: Any) -> Endpoint:
    policy = {"min_rows": 100, "windows_days": (None,), "margin": 0.01, **policy}
    found = Endpoint(
        row=Row,
        examples=lambda table: table,
        candidates=lambda _: dict(candidates) if candidates else {"linear": pipeline()},
        target="y follows x",
        policy=Policy(**policy),
    )
    check_endpoint("test", found)
    return found


def examples(rows: int = 620, days: int = 31, seed: int = 0, sign: float = 1.0) -> Examples:
    """Return labels that follow x."""
    random = np.random.default_rng(seed)
    x = random.normal(size=rows)
    late = random.uniform(size=rows) < 1 / (1 + np.exp(-sign * 2 * x))
    return given.from_rows(
        SCHEMA,
        [
            {"x": float(a), "y": None if b < -1 else float(b)}
            for a, b in zip(x, random.normal(size=rows), strict=True)
        ],
        late.tolist(),
        [given.START + timedelta(days=days) * n / rows for n in range(rows)],
    )


def trained(data: Examples | None = None, **policy: Any) -> Trained:
    found: Trained = train(REQUEST, endpoint(**policy), SCHEMA, data or examples(), None)
    return found


def champion_of(found: Trained) -> model.Model:
    return model.load(found.manifest, found.artifacts[ONNX])


def test_a_first_version_that_beats_the_constant_passes() -> None:
    found = trained()

    assert found.verdict.passed
    assert found.manifest.metrics.loss < found.manifest.metrics.baseline
    assert found.manifest.metrics.champion is None
    assert found.manifest.candidate == "linear"


def test_the_manifest_describes_the_artifacts_and_where_they_came_from() -> None:
    data = examples()

    found = trained(data)

    manifest = found.manifest
    assert set(found.artifacts) == {ONNX, JOBLIB, REFERENCE, REPORT}
    assert manifest.artifacts == {name: fingerprint(b) for name, b in found.artifacts.items()}
    assert manifest.lineage.data_sha256 == data.sha256()
    assert manifest.lineage.data_rows == 620
    assert manifest.lineage.code_sha256 == "code"
    assert manifest.lineage.previous is None
    assert manifest.created == given.NOW
    assert {"scikit-learn", "numpy", "onnxruntime", "python"} <= set(manifest.libraries)


def test_the_manifest_says_what_to_expect_of_the_version_and_beside_it_are_rows_to_compare() -> (
    None
):
    found = trained()

    expected = found.manifest.expected
    assert expected is not None
    assert 0 < expected.bounded < expected.upper < 0.25
    assert expected.scores is not None
    assert sum(expected.scores.counts) == found.manifest.metrics.rows
    assert 0.4 < expected.auc < 0.8
    rows = msgspec.json.decode(gzip.decompress(found.artifacts[REFERENCE]))
    assert len(rows) == found.manifest.lineage.fitted_rows
    assert {tuple(row) for row in rows} == {("x", "y")}
    assert any(row["y"] is None for row in rows)


def test_a_feature_that_nobody_has_ever_sent_is_described_too() -> None:
    data = examples(1_300)
    never = Examples(
        data.columns | {"y": np.full(1_300, np.nan, np.float32)}, data.labels, data.times
    )
    keeping = make_column_transformer((SimpleImputer(keep_empty_features=True), ["x", "y"]))

    found = train(
        REQUEST,
        endpoint({"keeps": make_pipeline(keeping, LogisticRegression())}),
        SCHEMA,
        never,
        None,
    )

    assert found.manifest.reference["y"].counts == [0, found.manifest.lineage.fitted_rows]
    assert found.manifest.expected is not None


def test_the_holdout_is_the_newest_week_and_nobody_has_fitted_it() -> None:
    found = trained().manifest

    assert found.metrics.end - found.metrics.start <= timedelta(days=7)
    assert found.lineage.fitted_until < found.metrics.start
    assert found.lineage.fitted_rows + found.metrics.rows == 620
    assert sum(found.reference["x"].counts) == found.lineage.fitted_rows


def test_the_same_run_on_the_same_data_makes_the_same_version() -> None:
    first, second = trained(), trained()

    assert first.manifest == second.manifest
    assert first.artifacts == second.artifacts


def test_another_run_or_other_data_make_another_version() -> None:
    base = trained().manifest.version
    other_run = train(
        dataclasses.replace(REQUEST, run="run 2"), endpoint(), SCHEMA, examples(), None
    )

    assert other_run.manifest.version != base
    assert trained(examples(seed=1)).manifest.version != base


def test_a_candidate_that_is_no_better_than_the_constant_is_refused() -> None:
    data = examples()
    reversed_at_last = data.labels ^ (data.times >= np.datetime64("2013-01-24"))

    found = trained(Examples(data.columns, reversed_at_last, data.times))

    assert not found.verdict.passed
    assert "does not beat the constant" in found.verdict.reason


def test_the_champion_is_compared_on_the_same_holdout() -> None:
    champion = champion_of(trained(examples(seed=1)))

    found = train(REQUEST, endpoint(), SCHEMA, examples(), champion)

    metrics = found.manifest.metrics
    assert metrics.champion is not None
    assert metrics.improvement is not None
    assert metrics.improvement == pytest.approx(metrics.champion - metrics.loss)
    assert metrics.improvement_lower is not None
    assert metrics.improvement_lower <= metrics.improvement
    assert found.manifest.lineage.previous == champion.manifest.version


def test_a_better_candidate_replaces_a_champion_of_another_world() -> None:
    champion = champion_of(trained(examples(seed=1, sign=-1)))

    found = train(REQUEST, endpoint(), SCHEMA, examples(), champion)

    assert found.verdict.passed
    assert found.manifest.metrics.improvement_lower is not None
    assert found.manifest.metrics.improvement_lower > 0


def test_a_worse_candidate_does_not_replace_the_champion() -> None:
    champion = champion_of(trained())

    found = train(
        REQUEST, endpoint({"stiff": pipeline(C=1e-4)}, margin=0.01), SCHEMA, examples(), champion
    )

    assert not found.verdict.passed
    assert "may be worse than the champion" in found.verdict.reason


def test_a_champion_whose_inputs_the_data_no_longer_has_is_not_compared() -> None:
    champion = champion_of(trained())
    odd = msgspec.structs.replace(
        champion, manifest=msgspec.structs.replace(champion.manifest, inputs=["gone"])
    )

    found = train(REQUEST, endpoint(), SCHEMA, examples(), odd)

    assert found.manifest.metrics.champion is None


def test_the_best_of_several_candidates_is_the_version() -> None:
    found = train(
        REQUEST, endpoint({"stiff": pipeline(C=1e-4), "good": pipeline()}), SCHEMA, examples(), None
    )

    assert found.manifest.candidate == "good"
    assert {scores.candidate for scores in found.manifest.metrics.candidates} == {"stiff", "good"}


class Follows(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that answers by the sign of one column, whatever it is fitted on."""

    def __init__(self, name: str, up: float = 0.8) -> None:
        self.name, self.up = name, up

    def fit(self, _: Any, y: Any) -> "Follows":
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, rows: Any) -> Any:
        up = np.where(rows[self.name] > 0, self.up, 1 - self.up)
        return np.column_stack([1 - up, up])


def told_apart(
    candidates: Mapping[str, Any], turned: int, days: int = 31, champion: model.Model | None = None
) -> Trained:
    """Return what is trained where labels follow x, and in the last days another column."""
    data = examples(days=days)
    z = np.nan_to_num(data.columns["y"])
    last = data.times > data.times[-1] - np.timedelta64(turned, "D")
    noise = np.random.default_rng(1).uniform(size=len(z)) < 0.15
    labels = np.where(last, z > 0, data.columns["x"] > 0) ^ noise
    data = dataclasses.replace(data, labels=labels)
    request = dataclasses.replace(REQUEST, runtime="sklearn")
    found: Trained = train(request, endpoint(candidates), SCHEMA, data, champion)
    return found


def test_a_candidate_that_is_better_on_the_holdout_alone_is_not_the_version() -> None:
    both = {"lucky": Follows("y"), "steady": Follows("x")}

    found = told_apart(both, turned=5)

    scores = {each.candidate: each for each in found.manifest.metrics.candidates}
    lucky, steady = scores["lucky"], scores["steady"]
    assert lucky.loss < steady.loss
    assert lucky.earlier is not None
    assert steady.earlier is not None
    assert steady.loss + steady.earlier < lucky.loss + lucky.earlier
    assert found.manifest.candidate == "steady"
    assert found.manifest.metrics.loss == steady.loss, "that of the holdout is in the gates"
    assert f"<td>{steady.earlier:.4f}</td>" in found.artifacts[REPORT].decode()


def test_a_candidate_that_has_been_better_for_long_enough_is_the_version() -> None:
    both = {"new": Follows("y"), "old": Follows("x")}

    assert told_apart(both, turned=12).manifest.candidate == "new"


@pytest.mark.parametrize(
    ("candidates", "days"),
    [({"lucky": Follows("y"), "steady": FrozenEstimator(Follows("x").fit([], [0, 1]))}, 31),
     ({"lucky": Follows("y"), "steady": Follows("x")}, 9)],
    ids=["fitted elsewhere", "too few days"],
)  # fmt: skip
def test_the_holdout_decides_alone_where_the_days_before_it_cannot_be_scored(
    candidates: Mapping[str, Any], days: int
) -> None:
    found = told_apart(candidates, turned=5, days=days)

    assert found.manifest.candidate == "lucky"
    assert {scores.earlier for scores in found.manifest.metrics.candidates} == {None}


@pytest.mark.parametrize(
    ("up", "code", "named"),
    [(0.66, "code", "own"), (0.55, "code", "better"), (0.66, "other", "better")],
    ids=["better by less than the margin", "surely better", "no recipe is the champion's"],
)
def test_the_champions_recipe_is_kept_unless_another_is_surely_better(
    up: float, code: str, named: str
) -> None:
    request = dataclasses.replace(REQUEST, runtime="sklearn", code_sha256=code)
    own = {"own": Follows("x", up)}
    first = train(request, endpoint(own), SCHEMA, examples(310, days=15), None)
    champion = model.load(first.manifest, first.artifacts[JOBLIB], "sklearn")
    request = dataclasses.replace(request, code_sha256="code")

    found = train(
        request, endpoint({**own, "better": Follows("x", 0.7)}), SCHEMA, examples(), champion
    )

    scores = {each.candidate: each.loss for each in found.manifest.metrics.candidates}
    assert scores["better"] < scores["own"]
    assert found.manifest.candidate == named


def test_another_recipe_must_have_been_better_before_the_holdout_too() -> None:
    own, lucky = {"own": Follows("x", 0.52)}, {"lucky": Follows("y", 0.6)}
    first = told_apart(own, turned=0, days=15)
    champion = model.load(first.manifest, first.artifacts[JOBLIB], "sklearn")

    found = told_apart({**own, **lucky}, turned=7, champion=champion)

    assert told_apart({**own, **lucky}, turned=7).manifest.candidate == "lucky"
    assert found.manifest.candidate == "own"


def test_every_pipeline_is_fitted_on_every_window_that_differs() -> None:
    found = trained(windows_days=(None, 10, 90))

    windows = [scores.window_days for scores in found.manifest.metrics.candidates]
    assert sorted(windows, key=str) == [10, None], "90 days are all that there is"


class Raising(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that cannot be fitted."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def fit(self, *_: Any) -> "Raising":
        raise self.error

    def predict_proba(self, x: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    "error",
    [ValueError("bad"), TypeError("bad"), RuntimeError("bad"), ZeroDivisionError("bad"),
     IndexError("bad")],
    ids=repr,
)  # fmt: skip
def test_a_candidate_that_cannot_be_fitted_does_not_stop_the_others(error: Exception) -> None:
    broken = make_pipeline(make_column_transformer(("passthrough", ["x"])), Raising(error))

    found = train(
        REQUEST, endpoint({"broken": broken, "good": pipeline()}), SCHEMA, examples(), None
    )

    assert found.manifest.candidate == "good"
    said = found.manifest.metrics.failed["broken"]
    assert said.startswith(f"the pipeline cannot be fitted: {type(error).__name__} in evergreen/")
    assert said.endswith(", raised by Raising")
    assert "bad" not in said, "its words may quote a row"


def test_a_warning_of_a_fit_is_recorded_and_throws_nobody_out() -> None:
    found = train(REQUEST, endpoint({"hasty": pipeline(max_iter=1)}), SCHEMA, examples(), None)

    (scores,) = found.manifest.metrics.candidates
    (said,) = scores.warnings
    assert said.startswith("ConvergenceWarning by LogisticRegression: raise max_iter")
    assert said in found.artifacts[REPORT].decode()


class Hanging(LogisticRegression):  # type: ignore[misc]
    """A classifier whose fit never ends, in C."""

    def fit(self, *_: Any) -> Any:
        ctypes.CDLL(None).pause()


def test_a_candidate_that_hangs_is_left_out_in_time_and_the_others_go_on() -> None:
    hanging = make_pipeline(SimpleImputer(), Hanging())
    both = endpoint({"hanging": hanging, "good": pipeline()}, candidate_seconds=1.0)

    found = train(REQUEST, both, SCHEMA, examples(), None)

    assert found.manifest.candidate == "good"
    assert found.manifest.metrics.failed == {
        "hanging": "the pipeline did not end within 1.0 s: raise policy.candidate_seconds, or fit "
        "fewer rows"
    }


def test_no_candidate_is_begun_when_the_invocation_has_no_time_left() -> None:
    late = dataclasses.replace(REQUEST, until=time.monotonic())

    with pytest.raises(NoCandidateError, match=r"no time was left to fit it.*\(Timeout"):
        train(late, endpoint(), SCHEMA, examples(), None)


def test_it_is_told_of_each_candidate_as_its_fit_begins_and_ends() -> None:
    both = endpoint({"bad": Raising(ValueError()), "good": pipeline()})
    told: list[tuple[str, dict[str, Any]]] = []

    train_version.train(
        REQUEST, both, SCHEMA, examples(), None, lambda what, extra: told.append((what, extra))
    )

    assert [(what, about["candidate"], about["number"], about["of"]) for what, about in told] == [
        (f"{word} a candidate", name, number, 2)
        for number, name in ((1, "bad"), (2, "good"))
        for word in ("fitting", "fitted")
    ]
    assert told[-1][1]["said"].startswith("log-loss 0.")


def test_a_candidate_whose_twin_disagrees_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def convert_another(_: Any, schema: Any, inputs: list[str]) -> bytes:
        data = examples(seed=1)
        another = pipeline(C=0.5).fit(data.frame(), data.labels)
        return real(another, schema, inputs)

    real = export.convert
    monkeypatch.setattr(export, "convert", convert_another)

    with pytest.raises(NoCandidateError, match="differs from scikit-learn"):
        trained()


SKLEARN = dataclasses.replace(REQUEST, runtime="sklearn")


def under_sklearn(champion: model.Model | None = None) -> Trained:
    found: Trained = train(SKLEARN, endpoint(), SCHEMA, examples(), champion)
    return found


def test_under_sklearn_the_same_run_makes_the_same_model_without_a_twin() -> None:
    with_twin = trained()

    found = under_sklearn()

    assert found.verdict.passed
    assert set(found.artifacts) == {JOBLIB, REFERENCE, REPORT}
    assert found.artifacts[JOBLIB] == with_twin.artifacts[JOBLIB]
    assert found.manifest.metrics.candidates[0].twin_difference == 0
    golden = [score for _, score in found.manifest.golden]
    assert golden == pytest.approx([score for _, score in with_twin.manifest.golden], abs=1e-5)


def test_a_champion_without_a_twin_is_compared_with_one_that_has_it() -> None:
    first = under_sklearn()
    champion = model.load(first.manifest, first.artifacts[JOBLIB], "sklearn")

    found = train(REQUEST, endpoint(), SCHEMA, examples(), champion)

    assert found.verdict.passed
    assert found.manifest.metrics.improvement == pytest.approx(0, abs=1e-5)


def test_under_sklearn_the_same_pipeline_is_no_promotion() -> None:
    first = under_sklearn()
    champion = model.load(first.manifest, first.artifacts[JOBLIB], "sklearn")

    found = under_sklearn(champion)

    assert not found.verdict.passed
    assert "byte for byte" in found.verdict.reason


def test_a_bare_classifier_can_be_trained_since_the_contract_lets_it_pass() -> None:
    class Number(msgspec.Struct, forbid_unknown_fields=True):
        x: Annotated[float, Meta(description="tells the label")]

    schema = schema_of("test", Number)
    data = examples()
    numbers = Examples({"x": data.columns["x"]}, data.labels, data.times)
    bare = dataclasses.replace(
        endpoint(), row=Number, candidates=lambda _: {"bare": LogisticRegression()}
    )
    check_endpoint("test", bare)

    assert train(REQUEST, bare, schema, numbers, None).verdict.passed


def test_a_window_with_one_class_fails_its_candidate_and_not_the_run() -> None:
    """A forest trains on one class and then has one column of probabilities."""
    data = examples(1_240)
    quiet = (data.times >= np.datetime64("2013-01-13")) & (data.times < np.datetime64("2013-01-25"))
    labels = data.labels & ~quiet
    forest = make_pipeline(
        make_column_transformer((SimpleImputer(), ["x", "y"])),
        RandomForestClassifier(20, max_depth=3, random_state=0),
    )

    found = train(
        REQUEST,
        endpoint({"forest": forest}, windows_days=(None, 10)),
        SCHEMA,
        Examples(data.columns, labels, data.times),
        None,
    )

    assert [scores.window_days for scores in found.manifest.metrics.candidates] == [None]
    assert list(found.manifest.metrics.failed) == ["forest on 10 days"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "no labelled data"),
        (examples(50), "fewer than policy.min_rows"),
        (examples(days=90), "in the future"),
    ],
    ids=["none", "too few", "from the future"],
)
def test_data_that_cannot_train_a_model_is_refused_before_a_fit(
    data: Examples | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        train(REQUEST, endpoint(), SCHEMA, data, None)


def test_enough_data_of_which_too_little_is_older_than_the_holdout_is_refused() -> None:
    with pytest.raises(DataError, match="are fewer than"):
        trained(examples(620, days=8), min_rows=500)


def test_golden_rows_are_spread_over_the_data_and_survive_json() -> None:
    found = trained()

    again = msgspec.json.decode(msgspec.json.encode(found.manifest), type=type(found.manifest))
    assert len(again.golden) == 50
    assert any(row["y"] is None for row, _ in again.golden)
    assert model.load(again, found.artifacts[ONNX])


def test_a_candidate_without_a_score_for_a_new_category_or_a_missing_value_is_left_out() -> None:
    class Odd(msgspec.Struct, forbid_unknown_fields=True):
        x: Annotated[float, Meta(description="never missing so far")] | None
        t: Annotated[str, Meta(description="a category")]

    data = examples()
    columns = {"x": data.columns["x"], "t": np.full(len(data), "a", dtype=object)}
    odd = Examples(columns, data.labels, data.times)
    strict = make_pipeline(
        make_column_transformer((StandardScaler(), ["x"]), (OneHotEncoder(), ["t"])),
        LogisticRegression(),
    )
    schema = schema_of("odd", Odd)

    with pytest.raises(NoCandidateError, match=r"no score where (x|t) is"):
        train(REQUEST, endpoint({"strict": strict}), schema, odd, None)


def gates_of(found: Trained) -> dict[str, bool]:
    return {gate.name: gate.passed for gate in found.manifest.metrics.gates}


def test_every_gate_stands_in_the_manifest_in_order_and_on_the_card() -> None:
    found = trained()

    assert list(gates_of(found)) == [
        "data", "fit", "another model", "champion", "slices", "calibration", "twin", "golden rows",
        "size", "latency",
    ]  # fmt: skip
    page = html.unescape(found.artifacts[REPORT].decode())
    assert all(gate.said in page for gate in found.manifest.metrics.gates)


@pytest.mark.parametrize(
    ("policy", "shut"),
    [({"max_artifact_mb": 0.001}, "size"), ({"max_calibration_error": 0.0}, "calibration")],
)
def test_a_version_that_misses_a_limit_is_refused_for_it(policy: dict[str, Any], shut: str) -> None:
    random = np.random.default_rng(0)
    data = examples(2_000)
    noisy = Examples(data.columns, data.labels & (random.uniform(size=2_000) < 0.8), data.times)

    found = trained(noisy, **policy)

    assert gates_of(found)[shut] is False
    assert not found.verdict.passed


def test_rows_that_repeat_are_refused_before_a_fit() -> None:
    data = examples()
    twice = data.take(np.sort(np.r_[np.arange(620), np.arange(300)]))

    with pytest.raises(DataError, match="33% of the rows repeat others"):
        trained(twice)
    assert trained(twice, max_duplicates=0.5).manifest.lineage.data_rows == 920


def test_labels_that_are_unlike_those_of_the_champion_are_refused_until_a_person_allows_it() -> (
    None
):
    champion = champion_of(trained(examples(2_000)))
    data = examples(4_000, days=31, seed=1)
    late = data.times > np.datetime64("2013-01-24")
    random = np.random.default_rng(0)
    odd = Examples(
        data.columns, np.where(late, random.uniform(size=4_000) < 0.02, data.labels), data.times
    )

    schedule = dataclasses.replace(REQUEST, trigger="schedule")
    with pytest.raises(DataError, match=r"labels since the champion's are unlike.*max_label_shift"):
        train(schedule, endpoint(), SCHEMA, odd, champion)
    assert train(schedule, endpoint(max_label_shift=9.0), SCHEMA, odd, champion)
    assert train(REQUEST, endpoint(), SCHEMA, odd, champion)


def test_a_search_is_recorded_with_what_it_chose() -> None:
    space = {"linear": {"logisticregression__C": [0.01, 0.1, 1.0, 10.0]}}
    wanted = dataclasses.replace(endpoint(search_seconds=30.0), search=space)

    found = train(REQUEST, wanted, SCHEMA, examples(), None)

    (scores,) = found.manifest.metrics.candidates
    assert scores.searched == 4
    assert scores.parameters["C"] == scores.parameters["logisticregression__C"]


def test_without_time_for_it_nothing_is_searched_and_the_parameters_are_recorded() -> None:
    (scores,) = trained().manifest.metrics.candidates

    assert scores.searched == 0
    assert scores.parameters["C"] == 1.0


def test_a_rule_can_be_a_version_and_a_fallback() -> None:
    rule = Rule(When(("x", ">", 0.0)))
    wanted = dataclasses.replace(endpoint({"rule": rule}), rule=Rule())
    asked = dataclasses.replace(REQUEST, fallback=True)

    found = train(asked, wanted, SCHEMA, examples(), None)

    assert found.verdict.passed, found.verdict.reason
    assert found.manifest.kind == "rule"
    assert RULE in found.artifacts
    assert found.fallback is not None
    fallback = model.load(found.fallback.manifest, found.fallback.artifacts[RULE])
    scores = set(fallback.scores(examples(50).columns).tolist())
    assert len(scores) == 1
    assert found.fallback.manifest.version != found.manifest.version


def test_the_feature_that_tells_the_label_is_the_most_important() -> None:
    page = trained().artifacts[REPORT].decode()

    features = page[page.index("<h2>Features") :]
    assert features.index("<td>x</td>") < features.index("<td>y</td>")


def test_the_page_of_a_version_marks_the_candidate_that_won() -> None:
    both = {"weak": pipeline(C=1e-6), "strong": pipeline()}

    found = train(REQUEST, endpoint(both), SCHEMA, examples(), None)

    page = found.artifacts[REPORT].decode()
    assert "<b>strong</b>" in page
    assert "<b>weak</b>" not in page
    assert "Parameters of strong: " in page
