"""An API of ours as its clients see it: where it is, how requests are signed, what it answers."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from botocore import exceptions
from botocore.auth import BaseSigner, SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.httpsession import URLLib3Session
from botocore.session import Session
from botocore.utils import get_environ_proxies

SAMCONFIG = Path(__file__).parent.parent / "samconfig.toml"
SECONDS = 35  # API Gateway itself gives up after 30
LOCAL_SECONDS = 900  # the process of `make serve` does what a function may take as long for
URL = re.compile(r"(https?)://([a-z0-9.-]+)(?::[0-9]+)?(?:/[\w/-]*)?")
GATEWAY = re.compile(r"[a-z0-9-]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
COMMANDS = (  # that show what a route shows, which messages of the API name
    (r"/endpoints", "endpoints"),
    (r"/endpoints/([^/ ]+)/versions", r"versions \1"),
    (r"/endpoints/([^/ ]+)/versions/([^/ ]+)", r"explain \1 --version \2"),
    (r"/control/endpoints/([^/ ]+)/decisions", r"decisions \1"),
)
NO_ANSWER = ("unavailable", "delivery_failed")  # codes of errors that another try may mend


class AddressError(Exception):
    """It is not known whom to ask, or with whose signature, and the message says what to do."""


class UnreachableError(Exception):
    """Nobody answered."""


class RefusedError(Exception):
    """The API refused a request, and its message says why; body: the whole answer."""

    def __init__(self, status: int, body: str, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.body, self.code = status, body, code


@dataclass
class Token(BaseSigner):
    """What stands in place of a signature where the stack takes tokens: see JwtIssuer."""

    token: str

    def add_auth(self, request: AWSRequest) -> None:
        """Add the token to a request."""
        request.headers["Authorization"] = f"Bearer {self.token}"


@dataclass(frozen=True)
class Api:
    """Where requests go, and what signs them; on this machine nothing does."""

    url: str
    how: str
    http: URLLib3Session
    signature: BaseSigner | None = None

    def get(self, *path: str, **query: str) -> Any:
        """Return the answer to a GET; what `post` raises."""
        asked = urlencode(query, quote_via=quote, safe="")
        return self._ask("GET", _path(path) + (f"?{asked}" if asked else ""), None)

    def post(self, *path: str, **body: Any) -> Any:
        """Return the answer to a POST; raises RefusedError and UnreachableError."""
        return self._ask("POST", _path(path), json.dumps(body).encode())

    def put(self, *path: str, body: bytes) -> Any:
        """Return the answer to a PUT; what `post` raises."""
        return self._ask("PUT", _path(path), body)

    def require_local(self, what: str) -> None:
        """Raise AddressError unless it is that of `make serve`."""
        if self.signature:
            raise AddressError(f"{what} is of `make serve`: name its address with --url")

    def send(
        self, method: str, path: str, body: bytes | None = None, *, signed: bool = True
    ) -> tuple[int, bytes]:
        """Return the status and the body of an answer; botocore's errors where there is none."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        api = self if signed else replace(self, signature=None)
        answer = api.exchange(method, path, headers, body)
        return answer.status_code, answer.content

    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> AWSResponse:
        """Return an answer as it is; botocore's errors where there is none."""
        request = AWSRequest(method, self.url + path, headers, body)
        if self.signature:
            self.signature.add_auth(request)
        return self.http.send(request.prepare())

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        try:
            status, content = self.send(method, path, body)
        except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
            said = "is `make serve` ready there, or is it the output ApiUrl of a stack that exists?"
            raise UnreachableError(f"{self.url} does not answer ({error}): {said}") from error
        text, found = content.decode(errors="replace"), None
        with suppress(ValueError):
            found = json.loads(text)
        if status < 300 and found is not None:
            return found
        raise _refusal(status, text, found)


