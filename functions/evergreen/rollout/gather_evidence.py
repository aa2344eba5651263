"""The evidence for the rollout, from what was recorded: captures, labels and check reports."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from evergreen.captures.arrivals import ARRIVAL
from evergreen.captures.rows import Rows
from evergreen.contract.schema import not_accepted
from evergreen.monitoring import drift, earlier_checks, reference_profile, report
from evergreen.registry.manifest import FeatureProfile, Manifest
from evergreen.rollout.evidence import Evidence, Guard, PairedDay, Waiting
from evergreen.rollout.experiment_metrics import with_arms
from evergreen.rollout.gathering import AS_SERVED, DAY, MOST, Gathering, request_of
from evergreen.rollout.paired_comparison import maps, paired
from evergreen.serving.model import Model


def gather(sources: Gathering, unmapped: Sequence[str] = ()) -> Evidence:
    """Return all that is known at a time of the versions that a document names.

    unmapped: those of them whose map of scores of this day is wanted.
    """
    document, policy, at = sources.document, sources.policy, sources.at
    challenger = document.challenger
    watching = document.previous and at <= document.since + policy.watch_days * DAY
    found = tuple(maps(sources, unmapped))
    if not (watching or challenger or document.candidate or document.experiment):
        return Evidence(at=at, maps=found)
    champion = sources.model(document.champion)
    evidence = Evidence(
        at=at,
        waiting=_waiting(sources, champion),
        paired=_shadowed(sources, champion) if challenger else (),
        refreshed=_is_refreshed(sources, champion),
        watched=_watched(sources, champion) if watching else (),
        canary=_canary(sources, champion),
        champion=_failures(sources, champion) if watching else Guard(),
        alarms=_alarms(sources) if watching else (),
        broken=sources.broken,
        one_way=_one_way(sources, champion) if watching else None,
        maps=found,
    )
    if document.experiment:
        return with_arms(sources, document.experiment, evidence)
    return evidence


def _waiting(sources: Gathering, champion: Model | None) -> Waiting | None:
    candidate = sources.model(sources.document.candidate)
    if candidate is None:
        return None
    manifest = candidate.manifest
    alone = _alone(champion.manifest, manifest) if champion else None
    return Waiting(manifest.version, manifest.lineage.previous, alone)


def _alone(champion: Manifest, candidate: Manifest) -> str | None:
    """Return why a candidate cannot answer what the champion is asked, or None."""
    if candidate.problem.kind != champion.problem.kind:
        return (
            f"it answers a {candidate.problem.kind} problem, and not a {champion.problem.kind} one"
        )
    return not_accepted(champion.schema, candidate.schema)


def _one_way(sources: Gathering, champion: Model | None) -> str | None:
    """Return why a rollback would turn away requests that the champion answers."""
    before = sources.model(sources.document.previous)
    return _alone(champion.manifest, before.manifest) if champion and before else None


def _alarms(sources: Gathering) -> list[str]:
    """Return what the newest check says of the outcomes of this champion."""
    newest = earlier_checks.previous(sources.data, sources.endpoint, sources.at + DAY)
    if newest is None or newest.version != sources.document.champion:
        return []
    return [
        f"performance degraded since {alarm.since:%Y-%m-%d}"
        for alarm in newest.alarms
        if alarm.kind == "performance"
    ]


def _is_refreshed(sources: Gathering, champion: Model | None) -> bool:
    """Say whether the challenger is the champion's recipe on newer data."""
    challenger = sources.document.challenger
    other = sources.model(challenger.version) if challenger else None
    if champion is None or other is None:
        return False
    return champion.manifest.is_refreshed_by(other.manifest)


def _shadowed(sources: Gathering, champion: Model | None) -> list[PairedDay]:
    """Compare on the days after the newest row that the challenger's training has seen."""
    challenger = sources.document.challenger
    other = sources.model(challenger.version) if challenger else None
    if champion is None or other is None:
        return []
    return paired(sources, champion, other, other.manifest.lineage.data_end.date() + DAY)


def _watched(sources: Gathering, champion: Model | None) -> list[PairedDay]:
    """Compare on the days that the promotion was not decided on, and its training has not seen.

    Losses of two kinds of problem are no comparison.
    """
    other = sources.model(sources.document.previous)
    if champion is None or other is None:
        return []
    if champion.manifest.problem.kind != other.manifest.problem.kind:
        return []
    known = sources.document.since - ARRIVAL - (1 + sources.policy.label_days) * DAY
    seen = max(known, champion.manifest.lineage.data_end)
    return paired(sources, champion, other, seen.astimezone(UTC).date() + DAY)


