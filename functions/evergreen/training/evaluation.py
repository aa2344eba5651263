"""How a candidate does on the holdout, beside a constant, a simple tree and the champion."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from evergreen.captures.examples import Examples, utc
from evergreen.contract.endpoint import Endpoint, Policy
from evergreen.contract.errors import ExternalError, ModelUnavailableError
from evergreen.contract.problem import Floats, Problem, outputs
from evergreen.contract.schema import is_text
from evergreen.monitoring import domain_classifier, reference_profile, two_sample_tests
from evergreen.registry.manifest import Evaluation, Gate, Manifest
from evergreen.serving import model
from evergreen.serving.model import ONNX, Model
from evergreen.training import gates
from evergreen.training.fitting import Contest, Fitted
from evergreen.training.gates import Slice
from evergreen.training.manifest_builder import plain_labels
from evergreen.training.onnx import export

SIMPLE_ROWS = 20_000  # that the simple tree is fitted on
SIMPLE_LEAF = 0.02  # of them, in a leaf at least
PRIOR = 0.01  # of the constant in the tree's answers: no leaf is as sure as its rows
TIMED = 20  # rows, each scored alone


def data(examples: Examples, policy: Policy, champion: Model | None, *, by_hand: bool) -> Gate:
    """Check what is peculiar about the data as a whole: repeated rows, and other labels.

    by_hand: whether a person asks, whom other labels do not stop: they may be how the world is now.
    A version's own checks of each row, of counts and of leakage stand in captures.examples.
    """
    doubled = float(examples.frame().assign(label=examples.labels, time=examples.times)
                    .duplicated().mean())  # fmt: skip
    shift = _label_shift(examples, champion)
    figures: dict[str, Any] = {
        "rows": len(examples), "duplicates": doubled, "max_duplicates": policy.max_duplicates,
        "label_shift": shift, "max_label_shift": policy.max_label_shift,
    }  # fmt: skip
    wrong = None
    if doubled > policy.max_duplicates:
        wrong = f"{doubled:.0%} of the rows repeat others, label and time too"
        limit = f"policy.max_duplicates={policy.max_duplicates}"
        wrong = f"{wrong}, more than {limit}: was a file uploaded twice?"
    elif shift is not None and shift > policy.max_label_shift and not by_hand:
        limit = f"policy.max_label_shift={policy.max_label_shift}"
        wrong = (
            f"the labels since the champion's are unlike those (PSI {shift:.2f}, more than {limit})"
        )
        wrong += ": look at them, and train by hand where the world is so, or raise that"
    known = "" if shift is None else f", labels PSI {shift:.2f} from the champion's"
    said = wrong or f"{len(examples):,} rows, {doubled:.1%} repeated{known}"
    return Gate(name="data", passed=wrong is None, said=said, figures=figures)


def _label_shift(examples: Examples, champion: Model | None) -> float | None:
    """Return how far the labels that are newer than the champion's are from those, in nats."""
    before = champion.manifest.labels if champion else None
    if champion is None or before is None or champion.manifest.problem.kind != examples.kind:
        return None
    newer = examples.between(champion.manifest.lineage.fitted_until, None)
    if len(newer) < reference_profile.MIN_ROWS:
        return None
    counts = reference_profile.count(before, plain_labels(newer))
    return two_sample_tests.psi(np.array(before.counts, dtype=np.float64), counts)


def compare(
    contest: Contest, fitted: Sequence[Fitted], failed: dict[str, str], champion: Model | None
) -> tuple[Evaluation, list[Slice]]:
    """Compare the first candidate on the holdout; these gates do not need its manifest."""
    best, policy, seed = fitted[0], contest.endpoint.policy, contest.request.seed
    problem, holdout = best.problem, best.holdout
    days = holdout.times.astype("datetime64[D]")
    constant = constant_loss(problem, best.examples, holdout)
    tree = problem.losses(holdout.labels, _simple(contest, best))
    simple, over_simple = float(tree.mean()), gates.improvement(tree, best.losses, days, seed)
    theirs = over = champion_error = away = answered = None
    if champion is not None and _comparable(champion, holdout):
        scores, away = _answers(champion, holdout)
        unit = champion.manifest.problem.like(problem)
        theirs = unit.losses(holdout.labels, scores)
        answered = reference_profile.profile_of(unit.top(scores), holdout.times)
        champion_error = _calibration_error(unit, holdout, scores)
        over = gates.improvement(theirs, best.losses, days, seed)
    alone = "first champion" if champion is None else "the champion reads other fields"
    alone = f"{problem.metric} {best.scores.loss:.4f} beats the constant's {constant:.4f}; {alone}"
    values = {field: holdout.columns[field] for field in contest.endpoint.slices}
    slices = gates.slices_of(values, best.losses, theirs, days, seed)
    margin = 4 * policy.margin if policy.slice_margin is None else policy.slice_margin
    difference = best.scores.twin_difference if best.served == ONNX else None
    own_error = _calibration_error(problem, holdout, best.holdout_scores)
    evaluation = Evaluation(
        start=utc(holdout.times[0]),
        end=utc(holdout.times[-1]),
        rows=len(holdout),
        loss=best.scores.loss,
        baseline=constant,
        simple=simple,
        champion=None if theirs is None else float(theirs.mean()),
        improvement=over.mean if over else None,
        improvement_lower=over.lower if over else None,
        champion_scores=answered,
        candidates=[candidate.scores for candidate in fitted],
        failed=failed,
        gates=[
            gates.fit(best.scores.loss, constant, simple, over_simple, problem.metric),
            gates.champion(over, policy.margin, alone, away),
            gates.slices(slices, margin),
            gates.calibration(own_error, champion_error, policy.max_calibration_error),
            gates.twin(difference, len(holdout), export.TOLERANCE),
        ],
    )
    return evaluation, slices


