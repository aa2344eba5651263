"""Answer predictions with the version that a request is for; the GET routes are in show.

POST .../predict (?version= or ?status= asks for one version), .../invocations, and all of /v2: see
http_api.routes.
"""

import gc
import os

if initializing := "AWS_LAMBDA_RUNTIME_API" in os.environ:
    gc.disable()  # what is imported stays: to look through it cost 7 % of a cold start

from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from snapshot_restore_py import register_after_restore, register_before_snapshot

import bootstrap
import show
from evergreen.aws import deadline
from evergreen.aws.extension import AfterAnswer
from evergreen.aws.telemetry import logger, measure, observed
from evergreen.captures import records
from evergreen.contract import errors
from evergreen.contract.errors import DeliveryError, Fault, worded
from evergreen.serving import scoring
from evergreen.serving.model_cache import Serving
from evergreen.serving.traffic_split import fraction
from http_api.dispatch import Answer, Operation, Request, answer, operations, respond
from http_api.routes import ROUTES

CAPTURE_SECONDS = 0.5  # of dispatch.RESERVE_SECONDS

capturing = os.environ.get("CAPTURE", "on") == "on"
captured_share = float(os.environ.get("CAPTURE_SHARE", "1"))
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
if initializing:
    serving()  # now: while Lambda initializes, it lends a whole processor
    gc.freeze()
    gc.enable()


def predict(request: Request) -> Answer:
    """Score rows."""
    return answer(200, answered(request, request.json_body))


def predict_any(request: Request) -> Answer:
    """Score rows with any version, for people who decide."""
    return answer(200, _scored(request, version_asked_for(request), request.json_body))


def answered(request: Request, read: Callable[[], bytes]) -> dict[str, Any]:
    """Score the rows that `read` returns in the form of `predict`, and record them.

    Callers may ask for versions that are live or compared. Raises UnknownVersionError for another.
    """
    version = version_asked_for(request)
    if version is not None:
        scoring.check_served(serving(), request.parameters["endpoint"], version)
    return _scored(request, version, read)


def _scored(request: Request, version: str | None, read: Callable[[], bytes]) -> dict[str, Any]:
    endpoint, day = request.parameters["endpoint"], request.time.date()
    if version is not None:
        found = scoring.by_version(serving(), endpoint, version, read, day)
    else:
        found = scoring.by_choice(serving(), endpoint, request.id, read, day)
    ids = records.new_ids(len(found.asked.instances), request.time)
    predictions, chosen = found.predictions(ids), found.chosen
    shared = {"endpoint": endpoint, "version": chosen.version, "variant": chosen.variant}
    key = found.asked.key or request.id
    if capturing and (captured_share >= 1 or fraction("capture", key) < captured_share):
        how = {"key": found.asked.key, "failed": chosen.failed, "ms": found.ms}
        also = shared | {"time": request.time} | how
        after_answer.do(partial(_capture, found, predictions, also, deadline.end()))
    unseen = sum(1 for prediction in predictions if "unseen" in prediction)
    about = {"version": chosen.version, "request": request.id}
    measure(endpoint, about, Predictions=len(predictions), UnseenCategories=unseen)
    return {"predictions": predictions, **shared}


def version_asked_for(request: Request) -> str | None:
    """Return the version that a path names, or a query by its id or its status."""
    endpoint, query = request.parameters["endpoint"], request.query
    if "status" not in query:
        return request.parameters.get("version") or query.get("version")
    if "version" in query:
        raise errors.InvalidRequestError([Fault("?status", "not together with ?version=")])
    status = show.status_of(query)
    statuses = serving().document(endpoint).statuses
    found = [version for version, now in statuses.items() if now == status]
    if not found:
        raise errors.NoSuchStatusError(endpoint, status)
    return max(found)  # of several the newest


def _capture(
    found: scoring.Scored, predictions: list[dict[str, Any]], shared: dict[str, Any], end: float
) -> None:
    """Record predictions; a caller is answered all the same when the stream does not take them.

    end: until when the answer could wait for others; what it waited for must not cost its capture.
    """
    captures = [
        records.Capture(features=row, **prediction, **beside, **shared)
        for row, prediction, beside in zip(
            found.asked.instances, predictions, found.recorded, strict=True
        )
    ]
    try:
        with deadline.until(end + CAPTURE_SECONDS):
            records.send(bootstrap.firehose(), os.environ["CAPTURE_STREAM"], captures)
    except (DeliveryError, ClientError, BotoCoreError) as error:
        count = error.failed if isinstance(error, DeliveryError) else len(captures)
        measure(shared["endpoint"], CaptureFailed=count)
        logger.error("captures were lost", extra={"count": count, "reason": worded(error)})


def _later(module: str, *names: str) -> dict[str, Operation]:
    """Return operations by name, of a module that is imported when one of them is asked for."""

    def ask(name: str, request: Request) -> Answer:
        found: Answer = getattr(import_module(module), name)(request, serving(), answered)
        return found

    return {name: partial(ask, name) for name in names}


OPERATIONS = operations(
    predict, predict_any,
    show.openapi, show.endpoints, show.endpoint, show.versions, show.version, show.report,
    show.card,
) | {
    **_later("http_api.invocations", "invocations", "ping", "api_version"),
    **_later("http_api.open_inference", "server", "live", "ready", "model", "model_ready", "infer"),
}  # fmt: skip


@after_answer.invocation()
@observed
def handler(event: dict[str, Any], context: Any) -> Answer:
    """Answer one request."""
    return respond(ROUTES["predict"], OPERATIONS, event, context)
