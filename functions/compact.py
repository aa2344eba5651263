"""Make rows and outcomes of what has arrived.

Started by
    {"hour": "<time>"}    every hour: reads the captures and labels of the hours that are over

Everything else that reads what was recorded reads the parts that this writes: see
evergreen.captures.compaction. A run that was cut off, or ran twice, does no harm.
"""

from functools import lru_cache
from typing import Any

import bootstrap
from evergreen.aws.telemetry import logger, measure_stack, observed
from evergreen.captures.compaction import compact
from evergreen.contract.errors import UnknownEventError
from evergreen.contract.schema import JsonSchema
from scheduled import slot_of


@observed
def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Bring the parts up to an hour; answer how many records were new, by endpoint."""
    if "hour" not in event:
        raise UnknownEventError("compact", '{"hour": "<time>"}')
    found = dict(compact(bootstrap.data(), _schema_of, slot_of(event["hour"], "compact")))
    logger.info("compacted", extra={"records": found})
    measure_stack(CompactionsRun=1)
    return {"compacted": found}


@lru_cache(maxsize=1024)
def _known(endpoint: str, version: str) -> JsonSchema:
    manifest = bootstrap.registry().manifest(endpoint, version)
    if manifest is None:
        raise LookupError(version)  # which is not remembered: it may be on its way
    return manifest.schema


def _schema_of(endpoint: str, version: str) -> JsonSchema | None:
    """Return what the features of a version must be."""
    try:
        return _known(endpoint, version)
    except LookupError:
        return None
