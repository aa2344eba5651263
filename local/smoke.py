"""Ask a deployed API one thing of each kind, with signed requests, and say what does not hold.

It leaves no trace in what is learned: its rows are asked of one version, which drift checks do not
count, and it reports no outcome, so that training never sees them.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, cast
from urllib.parse import urlsplit

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.session import Session
from botocore.utils import get_environ_proxies

from evergreen.known import is_endpoint
from evergreen.schema import RowDecoder
from local.template import ROOT

EXAMPLE = ROOT / "events" / "bodies" / "predict.json"
SECONDS = 35  # API Gateway itself gives up after 30
LOCAL = {"127.0.0.1", "localhost", "::1"}
GATEWAY = re.compile(r"[a-z0-9-]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
NOWHERE = "no-such-endpoint"
MESSAGE_LENGTH = 300


class SmokeError(Exception):
    """There is nothing to check, and the message says what to do."""


class Wrong(Exception):  # noqa: N818 - it is a verdict, not a failure of this program
    """An answer that has the right form says something wrong."""


def main() -> None:
    """Check, and end with 1 if anything does not hold."""
    parser = argparse.ArgumentParser(prog="make smoke", description=__doc__)
    parser.add_argument("--url", required=True, help="the output ApiUrl of the stack")
    parser.add_argument("--endpoint", default="flight-delay")
    parser.add_argument("--body", type=Path, help="a predict request to send, JSON")
    parser.add_argument(
        "--allow-no-champion", action="store_true", help="as after a first deployment"
    )
    arguments = parser.parse_args()
    try:
        target = target_of(arguments.url, Session())
        body = body_of(arguments.endpoint, arguments.body)
        print(f"Asking {target.url} for {arguments.endpoint}, {target.how}", flush=True)
        found = []
        with client(target) as send:
            for result in results(send, arguments.endpoint, body, signed=target.closed):
                print(line(result), flush=True)
                found.append(result)
    except (SmokeError, BotoCoreError) as error:
        sys.exit(str(error))
    print(summary(found, arguments.endpoint))
    for advice in advices(found, target, arguments.endpoint):
        print(advice)
    sys.exit(exit_code(found, allow_no_champion=arguments.allow_no_champion))


# Where to, and signed by whom


class Signs(Protocol):
    """What can sign a request."""

    def add_auth(self, request: AWSRequest) -> None: ...


@dataclass(frozen=True)
class Target:
    """An API, and what signs requests to it."""

    url: str
    local: bool
    region: str | None = None
    signature: Signs | None = None

    @property
    def closed(self) -> bool:
        """Say whether it must refuse a request that is not signed."""
        return not self.local

    @property
    def how(self) -> str:
        """Return how requests are sent, in words."""
        if self.signature:
            return f"signed for {self.region}"
        return "unsigned: there are no AWS credentials with a region, and nobody asks for them here"


def target_of(url: str, session: Session) -> Target:
    """Return what a URL names, with a signature by the default credentials.

    Raises SmokeError for what is not the URL of an API, or cannot be signed for.
    """
    if not url:
        raise SmokeError(
            "which API? `make smoke URL=https://…`: the output ApiUrl of the stack, which "
            "`.venv/bin/sam list stack-outputs --config-env staging` shows, "
            "or http://127.0.0.1:8000 for `make serve`"
        )
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise SmokeError(f"{url!r} is not a URL ({error})") from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise SmokeError(
            f"{url!r} is not the URL of an API: it is like "
            "https://abc123.execute-api.eu-west-1.amazonaws.com, without anything behind `?` or `#`"
        )
    if parts.username or parts.password:
        raise SmokeError("a URL with a user or a password is not used: requests are signed instead")
    local = host in LOCAL
    if parts.scheme == "http" and not local:
        raise SmokeError(
            f"{url} is not encrypted: signed requests go over https:// (http:// is for 127.0.0.1)"
        )
    return _signed(url.rstrip("/"), host, session, local=local)


def _signed(url: str, host: str, session: Session, *, local: bool) -> Target:
    if local:  # nothing to sign with is no fault here, and not worth a wait for an answer of EC2
        session.get_component("credential_provider").remove("iam-role")
    credentials = session.get_credentials()
    if credentials is None:
        if local:
            return Target(url, local=True)
        raise SmokeError(
            "there are no AWS credentials to sign with: set AWS_PROFILE or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or log in (`aws configure`, `aws sso login`)"
        )
    gateway = GATEWAY.fullmatch(host)
    region = gateway[1] if gateway else session.get_config_variable("region")
    if region is None:
        if local:
            return Target(url, local=True)
        raise SmokeError(
            f"{host} does not say its region: set AWS_DEFAULT_REGION to that of the stack"
        )
    signature = SigV4Auth(credentials.get_frozen_credentials(), "execute-api", region)
    return Target(url, local, region, cast(Signs, signature))


def body_of(endpoint: str, file: Path | None) -> bytes | None:
    """Return the predict request to send, or None where one is to be made from the schema."""
    if not is_endpoint(endpoint):
        raise SmokeError(
            f"{endpoint!r} is not the name of an endpoint: a name is like flight-delay"
        )
    if file is None and endpoint != "flight-delay":
        return None
    try:
        body = (file or EXAMPLE).read_bytes()
        if not isinstance(json.loads(body)["instances"], list):
            raise TypeError
    except OSError as error:
        raise SmokeError(f"{file} cannot be read ({error.strerror}): BODY=file.json") from error
    except (ValueError, LookupError, TypeError) as error:
        raise SmokeError(f'{file} is not a request: it is like {{"instances": [{{…}}]}}') from error
    return body


# Requests and answers


@dataclass(frozen=True)
class Request:
    """One request to the API."""

    method: str
    path: str
    body: bytes | None = None
    signed: bool = True


@dataclass(frozen=True)
class Answer:
    """What came back, and how long that took."""

    status: int
    body: bytes
    milliseconds: float


Send = Callable[[Request], Answer]


@contextmanager
def client(target: Target) -> Iterator[Send]:
    """Open a function that sends requests; it raises SmokeError when nothing answers."""
    session = Session()
    http = URLLib3Session(
        verify=session.get_config_variable("ca_bundle") or True,
        proxies={} if target.local else get_environ_proxies(target.url),
        timeout=SECONDS,
    )

    def send(request: Request) -> Answer:
        headers = {"Content-Type": "application/json"} if request.body is not None else {}
        signed = AWSRequest(
            request.method, target.url + request.path, headers=headers, data=request.body
        )
        if request.signed and target.signature:
            target.signature.add_auth(signed)
        begun = time.perf_counter()
        try:
            answer = http.send(signed.prepare())
            body = answer.content
        except BotoCoreError as error:
            raise SmokeError(unreachable(target, str(error))) from error
        return Answer(answer.status_code, body, 1000 * (time.perf_counter() - begun))

    try:
        yield send
    finally:
        http.close()


def unreachable(target: Target, reason: str) -> str:
    """Return what to do when nothing answers."""
    if target.local:
        hint = "is `make serve` running there, and has it said `Serving on`?"
    else:
        hint = (
            "is that the output ApiUrl of a stack that exists? "
            "`.venv/bin/sam list stack-outputs --config-env staging` shows it"
        )
    return f"{target.url} does not answer ({reason.strip()}): {hint}"


# The answers that an API must give; fields that are not named here are free.


class Listed(msgspec.Struct):
    """An endpoint that has a champion."""

    endpoint: str
    champion: str


class Listing(msgspec.Struct):
    """The answer of GET /endpoints."""

    endpoints: list[Listed]


class Shown(msgspec.Struct):
    """The answer of GET /endpoints/{endpoint}."""

    endpoint: str
    champion: str
    schema: dict[str, Any]


class Prediction(msgspec.Struct):
    """One row's prediction."""

    id: str
    label: bool
    score: Annotated[float, msgspec.Meta(ge=0, le=1)]


