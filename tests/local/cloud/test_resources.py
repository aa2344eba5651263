"""The resources of the template: each test has them as they were created."""

from typing import Any

import boto3

from local.cloud import resources
from local.template import Template, physical_name
from tests.support import cloud


def found() -> dict[str, Any]:
    """Return what clients see of the resources, but for times and identifiers that are drawn."""
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    events = boto3.client("events")
    buckets = [each["Name"] for each in s3.list_buckets()["Buckets"]]
    queues = sqs.list_queues()["QueueUrls"]
    buses = [each["Name"] for each in events.list_event_buses()["EventBuses"]]
    return {
        "versioned": {
            each: s3.get_bucket_versioning(Bucket=each).get("Status") for each in buckets
        },
        "objects": {each: s3.list_objects_v2(Bucket=each)["KeyCount"] for each in buckets},
        "messages": {each: sqs.receive_message(QueueUrl=each).get("Messages") for each in queues},
        "rules": {each: events.list_rules(EventBusName=each)["Rules"] for each in buses},
        "keys": [each["KeyId"] for each in boto3.client("kms").list_keys()["Keys"]],
        "streams": boto3.client("firehose").list_delivery_streams()["DeliveryStreamNames"],
    }


def test_what_one_test_did_to_them_the_next_does_not_see(template: Template) -> None:
    with resources.started():
        resources.create(template)
        created = found()
    with resources.started():
        cloud.lay_out(template)
        boto3.client("s3").put_object(Bucket=physical_name("DataBucket"), Key="training/x/y.csv")
        changed = found()

    with resources.started():
        cloud.lay_out(template)
        laid_out = found()

    assert laid_out == created
    assert laid_out["rules"]
    assert {"objects", "messages"} <= {each for each in created if changed[each] != created[each]}
