"""Answer predictions with the version that a request is for; the GET routes are in show.

POST /endpoints/{endpoint}/predict   score rows; ?version= or ?status= asks for one version
"""

import os
from dataclasses import dataclass, replace
from functools import cache, partial
from time import perf_counter
from typing import Any

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError
from snapshot_restore_py import register_after_restore, register_before_snapshot

import bootstrap
import show
from evergreen.aws import deadline
from evergreen.aws.extension import AfterAnswer
from evergreen.aws.telemetry import logger, measure, observed
from evergreen.captures import records
from evergreen.contract.decoding import PredictRequest
from evergreen.contract.errors import (
    DeliveryError,
    ExternalError,
    Fault,
    InvalidRequestError,
    ModelUnavailableError,
    NoSuchStatusError,
    worded,
)
from evergreen.contract.problem import Floats
from evergreen.serving.model_cache import Chosen, Served, Serving
from http_api import Answer, Request, answer, operations, respond
from routes import ROUTES

CAPTURE_SECONDS = 0.5  # of http_api.RESERVE_SECONDS

capturing = os.environ.get("CAPTURE", "on") == "on"
after_answer = AfterAnswer(os.environ.get("AWS_LAMBDA_RUNTIME_API") if capturing else None)


@cache
def serving() -> Serving:
    """Return the versions that this process has loaded."""
    return Serving(bootstrap.registry())


def _before_snapshot() -> None:
    bootstrap.warm()
    serving().preload()


def _after_restore() -> None:
    """Take nothing for current that the snapshot holds: its connections, and who is champion."""
    bootstrap.reopen()
    serving().expire()


register_before_snapshot(_before_snapshot)
register_after_restore(_after_restore)
if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    serving()  # now: while Lambda initializes, it lends a whole processor


@dataclass(frozen=True)
class Scored:
    """Rows and their scores, by a version, in so many milliseconds."""

    chosen: Chosen
    asked: PredictRequest
    scores: Floats
    ms: float


def predict(request: Request) -> Answer:
    """Score rows."""
    endpoint = request.parameters["endpoint"]
    if (version := _version_asked_for(endpoint, request.query)) is not None:
        only = Chosen(serving().version(endpoint, version), "requested")
        found = _scored(endpoint, only, only.served.decoder.decode(request.json_body()))
    else:
        found = _answered(endpoint, request)
    rows, chosen = found.asked.instances, found.chosen
    predictions = _predictions(chosen.served, rows, found.scores)
    shared = {"endpoint": endpoint, "version": chosen.version, "variant": chosen.variant}
    if capturing:
        how = {"key": found.asked.key, "failed": chosen.failed, "ms": found.ms}
        also = shared | {"time": request.time} | how
        after_answer.do(partial(_capture, rows, predictions, also, deadline.end()))
    unseen = sum(1 for prediction in predictions if "unseen" in prediction)
    about = {"version": chosen.version, "request": request.id}
    measure(endpoint, about, Predictions=len(predictions), UnseenCategories=unseen)
    return answer(200, {"predictions": predictions, **shared})


def _version_asked_for(endpoint: str, query: dict[str, str]) -> str | None:
    """Return the version that a query names by its id or its status."""
    if "status" not in query:
        return query.get("version")
    if "version" in query:
        raise InvalidRequestError([Fault("?status", "not together with ?version=")])
    status = show.status_of(query)
    statuses = serving().document(endpoint).statuses
    found = [version for version, now in statuses.items() if now == status]
    if not found:
        raise NoSuchStatusError(endpoint, status)
    return max(found)  # of several the newest


def _answered(endpoint: str, request: Request) -> Scored:
    """Score rows by the version that they are for, or by the next that can.

    A request is what the champion's schema says; it never fails because of a challenger.
    """
    champion = serving().champion(endpoint)
    body = request.json_body()
    asked = champion.served.decoder.decode(body)
    chosen = serving().choose(endpoint, asked.key or request.id)
    first: Exception | None = None
    while True:
        own, its = chosen.served.decoder, champion.served.decoder
        try:
            read = asked if own is its or own.schema == its.schema else own.decode(body)
            found = _scored(endpoint, chosen, read)
            break
        except Exception as error:
            first = first or error
            instead = serving().instead(endpoint, chosen, worded(error))
            if instead is None:
                raise first from None
            chosen = instead
    _warn(endpoint, found.chosen)
    return found


