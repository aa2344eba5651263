"""What the functions know about the stack they run in: names from the environment, and clients.

Clients are made at first use, so importing a handler needs neither a region nor credentials. They
are botocore's: importing boto3 costs a cold start a tenth of its time. While a caller waits (see
aws.deadline), no attempt lasts beyond that time, and a service that did not answer in time is not
asked again for REST_SECONDS, or ever more functions would run at once in an outage. A function that
nobody waits for says AWS_MAX_ATTEMPTS in the template: no run may end by a repeated 503.
"""

import math
import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from botocore.awsrequest import AWSHTTPConnection, AWSHTTPSConnection
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ConnectTimeoutError, ReadTimeoutError
from botocore.session import Session

from evergreen.aws import deadline
from evergreen.aws.deadline import OutOfTimeError
from evergreen.aws.s3 import Store
from evergreen.aws.signing import Seal
from evergreen.registry.registry import Registry

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_firehose import FirehoseClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS = 0.5  # to each address that a name has; S3's has eight
READ_SECONDS = 2.0  # for the first byte of an answer, and between two
REST_SECONDS = 10.0
CONNECTIONS = 20  # of a client, and so many threads may read at once

# A read timeout is one of each byte: what comes drop by drop has no end without this.
AWSHTTPConnection.response_class = deadline.Response  # type: ignore[assignment]
AWSHTTPSConnection.response_class = deadline.Response  # type: ignore[assignment]


_session = cache(Session)


def _client(service: str) -> Any:
    attempts = int(os.environ.get("AWS_MAX_ATTEMPTS", "2"))
    config = Config(
        connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )  # fmt: skip
    client = _session().create_client(service, config=config)
    rest = _Rest()
    client.meta.events.register_first("before-send", rest.before)
    client.meta.events.register("after-call-error", rest.after)
    return client


class NoAnswerError(BotoCoreError):
    """What came is not what a service of AWS answers."""

    fmt = "no answer of AWS: {kind}"


class _Rest:
    """Until when a service is left in peace, for those whose caller waits."""

    until = -math.inf

    def before(self, **_: Any) -> None:
        """Let an attempt begin only while there is time; patience.Response ends it."""
        now = time.monotonic()
        if now >= deadline.end():
            raise OutOfTimeError(reason="this request has waited for AWS as long as it may")
        if now < self.until and deadline.end() < math.inf:
            raise OutOfTimeError(reason="it did not answer a moment ago")

    def after(self, exception: Exception, event_name: str, **_: Any) -> None:
        """Remember a call that had its time and no answer; other failures cost none.

        Not that of an object: whether it stands there must be asked at once (see evergreen.aws.s3).

        Raises NoAnswerError for what botocore could not read, and fails on in many ways.
        """
        if not isinstance(exception, BotoCoreError):
            raise NoAnswerError(kind=type(exception).__name__) from exception
        if event_name.endswith(".PutObject"):
            return
        if deadline.left() > 0 and isinstance(exception, ConnectTimeoutError | ReadTimeoutError):
            self.until = time.monotonic() + REST_SECONDS


@cache
def s3() -> "S3Client":
    """Return the S3 client."""
    return cast("S3Client", _client("s3"))


@cache
def firehose() -> "FirehoseClient":
    """Return the Firehose client."""
    return cast("FirehoseClient", _client("firehose"))


@cache
def events() -> "EventBridgeClient":
    """Return the EventBridge client."""
    return cast("EventBridgeClient", _client("events"))


@cache
def kms() -> "KMSClient":
    """Return the KMS client."""
    return cast("KMSClient", _client("kms"))


@cache
def _seal(writes: bool) -> Seal:
    return Seal(kms(), os.environ["MANIFEST_KEY"], writes)


def warm() -> None:
    """Make the clients that a request needs."""
    s3()
    kms()
    firehose()


def reopen() -> None:
    """Close the connections of all clients; each opens new ones at its next call."""
    for client in (s3, firehose, events, kms):
        if client.cache_info().currsize:
            client().close()


def registry(*, writes: bool = False) -> Registry:
    """Return the model registry of this stack; writes: for a role that may change it."""
    return Registry(Store(s3(), os.environ["ARTIFACT_BUCKET"]), _seal(writes))


def data() -> Store:
    """Return the data bucket of this stack: training data, captures, labels and drift reports."""
    return Store(s3(), os.environ["DATA_BUCKET"])
