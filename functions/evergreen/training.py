"""One training run: split by time, fit every candidate, compare on one holdout, describe the best.

Everything here is a function of its inputs: same examples, endpoint and seed, same result.
"""

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from evergreen import gate, twin
from evergreen.description import GOLDEN_ROWS, describe
from evergreen.endpoint import Endpoint
from evergreen.errors import CandidateError, DataError, NoCandidateError
from evergreen.examples import Examples, check, check_holdout, utc
from evergreen.manifest import Evaluation, Manifest, Scores
from evergreen.model import ARTIFACTS, JOBLIB, ONNX, Model, runtime
from evergreen.schema import JsonSchema, Score, is_text

DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Request:
    """What a run is about; `at` is the newest moment that it may know."""

    endpoint: str
    run: str
    trigger: str
    at: datetime
    seed: int
    code_sha256: str
    runtime: str = "onnx"


@dataclass(frozen=True)
class Fitted:
    """A candidate after its fit."""

    scores: Scores
    artifacts: dict[str, bytes]
    score: Score
    inputs: list[str]
    examples: Examples
    holdout: Examples
    holdout_scores: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """A version that is ready to be written, and the gate's verdict on it."""

    manifest: Manifest
    artifacts: dict[str, bytes]
    verdict: gate.Verdict


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def train(
    request: Request,
    endpoint: Endpoint,
    schema: JsonSchema,
    examples: Examples | None,
    champion: Model | None,
) -> Trained:
    """Train one version, on one thread: sums in another order would be another model.

    Raises DataError where the data cannot train a model, NoCandidateError where no fit succeeded.
    """
    policy = endpoint.policy
    examples = check(examples, schema, at=request.at, min_rows=policy.min_rows)
    cut = utc(examples.times[-1]) - timedelta(days=policy.holdout_days)
    if champion is not None:  # what it was fitted on would flatter it
        cut = max(cut, champion.manifest.lineage.fitted_until + timedelta.resolution)
    holdout = examples.between(cut, None)
    check_holdout(holdout, min_rows=policy.min_rows)
    earlier = examples.between(None, cut)
    if not len(earlier):
        raise DataError(
            f"all {len(examples):,} rows are from the newest {policy.holdout_days} days "
            "(policy.holdout_days): none is left to fit"
        )
    check(earlier, schema, at=request.at, min_rows=policy.min_rows)
    fitted, failed = _fit_all(request, endpoint, schema, examples, holdout, cut)
    best = min(fitted, key=lambda candidate: candidate.scores.log_loss)
    evaluation, verdict = _evaluate(
        best, fitted, failed, holdout, champion, policy.margin, request.seed
    )
    manifest, artifacts = describe(request, endpoint, schema, examples, best, evaluation, champion)
    if champion is not None and _same(manifest, champion.manifest, ARTIFACTS[request.runtime]):
        verdict = gate.Verdict(False, "it is the same model as the champion, byte for byte")
    return Trained(manifest, artifacts, verdict)


def _same(version: Manifest, champion: Manifest, served: str) -> bool:
    """Say whether two versions are the same bytes, to be run by the same libraries."""
    artifacts = version.artifacts[served], champion.artifacts.get(served)
    return artifacts[0] == artifacts[1] and version.libraries == champion.libraries


def _fit_all(
    request: Request,
    endpoint: Endpoint,
    schema: JsonSchema,
    examples: Examples,
    holdout: Examples,
    cut: datetime,
) -> tuple[list[Fitted], dict[str, str]]:
    """Fit each pipeline on each window; return those that can serve, and why the others cannot."""
    fitted: list[Fitted] = []
    failed: dict[str, str] = {}
    for window, rows in _windows(endpoint, examples, cut):
        for name, pipeline in endpoint.candidates(request.seed).items():
            try:
                fitted.append(_fit(request, name, pipeline, window, rows, holdout, schema))
            except CandidateError as error:
                failed[name if window is None else f"{name} on {window} days"] = str(error)
    if not fitted:
        raise NoCandidateError(failed)
    return fitted, failed


def _windows(
    endpoint: Endpoint, examples: Examples, cut: datetime
) -> Iterator[tuple[int | None, Examples]]:
    """Yield the windows of history that differ from the ones before and have enough rows."""
    sizes = set()
    for window in endpoint.policy.windows_days:
        rows = examples.between(None if window is None else cut - timedelta(days=window), cut)
        if len(rows) not in sizes and len(rows) >= endpoint.policy.min_rows:
            sizes.add(len(rows))
            yield window, rows


def _fit(
    request: Request,
    name: str,
    pipeline: Any,
    window: int | None,
    rows: Examples,
    holdout: Examples,
    schema: JsonSchema,
) -> Fitted:
    inputs = list(schema["properties"])
    artifacts: dict[str, bytes] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            pipeline.fit(rows.frame(), rows.labels)
        expected = pipeline.predict_proba(holdout.frame())[:, 1]
        artifacts[JOBLIB] = _dumped(pipeline)
        if request.runtime == "onnx":
            artifacts[ONNX] = twin.convert(pipeline, schema, inputs)
        score = runtime(request.runtime).scorer(artifacts[ARTIFACTS[request.runtime]], inputs)
        scores = score(holdout.columns)
        twin.check_robust(score, schema, holdout.take(slice(GOLDEN_ROWS)).columns)
    except CandidateError:
        raise
    except Exception as error:  # it is the user's pipeline, and may raise whatever it likes
        way_out = f"; {twin.WAY_OUT}" if ONNX in artifacts else ""
        reason = f"{type(error).__name__}: {str(error)[:300]}{way_out}"
        raise CandidateError(reason) from error
    losses = gate.losses(holdout.labels, scores)
    described = Scores(
        candidate=name,
        window_days=window,
        rows=len(rows),
        log_loss=float(losses.mean()),
        twin_difference=twin.difference(scores, expected),
    )
    return Fitted(described, artifacts, score, inputs, rows, holdout, scores, losses)


def _dumped(pipeline: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(pipeline, buffer, compress=3)
    return buffer.getvalue()


def _evaluate(
    best: Fitted,
    fitted: list[Fitted],
    failed: dict[str, str],
    holdout: Examples,
    champion: Model | None,
    margin: float,
    seed: int,
) -> tuple[Evaluation, gate.Verdict]:
    rate = np.full(len(holdout), best.examples.labels.mean())
    baseline = float(gate.losses(holdout.labels, rate).mean())
    champion_loss = over = None
    if champion is not None and _comparable(champion, holdout):
        champion_losses = gate.losses(holdout.labels, champion.scores(holdout.columns))
        champion_loss = float(champion_losses.mean())
        days = holdout.times.astype("datetime64[D]")
        over = gate.improvement(champion_losses, best.losses, days, seed)
    evaluation = Evaluation(
        start=utc(holdout.times[0]),
        end=utc(holdout.times[-1]),
        rows=len(holdout),
        log_loss=best.scores.log_loss,
        baseline=baseline,
        champion=champion_loss,
        improvement=over.mean if over else None,
        improvement_lower=over.lower if over else None,
        candidates=[candidate.scores for candidate in fitted],
        failed=failed,
    )
    alone = "first champion" if champion is None else "the champion reads other fields"
    return evaluation, gate.judge(best.scores.log_loss, baseline, over, margin, alone)


def _comparable(champion: Model, holdout: Examples) -> bool:
    """Say whether the champion can score these rows: it may be of an older schema."""
    properties = champion.manifest.schema["properties"]
    return all(
        name in holdout.columns
        and is_text(properties[name]) == (holdout.columns[name].dtype == object)
        for name in champion.manifest.inputs
    )