def _warn(endpoint: str, chosen: Chosen) -> None:
    """Tell those who watch that another version answered than should have."""
    about = {"endpoint": endpoint, "version": chosen.version, "failed": chosen.failed}
    if reason := serving().stale(endpoint):
        measure(endpoint, RefreshFailed=1)
        logger.warning("the champion is not loaded", extra=about | {"reason": reason})
    if chosen.variant != "fallback":
        return
    document = serving().document(endpoint)
    if chosen.failed in document.arms:
        measure(endpoint, ArmFailed=1)
        logger.warning("the champion answers for an arm", extra=about | {"reason": chosen.reason})
    if chosen.version == document.fallback != document.champion:
        measure(endpoint, FallbackAnswered=1)
        logger.error("the rule answers", extra=about | {"reason": chosen.reason})


def _scored(endpoint: str, chosen: Chosen, asked: PredictRequest) -> Scored:
    """Score rows; while a service that a version asks fails, its rule does."""
    model, version = chosen.served.model, chosen.version
    service, called = model.manifest.external, True
    start = perf_counter()
    try:
        try:
            scores = model.scores_of(asked.instances)
        except ExternalError as error:
            called = error.asked
            scores = model.scores_instead(asked.instances)
            chosen = replace(chosen, failed=chosen.failed or version, reason=worded(error))
            measure(endpoint, ExternalFailed=1)
            logger.warning("a service fails", extra={"version": version, "reason": chosen.reason})
    except Exception as error:  # ONNX Runtime has no base class of its own
        reason = f"scoring failed: {worded(error)}"
        raise ModelUnavailableError(endpoint, version, reason) from error
    ms = round((perf_counter() - start) * 1000, 3)
    if service and called:
        measure(endpoint, {"currency": service.currency}, ExternalCost=service.cost_per_call)
    if not np.isfinite(scores).all():
        odd = np.unique(np.nonzero(~np.isfinite(scores))[0])[:5].tolist()
        raise ModelUnavailableError(
            endpoint, version, f"it has no finite score for instances {odd}"
        )
    return Scored(chosen, asked, scores, ms)


def _predictions(
    served: Served, rows: list[dict[str, Any]], scores: Floats
) -> list[dict[str, Any]]:
    """Return what a caller gets of each row."""
    answers = served.model.manifest.problem.answers(scores)
    predictions = [
        {"id": prediction_id, **found}
        for prediction_id, found in zip(records.new_ids(len(rows)), answers, strict=True)
    ]
    for prediction, unseen in zip(predictions, served.model.unseen(rows), strict=True):
        if unseen:
            prediction["unseen"] = unseen
    return predictions


def _capture(
    rows: list[dict[str, Any]],
    predictions: list[dict[str, Any]],
    shared: dict[str, Any],
    end: float,
) -> None:
    """Record predictions; a caller is answered all the same when the stream does not take them.

    end: until when the answer could wait for others; what it waited for must not cost its capture.
    """
    captures = [
        records.Capture(features=row, **prediction, **shared)
        for row, prediction in zip(rows, predictions, strict=True)
    ]
    try:
        with deadline.until(end + CAPTURE_SECONDS):
            records.send(bootstrap.firehose(), os.environ["CAPTURE_STREAM"], captures)
    except (DeliveryError, ClientError, BotoCoreError) as error:
        measure(shared["endpoint"], CaptureFailed=len(captures))
        logger.error("captures were lost", extra={"count": len(captures), "reason": worded(error)})


OPERATIONS = operations(
    predict, show.openapi, show.endpoints, show.endpoint, show.versions, show.version, show.report
)


@after_answer.invocation()
@observed
def handler(event: dict[str, Any], context: Any) -> Answer:
    """Answer one request."""
    return respond(ROUTES["predict"], OPERATIONS, event, context)
