"""The checks before this one: where their reports stand, and what of them goes on in the next."""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from evergreen.aws.s3 import Store
from evergreen.contract.decoding import UNDECODABLE
from evergreen.monitoring.report import Alarm, AlarmKind, CheckReport, TrendDay

TREND_DAYS = 60
USUAL = timedelta(days=2)  # between two checks, at most
MEMORY = timedelta(days=90)  # how long performance by day is shown, and a former check is heeded


def alarm(
    kind: AlarmKind,
    about: Collection[str],
    *,
    end: datetime,
    before: CheckReport | None,
    repeat: timedelta,
) -> Alarm | None:
    """Return the alarm that `about` is, None where that is empty.

    It is announced when it begins, when more joins it, and every `repeat` while it lasts.
    before: the check before this one; one of another version knows nothing of it.
    """
    if not about:
        return None
    going_on = next((a for a in before.alarms if a.kind == kind), None) if before else None
    raised = (
        going_on is None
        or end - going_on.announced >= repeat
        or not set(about) <= set(going_on.about)
    )
    return Alarm(
        kind=kind,
        since=going_on.since if going_on else end,
        about=sorted(about),
        raised=raised,
        announced=end if raised or going_on is None else going_on.announced,
    )


def trend(before: CheckReport | None) -> list[TrendDay]:
    """Return the trend up to the check before this one, its own day the last."""
    if before is None:
        return []
    today = TrendDay(
        end=before.end,
        version=before.version,
        status=before.status,
        psi={each.feature: round(each.psi, 4) for each in before.compared},
        alarms=[alarm.kind for alarm in before.alarms],
    )
    return [*before.trend, today][-TREND_DAYS:]


def key_of(endpoint: str, end: datetime, kind: str = "json") -> str:
    """Return the key of a report in the data bucket; keys sort by time."""
    return f"drift/{endpoint}/{end:%Y-%m-%dT%H}.{kind}"


def previous(data: Store, endpoint: str, end: datetime) -> CheckReport | None:
    """Return the last report before `end` that is not too old to matter."""
    for age in (USUAL, MEMORY):  # a long listing only where there is no recent one
        found = data.keys(f"drift/{endpoint}/", after=key_of(endpoint, end - age))
        keys = [key for key in found if key.endswith(".json") and key < key_of(endpoint, end)]
        for key in reversed(keys):
            if (found_there := read(data, key)) is not None:
                return found_there
    return None


def read(data: Store, key: str) -> CheckReport | None:
    """Return a report; None for one that an older Evergreen wrote, or that is damaged."""
    stored = data.get(key)
    try:
        return msgspec.json.decode(stored.body, type=CheckReport) if stored else None
    except UNDECODABLE:
        return None
