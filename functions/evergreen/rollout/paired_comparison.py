"""Two versions on the same requests: what each would have lost, by day.

A challenger costs callers nothing: it scores the requests that the champion has answered, once
their labels have had their time. Days that are over are kept under evidence/ in the data bucket,
which is a cache: what stands there can be computed again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt

from evergreen.aws.s3 import Store
from evergreen.captures.arrivals import ARRIVAL, closing
from evergreen.captures.recorded import Recorded
from evergreen.captures.rows import Rows
from evergreen.contract.decoding import UNDECODABLE
from evergreen.contract.endpoint import Policy
from evergreen.contract.errors import ExternalError, ModelUnavailableError, worded
from evergreen.contract.moments import days_of, microseconds, midnight
from evergreen.contract.problem import Kind, array, is_label
from evergreen.contract.schema import Columns, JsonSchema
from evergreen.registry.state import Document
from evergreen.rollout.evidence import PairedDay
from evergreen.serving.model import Model

DAY = timedelta(days=1)
MOST = 50_000  # labelled rows of a day that are scored: more of one day hardly say more
Load = Callable[[str], Model]  # raises ModelUnavailableError
AS_SERVED = "variant IN ('champion', 'canary', 'ab')"  # by a version of the rollout's choice


@dataclass
class Gathering:
    """Where one endpoint's evidence comes from; broken collects versions that cannot be loaded.

    A version that several parts of the evidence are about is loaded once.
    """

    data: Store
    document: Document
    policy: Policy
    load: Load
    at: datetime
    broken: dict[str, str] = field(default_factory=dict)
    _models: dict[str, Model] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """Return the endpoint's name."""
        return self.document.endpoint

    @cached_property
    def recorded(self) -> Recorded:
        """Return what reads its predictions and labels."""
        return Recorded(self.data, self.endpoint)

    def model(self, version: str | None) -> Model | None:
        """Return a version, or None, and note why, where it cannot be loaded."""
        if version is None:
            return None
        try:
            if version not in self._models:
                self._models[version] = self.load(version)
        except ModelUnavailableError as error:
            self.broken[version] = str(error)
        return self._models.get(version)

    def is_closed(self, day: date) -> bool:
        """Say whether the labels of a day have had their time, and what was recorded has come."""
        return closing(day, self.policy.label_days) + ARRIVAL <= self.at


def paired(sources: Gathering, champion: Model, other: Model, start: date) -> list[PairedDay]:
    """Return the closed days from `start` on which both scored rows that have labels."""
    key = key_of(sources.endpoint, champion.manifest.version, other.manifest.version)
    kept = kept_days(sources.data, key, PairedDay)
    known = {day.day for day in kept}
    recorded = sources.recorded.first_day()  # training data may be years older
    days = [
        day
        for day in days_of(midnight(max(start, recorded)), sources.at)
        if sources.is_closed(day)
    ] if recorded else []  # fmt: skip
    fresh = [day for day in days if day not in known]
    if fresh:
        try:
            kept = sorted([*kept, *_paired(sources, champion, other, fresh)], key=lambda d: d.day)
        except ExternalError:
            fresh = []  # the service of one of them is away: the next tick asks it again
        except ModelUnavailableError as error:
            sources.broken[error.version] = str(error)
            return []
        if fresh:
            sources.data.put(key, msgspec.json.encode(kept))
    return [day for day in kept if day.rows and start <= day.day and sources.is_closed(day.day)]


def key_of(endpoint: str, champion: str, other: str) -> str:
    """Return where the days of two versions are kept."""
    return f"evidence/{endpoint}/{champion}/{other}.json"


def kept_days[Day: msgspec.Struct](data: Store, key: str, kind: type[Day]) -> list[Day]:
    """Return the closed days that are kept; none for what is damaged, or of another Evergreen."""
    stored = data.get(key)
    try:
        return msgspec.json.decode(stored.body, type=list[kind]) if stored else []  # type: ignore[valid-type]
    except UNDECODABLE:
        return []


def _paired(
    sources: Gathering, champion: Model, other: Model, days: list[date]
) -> Iterator[PairedDay]:
    schemas = [champion.manifest.schema, other.manifest.schema]
    for day in days:  # each alone: many of them would not fit into memory
        rows = labelled(sources, champion.manifest.problem.kind, day, schemas)
        ours = losses(champion, champion, rows, rows.columns[0])
        known = np.isfinite(ours)  # others had no answer that counts
        rows = rows.take(known)
        theirs = losses(other, champion, rows, rows.columns[1])
        if not np.isfinite(theirs).all():
            raise ModelUnavailableError(
                other.manifest.endpoint,
                other.manifest.version,
                f"it has no finite score for a request of {day}",
            )
        gain = float((ours[known] - theirs).mean()) if len(rows) else 0.0
        yield PairedDay(day=day, rows=len(rows), gain=gain)


def losses(model: Model, measure: Model, rows: Rows, columns: Columns) -> npt.NDArray[np.float64]:
    """Return a version's loss on each row, shape (rows,), in the unit of `measure`.

    columns: the features in its schema. Not finite where it has no score. Raises
    ModelUnavailableError where scoring fails as a whole.
    """
    if not len(rows):
        return np.zeros(0)
    manifest = model.manifest
    problem = manifest.problem.like(measure.manifest.problem)
    labels = array(problem.kind, rows["outcome"].tolist())
    try:
        return problem.losses(labels, model.scores(columns))
    except ExternalError:
        raise
    except Exception as error:  # ONNX Runtime has no base class of its own
        reason = worded(error)
        raise ModelUnavailableError(manifest.endpoint, manifest.version, reason) from error


def labelled(
    sources: Gathering,
    kind: Kind,
    day: date,
    schemas: Sequence[JsonSchema] = (),
    where: str = "true",
) -> Rows:
    """Return the predictions of a closed day whose label came in time, ordered by id.

    kind: of the problem; a label of another, from before that changed, is left out. Of more than
    MOST a share is drawn.
    """
    closes = closing(day, sources.policy.label_days)
    sources.recorded.tell(midnight(day), closes)
    rows = sources.recorded.predictions(
        midnight(day),
        midnight(day + DAY),
        schemas=schemas,
        where=f"variant <> 'requested' AND disputed >= {microseconds(closes)} AND ({where})",
        told="INNER",
        most=MOST,
    )
    right = np.array([is_label(kind, label) for label in rows["outcome"]], dtype=bool)
    rows = rows.take(right)
    return rows.take(np.argsort(rows["id"], kind="stable"))


def request_of(prediction: str) -> str:
    """Return what the ids of one request's predictions share."""
    return prediction.rpartition("-")[0]
