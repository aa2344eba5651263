"""Watch what is predicted, and what becomes of it.

Started by
    {"hour": "<time>"}    every hour: reduces the captures that have arrived to histograms
    {"slot": "<time>"}    every day: checks each endpoint over the days until then

A check writes drift/{endpoint}/{slot}.json and .html to the data bucket, and announces the alarms
that begin in it, or have gone on for long.
"""

import gzip
import os
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

import msgspec

import bootstrap
from evergreen.aws.telemetry import measure_stack, observed
from evergreen.contract import endpoint_files
from evergreen.contract.errors import UnknownEventError
from evergreen.contract.schema import Columns, columns_of
from evergreen.monitoring.check import Subject, check, reduce
from evergreen.pages import check_report
from evergreen.serving.model import REFERENCE
from scheduled import each, slot_of, with_champion


@observed
def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Reduce captures, or check every endpoint that has a champion."""
    if "slot" in event:
        end = _hour(event["slot"])
        found = each(with_champion(), lambda name: check(_subject(name), end), "not checked")
        measure_stack(ChecksRun=1)
        return {"checked": {name: report.status for name, report in found.items()}}
    if "hour" in event:
        end = _hour(event["hour"])
        reduced = each(with_champion(), lambda name: reduce(_subject(name), end), "not checked")
        measure_stack(ProfilesRun=1)
        return {"reduced": reduced}
    raise UnknownEventError("check", '{"slot": "<time>"} and {"hour": "<time>"}')


def _hour(text: str) -> datetime:
    """Return the beginning of the hour (UTC) of a time, which must not be in the future."""
    return slot_of(text, "check").replace(minute=0, second=0, microsecond=0)


def _subject(name: str) -> Subject:
    return Subject(
        name=name,
        read=lambda: endpoint_files.load(name),
        registry=bootstrap.registry(),
        data=bootstrap.data(),
        bus=bootstrap.events(),
        reference=partial(_reference, name),
        page=check_report.page,
        every_page=os.environ["REPORT_PAGES"] == "every-check",
    )


@lru_cache(maxsize=8)
def _reference(name: str, version: str) -> Columns:
    registry = bootstrap.registry()
    manifest = registry.manifest(name, version)
    if manifest is None or REFERENCE not in manifest.artifacts:
        return {}
    body = gzip.decompress(registry.artifact(manifest, REFERENCE))
    return columns_of(manifest.schema, msgspec.json.decode(body))
