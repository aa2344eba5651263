"""Amazon's services as moto plays them, with the resources of the template in them."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import boto3
import moto.kms.models
import moto.s3.urls
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber
from moto.firehose.exceptions import InvalidArgumentException, ValidationException
from moto.firehose.models import FirehoseBackend
from moto.s3.models import S3Backend

from local.template import ACCOUNT, REGION, Template, TemplateError, key_id, physical_name

# moto shows Amazon's own events to the rules of every bus; at Amazon, only to the default bus's.
OURS = {
    "source": [{"anything-but": {"prefix": "aws."}}],
    "detail-type": [{"anything-but": ["Check Requested", "Rollout Requested"]}],  # no news
}
EVERYTHING = "everything"  # a rule of our own on each bus, for those who watch
_OF_A_QUEUE = {"VisibilityTimeout", "MessageRetentionPeriod", "RedrivePolicy"}
TIMESTAMP_PREFIX = "!{timestamp:yyyy/MM/dd/HH}/"  # what moto appends to a prefix by itself

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def started() -> Iterator[None]:
    """Answer every AWS call of this process by moto, with credentials that are nobody's."""
    lock, process_request = threading.RLock(), BotocoreStubber.process_request

    def one_by_one(self: Any, request: Any) -> Any:  # moto checks, and writes, in two steps
        with lock:
            return process_request(self, request)

    with (
        patch.dict(os.environ, CREDENTIALS),
        mock_aws(),
        patch.object(BotocoreStubber, "process_request", one_by_one),
        # moto compiles its table of S3 addresses anew for each request: a tenth of the time.
        patch.object(S3Backend, "_url_module", moto.s3.urls),
        patch.object(FirehoseBackend, "put_record_batch", _put_record_batch),
    ):
        yield


_PUT_RECORD_BATCH = FirehoseBackend.put_record_batch


def _put_record_batch(self: FirehoseBackend, stream: str, records: list[dict[str, bytes]]) -> Any:
    """Refuse what Firehose refuses; moto takes records of any size, and any number of them."""
    sizes = [len(record["Data"]) for record in records]
    if max(sizes) > 1_024_000 or len(sizes) > 500:
        raise ValidationException("Member must have length less than or equal to 1024000, or 500")
    if sum(sizes) > 4 * 2**20:
        raise InvalidArgumentException("Records size exceeds 4 MB limit")
    return _PUT_RECORD_BATCH(self, stream, records)


def create(template: Template) -> None:
    """Create the template's queues, buckets, streams, buses and rules."""
    queues = template.of_type("AWS::SQS::Queue").items()
    for name, queue in sorted(queues, key=lambda one: "RedrivePolicy" in one[1]):  # letters' first
        attributes: Any = {key: json.dumps(queue[key]) for key in _OF_A_QUEUE & queue.keys()}
        boto3.client("sqs").create_queue(QueueName=physical_name(name), Attributes=attributes)
    for name, key in template.of_type("AWS::KMS::Key").items():
        _create_key(key_id(name), key)
    for name, bucket in template.of_type("AWS::S3::Bucket").items():
        _create_bucket(physical_name(name), bucket)
    for name, stream in template.of_type("AWS::KinesisFirehose::DeliveryStream").items():
        _create_stream(physical_name(name), stream["ExtendedS3DestinationConfiguration"])
    for name in template.of_type("AWS::Events::EventBus"):
        boto3.client("events").create_event_bus(Name=physical_name(name))
        _create_rule(EVERYTHING, physical_name(name), OURS)
    for name, rule in template.of_type("AWS::Events::Rule").items():
        _create_rule(name, rule.get("EventBusName", "default"), rule["EventPattern"])


def _create_key(name: str, properties: dict[str, Any]) -> None:
    """Create a key with the id that the template's references resolve to; moto would draw one."""
    said = {key: properties[key] for key in ("KeySpec", "KeyUsage")}
    with patch.object(moto.kms.models, "generate_key_id", lambda _: name):
        boto3.client("kms").create_key(**said)


def _create_bucket(name: str, properties: dict[str, Any]) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    if versions := properties.get("VersioningConfiguration"):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versions)
    notifications = properties.get("NotificationConfiguration", {})
    if set(notifications) - {"EventBridgeConfiguration"}:
        raise TemplateError(f"{name}: only notifications through EventBridge are played here")
    if notifications:
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )


def _create_stream(name: str, destination: dict[str, Any]) -> None:
    prefix = destination["Prefix"]
    if not prefix.endswith(TIMESTAMP_PREFIX):
        raise TemplateError(f"{name}: the prefix must end with {TIMESTAMP_PREFIX}")
    said: Any = {key: destination[key] for key in ("RoleARN", "BucketARN")}
    said["Prefix"] = prefix.removesuffix(TIMESTAMP_PREFIX)
    boto3.client("firehose").create_delivery_stream(
        DeliveryStreamName=name, ExtendedS3DestinationConfiguration=said
    )


def _create_rule(name: str, bus: str, pattern: dict[str, Any]) -> None:
    """Let moto match the pattern, and put what matches into a queue of the rule's own."""
    queue, client = inbox(name), boto3.client("events")
    boto3.client("sqs").create_queue(QueueName=queue)
    client.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
    targets: Any = [{"Id": "inbox", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"}]
    client.put_targets(Rule=name, EventBusName=bus, Targets=targets)


def inbox(rule: str) -> str:
    """Return the name of the queue where the events that a rule matched wait for delivery."""
    return f"inbox-{rule}"
