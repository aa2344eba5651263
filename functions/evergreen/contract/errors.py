"""Every error that Evergreen raises on purpose.

    EvergreenError
    ├── RequestError                what a caller sent is wrong
    │   ├── InvalidRequestError         with the path of each fault
    │   ├── TooLargeError               too many rows or bytes
    │   ├── WrongContentTypeError
    │   ├── UnknownEndpointError
    │   ├── UnknownVersionError
    │   │   ├── NoSuchStatusError       no version has it now
    │   │   └── NoReportError           the version was written without a page
    │   ├── UnsignedError               a decision needs to know whose it is
    │   ├── UnknownDecisionError
    │   └── UnknownPredictionError      nothing was recorded, or it has expired
    ├── NoChampionError             nothing has been promoted yet
    ├── ModelUnavailableError       a version exists and may not or cannot be loaded
    │   └── CorruptArtifactError        its bytes are not those of the manifest
    ├── ExternalError               a service that a version asks does not answer as it should
    ├── CorruptDocumentError        an endpoint document cannot be read
    ├── DocumentChangedError        somebody else moved the endpoint first
    ├── ForbiddenChangeError        an endpoint in this state does not allow it
    ├── UnknownEventError           a function was started with something that it does not handle
    ├── DeliveryError               a stream or bus did not take everything
    ├── EndpointFileError           a file in endpoints/ breaks its contract, each fault by line
    ├── DataError                   this data cannot train a model
    ├── NoCandidateError            no candidate could be fitted
    ├── CandidateError              one of them could not
    └── UnexpectedError             what is none of these, without its words

Each class writes its own message, which says what to do next and holds no value of a row: `worded`
is what others read of an error.
"""

import logging
import traceback
from pathlib import Path

import msgspec

from evergreen.contract import project_root

_whole = logging.getLogger(__name__)  # at DEBUG, which `make train` alone turns on


class EvergreenError(Exception):
    """Base of all of them."""


class UnexpectedError(EvergreenError):
    """A function failed with an error that is none of ours; the message is what `worded` says."""


def worded(error: BaseException) -> str:
    """Return what may be said of an error where others read it: in a log, a trace, an event.

    The words of libraries quote the rows that they fail on, those of a decoder the request. So it
    is the kind of an error and the place in our code, or in an endpoint's file; of AWS's the code.
    """
    if isinstance(error, EvergreenError) and not isinstance(error, RequestError):
        return str(error)
    _whole.debug("%s", type(error).__name__, exc_info=error)
    answer = getattr(error, "response", None)  # that of botocore's ClientError
    if code := answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None:
        if code.startswith("AccessDenied"):  # whose words say which permission is missing
            return str(error)
        return f"{getattr(error, 'operation_name', 'AWS')} was answered with {code}"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(project_root())]
    ours = [frame for frame in ours if Path(frame.filename).parent.name == "endpoints"] or ours
    if not ours:
        return type(error).__name__
    place = Path(ours[-1].filename).relative_to(project_root())
    return f"{type(error).__name__} in {place}:{ours[-1].lineno}"


def unexpected(error: Exception) -> Exception:
    """Return what may leave a handler for an error: Lambda logs and traces what that says."""
    known = isinstance(error, EvergreenError) and not isinstance(error, InvalidRequestError)
    return error if known else UnexpectedError(worded(error))


class RequestError(EvergreenError):
    """What a caller sent is wrong; sending it again will not help."""


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request; `path` is a JSONPath: `$.instances[3].hour`."""

    path: str
    message: str


class InvalidRequestError(RequestError):
    """The body does not match the schema of the endpoint."""

    def __init__(self, faults: list[Fault], *, more: int = 0) -> None:
        self.faults = faults
        rest = f", and {more} more" if more else ""
        shown = "; ".join(f"{fault.path}: {fault.message}" for fault in faults[:3])
        super().__init__(f"{len(faults) + more} fault(s) in the request: {shown}{rest}")


class TooLargeError(RequestError):
    """A request, or its answer, has more rows or bytes than one call may have."""

    def __init__(self, what: str, size: int, limit: int, do: str = "send several requests") -> None:
        super().__init__(f"{size:,} {what} are over the limit of {limit:,}: {do}")


class WrongContentTypeError(RequestError):
    """The body is not declared as JSON."""

    def __init__(self, content_type: str) -> None:
        wanted = "send `Content-Type: application/json`"
        super().__init__(f"content type {content_type[:80]!r} is not read here: {wanted}")


class UnknownEndpointError(RequestError):
    """No endpoint has this name."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"there is no endpoint {endpoint[:80]!r}: GET /endpoints lists them")


class UnknownVersionError(RequestError):
    """The endpoint has no version with this id."""

    def __init__(self, endpoint: str, version: str, status: str = "") -> None:
        any_version = f"/control/endpoints/{endpoint}/predict?version={version}"  # not for callers
        said = f"{version} is {status}, neither live nor compared: {any_version} asks for it"
        none = f"{endpoint} has no version {version[:80]!r}: see /endpoints/{endpoint}/versions"
        super().__init__(said if status else none)


