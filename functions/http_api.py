"""What the HTTP functions share: routing, the body's size and type, and errors as answers."""

import base64
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from botocore.exceptions import BotoCoreError, ClientError

from evergreen.errors import (
    CorruptArtifactError,
    CorruptDocumentError,
    DeliveryError,
    EvergreenError,
    Fault,
    InvalidRequestError,
    ModelUnavailableError,
    NoChampionError,
    TooLargeError,
    UnknownEndpointError,
    UnknownVersionError,
    WrongContentTypeError,
)
from evergreen.telemetry import logger

MAX_BYTES = 1_000_000
RETRY_AFTER_SECONDS = "30"

# The most specific class comes first; each has a code that clients may rely on.
ANSWERS: dict[type[EvergreenError], tuple[int, str]] = {
    InvalidRequestError: (400, "invalid_request"),
    UnknownEndpointError: (404, "unknown_endpoint"),
    UnknownVersionError: (404, "unknown_version"),
    TooLargeError: (413, "too_large"),
    WrongContentTypeError: (415, "wrong_content_type"),
    NoChampionError: (503, "no_champion"),
    CorruptArtifactError: (503, "corrupt_artifact"),
    CorruptDocumentError: (503, "corrupt_document"),
    ModelUnavailableError: (503, "model_unavailable"),
    DeliveryError: (503, "delivery_failed"),
}


def answer(status: int, body: Any, **headers: str) -> Response[Any]:
    """Return a JSON answer; msgspec refuses to write NaN as a number, so none leaves."""
    return Response(
        status_code=status,
        content_type="application/json",
        body=msgspec.json.encode(body).decode(),
        headers=dict(headers),
    )


def error_answer(error: EvergreenError) -> Response[Any]:
    """Return the answer that stands for an error."""
    status, code = next(
        (found for kind, found in ANSWERS.items() if isinstance(error, kind)), (500, "internal")
    )
    detail: dict[str, Any] = {"code": code, "message": str(error)}
    if isinstance(error, InvalidRequestError):
        detail["faults"] = [
            {"path": fault.path, "message": fault.message} for fault in error.faults
        ]
    if status >= 500:
        logger.error("request failed", extra={"code": code, "reason": str(error)})
        return answer(status, {"error": detail}, **{"Retry-After": RETRY_AFTER_SECONDS})
    return answer(status, {"error": detail})


def time_of(event: Any) -> datetime:
    """Return when a request reached the API.

    `time` and not `timeEpoch`, which sam local gives in seconds and AWS in milliseconds.
    """
    text = event.request_context.time  # 12/Mar/2020:19:03:58 +0000
    return parsedate_to_datetime(text.replace("/", " ").replace(":", " ", 1)).astimezone(UTC)


def json_body(event: Any) -> bytes:
    """Return the body of a request as bytes.

    Raises WrongContentTypeError unless it is declared as JSON, TooLargeError over MAX_BYTES.
    """
    content_type = event.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise WrongContentTypeError(content_type)
    text = event.get("body") or ""
    try:
        body = base64.b64decode(text) if event.is_base64_encoded else text.encode()
    except ValueError as error:
        raise InvalidRequestError([Fault("$", "not base64, as its sender says")]) from error
    if len(body) > MAX_BYTES:
        raise TooLargeError("bytes", len(body), MAX_BYTES)
    return body


def resolver() -> APIGatewayHttpResolver:
    """Return a router that answers every error of ours, and unknown routes, as JSON."""
    app = APIGatewayHttpResolver()

    @app.exception_handler(EvergreenError)  # type: ignore[untyped-decorator]
    def refused(error: EvergreenError) -> Response[Any]:
        return error_answer(error)

    @app.exception_handler([ClientError, BotoCoreError])  # type: ignore[untyped-decorator]
    def unreachable(error: Exception) -> Response[Any]:
        logger.error("a service failed", extra={"reason": str(error)})
        detail = {"code": "unavailable", "message": "a service does not answer: try again later"}
        return answer(503, {"error": detail}, **{"Retry-After": RETRY_AFTER_SECONDS})

    @app.not_found
    def no_route(_: NotFoundError) -> Response[Any]:
        return answer(404, {"error": {"code": "unknown_route", "message": "no such route"}})

    return app
