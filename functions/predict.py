"""Answer predictions with the champion, and show the registry.

POST /endpoints/{endpoint}/predict               score rows; ?version= asks for one version
GET  /endpoints                                  every endpoint and its champion
GET  /endpoints/{endpoint}                       champion, metrics, history
GET  /endpoints/{endpoint}/versions[/{version}]  all versions; the manifest of one
"""

import math
import os
from functools import cache, partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from snapshot_restore_py import register_after_restore, register_before_snapshot

from evergreen import aws, records
from evergreen.after_answer import AfterAnswer
from evergreen.errors import (
    DeliveryError,
    Fault,
    InvalidRequestError,
    ModelUnavailableError,
    NoChampionError,
    UnknownVersionError,
)
from evergreen.known import check_endpoint_file, check_endpoint_name, is_version
from evergreen.manifest import Manifest
from evergreen.serving import Served, Serving
from evergreen.telemetry import logger, measure, observed
from http_api import Answer, Request, answer, respond

THRESHOLD = 0.5

capturing = os.environ.get("CAPTURE", "on") == "on"
after_answer = AfterAnswer(os.environ.get("AWS_LAMBDA_RUNTIME_API") if capturing else None)


@cache
def serving() -> Serving:
    """Return the versions that this process has loaded."""
    return Serving(aws.registry())


def _before_snapshot() -> None:
    aws.warm()
    serving().preload()


def _after_restore() -> None:
    """Take nothing for current that the snapshot holds: its connections, and who is champion."""
    aws.reopen()
    serving().expire()


register_before_snapshot(_before_snapshot)
register_after_restore(_after_restore)
if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    serving()  # now: while Lambda initializes, it lends a whole processor


def predict(request: Request) -> Answer:
    """Score rows."""
    endpoint = request.parameters["endpoint"]
    if unknown := sorted(set(request.query) - {"version"}):
        raise InvalidRequestError([Fault(f"?{unknown[0][:64]}", "unknown parameter")])
    version = request.query.get("version")
    served = serving().version(endpoint, version) if version else serving().champion(endpoint)
    if reason := serving().stale(endpoint):
        measure(endpoint, RefreshFailed=1)
        logger.warning("an old champion answers", extra={"endpoint": endpoint, "reason": reason})
    asked = served.decoder.decode(request.json_body())
    predictions = _score(endpoint, served, asked.instances)
    shared = {
        "endpoint": endpoint,
        "version": served.version,
        "variant": "requested" if version else "champion",
    }
    if capturing:
        also = shared | {"time": request.time, "key": asked.key}
        after_answer.do(partial(_capture, asked.instances, predictions, also))
    unseen = sum(1 for prediction in predictions if "unseen" in prediction)
    about = {"version": served.version, "request": request.id}
    measure(endpoint, about, Predictions=len(predictions), UnseenCategories=unseen)
    return answer(200, {"predictions": predictions, **shared})


def _score(endpoint: str, served: Served, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what a caller gets of each row."""
    try:
        scores = served.model.scores_of(rows).tolist()
    except Exception as error:  # ONNX Runtime has no base class of its own
        raise ModelUnavailableError(endpoint, served.version, f"scoring failed: {error}") from error
    if odd := [index for index, score in enumerate(scores) if not math.isfinite(score)]:
        raise ModelUnavailableError(
            endpoint, served.version, f"it has no finite score for instances {odd[:5]}"
        )
    predictions = [
        {"id": prediction_id, "label": score >= THRESHOLD, "score": score}
        for prediction_id, score in zip(records.new_ids(len(rows)), scores, strict=True)
    ]
    for prediction, unseen in zip(predictions, served.model.unseen(rows), strict=True):
        if unseen:
            prediction["unseen"] = unseen
    return predictions


def _capture(
    rows: list[dict[str, Any]], predictions: list[dict[str, Any]], shared: dict[str, Any]
) -> None:
    """Record predictions; a caller is answered all the same when the stream does not take them."""
    captures = [
        records.Capture(features=row, **prediction, **shared)
        for row, prediction in zip(rows, predictions, strict=True)
    ]
    try:
        records.send(aws.firehose(), os.environ["CAPTURE_STREAM"], captures)
    except (DeliveryError, ClientError, BotoCoreError) as error:
        measure(shared["endpoint"], CaptureFailed=len(captures))
        logger.error("captures were lost", extra={"count": len(captures), "reason": str(error)})


def endpoints(_: Request) -> Answer:
    """List the endpoints that have a champion."""
    registry = aws.registry()
    found = (registry.document(name) for name in registry.endpoints())
    return answer(
        200,
        {
            "endpoints": [
                {
                    "endpoint": seen.document.endpoint,
                    "champion": seen.document.champion,
                    "since": seen.document.since,
                }
                for seen in found
                if seen
            ]
        },
    )


def endpoint(request: Request) -> Answer:
    """Show who is champion, since when, on which figures, and who was before."""
    endpoint = request.parameters["endpoint"]
    check_endpoint_name(endpoint)
    registry = aws.registry()
    seen = registry.document(endpoint)
    if seen is None:
        check_endpoint_file(endpoint)
        raise NoChampionError(endpoint)
    manifest = registry.manifest(endpoint, seen.document.champion)
    return answer(
        200,
        {
            "endpoint": endpoint,
            "champion": seen.document.champion,
            "since": seen.document.since,
            "generation": seen.document.generation,
            "metrics": manifest.metrics if manifest else None,
            "lineage": manifest.lineage if manifest else None,
            "schema": manifest.schema if manifest else None,
            "history": registry.history(seen.document),
        },
    )


def versions(request: Request) -> Answer:
    """List the versions of an endpoint, oldest first."""
    endpoint = request.parameters["endpoint"]
    check_endpoint_name(endpoint)
    found = aws.registry().versions(endpoint)
    if not found:
        check_endpoint_file(endpoint)
    return answer(200, {"endpoint": endpoint, "versions": found})


def version(request: Request) -> Answer:
    """Show the manifest of a version, without the long parts that only machines read."""
    endpoint, version = request.parameters["endpoint"], request.parameters["version"]
    check_endpoint_name(endpoint)
    manifest = aws.registry().manifest(endpoint, version) if is_version(version) else None
    if manifest is None:
        raise UnknownVersionError(endpoint, version)
    return answer(200, _shown(manifest))


def _shown(manifest: Manifest) -> dict[str, Any]:
    hidden = ("reference", "golden")
    return {
        name: getattr(manifest, name) for name in manifest.__struct_fields__ if name not in hidden
    }


ROUTES = {
    "POST /endpoints/{endpoint}/predict": predict,
    "GET /endpoints": endpoints,
    "GET /endpoints/{endpoint}": endpoint,
    "GET /endpoints/{endpoint}/versions": versions,
    "GET /endpoints/{endpoint}/versions/{version}": version,
}


@after_answer.invocation()
@observed
def handler(event: dict[str, Any], context: Any) -> Answer:  # noqa: ARG001 - Lambda passes it
    """Answer one request."""
    return respond(ROUTES, event)
