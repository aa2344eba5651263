"""One training run: split by time, fit every candidate, compare on one holdout, describe the best.

Everything here is a function of its inputs: same examples, endpoint and seed, same result. Only
what is measured in seconds is not: how many parameters a search has time for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec
from threadpoolctl import threadpool_limits

from evergreen.captures.examples import Examples, check, utc
from evergreen.contract import problem
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.errors import CandidateError, DataError, NoCandidateError
from evergreen.contract.rule import Rule
from evergreen.contract.schema import JsonSchema
from evergreen.registry.manifest import FALLBACK, Evaluation, Manifest
from evergreen.registry.registry import fingerprint
from evergreen.serving.model import REPORT, Model
from evergreen.training import evaluation, gates, triggers
from evergreen.training.fitting import Candidate, Contest, Fitted, Request, fit
from evergreen.training.gates import Slice
from evergreen.training.holdout import best_first, split
from evergreen.training.manifest_builder import describe

Tell = Callable[..., None]
Windows = list[tuple[int | None, Examples]]  # how many days, None for all, and their rows


@dataclass(frozen=True)
class Version:
    """A version that is ready to be written."""

    manifest: Manifest
    artifacts: dict[str, bytes]


@dataclass(frozen=True)
class Trained(Version):
    """The version that the training is about, and a rule to fall back to, if one was wanted."""

    best: Fitted
    slices: Sequence[Slice]
    fallback: Version | None = None

    @property
    def verdict(self) -> gates.Verdict:
        """Return what its gates came to."""
        return gates.verdict(self.manifest.metrics.gates)

    def with_card(self, page: str) -> "Trained":
        """Return the version with its card, HTML, among its artifacts."""
        card = page.encode()
        files = self.manifest.artifacts | {REPORT: fingerprint(card)}
        manifest = msgspec.structs.replace(self.manifest, artifacts=files)
        return replace(self, manifest=manifest, artifacts=self.artifacts | {REPORT: card})


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]
def train(
    request: Request,
    endpoint: Endpoint,
    schema: JsonSchema,
    examples: Examples | None,
    champion: Model | None,
    tell: Tell = lambda *_, **__: None,
) -> Trained:
    """Train one version, on one thread: sums in another order would be another model.

    tell: is told when the fit of a candidate begins and ends, and as `extra` what came of it.
    Raises DataError where the data cannot train a model, NoCandidateError where no fit succeeded.
    """
    policy = endpoint.policy
    examples = check(examples, schema, at=request.at, min_rows=policy.min_rows)
    by_hand, previous = triggers.by_hand(request.trigger), champion.manifest if champion else None
    data_gate = evaluation.data(examples, policy, champion, by_hand=by_hand)
    if not data_gate.passed:
        raise DataError(data_gate.said)
    parts = split(examples, policy, previous.lineage.fitted_until if previous else None)
    data_gate = msgspec.structs.replace(data_gate, said=f"{data_gate.said}; {parts.said}")
    earlier = check(parts.earlier, schema, at=request.at, min_rows=policy.min_rows)
    whole = problem.of(endpoint.problem, earlier.labels)
    contest = Contest(request, endpoint, schema, parts.holdout, whole)
    fitted, failed = _fit_all(contest, _windows(endpoint, examples, parts.cut), tell)
    fitted = best_first(contest, fitted, parts, previous)
    best = fitted[0]
    measured, slices = evaluation.compare(contest, fitted, failed, champion)
    manifest, artifacts = describe(contest, examples, best, measured, previous)
    manifest = evaluation.finish(manifest, best, endpoint, data_gate, previous)
    fallback = _fallback(contest, examples, previous, earlier) if request.fallback else None
    rule = fallback.manifest.version if fallback else request.rule
    manifest = msgspec.structs.replace(manifest, fallback=rule)
    return Trained(manifest, artifacts, best, slices, fallback)


def _fit_all(contest: Contest, windows: Windows, tell: Tell) -> tuple[list[Fitted], dict[str, str]]:
    """Fit each pipeline on each window; return those that can serve, and why the others cannot."""
    endpoint, seed = contest.endpoint, contest.request.seed
    fitted: list[Fitted] = []
    failed: dict[str, str] = {}
    seconds = endpoint.policy.search_seconds / max(len(endpoint.search) * len(windows), 1)
    asked = [(*window, *each) for window in windows for each in endpoint.candidates(seed).items()]
    for number, (window, rows, name, pipeline) in enumerate(asked, 1):
        history = "all history" if window is None else f"{window} days"
        about = {"candidate": name, "history": history, "number": number, "of": len(asked)}
        tell("fitting a candidate", extra=about)
        space = endpoint.search.get(name, {}) if seconds else {}
        try:
            found = fit(contest, Candidate(name, pipeline, window, rows, space, seconds))
            fitted.append(found)
            loss = f"{found.problem.metric} {found.scores.loss:.4f}"
            said = "; ".join([loss, *found.scores.warnings])
        except CandidateError as error:
            failed[name if window is None else f"{name} on {history}"] = said = str(error)
        tell("fitted a candidate", extra=about | {"said": said})
    if not fitted:
        raise NoCandidateError(failed)
    return fitted, failed


def _windows(endpoint: Endpoint, examples: Examples, cut: datetime) -> Windows:
    """Return the windows of history that differ from the ones before and have enough rows."""
    found: dict[int, tuple[int | None, Examples]] = {}
    for window in endpoint.policy.windows_days:
        rows = examples.between(None if window is None else cut - timedelta(days=window), cut)
        if len(rows) >= endpoint.policy.min_rows:
            found.setdefault(len(rows), (window, rows))
    return list(found.values())


def _fallback(
    contest: Contest, examples: Examples, previous: Manifest | None, earlier: Examples
) -> Version:
    """Fit the rule that answers when no model can be loaded: the endpoint's, or a constant."""
    found = fit(contest, Candidate(FALLBACK, contest.endpoint.rule or Rule(), None, earlier))
    measured = Evaluation(
        start=utc(found.holdout.times[0]),
        end=utc(found.holdout.times[-1]),
        rows=len(found.holdout),
        loss=found.scores.loss,
        baseline=evaluation.constant_loss(found.problem, earlier, found.holdout),
        candidates=[found.scores],
    )
    return Version(*describe(contest, examples, found, measured, previous))
