"""AWS behind a wire that fails, service by service, as real clients see it."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest
from moto.core.models import botocore_stubber

import bootstrap
from http_api import dispatch
from local.plane.plane import Plane
from local.template import REGION
from tests.support.servers import SECONDS, Answered, Asked, listening

SERVICES = ("s3", "kms", "firehose")
READ = 0.3  # seconds, in place of two
BUDGET = 0.9  # for asking, in place of five
LATE = 0.25  # which is in time
FAILURES: dict[str, Answered | None] = {
    "reset": None,
    "500": Answered(status=500),
    "slow down": Answered(b"<Error><Code>SlowDown</Code></Error>", 503),
    "denied": Answered(b"<Error><Code>AccessDenied</Code></Error>", 403),
    "garbage": Answered(b"\x00<html>\xff"),
    "empty": Answered(),
    "no such thing": Answered(b"<html>", 404),
    "elsewhere": Answered(status=301, headers={"Location": "http://127.0.0.1:9/"}),
}


@dataclass
class Outage:
    """How each service fails: as in FAILURES, or hanging, dripping, late; the others answer.

    once: only the next call of each fails.
    """

    hurry: Callable[[], None]
    failing: dict[str, str] = field(default_factory=dict)
    once: bool = False
    asked: Counter[str] = field(default_factory=Counter)
    end: threading.Event = field(default_factory=threading.Event)

    def fail(self, how: str, *services: str, once: bool = False) -> None:
        """Let services fail from now on, of whom functions ask in a hurry."""
        self.hurry()
        self.asked.clear()
        self.failing, self.once = dict.fromkeys(services, how), once

    def answer(self, asked: Asked) -> Answered | None:
        target = asked.headers.get("X-Amz-Target", "")
        service = next((one for one in ("kms", "firehose") if one in _named(target)), "s3")
        self.asked[service] += 1
        how = self.failing.get(service)
        if self.once:
            self.failing.pop(service, None)
        if how is None:
            return _answered(service, asked)
        if how == "hanging":
            self.end.wait(SECONDS)
            return None
        if how == "late":
            self.end.wait(LATE)
            return _answered(service, asked)
        if how == "dripping":
            return replace(_answered(service, asked), wait=partial(self.end.wait, 0.02))
        return FAILURES[how]


def _named(target: str) -> str:
    return {"TrentService": "kms", "Firehose_20150804": "firehose"}.get(
        target.partition(".")[0], ""
    )


def _answered(service: str, asked: Asked) -> Answered:
    """Return what moto answers."""
    url = f"https://{service}.{REGION}.amazonaws.com{asked.path}"
    headers: Any = asked.headers
    request: Any = AWSPreparedRequest(asked.method, url, headers, asked.body, False)
    found: Any = botocore_stubber("before-send", request)
    said = found.headers.items()
    named = {name: value for name, value in said if name.lower() != "content-length"}
    return Answered(found.content, found.status_code, named)


@contextmanager
def between(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    """Put an outage between a deployment's functions and AWS; they look anew at each request.

    The clients are impatient, and once something fails, of a function's time only BUDGET is spent.
    """
    monkeypatch.setattr(bootstrap, "READ_SECONDS", READ)
    monkeypatch.setattr(bootstrap, "REST_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "RESERVE_SECONDS", 0.0)
    outage = Outage(lambda: monkeypatch.setattr(dispatch, "RESERVE_SECONDS", 10 - BUDGET))
    with listening(outage.answer) as host:
        changed = {"AWS_ENDPOINT_URL": f"http://{host}", "ENDPOINT_TTL": "0"}
        for properties in plane._functions.values():
            variables = properties["Environment"]["Variables"]
            properties["Environment"] = {"Variables": variables | changed}
            properties["Timeout"] = 10
        try:
            yield outage
        finally:
            outage.end.set()