def constant_loss(problem: Problem, fitted: Examples, holdout: Examples) -> float:
    """Return the loss of the best constant for some rows on others."""
    constant = problem.constant(fitted.labels)
    scores = np.broadcast_to(constant, (len(holdout), *constant.shape))
    return float(problem.losses(holdout.labels, scores).mean())


def _simple(contest: Contest, best: Fitted) -> Floats:
    """Return the scores of a tree of two questions: what any model should be better than."""
    problem, holdout, seed = best.problem, best.holdout, contest.request.seed
    rows = best.examples.take(domain_classifier.spread(len(best.examples), SIMPLE_ROWS))
    text = [name for name, spec in contest.schema["properties"].items() if is_text(spec)]
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    tree = DecisionTreeRegressor if problem.kind == "regression" else DecisionTreeClassifier
    simple = make_pipeline(
        make_column_transformer((ordinal, text), remainder="passthrough"),
        tree(max_depth=2, min_samples_leaf=SIMPLE_LEAF, random_state=seed),
    ).fit(rows.frame(), rows.labels)
    if problem.kind == "multiclass":  # a rare class may not be among the rows
        found = np.zeros((len(holdout), len(problem.classes)))
        places = [problem.classes.index(name) for name in simple.classes_]
        found[:, places] = simple.predict_proba(holdout.frame())
    else:
        found = outputs(simple, holdout.frame(), problem)
    if problem.kind == "regression":
        return found
    return (1 - PRIOR) * found + PRIOR * problem.constant(best.examples.labels)


def _calibration_error(problem: Problem, holdout: Examples, scores: Floats) -> float | None:
    if problem.kind == "regression":
        return None
    return gates.calibration_error(*problem.came_true(holdout.labels, scores))


def _answers(champion: Model, holdout: Examples) -> tuple[Floats, str | None]:
    """Return what callers get from the champion now, and why that is not its service's scores."""
    try:  # its service may be away for good, and must not keep every successor from coming
        return champion.scores(holdout.columns), None
    except ExternalError as error:
        assert champion.instead  # noqa: S101 - for the type checker: each service has its rule
        return champion.instead(holdout.columns), str(error)


def _comparable(champion: Model, holdout: Examples) -> bool:
    """Say whether the champion can score these rows: it may be of an older schema or problem."""
    properties = champion.manifest.schema["properties"]
    return champion.manifest.problem.kind == holdout.kind and all(
        name in holdout.columns
        and is_text(properties[name]) == (holdout.columns[name].dtype == object)
        for name in champion.manifest.inputs
    )


def finish(
    manifest: Manifest, best: Fitted, endpoint: Endpoint, data_gate: Gate, champion: Manifest | None
) -> Manifest:
    """Return the manifest with all gates in order, after those that need it."""
    body, policy = best.artifacts[best.served], endpoint.policy
    fault = milliseconds = None
    try:
        loaded = model.load(manifest, body, best.runtime)
        if manifest.kind != "external":
            milliseconds = _milliseconds(loaded, best.holdout)
    except ModelUnavailableError as error:
        fault = str(error)
    same = champion is not None and (
        manifest.artifacts[best.served] == champion.artifacts.get(best.served)
        and manifest.libraries == champion.libraries
    )
    fit, *others = manifest.metrics.gates
    every = [
        data_gate,
        fit,
        gates.another(same),
        *others,
        gates.golden(fault, len(manifest.golden)),
        gates.size(sum(file.bytes for file in manifest.artifacts.values()), policy.max_artifact_mb),
        gates.latency(milliseconds, policy.max_latency_ms),
    ]
    metrics = msgspec.structs.replace(manifest.metrics, gates=every)
    return msgspec.structs.replace(manifest, metrics=metrics)


def _milliseconds(loaded: Model, holdout: Examples) -> float:
    """Return how long one row takes to score, the median of some."""
    found = []
    for place in domain_classifier.spread(len(holdout), TIMED):
        row = holdout.take(slice(place, place + 1)).columns
        start = time.perf_counter()
        loaded.scores(row)
        found.append((time.perf_counter() - start) * 1e3)
    return float(np.median(found))
