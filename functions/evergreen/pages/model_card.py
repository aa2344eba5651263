"""The card of a version: one HTML page on what it was made from and how it compares, for people."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from evergreen.contract.endpoint import Endpoint
from evergreen.monitoring.domain_classifier import spread
from evergreen.monitoring.performance import calibration_bins
from evergreen.pages import charts
from evergreen.pages.html import TEMPLATES, number, render, share
from evergreen.registry.manifest import FeatureProfile, Manifest
from evergreen.training import gates
from evergreen.training.gates import Slice

if TYPE_CHECKING:
    from evergreen.training.fitting import Fitted

IMPORTANCE_ROWS = 500  # of the holdout, evenly spread
REPEATS = 3
BAR = 8  # rem, of the most important feature


def page(manifest: Manifest, best: "Fitted", endpoint: Endpoint, slices: Sequence[Slice]) -> str:
    """Return the card of a version; the same input gives the same bytes."""
    metrics = manifest.metrics
    chosen = next(each for each in metrics.candidates if each.loss == metrics.loss)
    return render(
        TEMPLATES / "model_card.html.jinja",
        manifest=manifest,
        verdict=gates.verdict(metrics.gates),
        best=chosen,
        failed=[[name, f"left out: {why}", "", "", "", ""] for name, why in metrics.failed.items()],
        slices=slices,
        calibration=_calibration(best),
        shuffled=IMPORTANCE_ROWS,
        features=_features(manifest, best),
        fairness=[row for field in endpoint.fairness for row in _fairness(best, field)],
    )


def _calibration(best: "Fitted") -> Markup | None:
    if best.problem.kind == "regression":
        return None
    scores, came_true = best.problem.came_true(best.holdout.labels, best.holdout_scores)
    return charts.calibration(calibration_bins(scores, came_true))


def _features(manifest: Manifest, best: "Fitted") -> list[dict[str, Any]]:
    found = importance(best, manifest.lineage.seed)
    most = max([*found.values(), 1e-12])
    features = []
    for name in sorted(manifest.reference, key=lambda name: (-found.get(name, 0.0), name)):
        profile, bar = manifest.reference[name], max(found.get(name, 0.0), 0) / most * BAR
        missing = share(profile.counts[-1], sum(profile.counts))
        shown = {"name": name, "importance": found.get(name), "bar": bar, "missing": missing}
        features.append(shown | {"range": _values(profile)})
    return features


def _values(profile: FeatureProfile) -> str:
    if profile.hidden:
        return "sensitive"
    if profile.categories is not None:
        size, more = len(profile.categories), "" if profile.seen is None else "more than "
        return f"{more}{size:,} categor{'y' if size == 1 else 'ies'}"
    if not profile.edges:
        return "none"
    smallest = np.nextafter(profile.edges[0], np.inf) + 0.0  # the first edge is just below it
    return f"{round(smallest, 9) + 0.0:.4g} to {profile.edges[-1]:.4g}"


def importance(best: "Fitted", seed: int) -> dict[str, float]:
    """Return how much the loss rises when each feature is shuffled; nothing of what costs a call.

    Source: Breiman 2001, on rows that were not fitted.
    """
    if best.kind == "external":
        return {}
    rows = best.holdout.take(spread(len(best.holdout), IMPORTANCE_ROWS))
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(rows)) for _ in range(REPEATS)]

    def loss(columns: Any) -> float:
        return float(best.problem.losses(rows.labels, best.score(columns)).mean())

    before = loss(rows.columns)
    return {
        name: float(np.mean([loss(rows.columns | {name: values[order]}) for order in orders]))
        - before
        for name, values in rows.columns.items()
    }


def _fairness(best: "Fitted", field: str) -> Iterator[list[str]]:
    holdout, kind = best.holdout, best.problem.kind
    answered = best.problem.answered(best.holdout_scores)
    for _, value, group in gates.parts_of(field, holdout.columns[field]):
        figures = rates(kind, holdout.labels[group], answered[group])
        cells = [number(value, ".1%" if kind != "regression" else ".4g") for value in figures]
        yield [f"{field} {value}", f"{group.sum():,}", *cells]


def rates(kind: str, labels: Any, answered: Any) -> list[float | None]:
    """Return the rates of one group: what they are depends on the kind of problem.

    >>> rates("binary", np.array([True, False]), np.array([True, True]))
    [1.0, 1.0, 1.0]
    """
    if kind == "multiclass":
        return [float((labels == answered).mean())]
    if kind == "regression":
        return [float(answered.mean()), float((answered - labels).mean())]
    parts = (answered, answered[labels], answered[~labels])
    return [float(part.mean()) if len(part) else None for part in parts]
