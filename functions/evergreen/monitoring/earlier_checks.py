"""The checks before this one: where their reports stand, and what of them goes on in the next."""

from collections.abc import Collection
from datetime import datetime, timedelta

from evergreen.aws.s3 import Store
from evergreen.monitoring.report import Alarm, AlarmKind, CheckReport, TrendDay
from evergreen.registry.stored_json import cached

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
    names = sorted(about)
    for old in before.alarms if before else ():
        if old.kind == kind:
            raised = end - old.announced >= repeat or not set(about) <= set(old.about)
            announced = end if raised else old.announced
            return Alarm(
                kind=kind, since=old.since, about=names, raised=raised, announced=announced
            )
    return Alarm(kind=kind, since=end, about=names, raised=True, announced=end)


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
            if (report := cached(data, key, CheckReport)) is not None:
                return report
    return None