def _path(parts: tuple[str, ...]) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _refusal(status: int, text: str, found: Any) -> Exception:
    error = found.get("error") if isinstance(found, dict) else None
    if status in (401, 403) and not isinstance(error, dict):
        hint = "who signs needs execute-api:Invoke on it, and credentials that are valid"
        if status == 401:
            hint = "it takes tokens of its JwtIssuer: set EVERGREEN_TOKEN to one that is valid"
        return RefusedError(status, text, f"{status}: {hint}")
    if not isinstance(error, dict) or error.get("code") in NO_ANSWER:
        said = error.get("message") if isinstance(error, dict) else " ".join(text[:200].split())
        return UnreachableError(f"the API answers {status}: {said}")
    said = str(error.get("message"))
    for route, command in COMMANDS:
        said = re.sub(rf"(?<=GET |see ){route}(?= |$)", rf"`evergreen {command}`", said)
    return RefusedError(status, text, said.replace("GET `", "`"), str(error.get("code")))


def api_of(url: str) -> Api:
    """Return the API at a URL, signed for with the default credentials.

    Raises AddressError for what is not the URL of an API, or cannot be signed for.
    """
    parts = URL.fullmatch(url)
    local = parts is not None and parts[2] in ("127.0.0.1", "localhost")
    if parts is None or (parts[1] == "http" and not local):
        raise AddressError(
            f"{url!r} is not that of an API: give the output ApiUrl, https://…, which "
            "`.venv/bin/sam list stack-outputs` shows, or http://127.0.0.1:8000 of `make serve`"
        )
    url, host = url.rstrip("/"), parts[2]
    if local:
        return Api(url, "unsigned", URLLib3Session(timeout=LOCAL_SECONDS))
    session = Session()
    certificates = session.get_config_variable("ca_bundle") or True
    http = URLLib3Session(certificates, get_environ_proxies(url), SECONDS)
    if token := os.environ.get("EVERGREEN_TOKEN"):
        return Api(url, "with a token", http, Token(token))
    credentials, gateway = session.get_credentials(), GATEWAY.fullmatch(host)
    region = gateway[1] if gateway else session.get_config_variable("region")
    if credentials is None or region is None:
        region_too = f"and AWS_DEFAULT_REGION if {host} is not a name that AWS gave"
        said = "requests cannot be signed: set AWS_PROFILE, or other credentials,"
        raise AddressError(f"{said} {region_too}")
    signature = SigV4Auth(credentials, "execute-api", region)  # which are renewed as they expire
    return Api(url, f"signed for {region}", http, signature)


def address(url: str | None, config_env: str) -> str:
    """Return the URL that was named, that of EVERGREEN_URL, or that of the deployed stack.

    Raises AddressError where there is none.
    """
    return url or os.environ.get("EVERGREEN_URL") or stack(config_env)["ApiUrl"]


def data_bucket(api: Api, config_env: str) -> tuple[Any, str]:
    """Return a client of S3, and the name of the data bucket of the stack whose API this is.

    Raises AddressError where another stack is that of samconfig.toml.
    """
    outputs = stack(config_env)
    if outputs["ApiUrl"].rstrip("/") != api.url:
        said = (
            f"{api.url} is not the API of the stack in samconfig.toml, whose data bucket is known"
        )
        raise AddressError(f"{said}: name its environment with --config-env")
    return Session().create_client("s3"), outputs["DataBucket"]


@cache
def stack(config_env: str) -> Mapping[str, str]:
    """Return what the stack of an environment in samconfig.toml was given, and its outputs."""
    hint = "name it with --url, or EVERGREEN_URL; `make serve` is on http://127.0.0.1:8000"
    try:
        environment = tomllib.loads(SAMCONFIG.read_text())[config_env]
        name = environment["global"]["parameters"]["stack_name"]
    except (OSError, LookupError) as error:
        raise AddressError(f"samconfig.toml names no stack for {config_env!r}: {hint}") from error
    try:
        cloudformation: Any = Session().create_client("cloudformation")
        stacks = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except (exceptions.BotoCoreError, exceptions.ClientError) as error:
        raise AddressError(f"the API of stack {name} is not known ({error}): {hint}") from error
    given = {one["ParameterKey"]: one["ParameterValue"] for one in stacks[0].get("Parameters", ())}
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stacks[0].get("Outputs", ())}
    if "ApiUrl" not in outputs:
        raise AddressError(f"stack {name} has no output ApiUrl: {hint}")
    return given | outputs
