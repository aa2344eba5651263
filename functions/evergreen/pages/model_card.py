"""The card of a version: one HTML page on what it was made from and how it compares, for people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.contract.endpoint import Endpoint
from evergreen.monitoring.domain_classifier import spread
from evergreen.monitoring.performance import calibration_bins
from evergreen.pages import html
from evergreen.pages.charts import calibration
from evergreen.pages.html import count, figure, on, panel, said, section, share, table, tile
from evergreen.registry.manifest import FeatureProfile, Manifest
from evergreen.training import gates
from evergreen.training.gates import Slice

if TYPE_CHECKING:
    from evergreen.training.fitting import Fitted

IMPORTANCE_ROWS = 500  # of the holdout, evenly spread
REPEATS = 3
BAR = 8  # rem, of the most important feature

CSS = """.shut { color: var(--orange) } td.number, .numbers :is(td, th):nth-child(n+2) {
  text-align: right; white-space: nowrap }
.features :is(td, th):nth-child(n+2):not(:nth-child(3)) { text-align: right; white-space: nowrap }
.bar { display: block; height: .8rem; margin-top: .35rem; background: var(--green) }
.gates td:nth-child(-n+2), .facts td:first-child { white-space: nowrap }
.gates, .features, .numbers { min-width: 34rem } .facts { table-layout: auto }
figure figure, .small figure { margin: 0 } .small svg { min-width: 0; max-width: 24rem }"""


def page(manifest: Manifest, best: "Fitted", endpoint: Endpoint, slices: Sequence[Slice]) -> str:
    """Return the card of a version; the same input gives the same bytes."""
    verdict, metrics = gates.verdict(manifest.metrics.gates), manifest.metrics
    passed = "It passed every gate" if verdict.passed else "It was refused"
    parts = [
        _gates(manifest),
        _candidates(manifest),
        _slices(manifest, slices),
        _calibration(best),
        _features(manifest, best),
        _fairness(best, endpoint.fairness),
        _lineage(manifest),
    ]
    return html.document(
        title=f"Evergreen: {said(manifest.endpoint)} {said(manifest.version)}",
        kicker=f"{said(manifest.endpoint)} · version {said(manifest.version)} · "
        f"{said(manifest.target)}",
        headline=f"{passed}: {said(verdict.reason)}",
        tiles="\n".join(
            [
                tile(said(manifest.problem.metric), f"{metrics.loss:.4f}", "on the holdout"),
                tile("a constant", f"{metrics.baseline:.4f}", "without any feature"),
                tile("a simple tree", _number(metrics.simple), "of two questions"),
                tile("the champion", _number(metrics.champion), "on the same rows"),
            ]
        ),
        sections="\n".join(parts),
        css=CSS,
    )


def _number(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)


def _gates(manifest: Manifest) -> str:
    rows = [
        [
            f"<b>{said(found.name)}</b>",
            "passed" if found.passed else '<b class="shut">refused</b>',
            said(found.said),
        ]
        for found in manifest.metrics.gates
    ]
    text = "In order; the first that refuses is the reason why a version does not serve."
    return section("Gates", text, figure(table("gates", ["gate", "verdict", "what it saw"], rows)))


def _candidates(manifest: Manifest) -> str:
    metrics = manifest.metrics
    best = next(each for each in metrics.candidates if each.loss == metrics.loss)
    rows = [
        [
            f"<b>{said(each.candidate)}</b>" if each is best else said(each.candidate),
            f"{each.window_days} days" if each.window_days else "all",
            f"{each.rows:,}",
            f"{each.loss:.4f}",
            f"{each.searched or '–'}",
        ]
        for each in metrics.candidates
    ]
    rows += [
        [said(name), f"left out: {said(why)}", "", "", ""] for name, why in metrics.failed.items()
    ]
    text = (
        f"Fitted on the rows before {on(metrics.start)}, compared on the {metrics.rows:,} rows "
        "from then on. The best of them is this version."
    )
    head = ["candidate", "history", "rows", said(manifest.problem.metric), "parameters tried"]
    words = ", ".join(f"{name}={value}" for name, value in sorted(best.parameters.items()))
    named = f"Parameters of {said(best.candidate)}: <code>{said(words)}</code>"
    more = [f'<p class="caption">{named}</p>'] if words else []
    return section("Candidates", text, figure(table("numbers", head, rows)), *more)


def _slices(manifest: Manifest, slices: Sequence[Slice]) -> str:
    if not slices:
        return section("Slices", "The endpoint names no fields in <code>slices</code>.")
    rows = [
        [
            f"{said(part.field)} {said(part.value)}",
            f"{part.rows:,}",
            f"{part.loss:.4f}",
            _number(part.champion),
            _number(part.over.mean if part.over else None, "+.4f"),
            _number(part.over.upper if part.over else None, "+.4f"),
        ]
        for part in slices
    ]
    head = ["slice", "rows", said(manifest.problem.metric), "champion", "improvement", "at most"]
    text = (
        "The holdout by the values of some fields. Below a hundred rows, or three days, an "
        "improvement says nothing."
    )
    return section("Slices", text, figure(table("numbers", head, rows)))


def _calibration(best: "Fitted") -> str:
    if best.problem.kind == "regression":
        return section("Calibration", "A regression has no probabilities.")
    scores, came_true = best.problem.came_true(best.holdout.labels, best.holdout_scores)
    text = "How often came true what scores promised; a larger point stands for more rows."
    drawn = calibration(calibration_bins(scores, came_true))
    return section("Calibration", text, f'<div class="small">{panel(drawn)}</div>')


def _features(manifest: Manifest, best: "Fitted") -> str:
    found = importance(best, manifest.lineage.seed)
    most = max([*found.values(), 1e-12])
    rows = [
        [
            said(name),
            _number(found.get(name), "+.4f"),
            f'<span class="bar" style="width: {max(found.get(name, 0.0), 0) / most * BAR:.2f}rem">'
            "</span>",
            _values(profile),
            share(profile.counts[-1], sum(profile.counts)),
        ]
        for name, profile in sorted(
            manifest.reference.items(), key=lambda item: (-found.get(item[0], 0.0), item[0])
        )
    ]
    text = (
        f"Importance is how much worse {said(manifest.problem.metric)} becomes when the values of "
        f"a feature are shuffled among {IMPORTANCE_ROWS} rows of the holdout. Features that go "
        "together share theirs. Values and gaps are those of the rows that were fitted."
    )
    head = ["feature", "importance", "", "values", "missing"]
    return section("Features", text, figure(table("features", head, rows)))


def _values(profile: FeatureProfile) -> str:
    if profile.categories is not None:
        return count(len(profile.categories), "category").replace("categorys", "categories")
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


def _fairness(best: "Fitted", fields: Sequence[str]) -> str:
    if not fields:
        return section("Fairness", "The endpoint names no fields in <code>fairness</code>.")
    holdout, kind = best.holdout, best.problem.kind
    answered = best.problem.answered(best.holdout_scores)
    rows = []
    for field in fields:
        values = np.array([str(value) for value in holdout.columns[field].tolist()])
        found, sizes = np.unique(values, return_counts=True)
        for place in np.argsort(-sizes, kind="stable")[: gates.MAX_VALUES]:
            group = values == found[place]
            figures = rates(kind, holdout.labels[group], answered[group])
            cells = [_number(value, ".1%" if kind != "regression" else ".4g") for value in figures]
            rows.append([f"{said(field)} {said(found[place])}", f"{sizes[place]:,}", *cells])
    text = {
        "binary": "Of each group, how often the answer is true: of all, of those whose outcome was "
        "true, and of those whose outcome was false.",
        "multiclass": "Of each group, how often the answer is right.",
        "regression": "Of each group, the mean answer, and how far it is above the mean outcome.",
    }[kind]
    head = {
        "binary": ["answered true", "true positives", "false positives"],
        "multiclass": ["right"],
        "regression": ["mean answer", "mean error"],
    }[kind]
    return section("Fairness", text, figure(table("numbers", ["group", "rows", *head], rows)))


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


def _lineage(manifest: Manifest) -> str:
    found, problem = manifest.lineage, manifest.problem
    facts = {
        "kind": f"{manifest.kind} for a {problem.kind} problem",
        "candidate": manifest.candidate,
        "champion at the time": found.previous or "none",
        "run": f"{found.run}, started by {found.trigger}",
        "data": f"{found.data_rows:,} rows from {found.data_start:%Y-%m-%d %H:%M} to "
        f"{found.data_end:%Y-%m-%d %H:%M} UTC, SHA-256 {found.data_sha256}",
        "fitted": f"{found.fitted_rows:,} rows until {found.fitted_until:%Y-%m-%d %H:%M} UTC",
        "code": f"SHA-256 {found.code_sha256}, seed {found.seed}",
        "libraries": ", ".join(f"{name} {version}" for name, version in manifest.libraries.items()),
    }
    files = [f"{name}, {file.bytes:,} bytes" for name, file in sorted(manifest.artifacts.items())]
    rows = [
        [said(name), said(value)] for name, value in (facts | {"files": "; ".join(files)}).items()
    ]
    text = "What it was made from. The same data, code, libraries and seed make the same model."
    return section("Lineage", text, figure(table("facts", ["", ""], rows)))
