"""Watch what is predicted, and what becomes of it.

Started by
    {"slot": "<time>"}    every day: asks on the bus for a check of each endpoint
    Check Requested       an event on the bus: checks that endpoint over the days until its time
    {"endpoint": "flight-delay", "slot": "<time>"}    a person: the same

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
from evergreen.monitoring.check import Subject, check
from evergreen.pages import check_report
from evergreen.registry import events
from evergreen.serving.model import REFERENCE
from scheduled import ask, slot_of, taken


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Ask for the check of every endpoint that has a champion, or check one."""
    event, _ = taken(event, context.aws_request_id)
    match event:
        case {"detail": {"endpoint": name, "time": time}} | {"endpoint": name, "slot": time}:
            found = check(_subject(name), _hour(time))
            measure_stack(ChecksRun=1)
            return {"checked": {name: found.status}}
        case {"slot": time}:
            requested = ask(events.CheckRequested, _hour(time))
            measure_stack(ChecksRun=not requested)  # with nothing to check, nothing was missed
            return {"requested": requested}
    raise UnknownEventError("check", '{"slot": "<time>"} and Check Requested')


def _hour(text: str) -> datetime:
    return slot_of(text, "check").replace(minute=0, second=0, microsecond=0)


def _subject(name: str) -> Subject:
    return Subject(
        name=name, read=lambda: endpoint_files.load(name), registry=bootstrap.registry(),
        data=bootstrap.data(), bus=bootstrap.events(), reference=partial(_reference, name),
        page=check_report.page, every_page=os.environ["REPORT_PAGES"] == "every-check",
        recorded_share=float(os.environ.get("CAPTURE_SHARE", "1")),
    )  # fmt: skip


@lru_cache(maxsize=8)
def _reference(name: str, version: str) -> Columns:
    registry = bootstrap.registry()
    manifest = registry.manifest(name, version)
    if manifest is None or REFERENCE not in manifest.artifacts:
        return {}
    body = gzip.decompress(registry.artifact(manifest, REFERENCE))
    return columns_of(manifest.schema, msgspec.json.decode(body))
