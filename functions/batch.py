"""Score a file from S3 to S3: a step of the state machine that a file under batch/in/ starts.

    {"plan": <detail of Object Created>}    which version, and which chunks; or the event itself
    {"score": <one of them>}                one chunk, to keys of its own
    {"count": "<place>"}                    what was written against the plan, and the summary

Each step may be done again: it writes the same.
"""

import os
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import msgspec

import bootstrap
from evergreen.aws.telemetry import logger, observed
from evergreen.batch.chunk import Chunk
from evergreen.batch.plan import plan
from evergreen.batch.score import count, score
from evergreen.captures import records
from evergreen.contract import endpoint_files
from evergreen.contract.errors import UnknownEventError
from evergreen.serving.model_cache import Serving
from evergreen.training.tables import folders


@cache
def serving() -> Serving:
    """Return the versions that this process has loaded."""
    return Serving(bootstrap.registry())


@observed
def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
    """Do one step, and return little: a map keeps what all its chunks return."""
    data = bootstrap.data()
    match event:
        case {"plan": {"object": {"key": str(key), "etag": str(etag)}}} | {
            "detail": {"object": {"key": str(key), "etag": str(etag)}}
        }:
            if key.count("/") < 3 or not folders.is_data(key.removeprefix("batch/")):
                return {"status": "ignored"}  # a marker, hidden, or a folder
            files = endpoint_files.load(key.split("/")[2]).files
            found = plan(serving(), data, files, key, etag, datetime.now(UTC))
            logger.info("batch planned", extra={"batch": found})
            return found | {"concurrency": int(os.environ["BATCH_CONCURRENCY"])}
        case {"score": chunk}:
            _score(msgspec.convert(chunk, Chunk))
            return {}
        case {"count": str(place)}:
            found = count(data, place)
            logger.info("batch counted", extra={"batch": found})
            return {"status": found["status"]}
    raise UnknownEventError("batch", '{"plan": ...}, {"score": ...} and {"count": ...}')


def _score(chunk: Chunk) -> None:
    endpoint, stream = endpoint_files.load(chunk.endpoint), os.environ["CAPTURE_STREAM"]
    captured = endpoint.policy.capture_batch and stream and os.environ["CAPTURE"] == "on"
    send = partial(records.send, bootstrap.firehose(), stream) if captured else None
    score(bootstrap.data(), chunk, serving(), endpoint.files, send)