class Predicted(msgspec.Struct):
    """The answer of POST /endpoints/{endpoint}/predict."""

    predictions: list[Prediction]
    endpoint: str
    version: str


class Fault(msgspec.Struct):
    """One thing that is wrong with a request."""

    path: str
    message: str


class Error(msgspec.Struct):
    """Why a request was refused."""

    code: str
    message: str
    faults: list[Fault] = []


class Refused(msgspec.Struct):
    """Every answer of Evergreen that is an error."""

    error: Error


# Checks

Verdict = Literal["ok", "FAILED", "no champion"]


@dataclass(frozen=True)
class Check[T]:
    """A request, and what must come back: a status, a form, and what `look` says of it."""

    request: Request
    status: int
    form: type[T]
    look: Callable[[T], str]
    about: str = ""

    @property
    def name(self) -> str:
        """Return what is asked, in words."""
        return f"{self.request.method} {self.request.path}" + (self.about and f", {self.about}")


@dataclass(frozen=True)
class Result[T]:
    """What became of a check; `value` is the answer where it holds, `code` an error's."""

    check: Check[T]
    answer: Answer
    verdict: Verdict
    note: str
    value: T | None = None
    code: str | None = None


def results(
    send: Send, endpoint: str, body: bytes | None, *, signed: bool
) -> Iterator[Result[Any]]:
    """Yield the outcome of each check.

    body: a predict request; without one, a row is made from the schema of the endpoint.
    signed: whether a request without a signature must be refused.
    """
    listing = Check(Request("GET", "/endpoints"), 200, Listing, _names)
    yield ask(send, listing)
    path = f"/endpoints/{endpoint}"
    shown = ask(send, Check(Request("GET", path), 200, Shown, lambda it: f"champion {it.champion}"))
    yield shown
    if shown.value:
        rows = body or json.dumps({"instances": [row_of(shown.value.schema)]}).encode()
        yield ask(send, _prediction(path, rows, endpoint, shown.value.champion))
    yield from (ask(send, check) for check in _refusals(path))
    if signed:
        request = Request("GET", "/endpoints", signed=False)
        yield ask(send, Check(request, 403, object, lambda _: "", "unsigned"))


