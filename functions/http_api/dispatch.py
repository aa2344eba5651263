"""What the HTTP functions share: what a request says, and answers, also to errors.

API Gateway has matched the route already and names it in the event, so there is no router here:
importing one would cost each cold start more than everything else in this file does.
"""

import base64
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import copy_context
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from bootstrap import CONNECTIONS
from evergreen.aws import deadline
from evergreen.aws.telemetry import logger, measure
from evergreen.contract import errors
from evergreen.contract.decoding import ANSWER_BYTES, payload_bytes, printable
from evergreen.contract.errors import EvergreenError, Fault, InvalidRequestError, worded
from evergreen.contract.identifiers import ENDPOINT
from http_api.routes import Route

Answer = dict[str, Any]

MAX_BYTES = 1_000_000
MAX_LISTED = 500
RETRY_AFTER_SECONDS = "30"
RESERVE_SECONDS = 5.0  # of a function's time, to answer and to record what was answered
UNREACHABLE = "a service does not answer: try again later"

# The most specific class comes first; each has a code that clients may rely on.
ANSWERS: dict[type[EvergreenError], tuple[int, str]] = {
    errors.InvalidRequestError: (400, "invalid_request"),
    errors.UnsignedError: (403, "unsigned"),
    errors.UnknownEndpointError: (404, "unknown_endpoint"),
    errors.NoReportError: (404, "no_report"),
    errors.UnknownVersionError: (404, "unknown_version"),
    errors.UnknownDecisionError: (404, "unknown_decision"),
    errors.UnknownPredictionError: (404, "unknown_prediction"),
    errors.DocumentChangedError: (409, "changed"),
    errors.ForbiddenChangeError: (409, "forbidden"),
    errors.TooLargeError: (413, "too_large"),
    errors.WrongContentTypeError: (415, "wrong_content_type"),
    errors.NoChampionError: (503, "no_champion"),
    errors.CorruptArtifactError: (503, "corrupt_artifact"),
    errors.CorruptDocumentError: (503, "corrupt_document"),
    errors.OldDocumentError: (503, "old_document"),
    errors.ModelUnavailableError: (503, "model_unavailable"),
    errors.ExternalError: (503, "external_failed"),
    errors.DeliveryError: (503, "delivery_failed"),
}
CODES = {code: status for status, code in ANSWERS.values()} | {"unavailable": 503}


class Request(msgspec.Struct, frozen=True, dict=True):
    """A request to an HTTP API, payload format 2.0."""

    event: dict[str, Any]

    @property
    def id(self) -> str:
        """Return what API Gateway calls this request, in its own log too."""
        return str(self.event["requestContext"]["requestId"])

    @property
    def parameters(self) -> dict[str, str]:
        """Return what stands in the path, by name."""
        return self.event.get("pathParameters") or {}

    @property
    def query(self) -> dict[str, str]:
        """Return the query's parameters."""
        return self.event.get("queryStringParameters") or {}

    def limit(self, usual: int) -> int:
        """Return how many of a list are asked for. Raises InvalidRequestError."""
        return self.number("limit", usual, MAX_LISTED)

    def number(self, name: str, usual: int, most: int) -> int:
        """Return a number of the query, from 1 on. Raises InvalidRequestError."""
        text = self.query.get(name, str(usual))
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
        if not 1 <= number <= most:
            message = f"expected a whole number from 1 to {most}"
            raise InvalidRequestError([Fault(f"?{name}", message)])
        return number

    @cached_property
    def time(self) -> datetime:
        """Return when the request reached the API.

        That is `time` and not `timeEpoch`, which sam local gives in seconds, and AWS in
        milliseconds.
        """
        text = self.event["requestContext"]["time"]  # 12/Mar/2020:19:03:58 +0000
        return parsedate_to_datetime(text.replace("/", " ").replace(":", " ", 1)).astimezone(UTC)

    def json_body(self) -> bytes:
        """Return the body; raises WrongContentTypeError unless it is declared as JSON."""
        if self.content_type != "application/json":
            raise errors.WrongContentTypeError(self.header("content-type"))
        return self.body()

    def header(self, wanted: str) -> str:
        """Return a header by its name in small letters, or an empty text."""
        headers = self.event.get("headers") or {}
        return next((str(value) for name, value in headers.items() if name.lower() == wanted), "")

    @property
    def content_type(self) -> str:
        """Return what the body is declared as, without its parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()

    def body(self) -> bytes:
        """Return the body as bytes, whatever it is declared as; API Gateway sends some as base64.

        Raises TooLargeError over MAX_BYTES.
        """
        text = self.event.get("body") or ""
        encoded = self.event.get("isBase64Encoded")
        try:
            body = base64.b64decode(text) if encoded else text.encode()
        except ValueError as error:
            message = "not base64, as its sender says" if encoded else "not text in UTF-8"
            raise InvalidRequestError([Fault("$", message)]) from error
        if len(body) > MAX_BYTES:
            raise errors.TooLargeError("bytes", len(body), MAX_BYTES)
        return body


Operation = Callable[[Request], Answer]


def answer(status: int, body: Any, **headers: str) -> Answer:
    """Return a JSON answer; msgspec refuses to write NaN as a number, so none leaves."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", **headers},
        "body": msgspec.json.encode(body).decode(),
    }


