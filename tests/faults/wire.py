"""The wire between this process and AWS: every call is counted, and any of them can be cut.

moto sees the calls of all clients in one place, so a call that is added to a function tomorrow is
counted, and cut, like those of today.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from unittest.mock import patch

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse
from moto.s3.models import s3_backends

from local.template import ACCOUNT

READS = ("Get", "List", "Head", "Describe", "GenerateMac", "VerifyMac")
Cut = Literal["before", "after", "unanswered", "severed"]


class KilledError(BaseException):
    """The process ends here: no handler may catch it."""


@dataclass
class Wire:
    """What is called, and which call is cut.

    before, after: the process dies before the call takes effect, or after. unanswered: it takes
    effect, and its answer is a 500; severed: it does, and so does the retry, and neither is heard.
    down: how many calls of any kind get through before all fail with the status `outage`.
    """

    calls: list[str] = field(default_factory=list)  # that change something, in order
    at: int | None = None
    cut: Cut = "before"
    asked: int = 0
    down: float = math.inf
    outage: int = 500

    def __call__(self, event_name: str, request: Any, send: Callable[[], Any]) -> Any:
        self.asked += 1
        if self.asked > self.down:
            return _refusal(request, self.outage)
        operation = event_name.rpartition(".")[2]
        if operation.startswith(READS):
            return send()
        number = len(self.calls)
        self.calls.append(f"{operation} {request.url}")
        both = self.cut == "severed" and number - 1 == self.at
        if number != self.at and not both:
            return send()
        if self.cut == "before":
            raise KilledError
        send()
        if self.cut == "unanswered":
            return _refusal(request, 500)
        raise KilledError if self.cut == "after" else ConnectionClosedError(endpoint_url="aws")

    def whole(self) -> None:
        """Cut nothing from now on."""
        self.calls.clear()
        self.at, self.asked, self.down = None, 0, math.inf

    def cut_at(self, number: int, cut: Cut) -> None:
        """Cut the call with a number, counted from now on."""
        self.calls.clear()
        self.at, self.cut = number, cut


def _refusal(request: Any, status: int) -> AWSResponse:
    code = {403: "AccessDenied", 503: "SlowDown"}.get(status, "InternalError")
    text = f"<Error><Code>{code}</Code><Message>cut</Message></Error>"
    return AWSResponse(request.url, status, HTTPHeaders(), MockRawResponse(text))


@contextmanager
def tapped() -> Iterator[Wire]:
    """Let all calls of this process go through a wire."""
    wire, original = Wire(), BotocoreStubber.__call__

    def call(self: BotocoreStubber, event_name: str, request: Any, **more: Any) -> Any:
        return wire(event_name, request, lambda: original(self, event_name, request, **more))

    with patch.object(BotocoreStubber, "__call__", call):
        yield wire


Objects = dict[str, dict[str, list[Any]]]


def objects() -> Objects:
    """Return what lies in every bucket of moto's now, to come back to."""
    buckets = s3_backends[ACCOUNT]["aws"].buckets.values()
    return {one.name: {key: list(one.keys.getlist(key)) for key in one.keys} for one in buckets}


def restore(found: Objects) -> None:
    """Put back what lay in the buckets; objects never change, so they need no copy."""
    for name, keys in found.items():
        bucket = s3_backends[ACCOUNT]["aws"].buckets[name]
        bucket.keys.clear()
        for key, versions in keys.items():
            dict.__setitem__(bucket.keys, key, list(versions))
