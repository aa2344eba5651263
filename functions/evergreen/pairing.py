"""Two versions on the same requests: what each would have lost, by day.

A challenger costs callers nothing: it scores the requests that the champion has answered, once
their labels have had their time. Days that are over are kept under evidence/ in the data bucket,
which is a cache: what stands there can be computed again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt

from evergreen.document import Document
from evergreen.endpoint import Policy
from evergreen.errors import ExternalError, ModelUnavailableError
from evergreen.evidence import PairedDay
from evergreen.join import Labels, read_labels
from evergreen.model import Model
from evergreen.problem import array, is_label
from evergreen.records import ARRIVAL, Capture, captures_of, closing, days_of, midnight
from evergreen.schema import columns_of
from evergreen.store import Store

DAY = timedelta(days=1)
Labelled = tuple[Capture, bool | float | str]
Load = Callable[[str], Model]  # raises ModelUnavailableError


@dataclass
class Gathering:
    """Where one endpoint's evidence comes from; broken collects versions that cannot be loaded."""

    data: Store
    document: Document
    policy: Policy
    load: Load
    at: datetime
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """Return the endpoint's name."""
        return self.document.endpoint

    def model(self, version: str | None) -> Model | None:
        """Return a version, or None, and note why, where it cannot be loaded."""
        if version is None:
            return None
        try:
            return self.load(version)
        except ModelUnavailableError as error:
            self.broken[version] = str(error)
            return None

    def is_closed(self, day: date) -> bool:
        """Say whether the labels of a day have had their time, and what was recorded has come."""
        return closing(day, self.policy.label_days) + ARRIVAL <= self.at


def paired(sources: Gathering, champion: Model, other: Model, start: date) -> list[PairedDay]:
    """Return the closed days from `start` on which both scored rows that have labels."""
    names = f"{champion.manifest.version}/{other.manifest.version}"
    key = f"evidence/{sources.endpoint}/{names}.json"
    stored = sources.data.get(key)
    kept = msgspec.json.decode(stored.body, type=list[PairedDay]) if stored else []
    known = {day.day for day in kept}
    days = [day for day in days_of(midnight(start), sources.at) if sources.is_closed(day)]
    fresh = [day for day in days if day not in known]
    if fresh:
        try:
            kept = sorted([*kept, *_paired(sources, champion, other, fresh)], key=lambda d: d.day)
        except ExternalError:
            fresh = []  # the service of one of them is away: the next tick asks it again
        except ModelUnavailableError as error:
            sources.broken[other.manifest.version] = str(error)
            return []
        if fresh:
            sources.data.put(key, msgspec.json.encode(kept))
    return [day for day in kept if day.rows and start <= day.day and sources.is_closed(day.day)]


def _paired(
    sources: Gathering, champion: Model, other: Model, days: list[date]
) -> Iterator[PairedDay]:
    found = labelled(sources, champion, min(days), max(days))
    for day in days:
        rows = found.get(day, [])
        gain = float(np.mean(losses(champion, champion, rows) - losses(other, champion, rows)))
        yield PairedDay(day=day, rows=len(rows), gain=gain if rows else 0.0)


def losses(model: Model, measure: Model, rows: list[Labelled]) -> npt.NDArray[np.float64]:
    """Return a version's loss on each row, shape (rows,), in the unit of `measure`.

    Raises ModelUnavailableError for one that has no score for what was really asked.
    """
    if not rows:
        return np.zeros(1)
    manifest = model.manifest
    problem = manifest.problem.like(measure.manifest.problem)
    labels = array(problem.kind, [label for _, label in rows])
    columns = columns_of(manifest.schema, [capture.features for capture, _ in rows])
    try:
        found = problem.losses(labels, model.scores(columns))
    except ExternalError:
        raise
    except Exception as error:  # ONNX Runtime has no base class of its own
        raise ModelUnavailableError(manifest.endpoint, manifest.version, str(error)) from error
    if not np.isfinite(found).all():
        day = f"{rows[0][0].time:%Y-%m-%d}"
        raise ModelUnavailableError(
            manifest.endpoint, manifest.version, f"it has no finite score for a request of {day}"
        )
    return found


def labelled(
    sources: Gathering, model: Model, first: date, last: date
) -> dict[date, list[Labelled]]:
    """Return the predictions of closed days whose label came in time, by day.

    A label that is not of the model's kind of problem, from before that changed, is left out.
    """
    kind = model.manifest.problem.kind
    start, end = midnight(first), midnight(last + DAY)
    labels = read_labels(
        sources.data, sources.endpoint, start, closing(last, sources.policy.label_days)
    )
    found: dict[date, dict[str, Labelled]] = defaultdict(dict)
    for captures in captures_of(sources.data, sources.endpoint, start, end):
        for capture in captures:
            day = capture.time.astimezone(UTC).date()
            label = _in_time(labels, capture.id, day, sources.policy.label_days)
            if label is None or not is_label(kind, label):
                continue
            if capture.variant != "requested":
                found[day].setdefault(capture.id, (capture, label))
    return {day: [rows[id_] for id_ in sorted(rows)] for day, rows in found.items()}


def _in_time(
    labels: Labels, prediction: str, day: date, label_days: int
) -> bool | float | str | None:
    found = labels.by_id.get(prediction)
    return found.label if found and found.time < closing(day, label_days) else None
