"""Answer predictions with the champion, and show the registry.

POST /endpoints/{endpoint}/predict               score rows; ?version= asks for one version
GET  /endpoints                                  every endpoint and its champion
GET  /endpoints/{endpoint}                       champion, metrics, history
GET  /endpoints/{endpoint}/versions[/{version}]  all versions; the manifest of one
"""

import math
import os
from datetime import datetime
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
from evergreen.schema import PredictRequest
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
    variant = "requested" if version else "champion"
    captures = _score(endpoint, served, asked, variant, request.time)
    if capturing:
        after_answer.do(partial(_capture, captures))
    unseen = sum(1 for capture in captures if capture.unseen)
    about = {"version": served.version, "request": request.id}
    measure(endpoint, about, Predictions=len(captures), UnseenCategories=unseen)
    return answer(
        200,
        {
            "predictions": [_prediction(capture) for capture in captures],
            "endpoint": endpoint,
            "version": served.version,
            "variant": captures[0].variant,
        },
    )


def _prediction(capture: records.Capture) -> dict[str, Any]:
    prediction = {"id": capture.id, "label": capture.label, "score": capture.score}
    return prediction | {"unseen": capture.unseen} if capture.unseen else prediction


def _score(
    endpoint: str, served: Served, asked: PredictRequest, variant: str, time: datetime
) -> list[records.Capture]:
    rows = asked.instances
    try:
        scores = served.model.scores_of(rows).tolist()
    except Exception as error:  # ONNX Runtime has no base class of its own
        raise ModelUnavailableError(endpoint, served.version, f"scoring failed: {error}") from error
    if odd := [index for index, score in enumerate(scores) if not math.isfinite(score)]:
        raise ModelUnavailableError(
            endpoint, served.version, f"it has no finite score for instances {odd[:5]}"
        )
    return [
        records.Capture(
            id=prediction_id,
            time=time,
            endpoint=endpoint,
            version=served.version,
            variant=variant,
            features=row,
            label=score >= THRESHOLD,
            score=score,
            key=asked.key,
            unseen=unseen,
        )
        for prediction_id, row, score, unseen in zip(
            records.new_ids(len(rows)), rows, scores, served.model.unseen(rows), strict=True
        )
    ]


def _capture(captures: list[records.Capture]) -> None:
    """Record predictions; a caller is answered all the same when the stream does not take them."""
    try:
        records.send(aws.firehose(), os.environ["CAPTURE_STREAM"], captures)
    except (DeliveryError, ClientError, BotoCoreError) as error:
        measure(captures[0].endpoint, CaptureFailed=len(captures))
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
