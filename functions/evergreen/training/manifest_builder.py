"""What is written down of a version: its manifest, and the rows that later checks compare with."""

import gzip
import platform
from collections.abc import Collection, Iterator
from importlib.metadata import version as installed
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from evergreen.captures.examples import Examples, utc
from evergreen.contract.problem import Floats
from evergreen.contract.schema import Columns, JsonSchema, columns_of, is_text, shortened
from evergreen.monitoring import domain_classifier, performance, reference_profile
from evergreen.registry.manifest import GOLDEN_ROWS, Lineage, Manifest, version_id
from evergreen.registry.recalibration import logits
from evergreen.registry.registry import fingerprint
from evergreen.serving.model import REFERENCE
from evergreen.training import run_records

if TYPE_CHECKING:
    from evergreen.registry.manifest import Evaluation, Expected
    from evergreen.training.fitting import Contest, Fitted

LIBRARIES = ("scikit-learn", "numpy", "onnxruntime", "skl2onnx")
GOLDEN_TEXT = 1_000  # characters
INFLUENCE_ROWS = 2_000  # of the holdout
WEEKS = 4  # of the fitted rows, that a classifier is tried on


def describe(
    contest: "Contest",
    examples: Examples,
    best: "Fitted",
    evaluation: "Evaluation",
    champion: Manifest | None,
) -> tuple[Manifest, dict[str, bytes]]:
    """Return the manifest and the artifacts of the best candidate."""
    request, endpoint, schema = contest.request, contest.endpoint, contest.schema
    hidden, text = endpoint.sensitive, best.problem.kind == "multiclass"
    labels, times = plain_labels(best.examples), best.examples.times
    artifacts = best.artifacts | {REFERENCE: _sample(best.examples, schema, hidden)}
    prints = {name: fingerprint(body) for name, body in artifacts.items()}
    hashes = (print_.sha256 for print_ in prints.values())
    lineage = Lineage(
        run=request.run,
        trigger=request.trigger,
        previous=champion.version if champion else None,
        **{f"data_{name}": value for name, value in run_records.data_of(examples).items()},
        fitted_rows=len(best.examples),
        fitted_until=utc(times[-1]),
        code_sha256=request.code_sha256,
        seed=request.seed,
    )
    manifest = Manifest(
        endpoint=request.endpoint,
        version=version_id(request.at, request.run, *hashes),
        created=request.at,
        candidate=best.scores.candidate,
        target=endpoint.target,
        schema=schema,
        inputs=list(schema["properties"]),
        artifacts=prints,
        libraries=libraries(),
        lineage=lineage,
        metrics=evaluation,
        reference=reference_profile.profile(best.examples, schema, hidden),
        golden=_golden(best, schema, hidden),
        expected=_expected(best, hidden),
        labels=reference_profile.profile_of(labels, times, text=text),
        kind=best.kind,
        problem=best.problem,
        external=best.service,
    )
    return manifest, artifacts


def _expected(best: "Fitted", hidden: Collection[str]) -> "Expected":
    """Describe the holdout as the weeks to come will be described, and compared with it."""
    holdout, fitted = best.holdout, best.examples
    problem, days = best.problem, holdout.times.astype("datetime64[D]")
    found = performance.expected(holdout.labels, best.holdout_scores, days, problem)
    scores = reference_profile.profile_of(problem.top(best.holdout_scores), holdout.times)
    # How much scores move from week to week is learnt from fitted weeks: the holdout has too few.
    season, influence = scores.delta, {}
    if best.kind != "external":  # which is paid by the call
        tops = problem.top(best.score(fitted.columns))
        season = reference_profile.profile_of(tops, fitted.times).delta
        influence = _influence(best)
    return msgspec.structs.replace(
        found,
        scores=msgspec.structs.replace(scores, delta=season),
        auc=max(_separations(fitted, holdout, hidden), default=0.5),
        influence=influence,
    )


def _influence(best: "Fitted") -> dict[str, float]:
    """Return how far scores move on average where the values of a feature change rows.

    Of probabilities the logits move. A holdout has one answer, as the order is the same for all.
    """
    columns = _spread(best.holdout, INFLUENCE_ROWS)
    order = np.random.default_rng(0).permutation(min(len(best.holdout), INFLUENCE_ROWS))

    def told(columns: Columns) -> Floats:
        scores = best.score(columns)
        return logits(scores) if best.problem.kind == "binary" else scores

    before, found = told(columns), {}
    for name, values in columns.items():
        found[name] = float(np.abs(told(columns | {name: values[order]}) - before).mean())
    return found


def _separations(fitted: Examples, holdout: Examples, hidden: Collection[str]) -> Iterator[float]:
    """Yield how well the holdout and the newest fitted weeks are told from other fitted rows."""
    weeks = (fitted.times[-1] - fitted.times) // np.timedelta64(reference_profile.SEASON)
    pairs = [(fitted, holdout)]
    for number in range(WEEKS):
        own, others = np.flatnonzero(weeks == number), np.flatnonzero(weeks != number)
        few = others[domain_classifier.spread(len(others), domain_classifier.REFERENCE_ROWS)]
        pairs.append((fitted.take(few), fitted.take(own)))
    shown = [name for name in fitted.columns if name not in hidden]
    for rows in pairs:
        parts = ({name: part.columns[name] for name in shown} for part in rows)
        if found := domain_classifier.separation(*parts):
            yield found.auc


def _sample(examples: Examples, schema: JsonSchema, hidden: Collection[str]) -> bytes:
    """Return rows spread over the fitted ones, for tests that need rows, without hidden values."""
    chosen = _spread(examples, domain_classifier.REFERENCE_ROWS)
    rows = _plain({name: shortened(values) for name, values in chosen.items()}, schema)
    rows = [row | dict.fromkeys(hidden) for row in rows]
    return gzip.compress(msgspec.json.encode(rows), mtime=0)


def libraries() -> dict[str, str]:
    """Return the versions of what a model is made with."""
    versions = {name: installed(name) for name in LIBRARIES}
    return versions | {"python": platform.python_version()}


def _golden(best: "Fitted", schema: JsonSchema, hidden: Collection[str]) -> list[Any]:
    """Return rows spread over the training data with their scores, as serving must repeat them."""
    chosen = _spread(best.examples, GOLDEN_ROWS)
    for name, spec in schema["properties"].items():
        values = best.examples.columns[name]
        if is_text(spec):  # of a long text the beginning, of a hidden one nothing
            kept = 0 if name in hidden else GOLDEN_TEXT
            texts = [text[:kept] for text in chosen[name].tolist()]
            chosen[name] = np.array(texts, dtype=object)
        elif name in hidden:
            there = values[~np.isnan(values)]
            chosen[name][:] = np.median(there) if len(there) else np.nan
    rows = _plain(chosen, schema)
    scores = best.score(columns_of(schema, rows)).tolist()
    return list(zip(rows, scores, strict=True))


def plain_labels(examples: Examples) -> npt.NDArray[Any]:
    """Return labels as bins count them: text, or numbers."""
    labels = examples.labels
    return labels if labels.dtype == object else labels.astype(np.float64)


def _spread(examples: Examples, wanted: int) -> Columns:
    """Return the columns of up to `wanted` rows, spread over the examples."""
    return examples.take(domain_classifier.spread(len(examples), wanted)).columns


def _plain(columns: Columns, schema: JsonSchema) -> list[dict[str, Any]]:
    """Return rows of plain values, None where one is missing."""
    names = list(schema["properties"])
    plain = [[None if each != each else each for each in columns[name].tolist()] for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*plain, strict=True)]
