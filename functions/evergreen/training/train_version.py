"""One training run: split by time, fit every candidate, compare on one holdout, describe the best.

Everything here is a function of its inputs: same examples, endpoint and seed, same result. Only
what is measured in seconds is not: how many parameters a search has time for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from evergreen.captures.examples import Examples, check, check_holdout, utc
from evergreen.contract import problem
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.errors import CandidateError, DataError, NoCandidateError
from evergreen.contract.rule import Rule
from evergreen.contract.schema import JsonSchema
from evergreen.pages import model_card
from evergreen.registry.manifest import Evaluation, Manifest
from evergreen.registry.registry import fingerprint
from evergreen.serving.model import REPORT, Model
from evergreen.training import evaluation, gates
from evergreen.training.fitting import FALLBACK, Fitted, Request, fit
from evergreen.training.manifest_builder import describe

Fit = Callable[..., Fitted]


@dataclass(frozen=True)
class Version:
    """A version that is ready to be written."""

    manifest: Manifest
    artifacts: dict[str, bytes]


@dataclass(frozen=True)
class Trained(Version):
    """The version that the training is about, and a rule to fall back to, if one was wanted."""

    fallback: Version | None = None

    @property
    def verdict(self) -> gates.Verdict:
        """Return what its gates came to."""
        return gates.verdict(self.manifest.metrics.gates)


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
    data_gate = evaluation.data(examples, policy, champion)
    if not data_gate.passed:
        raise DataError(data_gate.said)
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
    whole = problem.of(endpoint.problem, earlier.labels)
    fit_one = partial(fit, request, endpoint, schema, holdout, whole)
    fitted, failed = _fit_all(
        endpoint, request.seed, list(_windows(endpoint, examples, cut)), fit_one
    )
    best = min(fitted, key=lambda candidate: candidate.scores.loss)
    measured, slices = evaluation.compare(
        endpoint, schema, best, fitted, failed, champion, request.seed
    )
    previous = champion.manifest if champion else None
    manifest, artifacts = describe(request, endpoint, schema, examples, best, measured, previous)
    manifest = evaluation.finish(manifest, best, endpoint, data_gate, previous)
    page = model_card.page(manifest, best, endpoint, slices).encode()
    files = manifest.artifacts | {REPORT: fingerprint(page)}
    fallback = None
    if request.fallback:
        fallback = _fallback(request, endpoint, schema, examples, previous, fit_one, earlier)
    rule = fallback.manifest.version if fallback else request.rule
    manifest = msgspec.structs.replace(manifest, artifacts=files, fallback=rule)
    return Trained(manifest, artifacts | {REPORT: page}, fallback)


def _fit_all(
    endpoint: Endpoint,
    seed: int,
    windows: list[tuple[int | None, Examples]],
    fit_one: Fit,
) -> tuple[list[Fitted], dict[str, str]]:
    """Fit each pipeline on each window; return those that can serve, and why the others cannot."""
    fitted: list[Fitted] = []
    failed: dict[str, str] = {}
    searches = max(len(endpoint.search) * len(windows), 1)
    seconds = endpoint.policy.search_seconds / searches
    for window, rows in windows:
        for name, pipeline in endpoint.candidates(seed).items():
            space = endpoint.search.get(name, {}) if seconds else {}
            try:
                fitted.append(fit_one(name, pipeline, window, rows, space, seconds))
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


def _fallback(
    request: Request,
    endpoint: Endpoint,
    schema: JsonSchema,
    examples: Examples,
    previous: Manifest | None,
    fit_one: Fit,
    earlier: Examples,
) -> Version:
    """Fit the rule that answers when no model can be loaded: the endpoint's, or a constant."""
    found = fit_one(FALLBACK, endpoint.rule or Rule(), None, earlier, {}, 0.0)
    constant = found.problem.constant(earlier.labels)
    baseline = np.broadcast_to(constant, found.holdout_scores.shape)
    measured = Evaluation(
        start=utc(found.holdout.times[0]),
        end=utc(found.holdout.times[-1]),
        rows=len(found.holdout),
        loss=found.scores.loss,
        baseline=float(found.problem.losses(found.holdout.labels, baseline).mean()),
        candidates=[found.scores],
    )
    manifest, artifacts = describe(request, endpoint, schema, examples, found, measured, previous)
    return Version(manifest, artifacts)
