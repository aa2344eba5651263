"""What a check does for one endpoint, in which order, and how it goes on after a crash.

count the predictions of each hour, in the bins of the champion; days that are complete are kept
is the check late?    the champion is younger: what was found of the one before it stands
assess the window     with what became of its predictions, and with the check before
write its page        where somebody will look at it
announce its alarms   those that begin, or have gone on for long
write the report      last: cut off before it, the check is made again, and announces them again

A second run for the same time finds the same, apart from records that arrived in between.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import Any

import msgspec

from evergreen.aws.s3 import Store
from evergreen.aws.telemetry import logger, measure
from evergreen.captures.recorded import Recorded
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.identifiers import is_version
from evergreen.contract.problem import Problem
from evergreen.contract.schema import Columns
from evergreen.monitoring import assessment, daily_performance, earlier_checks
from evergreen.monitoring.assessment import Window
from evergreen.monitoring.daily_performance import Followed
from evergreen.monitoring.hourly_counts import Hours, window
from evergreen.monitoring.report import MIN_ROWS, CheckReport
from evergreen.registry import events
from evergreen.registry.manifest import Expected, version_time
from evergreen.registry.registry import Registry
from evergreen.registry.stored_json import cached

LOST = (  # records that should not have been set aside
    "damaged object", "unreadable", "unknown version", "wrong schema", "wrong hour", "conflicting",
)  # fmt: skip
DAY = timedelta(days=1)
_NOTICES = {
    "drift": events.DriftDetected,
    "schema": events.SchemaViolated,
    "performance": events.PerformanceDegraded,
}


@dataclass(frozen=True)
class Subject:
    """An endpoint that is checked, and what checking works with.

    read: reads its file. reference: returns rows of the training data of a version, none where it
    has none. page: makes the HTML of a report. every_page: whether a check without alarms has one.
    recorded_share: of keys whose predictions are recorded.
    """

    name: str
    read: Callable[[], Endpoint]
    registry: Registry
    data: Store
    bus: "events.EventBridgeClient"
    reference: Callable[[str], Columns]
    page: Callable[[CheckReport], str]
    every_page: bool
    recorded_share: float

    @cached_property
    def recorded(self) -> Recorded:
        """Return what reads its predictions and labels."""
        return Recorded(self.data, self.name)

    @cached_property
    def hours(self) -> Hours:
        """Return what counts its predictions in the bins of its champion."""
        seen = self.registry.document(self.name)
        manifest = self.registry.manifest(self.name, seen.document.champion) if seen else None
        if manifest is None:
            raise LookupError(f"{self.name} has no champion whose manifest could be read")
        return Hours(self.recorded, manifest, self.registry.versions(self.name))


def check(subject: Subject, end: datetime) -> CheckReport:
    """Check an endpoint over the days until `end`, write what was found and announce it."""
    endpoint, data, manifest = subject.read(), subject.data, subject.hours.manifest
    key = earlier_checks.key_of(subject.name, end)
    if end < manifest.created and (kept := cached(data, key, CheckReport)):
        return kept
    start = end - timedelta(days=endpoint.policy.drift_window_days)
    hours = subject.hours.between(start, end)
    total = window(hours)
    before = earlier_checks.previous(data, subject.name, end)
    found = assessment.assess(
        manifest,
        Window(start, end, total, min((at for at in hours if hours[at].rows), default=None)),
        subject.reference(manifest.version) if total.rows >= MIN_ROWS else {},
        daily_performance.follow(subject.recorded, _followed(subject, endpoint), end, before),
        last_trained=version_time(subject.hours.versions[-1]),
        repeat=timedelta(days=endpoint.policy.cooldown_days),
        before=before,
    )
    found = msgspec.structs.replace(found, recorded=subject.recorded_share)
    about: dict[str, Any] = {"endpoint": found.endpoint, "version": found.version, "time": end}
    announced = [
        _NOTICES[alarm.kind](since=alarm.since, features=alarm.about, report=key, **about)
        for alarm in found.alarms
        if alarm.raised
    ]
    if subject.every_page or announced or end.day == 1:
        page = subject.page(found)
        data.put(earlier_checks.key_of(subject.name, end, "html"), page.encode())
    events.emit(subject.bus, *announced)
    data.put(key, msgspec.json.encode(found))
    newest = [hour.set_aside for at, hour in hours.items() if at >= end - DAY]
    _measure(found, sum(aside.get(kind, 0) for aside in newest for kind in LOST))
    return found


def _followed(subject: Subject, endpoint: Endpoint) -> Followed:
    manifest = subject.hours.manifest

    @cache
    def described(version: str) -> tuple[Problem, Expected | None]:
        if version == manifest.version:
            return manifest.problem, manifest.expected
        found = subject.registry.manifest(subject.name, version) if is_version(version) else None
        return (found.problem, found.expected) if found else (manifest.problem, None)

    return Followed(
        endpoint=subject.name,
        version=manifest.version,
        versions=subject.hours.versions,
        label_days=endpoint.policy.label_days,
        slices=endpoint.slices,
        described=described,
        promised=(manifest.metrics.loss, manifest.metrics.baseline),
    )


def _measure(found: CheckReport, lost: int) -> None:
    for feature in found.features:
        about = {"endpoint": found.endpoint, "feature": feature.feature, "psi": feature.psi}
        logger.info("feature checked", extra=about)
    alarms = {alarm.kind for alarm in found.alarms}
    figures: dict[str, float | None] = {
        "DriftChecked": 1,
        "DriftRows": found.rows,
        "DriftedFeatures": len(found.confirmed),
        "DriftAlarm": "drift" in alarms,
        "SchemaAlarm": "schema" in alarms,
        "PerformanceAlarm": "performance" in alarms,
        "ModelAgeDays": found.model_age_days,
        "TrainedDaysAgo": found.trained_days_ago,
        "UnseenShare": max((feature.unseen for feature in found.features), default=0.0),
        "SetAside": lost,
    }
    if found.performance and (day := found.performance.last_closed):
        figures |= {"LogLoss": day.loss, "LabelCoverage": day.labelled / day.captured}
    told = {name: float(value) for name, value in figures.items() if value is not None}
    measure(found.endpoint, **told)