class NoSuchStatusError(UnknownVersionError):
    """No version of the endpoint has this status now."""

    def __init__(self, endpoint: str, status: str) -> None:
        listed = f"GET /endpoints/{endpoint}/versions lists them with what they are"
        RequestError.__init__(self, f"{endpoint} has no version that is {status} now: {listed}")


class NoReportError(UnknownVersionError):
    """The version has no page."""

    def __init__(self, endpoint: str, version: str) -> None:
        figures = f"GET /endpoints/{endpoint}/versions/{version} has its figures"
        said = f"{endpoint} {version} was written without a page: {figures}"
        RequestError.__init__(self, said)


class UnsignedError(RequestError):
    """Nobody signed a request that only somebody known may make."""


class UnknownDecisionError(RequestError):
    """The endpoint has no decision of this generation."""

    def __init__(self, endpoint: str, generation: int) -> None:
        listed = f"GET /control/endpoints/{endpoint}/decisions lists them"
        super().__init__(f"{endpoint} has no generation {generation}: {listed}")


class UnknownPredictionError(RequestError):
    """No prediction with this id is recorded."""

    def __init__(self, endpoint: str, prediction: str) -> None:
        none = f"{endpoint} has no recorded prediction {prediction[:80]}"
        lost = "it was not captured (at level 1 none is), has not arrived yet"
        super().__init__(f"{none}: {lost} (give it a quarter of an hour), or has expired")


class NoChampionError(EvergreenError):
    """The endpoint has no champion yet."""

    def __init__(self, endpoint: str) -> None:
        upload = f"uploading training data to training/{endpoint}/ in the data bucket"
        invoke = f'invoking the train function with {{"endpoint": "{endpoint}"}}'
        super().__init__(f"{endpoint} has no champion: train one by {upload}, or by {invoke}")


class ModelUnavailableError(EvergreenError):
    """A version exists, and may not or cannot be loaded here."""

    def __init__(self, endpoint: str, version: str, reason: str) -> None:
        self.version = version
        super().__init__(f"{endpoint} {version} cannot be loaded: {reason}")


class CorruptArtifactError(ModelUnavailableError):
    """The bytes of an artifact are not those that its manifest describes."""

    def __init__(self, endpoint: str, version: str, artifact: str, found: str, said: str) -> None:
        found = f"{artifact} has {found} and its manifest says {said}; nothing was deserialized"
        way_out = "Promote another version, and restore this one from the bucket's versions"
        super().__init__(endpoint, version, f"{found}. {way_out}")


class ExternalError(EvergreenError):
    """A service that a version asks does not answer, or not with scores.

    asked: whether it got the request, and may charge for it.
    """

    def __init__(self, url: str, reason: str, *, asked: bool = False) -> None:
        self.asked = asked
        place = url.partition("?")[0]  # what follows may be a key
        text = f"{place} gave no scores: {reason}; the version's rule answers in its place"
        super().__init__(text)


class CorruptDocumentError(EvergreenError):
    """An endpoint document is not what Evergreen writes."""

    def __init__(self, key: str, reason: str) -> None:
        text = f"{key} cannot be read ({reason}): restore it from the versions of the bucket"
        super().__init__(text)


class OldDocumentError(EvergreenError):
    """An endpoint document that had been replaced was put back."""

    def __init__(self, endpoint: str, generation: int) -> None:
        old = f"endpoints/{endpoint}.json is of generation {generation}, and later ones have been"
        way_out = "put back the newest that the bucket keeps; to change the champion, roll it back"
        super().__init__(f"{old}: {way_out}")


class DocumentChangedError(EvergreenError):
    """The endpoint document is no longer the one that a decision was made on."""

    def __init__(self, endpoint: str, generation: int) -> None:
        moved = f"{endpoint} has moved on from generation {generation}"
        super().__init__(f"{moved}: read it again and decide again")


class ForbiddenChangeError(EvergreenError):
    """What somebody wants to become of an endpoint is not allowed in the state that it is in."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint}: {reason}")


class UnknownEventError(EvergreenError):
    """A function was started with an event that it does not handle."""

    def __init__(self, function: str, handled: str) -> None:
        super().__init__(f"{function} does not handle this event: it takes {handled}")


class DeliveryError(EvergreenError):
    """A stream or bus did not take everything that it was given, but so many of it failed."""

    def __init__(self, target: str, failed: int, sent: int, reason: str) -> None:
        self.failed = failed
        super().__init__(f"{target} refused {failed} of {sent} records ({reason}): send them again")


class EndpointFileError(EvergreenError):
    """A file in endpoints/ breaks its contract; the path of a fault may be a line of it."""

    def __init__(self, name: str, *faults: Fault) -> None:
        self.faults, file = faults, f"endpoints/{name.replace('-', '_')}.py"
        lines = (f":{path}" if (path := each.path).isdigit() else "" for each in faults)
        super().__init__("\n".join(f"{file}{next(lines)}: {each.message}" for each in faults))


class DataError(EvergreenError):
    """The data cannot train a model, and the message says why."""


class NoCandidateError(EvergreenError):
    """No candidate came out of a training."""

    def __init__(self, failures: dict[str, str]) -> None:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        super().__init__(f"no candidate could be fitted: {reasons}")


class CandidateError(EvergreenError):
    """One candidate cannot be fitted or served, and the message says why; others may."""
