"""Versions on the same requests: what each would have served, by day, and what it lost.

A version costs callers nothing here: it scores the requests that the champion has answered, once
their labels have had their time. Days that are over are kept under evidence/ in the data bucket,
which is a cache: what stands there can be computed again.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta

import msgspec
import numpy as np

from evergreen.contract.errors import ExternalError, ModelUnavailableError, worded
from evergreen.contract.moments import days_of, midnight
from evergreen.contract.problem import array
from evergreen.monitoring import recalibrate
from evergreen.monitoring.recalibrate import Learnt
from evergreen.registry.manifest import Manifest
from evergreen.registry.recalibration import Recalibration, tally
from evergreen.registry.stored_json import cached
from evergreen.rollout.evidence import PairedDay, ScoredDay
from evergreen.rollout.gathering import DAY, Gathering, labelled
from evergreen.serving.model import Model

HISTORY = timedelta(days=90)  # of closed days that are scored, and kept
AT_ONCE = 30  # days that a tick scores of a version; the next one goes on


def scored(sources: Gathering, model: Model) -> list[ScoredDay]:
    """Return the closed days that a version's training has not seen, oldest first.

    Raises ModelUnavailableError and ExternalError where it cannot score them.
    """
    manifest = model.manifest
    if manifest.version in sources.days:
        return sources.days[manifest.version]
    if (recorded := sources.recorded.first_day()) is None:
        return []
    longest = max(HISTORY, sources.policy.max_shadow_days * DAY)
    longest_ago = (sources.at - longest - sources.policy.label_days * DAY).date()
    first = max(manifest.lineage.data_end.date() + DAY, longest_ago)
    key = key_of(sources.endpoint, manifest.version)
    kept = {each.day: each for each in cached(sources.data, key, list[ScoredDay]) or []}
    begun = midnight(max(first, recorded))  # training data may be years older
    closed = [day for day in days_of(begun, sources.at) if sources.is_closed(day)]
    fresh = [day for day in closed if day not in kept][:AT_ONCE]
    kept |= {day: _scored(sources, model, day) for day in fresh}
    found = [kept[day] for day in sorted(kept) if day >= first]
    if fresh:
        sources.data.put(key, msgspec.json.encode(found))
    sources.days[manifest.version] = [each for each in found if sources.is_closed(each.day)]
    return sources.days[manifest.version]


def key_of(endpoint: str, version: str) -> str:
    """Return where the days of a version are kept."""
    return f"evidence/{endpoint}/{version}.json"


def _scored(sources: Gathering, model: Model, day: date) -> ScoredDay:
    """Score one day: many of them would not fit into memory."""
    manifest, problem = model.manifest, model.manifest.problem
    rows = labelled(sources, problem.kind, day, manifest.schema)
    if not len(rows):
        return ScoredDay(day=day, rows=0)
    labels = array(problem.kind, rows["outcome"].tolist())
    try:
        scores = model.scores(rows.columns[0])
    except ExternalError:
        raise
    except Exception as error:  # ONNX Runtime has no base class of its own
        raise manifest.unavailable(worded(error)) from error
    losses = problem.losses(labels, scores)
    known = np.isfinite(losses)  # others had no answer that counts
    return ScoredDay(
        day=day,
        rows=int(known.sum()),
        mute=int((~known).sum()),
        loss=float(losses[known].mean()) if known.any() else 0.0,
        tally=tally(day, scores[known], labels[known]) if problem.kind == "binary" else None,
    )


def paired(sources: Gathering, champion: Model, other: Model, start: date) -> list[PairedDay]:
    """Return the closed days from `start` on which both scored rows that have labels."""
    try:
        ours, theirs = ((each.manifest, scored(sources, each)) for each in (champion, other))
        return compared(sources, ours, theirs, start)
    except ExternalError:
        return []  # the service of one of them is away: the next tick asks it again
    except ModelUnavailableError as error:
        sources.broken[error.version] = str(error)
        return []


def known(sources: Gathering, champion: Manifest, other: Manifest) -> list[PairedDay]:
    """Return the days of a challenger that have been scored already: a person must not wait."""
    ours, theirs = (
        (each, cached(sources.data, key_of(sources.endpoint, each.version), list[ScoredDay]) or [])
        for each in (champion, other)
    )
    return compared(sources, ours, theirs, other.lineage.data_end.date() + DAY)


Scored = tuple[Manifest, Sequence[ScoredDay]]


def compared(sources: Gathering, ours: Scored, theirs: Scored, start: date) -> list[PairedDay]:
    """Return what the other version would have gained on each day from `start`.

    Raises ModelUnavailableError where it could not answer what the champion could.
    """
    manifest, unit = theirs[0], ours[0].problem.scale
    one, two = _served(sources, *ours, unit), _served(sources, *theirs, unit)
    found = []
    for day in sorted(day for day in one.keys() & two.keys() if day >= start):
        (rows, own), (others, its) = one[day], two[day]
        if others < rows:
            raise manifest.unavailable(f"it has no finite score for a request of {day}")
        if rows:
            found.append(PairedDay(day=day, rows=rows, gain=own - its))
    return found


def _served(
    sources: Gathering, manifest: Manifest, scored: Sequence[ScoredDay], unit: float
) -> Mapping[date, tuple[int, float]]:
    days = [each for each in scored if each.rows or each.mute]
    own = manifest.problem.scale / unit
    losses = {each.day: (each.rows, each.loss * own) for each in days}
    if sources.recalibrated and manifest.problem.kind == "binary":
        found = learnt(sources, manifest, days)
        served = dict(zip(found.days, found.served.tolist(), strict=True))
        losses = {day: (rows, served.get(day, lost)) for day, (rows, lost) in losses.items()}
    return losses


def learnt(sources: Gathering, manifest: Manifest, days: Sequence[ScoredDay]) -> Learnt:
    """Return what the outcomes of its holdout, and of days since, teach of a version's scores.

    The last morning is today's.
    """
    if manifest.version not in sources.learnt:
        expected, end = manifest.expected, manifest.lineage.data_end.date()
        tallies = [each for each in (expected.days if expected else ()) if each.day <= end]
        tallies += [each.tally for each in days if each.tally]
        found = recalibrate.learn(tallies, sources.policy.label_days + 1, sources.at.date())
        sources.learnt[manifest.version] = found
    return sources.learnt[manifest.version]


def maps(sources: Gathering, versions: Sequence[str]) -> Iterator[Recalibration]:
    """Yield the maps of today of versions, of those that have one."""
    for version in versions:
        model = sources.model(version)
        if model is None or model.manifest.problem.kind != "binary":
            continue
        with suppress(ExternalError, ModelUnavailableError):  # who compares it says what is wrong
            days = scored(sources, model)
            if found := learnt(sources, model.manifest, days).map(sources.endpoint, version):
                yield found
