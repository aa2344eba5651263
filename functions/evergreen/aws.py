"""What the functions know about the stack they run in: names from the environment, and clients.

Clients are made at first use, so importing a handler needs neither a region nor credentials, and
give up before the function's own timeout does. They are botocore's: boto3's are the same, and
importing it costs a cold start a tenth of its time.
"""

import os
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from botocore.config import Config
from botocore.session import Session

from evergreen.registry import Registry
from evergreen.store import Store

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_firehose import FirehoseClient
    from mypy_boto3_s3 import S3Client

_CONFIG = Config(  # at worst nine seconds, of the ten that predict and feedback have
    connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2}
)


@cache
def _session() -> Session:
    return Session()


def _client(service: str) -> Any:
    return _session().create_client(service, config=_CONFIG)


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


def warm() -> None:
    """Make the clients that a request needs."""
    s3()
    firehose()


def reopen() -> None:
    """Close the connections of all clients; each opens new ones at its next call."""
    for client in (s3, firehose, events):
        if client.cache_info().currsize:
            client().close()


def registry() -> Registry:
    """Return the model registry of this stack."""
    return Registry(Store(s3(), os.environ["ARTIFACT_BUCKET"]))


def data() -> Store:
    """Return the data bucket of this stack: training data, captures, labels and drift reports."""
    return Store(s3(), os.environ["DATA_BUCKET"])