def _names(listing: Listing) -> str:
    return ", ".join(listed.endpoint for listed in listing.endpoints) or "none has a champion"


def _prediction(path: str, body: bytes, endpoint: str, champion: str) -> Check[Predicted]:
    """Ask the champion by its id: such predictions do not count for drift."""
    count = len(json.loads(body)["instances"])

    def look(found: Predicted) -> str:
        if (found.endpoint, found.version) != (endpoint, champion):
            raise Wrong(f"{found.endpoint} {found.version} answered, and {champion} was asked")
        if len({prediction.id for prediction in found.predictions}) != count:
            raise Wrong(f"{len(found.predictions)} predictions for {count} rows")
        return "scores " + ", ".join(f"{one.score:.4f}" for one in found.predictions[:3])

    request = Request("POST", f"{path}/predict?version={champion}", body)
    return Check(request, 200, Predicted, look, f"{count} row" + "s" * (count > 1))


def _refusals(path: str) -> list[Check[Refused]]:
    """Return what must be refused; the first also asks for the champion, without a record."""
    row = b'{"instances": [{"no-such-field": 1}]}'
    labels = b'{"labels": [{"id": "no-id", "label": "perhaps"}]}'
    return [
        Check(
            Request("POST", f"{path}/predict", row),
            400,
            Refused,
            _faults("$.instances[0].no-such-field"),
            "a faulty row",
        ),
        Check(
            Request("POST", f"{path}/feedback", labels),
            400,
            Refused,
            _faults("$.labels[0].id", "$.labels[0].label"),
            "a faulty label",
        ),
        Check(Request("GET", f"/endpoints/{NOWHERE}"), 404, Refused, _code("unknown_endpoint")),
    ]


def _faults(*paths: str) -> Callable[[Refused], str]:
    def look(refused: Refused) -> str:
        _code("invalid_request")(refused)
        told = {fault.path for fault in refused.error.faults}
        if missing := sorted(set(paths) - told):
            raise Wrong(f"it does not name the fault at {', '.join(missing)}")
        return f"it names {len(told)} fault" + "s" * (len(told) > 1)

    return look


def _code(expected: str) -> Callable[[Refused], str]:
    def look(refused: Refused) -> str:
        if refused.error.code != expected:
            raise Wrong(f"its code is {refused.error.code}, and should be {expected}")
        return expected

    return look


