"""The arms of an experiment by day, by what each really answered.

Days that are over are kept under evidence/ in the data bucket, as those of paired_comparison.
"""

from dataclasses import replace
from datetime import date, datetime
from typing import Any
from zlib import crc32

import msgspec

from evergreen.aws.s3 import Store
from evergreen.captures.arrivals import closing
from evergreen.captures.recorded import Recorded
from evergreen.captures.records import Capture
from evergreen.captures.search import uncompacted
from evergreen.contract.moments import days_of, microseconds, midnight
from evergreen.contract.problem import array
from evergreen.registry.manifest import Manifest
from evergreen.registry.state import Experiment
from evergreen.registry.stored_json import cached
from evergreen.rollout.evidence import ArmDay, Evidence
from evergreen.rollout.gathering import AS_SERVED, DAY, SERVED, Gathering, labelled, request_of


class ExperimentDay(msgspec.Struct, frozen=True, kw_only=True):
    """A closed day of an experiment, as it is kept: its arms, and the keys of each as CRC-32."""

    day: date
    control: ArmDay
    treatment: ArmDay
    keys: tuple[list[int], list[int]]


def with_arms(sources: Gathering, experiment: Experiment, evidence: Evidence) -> Evidence:
    """Return evidence with the arms of an experiment: only requests that it had split."""
    models = [sources.model(arm) for arm in (experiment.control, experiment.treatment)]
    arms = [model.manifest for model in models if model]
    if len(arms) < len(models):
        return evidence  # which says what is broken
    key = f"evidence/{sources.endpoint}/experiment-{experiment.id}.json"
    kept = cached(sources.data, key, list[ExperimentDay]) or []
    known = {each.day for each in kept}
    days = [day for day in days_of(experiment.start, sources.at) if sources.is_closed(day)]
    if fresh := [day for day in days if day not in known]:
        kept += [_experiment_day(sources, experiment.start, arms, day) for day in fresh]
        sources.data.put(key, msgspec.json.encode(kept))
    served = (each for each in kept if each.control.rows or each.treatment.rows)
    kept = sorted((each for each in served if each.day in days), key=lambda each: each.day)
    first, second = ({number for each in kept for number in each.keys[arm]} for arm in (0, 1))
    control, treatment = [each.control for each in kept], [each.treatment for each in kept]
    keys = len(first), len(second)
    return replace(evidence, control=control, treatment=treatment, keys=keys)


def uncounted(
    data: Store, endpoint: str, experiment: Experiment, label_days: int, now: datetime
) -> dict[str, Any]:
    """Return the requests and rows of each arm on the days whose labels may still come."""
    days = days_of(experiment.start, now)
    over = (closing(day, 0) for day in days if closing(day, label_days) <= now)
    since = max([experiment.start, *over])
    rows = Recorded(data, endpoint).predictions(since, now, where=AS_SERVED, meta=("id", "version"))
    ids = dict(zip(rows["id"].tolist(), rows["version"].tolist(), strict=True))
    for capture in uncompacted(data, "captures", now - DAY, now, Capture):
        if capture.variant in SERVED and capture.endpoint == endpoint and capture.time >= since:
            ids[capture.id] = capture.version
    found: dict[str, Any] = {"since": since}
    for arm in ("control", "treatment"):
        own = [one for one, version in ids.items() if version == getattr(experiment, arm)]
        found[arm] = {"requests": len(set(map(request_of, own))), "rows": len(own)}
    return found


def _experiment_day(
    sources: Gathering, start: datetime, arms: list[Manifest], day: date
) -> ExperimentDay:
    begin = max(start, midnight(day))
    served = sources.recorded.predictions(
        begin, midnight(day + DAY), where=AS_SERVED, meta=("id", "version", "key")
    )
    found = labelled(
        sources, arms[0].problem.kind, day, where=f"{AS_SERVED} AND time >= {microseconds(begin)}"
    )
    days, keys = [], []
    for arm in arms:
        own = served.take(served["version"] == arm.version)
        named = zip(own["key"].tolist(), own["id"].tolist(), strict=True)
        keys.append(sorted({crc32((key or request_of(of)).encode()) for key, of in named}))
        # By what it really answered: asking again would prove nothing.
        told = found.take(found["version"] == arm.version)
        problem = arm.problem.like(arms[0].problem)
        scores = problem.recorded(told["score"].tolist(), told["scores"].tolist())
        labels = array(problem.kind, told["outcome"].tolist())
        loss = float(problem.losses(labels, scores).mean()) if len(told) else None
        days.append(ArmDay(day=day, rows=len(own), labelled=len(told), loss=loss))
    return ExperimentDay(day=day, control=days[0], treatment=days[1], keys=(keys[0], keys[1]))
