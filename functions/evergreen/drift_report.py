"""What a drift check concluded, and the rule by which it raises an alarm.

A feature is flagged when its divergence is significant and major, and confirmed when the check
before flagged it too, against the same champion. Any confirmed feature is drift. The alarm is
raised when it begins, and again every `repeat` for as long as it lasts.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from evergreen.drift import FeatureDrift
from evergreen.store import Store

Status = Literal["insufficient data", "steady", "drifted"]


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """One check of one endpoint.

    start, end: the window of requests. since: the end of the first window of the drift that goes
        on.
    alarm: whether Drift Detected was emitted; alarmed: the end of the window when it last was, in
    the drift that goes on.
    """

    endpoint: str
    version: str
    start: datetime
    end: datetime
    rows: int
    status: Status
    features: list[FeatureDrift]
    confirmed: list[str]
    since: datetime | None
    alarm: bool
    alarmed: datetime | None

    @property
    def flagged(self) -> set[str]:
        """Return the features that this check flagged."""
        return {feature.feature for feature in self.features if feature.flagged}


def assess(
    *,
    endpoint: str,
    version: str,
    start: datetime,
    end: datetime,
    rows: int,
    features: list[FeatureDrift] | None,
    previous: DriftReport | None,
    repeat: timedelta,
) -> DriftReport:
    """Conclude from a check's features (None: too few rows) and the check before it."""
    comparable = previous is not None and previous.version == version
    before = previous.flagged if previous and comparable else set()
    flagged = {feature.feature for feature in features or () if feature.flagged}
    confirmed = sorted(flagged & before)
    going_on = previous if previous and comparable and previous.since and confirmed else None
    since = going_on.since if going_on else end if confirmed else None
    last = going_on.alarmed if going_on else None
    alarm = since is not None and (last is None or end - last >= repeat)
    return DriftReport(
        endpoint=endpoint,
        version=version,
        start=start,
        end=end,
        rows=rows,
        status="insufficient data" if features is None else "drifted" if confirmed else "steady",
        features=features or [],
        confirmed=confirmed,
        since=since,
        alarm=alarm,
        alarmed=end if alarm else last,
    )


def key_of(endpoint: str, end: datetime) -> str:
    """Return the key of a report in the data bucket; keys sort by time."""
    return f"drift/{endpoint}/{end:%Y-%m-%dT%H}.json"


def previous(data: Store, endpoint: str, start: datetime, end: datetime) -> DriftReport | None:
    """Return the last report of a window that ended from `start` until before `end`."""
    before = key_of(endpoint, start - timedelta(hours=1))  # a listing starts after a key
    found = data.keys(f"drift/{endpoint}/", after=before)
    keys = [key for key in found if key < key_of(endpoint, end)]
    stored = data.get(keys[-1]) if keys else None
    return msgspec.json.decode(stored.body, type=DriftReport) if stored else None
