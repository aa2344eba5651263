"""What the functions know about the stack they run in: names from the environment, and clients.

Clients are made at first use, so importing a handler needs neither a region nor credentials, and
give up well before the function's own timeout does.
"""

import os
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from evergreen.registry import Registry
from evergreen.store import Store

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_firehose import FirehoseClient
    from mypy_boto3_s3 import S3Client

_CONFIG = Config(
    connect_timeout=1, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
)


@cache
def s3() -> "S3Client":
    """Return the S3 client."""
    return boto3.client("s3", config=_CONFIG)


@cache
def firehose() -> "FirehoseClient":
    """Return the Firehose client."""
    return boto3.client("firehose", config=_CONFIG)


@cache
def events() -> "EventBridgeClient":
    """Return the EventBridge client."""
    return boto3.client("events", config=_CONFIG)


def registry() -> Registry:
    """Return the model registry of this stack."""
    return Registry(Store(s3(), os.environ["ARTIFACT_BUCKET"]))


def data() -> Store:
    """Return the data bucket of this stack: training data, captures, labels and drift reports."""
    return Store(s3(), os.environ["DATA_BUCKET"])
