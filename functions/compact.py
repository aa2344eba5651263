"""Make rows and outcomes of what has arrived.

Started by
    {"hour": "<time>"}    every hour: reads the captures and labels of the hours that are over

Everything else that reads what was recorded reads the parts that this writes: see
evergreen.captures.compaction. A run that was cut off, or ran twice, does no harm.
"""

from typing import Any

import bootstrap
from evergreen.aws.telemetry import logger, measure_stack, observed
from evergreen.captures.compaction import compact
from evergreen.contract.errors import UnknownEventError
from evergreen.contract.schema import JsonSchema
from scheduled import slot_of

_schemas: dict[tuple[str, str], JsonSchema] = {}  # of the versions that this process has met


@observed
def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Bring the parts up to an hour; answer how many records were new, by endpoint."""
    if "hour" not in event:
        raise UnknownEventError("compact", '{"hour": "<time>"}')
    found = dict(compact(bootstrap.data(), _schema_of, slot_of(event["hour"], "compact")))
    logger.info("compacted", extra={"records": found})
    measure_stack(CompactionsRun=1)
    return {"compacted": found}


def _schema_of(endpoint: str, version: str) -> JsonSchema | None:
    known = _schemas.get((endpoint, version))
    if known is None and (manifest := bootstrap.registry().manifest(endpoint, version)):
        known = _schemas[endpoint, version] = manifest.schema  # none is not remembered: it may come
    return known
