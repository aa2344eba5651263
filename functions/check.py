"""Watch what is predicted, and what becomes of it.

Started by
    {"hour": "<time>"}    every hour: reduces the captures that have arrived to histograms
    {"slot": "<time>"}    every day: checks each endpoint over the days until then

A check writes drift/{endpoint}/{slot}.json and .html to the data bucket, and announces the alarms
that begin in it, or have gone on for long. A second run for the same slot finds the same, apart
from records that arrived in between.
"""

import gzip
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any

import msgspec

import bootstrap
import endpoints
from evergreen.aws.s3 import Remembered
from evergreen.aws.telemetry import logger, measure, measure_stack, observed
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.errors import UnknownEventError, worded
from evergreen.contract.identifiers import is_version
from evergreen.contract.moments import time_of
from evergreen.contract.problem import Problem
from evergreen.contract.schema import Columns, columns_of
from evergreen.monitoring import assessment, daily_performance, report
from evergreen.monitoring.daily_performance import Followed
from evergreen.monitoring.hourly_profiles import Profiles, window
from evergreen.monitoring.reference_profile import MIN_ROWS
from evergreen.monitoring.report import Alarm, CheckReport
from evergreen.pages import check_report
from evergreen.registry import events
from evergreen.registry.manifest import Expected, Manifest, version_time
from evergreen.registry.registry import Registry
from evergreen.serving.model import REFERENCE

LOST = (
    "damaged object",
    "unreadable",
    "unknown version",
    "wrong schema",
    "wrong hour",
    "conflicting",
)
RECENT = timedelta(hours=26)  # what an hourly run looks at: Firehose may be a day late


@observed
def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Reduce captures, or check every endpoint that has a champion."""
    if "slot" in event:
        end = _hour(event["slot"])
        checked = _each(lambda name: _check(name, end).status)
        measure_stack(ChecksRun=1)
        return {"checked": checked}
    if "hour" in event:
        end = _hour(event["hour"])
        reduced = _each(lambda name: _reduce(name, end))
        measure_stack(ProfilesRun=1)
        return {"reduced": reduced}
    raise UnknownEventError("check", '{"slot": "<time>"} and {"hour": "<time>"}')


def _hour(text: str) -> datetime:
    """Return the beginning of the hour (UTC) of a time, which must not be in the future."""
    time = time_of(text)
    if time > datetime.now(UTC) + events.CLOCK_SKEW:
        raise UnknownEventError("check", "a time that is not in the future")
    return time.replace(minute=0, second=0, microsecond=0)


def _each[T](what: Callable[[str], T]) -> dict[str, T]:
    """Do something for each endpoint that has a champion and a file."""
    names = [name for name in bootstrap.registry().endpoints() if name in endpoints.names()]
    done, failed = {}, []
    for name in names:
        try:
            done[name] = what(name)
        except Exception as error:  # one endpoint must not keep the others from being checked
            about = {"endpoint": name, "reason": worded(error)}
            logger.error("an endpoint was not checked", extra=about)
            failed.append(error)
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(names)} endpoints were not checked", failed)
    return done


def _reduce(name: str, end: datetime) -> int:
    """Bring the hourly histograms up to date; return how many predictions the last day has."""
    profiles = _profiles(name)
    return sum(hour.rows for hour in profiles.hours(end - RECENT, end).values())


def _profiles(name: str) -> Profiles:
    registry, data = bootstrap.registry(), bootstrap.data()
    seen = Remembered(data.s3, data.bucket, once="captures/")
    return Profiles(seen, _champion(registry, name), registry.versions(name))


def _champion(registry: Registry, name: str) -> Manifest:
    seen = registry.document(name)
    manifest = registry.manifest(name, seen.document.champion) if seen else None
    if manifest is None:
        raise LookupError(f"{name} has no champion whose manifest could be read")
    return manifest


def _check(name: str, end: datetime) -> CheckReport:
    """Check one endpoint over the days until `end`, write what was found and announce it."""
    endpoint, profiles = endpoints.load(name), _profiles(name)
    manifest, data = profiles.manifest, profiles.data
    if end < manifest.created and (kept := report.read(data, report.key_of(name, end))):
        return kept  # of a champion before this one: there is nothing to add to it now
    start = end - timedelta(days=endpoint.policy.drift_window_days)
    hours = profiles.hours(start, end)
    before = report.previous(data, name, end)
    total = window(hours)
    found = assessment.assess(
        manifest,
        total,
        _reference(manifest.version, name) if total.rows >= MIN_ROWS else {},
        daily_performance.follow(data, _followed(profiles, endpoint), end, before),
        start=start,
        end=end,
        first=min((at for at, hour in hours.items() if hour.rows), default=None),
        last_trained=version_time(profiles.versions[-1]),
        repeat=timedelta(days=endpoint.policy.cooldown_days),
        before=before,
    )
    key = report.key_of(name, end)
    announced = [_event(alarm, found, key) for alarm in found.alarms if alarm.raised]
    if os.environ["REPORT_PAGES"] == "every-check" or announced or end.day == 1:
        data.put(report.key_of(name, end, "html"), check_report.page(found).encode())
    events.emit(bootstrap.events(), *announced)  # before the report says so: a retry may repeat it
    data.put(key, msgspec.json.encode(found))
    newest = [hour.set_aside for at, hour in hours.items() if at >= end - timedelta(days=1)]
    _measure(found, sum(aside.get(kind, 0) for aside in newest for kind in LOST))
    return found


@lru_cache(maxsize=8)
def _reference(version: str, name: str) -> Columns:
    """Return rows of the training data of a version; nothing where it has none."""
    registry = bootstrap.registry()
    manifest = registry.manifest(name, version)
    if manifest is None or REFERENCE not in manifest.artifacts:
        return {}
    body = gzip.decompress(registry.artifact(manifest, REFERENCE))
    return columns_of(manifest.schema, msgspec.json.decode(body))


def _followed(profiles: Profiles, endpoint: Endpoint) -> Followed:
    registry, manifest = bootstrap.registry(), profiles.manifest

    @cache
    def described(version: str) -> tuple[Problem, Expected | None]:
        if version == manifest.version:
            return manifest.problem, manifest.expected
        found = registry.manifest(manifest.endpoint, version) if is_version(version) else None
        return (found.problem, found.expected) if found else (manifest.problem, None)

    return Followed(
        endpoint=manifest.endpoint,
        version=manifest.version,
        versions=profiles.versions,
        label_days=endpoint.policy.label_days,
        slices=endpoint.slices,
        described=described,
    )


def _event(alarm: Alarm, found: CheckReport, key: str) -> events.Event:
    kind = {
        "drift": events.DriftDetected,
        "schema": events.SchemaViolated,
        "performance": events.PerformanceDegraded,
    }[alarm.kind]
    return kind(
        endpoint=found.endpoint,
        version=found.version,
        time=found.end,
        since=alarm.since,
        features=alarm.about,
        report=key,
    )


def _measure(found: CheckReport, lost: int) -> None:
    """Write what alarms and the dashboard look at; lost: records set aside in the last day."""
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
    if found.performance and (day := report.last_closed(found.performance)):
        figures |= {"LogLoss": day.loss, "LabelCoverage": day.labelled / day.captured}
    measure(
        found.endpoint,
        **{name: float(value) for name, value in figures.items() if value is not None},
    )