# What came of requests


def _canary(sources: Gathering, champion: Model | None) -> Guard:
    """Return what came of the canary's requests, beside what the champion makes of them."""
    challenger = sources.document.challenger
    if challenger is None or challenger.canary is None:
        return Guard()
    other = sources.model(challenger.version)
    if other is None:
        return Guard()
    guard = _guard(sources, other, challenger.canary)
    if champion and guard.drifted:
        alone = _drifts_alone(sources, champion, other, challenger.canary)
        guard = msgspec.structs.replace(guard, drifted=alone)
    if champion and guard.slow:
        beside = _guard(sources, champion, challenger.canary)
        expected = guard.requests * beside.slow / max(beside.requests, 1)
        guard = msgspec.structs.replace(guard, slow=max(0, guard.slow - round(expected)))
    return guard


def _drifts_alone(sources: Gathering, champion: Model, other: Model, start: datetime) -> bool:
    """Say whether answers are much more unlike those on the holdout than the champion's would be.

    Both are beside what they gave on the same holdout, so that a season moves both. Rows of a day
    are alike, as one caller sends many: it takes two stretches of days in a row, each of MIN_ROWS.
    """
    asked = _served(sources, other, start, schemas=[champion.manifest.schema], most=MOST)
    theirs = champion.manifest.problem.top(champion.scores(asked.columns[0]))
    its, usual = _expected(other), _expected(champion)
    if other.manifest.lineage.previous == champion.manifest.version:
        usual = other.manifest.metrics.champion_scores or usual
    excess, days = [], asked["time"] // (DAY // DAY.resolution)
    held = np.zeros(len(asked), dtype=bool)
    for day in np.unique(days):
        held |= days == day
        if held.sum() >= report.MIN_ROWS:
            moved, beside = _drift(its, asked.raw[held])[0], _drift(usual, theirs[held])[0]
            excess.append((moved or 0.0) - (beside or 0.0))
            held = np.zeros(len(asked), dtype=bool)
    return len(excess) > 1 and min(excess[-2:]) >= report.MAJOR


def _failures(sources: Gathering, champion: Model | None) -> Guard:
    """Return what came of the champion's requests.

    What drifts may be the season's doing, and what is slow was so in its canary too.
    """
    if champion is None:
        return Guard()
    found = _guard(sources, champion, sources.document.since)
    return msgspec.structs.replace(found, drifted=False, slow=0)


def _served(sources: Gathering, model: Model, start: datetime, **more: Any) -> Rows:
    """Return what a version has answered by the rollout's choice."""
    where = (
        f"version = '{model.manifest.version}' AND {AS_SERVED} AND failed IS DISTINCT FROM version"
    )
    return sources.recorded.predictions(start, sources.at, where=where, **more)


def _guard(sources: Gathering, model: Model, start: datetime) -> Guard:
    """Return what came of a version's requests, but for those by somebody who tries a version."""
    version = model.manifest.version
    where = f"failed = '{version}' AND variant <> 'requested'"
    failed = sources.recorded.predictions(start, sources.at, where=where, meta=("id",))
    served = _served(sources, model, start, meta=("id", "score", "raw", "ms"))
    requests = np.array([request_of(each) for each in served["id"].tolist()], dtype=object)
    _, first, rows = np.unique(requests, return_index=True, return_counts=True)
    slow = np.nan_to_num(served["ms"][first]) > sources.policy.max_latency_ms * rows
    failures = len({request_of(each) for each in failed["id"].tolist()})
    psi, drifted = _drift(_expected(model), served.raw)
    return Guard(
        requests=len(first) + failures,
        rows=len(served),
        failed=failures,
        slow=int(slow.sum()),
        psi=psi,
        drifted=drifted,
    )


def _expected(model: Model) -> FeatureProfile | None:
    return model.manifest.expected.scores if model.manifest.expected else None


def _drift(
    expected: FeatureProfile | None, scores: npt.NDArray[np.float64]
) -> tuple[float | None, bool]:
    """Return how unlike answers are to those on a holdout, and whether that is drift."""
    if expected is None or not len(scores):
        return None, False
    found = drift.compare(
        {"answers": expected}, {"answers": reference_profile.count(expected, scores)}
    )
    return (found[0].psi, found[0].flagged) if found else (None, False)