def ask[T](send: Send, check: Check[T]) -> Result[T]:
    """Send a check's request and judge the answer."""
    answer = send(check.request)
    if answer.status != check.status:
        code, message = _error(answer.body)
        if code == "no_champion":
            return Result(check, answer, "no champion", message, code=code)
        note = f"{check.status} was expected" + (message and f": {message}")
        return Result(check, answer, "FAILED", note, code=code)
    try:
        value = msgspec.json.decode(answer.body, type=check.form)
        note = check.look(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Result(check, answer, "FAILED", f"not an answer of Evergreen: {error}")
    except Wrong as wrong:
        return Result(check, answer, "FAILED", str(wrong))
    return Result(check, answer, "ok", note, value)


def _error(body: bytes) -> tuple[str | None, str]:
    """Return the code and message of an error, of ours or API Gateway's or anybody's."""
    try:
        error = msgspec.json.decode(body, type=Refused).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None, " ".join(body[:MESSAGE_LENGTH].decode(errors="replace").split())
    return error.code, error.message


# A row that a schema allows


def row_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with every field that a request must have.

    Raises SmokeError for a field whose value cannot be guessed.
    """
    required = schema.get("required", ())
    return {name: _value(name, schema["properties"][name]) for name in required}


def _value(name: str, spec: Mapping[str, Any]) -> Any:
    decoder = RowDecoder({"properties": {name: spec}, "required": [name]})
    for guess in _guesses(spec):
        if decoder.fault({name: guess}) is None:
            return guess
    raise SmokeError(
        f"no value for the field `{name}` could be guessed from its schema: "
        "give a request, BODY=file.json"
    )


def _guesses(spec: Mapping[str, Any]) -> Iterator[Any]:
    """Yield values that a property may have; whoever asks tries them."""
    yield from spec.get("examples", ())
    options = spec.get("anyOf", ())
    for option in options:
        if option.get("type") != "null":
            yield from _guesses(option)
    yield from (choice for choice in spec.get("enum", ()) if choice is not None)
    low = spec.get("minimum", spec.get("exclusiveMinimum"))
    high = spec.get("maximum", spec.get("exclusiveMaximum"))
    limits = [limit for limit in (low, high) if limit is not None]
    step = spec.get("multipleOf", 1)
    yield from (0, 1, sum(limits) / max(1, len(limits)))
    for limit in limits:
        multiple = limit // step * step
        yield from (limit, multiple, multiple - step, multiple + step)
    yield from (False, "a" * spec.get("minLength", 1), "0" * spec.get("minLength", 1), "A")


# What to say


def line(result: Result[Any]) -> str:
    """Return one line about one check."""
    answer = result.answer
    told = f": {result.note}" if result.note and result.verdict != "no champion" else ""
    return (
        f"{result.verdict:<11}  {answer.status}  {answer.milliseconds:>6.0f} ms  "
        f"{result.check.name}{told}"
    )


def summary(found: Sequence[Result[Any]], endpoint: str) -> str:
    """Return how many checks hold."""
    held = sum(result.verdict == "ok" for result in found)
    missing = any(result.verdict == "no champion" for result in found)
    return f"{held} of {len(found)} checks hold" + (
        f"; {endpoint} has no champion, so no prediction was asked for." if missing else "."
    )


def advices(found: Sequence[Result[Any]], target: Target, endpoint: str) -> list[str]:
    """Return what to do about what does not hold, each advice once."""
    bad = [result for result in found if result.verdict != "ok"]
    said = {_advice(result, target, endpoint): None for result in bad}
    return [f"→ {advice}" for advice in said if advice]


def _advice(result: Result[Any], target: Target, endpoint: str) -> str:
    status = result.answer.status
    if result.verdict == "no champion":
        return (
            f"That is so after a first deployment. {result.note}. The first training promotes a "
            "champion; then run this again."
        )
    if not result.check.request.signed:
        return (
            "A request without a signature must get 403: see that the route's authorizer is "
            "AWS_IAM in template.yaml, and nobody changed the API by hand."
        )
    if status in (401, 403):
        if target.signature is None:
            return f"{target.url} asks for signatures: set AWS credentials and AWS_DEFAULT_REGION."
        return (
            "Who signs may not call this API: allow execute-api:Invoke on "
            f"arn:aws:execute-api:{target.region}:ACCOUNT:API/*, with credentials of the stack's "
            "account that have not expired, and a clock that is right."
        )
    if result.code == "unknown_endpoint":
        return (
            f"{endpoint} has no file in what is deployed: ENDPOINT=name for another one, or deploy "
            f"functions/endpoints/{endpoint.replace('-', '_')}.py."
        )
    if status == 404 and result.code is None:
        return "That URL leads to another API or stage: take the stack's output ApiUrl as it is."
    if status == 429:
        return "The API is throttled, by its own limits or the account's: try again later."
    if status >= 500:
        where = "build/serve/lambda.log" if target.local else "the stack's log groups"
        return f"The function failed or could not start: {where} of this minute say why."
    if result.check.status == 200 and status == 400:
        return "The deployed schema differs from this request: give another, BODY=file.json."
    return ""


def exit_code(found: Sequence[Result[Any]], *, allow_no_champion: bool) -> int:
    """Return 0 if all checks hold, or what does not is that nothing was trained yet."""
    allowed = {"ok", "no champion"} if allow_no_champion else {"ok"}
    return 0 if {result.verdict for result in found} <= allowed else 1


if __name__ == "__main__":
    main()
