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

from aws_lambda_powertools.event_handler import Response
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
from http_api import answer, json_body, resolver, time_of

THRESHOLD = 0.5

app = resolver()
capturing = os.environ.get("CAPTURE", "on") == "on"
after_answer = AfterAnswer(os.environ.get("AWS_LAMBDA_RUNTIME_API") if capturing else None)


@cache
def serving() -> Serving:
    """Return the versions that this process has loaded."""
    return Serving(aws.registry())


def _before_snapshot() -> None:
    serving().preload()


def _after_restore() -> None:
    """Take nothing for current that the snapshot holds: its connections, and who is champion."""
    aws.reopen()
    serving().expire()


register_before_snapshot(_before_snapshot)
register_after_restore(_after_restore)
if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    serving()  # now: while Lambda initializes, it lends a whole processor


@app.post("/endpoints/<endpoint>/predict")
def predict(endpoint: str) -> Response[Any]:
    """Score rows."""
    query = app.current_event.query_string_parameters
    if unknown := sorted(set(query) - {"version"}):
        raise InvalidRequestError([Fault(f"?{unknown[0][:64]}", "unknown parameter")])
    version = query.get("version")
    served = serving().version(endpoint, version) if version else serving().champion(endpoint)
    if reason := serving().stale(endpoint):
        measure(endpoint, RefreshFailed=1)
        logger.warning("an old champion answers", extra={"endpoint": endpoint, "reason": reason})
    request = served.decoder.decode(json_body(app.current_event))
    captures = _score(endpoint, served, request, "requested" if version else "champion")
    if capturing:
        after_answer.do(partial(_capture, captures))
    unseen = sum(1 for capture in captures if capture.unseen)
    measure(endpoint, Predictions=len(captures), UnseenCategories=unseen)
    logger.info("predicted", extra={"version": served.version, "rows": len(captures)})
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
    endpoint: str, served: Served, request: PredictRequest, variant: str
) -> list[records.Capture]:
    rows = request.instances
    try:
        scores = served.model.scores_of(rows).tolist()
    except Exception as error:  # ONNX Runtime has no base class of its own
        raise ModelUnavailableError(endpoint, served.version, f"scoring failed: {error}") from error
    if odd := [index for index, score in enumerate(scores) if not math.isfinite(score)]:
        raise ModelUnavailableError(
            endpoint, served.version, f"it has no finite score for instances {odd[:5]}"
        )
    time = time_of(app.current_event)
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
            key=request.key,
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


@app.get("/endpoints")
def endpoints() -> Response[Any]:
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


@app.get("/endpoints/<endpoint>")
def endpoint(endpoint: str) -> Response[Any]:
    """Show who is champion, since when, on which figures, and who was before."""
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


@app.get("/endpoints/<endpoint>/versions")
def versions(endpoint: str) -> Response[Any]:
    """List the versions of an endpoint, oldest first."""
    check_endpoint_name(endpoint)
    found = aws.registry().versions(endpoint)
    if not found:
        check_endpoint_file(endpoint)
    return answer(200, {"endpoint": endpoint, "versions": found})


@app.get("/endpoints/<endpoint>/versions/<version>")
def version(endpoint: str, version: str) -> Response[Any]:
    """Show the manifest of a version, without the long parts that only machines read."""
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


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one request."""
    with after_answer.invocation():
        return app.resolve(event, context)
