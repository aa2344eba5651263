"""The arms of an experiment by day, by what each really answered.

Days that are over are kept under evidence/ in the data bucket, as those of paired_comparison.
"""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date, datetime
from zlib import crc32

import msgspec

from evergreen.contract.moments import days_of, midnight
from evergreen.contract.problem import array
from evergreen.registry.manifest import Manifest
from evergreen.registry.state import Experiment
from evergreen.rollout.evidence import ArmDay, Evidence
from evergreen.rollout.paired_comparison import (
    DAY,
    SERVED,
    Gathering,
    Labelled,
    answers,
    kept_days,
    labelled,
    request_of,
)


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
    kept = kept_days(sources.data, key, ExperimentDay)
    known = {each.day for each in kept}
    days = [day for day in days_of(experiment.start, sources.at) if sources.is_closed(day)]
    if fresh := [day for day in days if day not in known]:
        kept += [_experiment_day(sources, experiment.start, arms, day) for day in fresh]
        sources.data.put(key, msgspec.json.encode(kept))
    served = (each for each in kept if each.control.rows or each.treatment.rows)
    kept = sorted((each for each in served if each.day in days), key=lambda each: each.day)
    first, second = ({number for each in kept for number in each.keys[arm]} for arm in (0, 1))
    return replace(
        evidence,
        control=[each.control for each in kept],
        treatment=[each.treatment for each in kept],
        keys=(len(first), len(second)),
    )


def _experiment_day(
    sources: Gathering, start: datetime, arms: list[Manifest], day: date
) -> ExperimentDay:
    rows, keys = Counter[str](), defaultdict[str, set[int]](set)
    begin = max(start, midnight(day))
    for answer in answers(sources, begin, midnight(day + DAY)):
        if answer.variant in SERVED:
            rows[answer.version] += 1
            keys[answer.version].add(crc32((answer.key or request_of(answer)).encode()))
    found = labelled(sources, arms[0].problem.kind, day)
    control, treatment = (
        _arm_day(arm, arms[0], day, rows[arm.version], [
            (capture, label)
            for capture, label in found
            if capture.version == arm.version
            and capture.variant in SERVED
            and capture.time >= begin
        ])
        for arm in arms
    )  # fmt: skip
    both = sorted(keys[arms[0].version]), sorted(keys[arms[1].version])
    return ExperimentDay(day=day, control=control, treatment=treatment, keys=both)


def _arm_day(
    arm: Manifest, measure: Manifest, day: date, rows: int, labelled: list[Labelled]
) -> ArmDay:
    """Return a day of an arm, by what it really answered: asking again would prove nothing."""
    problem = arm.problem.like(measure.problem)
    captures = [capture for capture, _ in labelled]
    scores = problem.recorded([c.score for c in captures], [c.scores for c in captures])
    labels = array(problem.kind, [label for _, label in labelled])
    loss = float(problem.losses(labels, scores).mean()) if labelled else None
    return ArmDay(day=day, rows=rows, labelled=len(labelled), loss=loss)