def described(error: EvergreenError) -> dict[str, Any]:
    """Return the code that clients may rely on, and the message for people."""
    return {"code": _answer_of(error)[1], "message": str(error)}


def _answer_of(error: EvergreenError) -> tuple[int, str]:
    found = (own for kind, own in ANSWERS.items() if isinstance(error, kind))
    return next(found, (500, "internal"))


def error_answer(error: EvergreenError, request: Request) -> Answer:
    """Return the answer that stands for an error."""
    status, code = _answer_of(error)
    if status >= 500:
        return _unavailable(request, status, code, str(error), str(error))
    detail = described(error)
    if isinstance(error, InvalidRequestError):
        detail["faults"] = error.faults
    return answer(status, {"error": detail})


def _unavailable(request: Request, status: int, code: str, message: str, reason: str) -> Answer:
    logger.error("request failed", extra={"code": code, "reason": reason})
    if endpoint := request.parameters.get("endpoint"):
        measure(endpoint, {"code": code, "request": request.id}, RequestsFailed=1)
    error = {"error": {"code": code, "message": message}}
    return answer(status, error, **{"retry-after": RETRY_AFTER_SECONDS})


def _check_query(request: Request, known: tuple[str, ...]) -> None:
    if unknown := sorted(set(request.query) - set(known)):
        raise InvalidRequestError([Fault(f"?{printable(unknown[0])}", "unknown parameter")])


def _fitting(answer: Answer) -> Answer:
    long = len(answer["body"]) > ANSWER_BYTES // 6  # of a character there may be 6 bytes
    if long and (size := payload_bytes(answer)) > ANSWER_BYTES:
        raise errors.TooLargeError("bytes of answer", size, ANSWER_BYTES, "read it in the bucket")
    return answer


def page_of(request: Request, names: Sequence[str]) -> tuple[Sequence[str], str | None]:
    """Return the page of sorted names that ?limit and ?next ask for, and what the next one is.

    Raises InvalidRequestError.
    """
    limit, after = request.limit(100), request.query.get("next")
    if after is not None and not ENDPOINT.fullmatch(after):
        raise InvalidRequestError([Fault("?next", "expected what the page before says")])
    found = [name for name in names if after is None or name > after]
    return found[:limit], found[limit - 1] if len(found) > limit else None


def each[T](read: Callable[[str], T], names: Iterable[str]) -> list[T]:
    """Read something of each endpoint, several at once, and until this request's deadline."""
    from concurrent.futures import ThreadPoolExecutor  # no prediction needs it

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        reads = [pool.submit(copy_context().run, read, name) for name in names]
        return [one.result() for one in reads]


def operations(*functions: Operation) -> dict[str, Operation]:
    """Return functions by the names that the table of routes has for them."""
    return {function.__name__: function for function in functions}


def respond(
    routes: Mapping[str, Route],
    operations: Mapping[str, Operation],
    event: dict[str, Any],
    context: Any,
) -> Answer:
    """Answer a request by its route, and every error of ours, or of a service, as JSON.

    context: what Lambda tells a handler; all but RESERVE_SECONDS of its time are for asking others.
    """
    route = routes.get(event["routeKey"])
    if route is None:
        return answer(404, {"error": {"code": "unknown_route", "message": "no such route"}})
    request = Request(event)
    seconds = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
    try:
        _check_query(request, route.query)
        with deadline.until(time.monotonic() + seconds):
            return _fitting(operations[route.operation](request))
    except EvergreenError as error:
        found = error_answer(error, request)
    except (ClientError, BotoCoreError) as error:
        found = _unavailable(request, 503, "unavailable", UNREACHABLE, worded(error))
    if route.plain_errors:
        message = msgspec.json.decode(found["body"])["error"]["message"]
        found["body"] = msgspec.json.encode({"error": message}).decode()
    return found
