"""Compare the last days of requests with the training data of the champion, once a day.

Started by {"slot": "<time>"}: the window ends there. Writes drift/{endpoint}/{slot}.json to the
data bucket, and emits Drift Detected when the rule of evergreen.drift_report says so. A second run
for the same slot finds the same, apart from records that arrived in between.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

import endpoints
from evergreen import aws, drift, drift_report, events
from evergreen.drift import Counts
from evergreen.drift_report import DriftReport
from evergreen.errors import UnknownEventError
from evergreen.manifest import Manifest
from evergreen.records import captures_of, first_day
from evergreen.schema import RowDecoder, columns_of
from evergreen.store import Store
from evergreen.telemetry import measure, observed


@observed
def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Check every endpoint that has a champion."""
    if "slot" not in event:
        raise UnknownEventError("check_drift", '{"slot": "<time>"}')
    slot = datetime.fromisoformat(event["slot"]).astimezone(UTC)
    if slot > datetime.now(UTC) + timedelta(minutes=5):
        raise UnknownEventError("check_drift", "a slot that is not in the future")
    names = [name for name in aws.registry().endpoints() if name in endpoints.names()]
    checked, failed = {}, []
    for name in names:
        try:
            checked[name] = _check(name, slot).status
        except Exception as error:  # one endpoint must not keep the others from being checked
            failed.append(error)
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(names)} endpoints were not checked", failed)
    return {"checked": checked}


def _check(name: str, slot: datetime) -> DriftReport:
    registry, data = aws.registry(), aws.data()
    seen = registry.document(name)
    manifest = registry.manifest(name, seen.document.champion) if seen else None
    if manifest is None:
        raise LookupError(f"{name} has no champion whose manifest could be read")
    policy = endpoints.load(name).policy
    start = slot - timedelta(days=policy.drift_window_days)
    rows, counts = _window(data, manifest, start, slot)
    report = drift_report.assess(
        endpoint=name,
        version=manifest.version,
        start=start,
        end=slot,
        rows=rows,
        features=drift.compare(manifest.reference, counts),
        previous=drift_report.previous(data, name, start, slot),
        repeat=timedelta(days=policy.cooldown_days),
    )
    key = drift_report.key_of(name, slot)
    data.put(key, msgspec.json.format(msgspec.json.encode(report), indent=2))
    if report.alarm:
        events.emit(aws.events(), _event(report, key))
    measure(
        name,
        DriftChecked=1,
        DriftRows=report.rows,
        DriftAlarm=int(report.alarm),
        DriftedFeatures=len(report.confirmed),
    )
    return report


def _window(
    data: Store, manifest: Manifest, start: datetime, end: datetime
) -> tuple[int, dict[str, Counts]]:
    """Count the distinct requests of a window in the bins of the reference, a day at a time.

    A window that began before there were any requests is not yet full, and counts as empty: a
    weekend is not the drift of a week.
    """
    decoder = RowDecoder(manifest.schema)
    seen: dict[str, datetime] = {}
    total: dict[str, Counts] = {}
    for captures in captures_of(data, manifest.endpoint, start, end):
        fresh = {
            capture.id: capture
            for capture in captures
            if capture.id not in seen
            and capture.variant == "champion"
            and (capture.version == manifest.version or decoder.fault(capture.features) is None)
        }
        if not fresh:
            continue
        seen.update((capture.id, capture.time) for capture in fresh.values())
        columns = columns_of(manifest.schema, [capture.features for capture in fresh.values()])
        for feature, counts in drift.count_window(manifest.reference, columns).items():
            total[feature] = total.get(feature, 0) + counts
    second_day = start + timedelta(days=1)
    if min(seen.values(), default=end) > second_day:
        first = first_day(data, "captures")
        if first is None or first >= second_day.date():
            return len(seen), {}
    return len(seen), total


def _event(report: DriftReport, key: str) -> events.Event:
    assert report.since is not None  # noqa: S101 - an alarm has a beginning
    return events.DriftDetected(
        endpoint=report.endpoint,
        version=report.version,
        time=report.end,
        since=report.since,
        features=report.confirmed,
        report=key,
    )
