"""The evidence for the rollout, from what was recorded: captures, labels and check reports."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import msgspec
import numpy as np
import numpy.typing as npt

from evergreen import bins, drift, report
from evergreen.document import Document, Experiment
from evergreen.endpoint import Policy
from evergreen.evidence import ArmDay, Evidence, Guard, PairedDay, Waiting
from evergreen.manifest import Manifest
from evergreen.model import Model
from evergreen.pairing import DAY, Gathering, Labelled, Load, labelled, losses, paired
from evergreen.records import ARRIVAL, Answered, answers_of
from evergreen.schema import not_accepted
from evergreen.store import Store

SERVED = ("champion", "canary", "ab")  # by a version of the rollout's choice


def gather(data: Store, document: Document, policy: Policy, load: Load, at: datetime) -> Evidence:
    """Return all that is known at a time of the versions that a document names."""
    sources = Gathering(data, document, policy, load, at)
    challenger = document.challenger
    watching = document.previous and at <= document.since + policy.watch_days * DAY
    if not (watching or challenger or document.candidate or document.experiment):
        return Evidence(at=at)
    champion = sources.model(document.champion)
    evidence = Evidence(
        at=at,
        waiting=_waiting(sources, champion),
        paired=_shadowed(sources, champion) if challenger else (),
        watched=_watched(sources, champion) if watching else (),
        canary=_canary(sources, champion),
        champion=_failures(sources, champion) if watching else Guard(),
        alarms=_alarms(sources) if watching else (),
        broken=sources.broken,
    )
    if document.experiment:
        return _with_arms(sources, document.experiment, evidence)
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


def _alarms(sources: Gathering) -> list[str]:
    """Return what the newest check says of the outcomes of this champion."""
    newest = report.previous(sources.data, sources.endpoint, sources.at + DAY)
    if newest is None or newest.version != sources.document.champion:
        return []
    return [
        f"performance degraded since {alarm.since:%Y-%m-%d}"
        for alarm in newest.alarms
        if alarm.kind == "performance"
    ]


def _shadowed(sources: Gathering, champion: Model | None) -> list[PairedDay]:
    """Compare on the days after the newest row that the challenger's training has seen."""
    challenger = sources.document.challenger
    other = sources.model(challenger.version) if challenger else None
    if champion is None or other is None:
        return []
    return paired(sources, champion, other, other.manifest.lineage.data_end.date() + DAY)


def _watched(sources: Gathering, champion: Model | None) -> list[PairedDay]:
    """Compare on the days that the promotion was not decided on."""
    other = sources.model(sources.document.previous)
    if champion is None or other is None:
        return []
    known = sources.document.since - ARRIVAL - (1 + sources.policy.label_days) * DAY
    return paired(sources, champion, other, known.astimezone(UTC).date() + DAY)


# What came of requests


def _canary(sources: Gathering, champion: Model | None) -> Guard:
    """Return what came of the canary's requests; the champion's answers say what the days did."""
    challenger = sources.document.challenger
    if challenger is None or challenger.canary is None:
        return Guard()
    other = sources.model(challenger.version)
    if other is None:
        return Guard()
    guard = _guard(sources, other, challenger.canary)
    alike = _guard(sources, champion, challenger.canary) if guard.drifted and champion else Guard()
    return msgspec.structs.replace(guard, drifted=guard.drifted and not alike.drifted)


def _failures(sources: Gathering, champion: Model | None) -> Guard:
    """Return what came of the champion's requests; what drifts may be the season's doing."""
    if champion is None:
        return Guard()
    found = _guard(sources, champion, sources.document.since)
    return msgspec.structs.replace(found, drifted=False)


def _guard(sources: Gathering, model: Model, start: datetime) -> Guard:
    version = model.manifest.version
    requests: dict[str, bool] = {}
    failed: set[str] = set()
    scores = []
    for answer in _answers(sources, start):
        request = _request(answer)
        if answer.failed == version:
            failed.add(request)
        elif answer.version == version and answer.variant in SERVED:
            scores.append(answer.score)
            requests[request] = (answer.ms or 0.0) > sources.policy.max_latency_ms
    psi, drifted = _drift(model, np.array(scores, dtype=np.float64))
    return Guard(
        requests=len(requests.keys() | failed),
        rows=len(scores),
        failed=len(failed),
        slow=sum(requests.values()),
        psi=psi,
        drifted=drifted,
    )


def _answers(sources: Gathering, start: datetime) -> Iterator[Answered]:
    seen = set()
    for answers in answers_of(sources.data, sources.endpoint, start, sources.at):
        for answer in answers:
            if answer.id not in seen:
                seen.add(answer.id)
                yield answer


def _request(answer: Answered) -> str:
    """Return what the ids of one request's predictions share."""
    return answer.id.rpartition("-")[0]


def _drift(model: Model, scores: npt.NDArray[np.float64]) -> tuple[float | None, bool]:
    """Return how unlike answers are to those on the holdout, and whether that is drift."""
    expected = model.manifest.expected.scores if model.manifest.expected else None
    if expected is None or not len(scores):
        return None, False
    found = drift.compare({"answers": expected}, {"answers": bins.count(expected, scores)})
    return (found[0].psi, found[0].flagged) if found else (None, False)


# Experiments


def _with_arms(sources: Gathering, experiment: Experiment, evidence: Evidence) -> Evidence:
    """Return evidence with the arms of an experiment: only requests that it had split."""
    arms = (experiment.control, experiment.treatment)
    keys: dict[str, set[str]] = {arm: set() for arm in arms}
    rows: dict[tuple[str, date], int] = defaultdict(int)
    for answer in _answers(sources, experiment.start):
        if answer.version in keys and answer.variant in SERVED:
            keys[answer.version].add(answer.key or _request(answer))
            rows[answer.version, answer.time.astimezone(UTC).date()] += 1
    days = sorted({day for _, day in rows if sources.is_closed(day)})
    models = [model for arm in arms if (model := sources.model(arm))]
    known = labelled(sources, models[0], days[0], days[-1]) if days and models else {}
    arms_by_day = [
        [
            _arm_day(
                model,
                models[0],
                day,
                rows[model.manifest.version, day],
                [
                    (capture, label)
                    for capture, label in known.get(day, [])
                    if capture.version == model.manifest.version
                    and capture.variant in SERVED
                    and capture.time >= experiment.start
                ],
            )
            for day in days
        ]
        for model in models
    ]
    control, treatment = arms_by_day if len(models) == len(arms) else ([], [])
    counts = len(keys[arms[0]]), len(keys[arms[1]])
    return replace(evidence, control=control, treatment=treatment, keys=counts)


def _arm_day(
    model: Model, measure: Model, day: date, rows: int, labelled: list[Labelled]
) -> ArmDay:
    loss = float(losses(model, measure, labelled).mean()) if labelled else None
    return ArmDay(day=day, rows=rows, labelled=len(labelled), loss=loss)
