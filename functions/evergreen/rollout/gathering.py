"""Where the evidence on one endpoint comes from: its versions, and what was recorded of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property

import numpy as np

from evergreen.aws.s3 import Store
from evergreen.captures.arrivals import ARRIVAL, closing
from evergreen.captures.recorded import Recorded
from evergreen.captures.rows import Rows
from evergreen.contract.endpoint import Policy
from evergreen.contract.errors import ModelUnavailableError
from evergreen.contract.moments import microseconds, midnight
from evergreen.contract.problem import Kind, is_label
from evergreen.contract.schema import JsonSchema
from evergreen.monitoring.recalibrate import Learnt
from evergreen.registry.state import Document
from evergreen.rollout.evidence import ScoredDay
from evergreen.serving.model import Model

DAY = timedelta(days=1)
MOST = 50_000  # labelled rows of a day that are scored: more of one day hardly say more
Load = Callable[[str], Model]  # raises ModelUnavailableError
SERVED = ("champion", "canary", "ab")  # variants: by a version of the rollout's choice
AS_SERVED = f"variant IN {SERVED}"


@dataclass
class Gathering:
    """Where one endpoint's evidence comes from; broken collects versions that cannot be loaded.

    A version that several parts of the evidence are about is loaded once, and its days are read and
    learnt from once. recalibrated: whether what is compared is what would be served, with the map
    of scores of each day.
    """

    data: Store
    document: Document
    policy: Policy
    load: Load
    at: datetime
    recalibrated: bool = False
    broken: dict[str, str] = field(default_factory=dict)
    days: dict[str, list[ScoredDay]] = field(default_factory=dict)
    learnt: dict[str, Learnt] = field(default_factory=dict)
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


def labelled(
    sources: Gathering, kind: Kind, day: date, *schemas: JsonSchema, where: str = "true"
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
