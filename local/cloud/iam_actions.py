"""What each call to AWS must be allowed: the actions and resources that IAM is asked about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from local.template import ACCOUNT, REGION, TemplateError


@dataclass(frozen=True)
class Need:
    """One action on one resource, by its ARN, that a call asks to be allowed.

    context: the condition keys that the request has, with their values.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


Needs = Callable[[Mapping[str, Any]], list[Need]]  # what a call asks, by its parameters


def needs(service: str, operation: str, params: Mapping[str, Any]) -> list[Need]:
    """Return what must be allowed for a call to AWS.

    Raises TemplateError for a call whose needs are not known here.
    """
    if (service, operation) not in _CALLS:
        said = f"what {service} {operation} needs is not known"
        raise TemplateError(f"{said}: say it in local/cloud/iam_actions.py")
    known, of = _CALLS[service, operation]
    if unknown := ", ".join(sorted(set(params) - known)):
        raise TemplateError(f"what {operation} needs with {unknown} is not known")
    return of(params)


def _get_object(params: Mapping[str, Any]) -> list[Need]:
    return [Need("s3:GetObject", f"{bucket_of(params)}/{params['Key']}")]


def _put_object(params: Mapping[str, Any]) -> list[Need]:
    found = [Need("s3:PutObject", f"{bucket_of(params)}/{params['Key']}")]
    return found + (_get_object(params) if "IfMatch" in params else [])


def _list_objects(params: Mapping[str, Any]) -> list[Need]:
    keys = {"Prefix": "s3:prefix", "Delimiter": "s3:delimiter"}
    context = {keys[name]: str(value) for name, value in params.items() if name in keys}
    return [Need("s3:ListBucket", bucket_of(params), context)]


def _put_record_batch(params: Mapping[str, Any]) -> list[Need]:
    stream = f"deliverystream/{params['DeliveryStreamName']}"
    return [Need("firehose:PutRecordBatch", f"arn:aws:firehose:{REGION}:{ACCOUNT}:{stream}")]


def _put_events(params: Mapping[str, Any]) -> list[Need]:
    buses = {entry.get("EventBusName", "default") for entry in params["Entries"]}
    arn = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus"
    return [Need("events:PutEvents", f"{arn}/{bus}") for bus in sorted(buses)]


def _mac(action: str, params: Mapping[str, Any]) -> list[Need]:
    key = params["KeyId"]
    arn = key if key.startswith("arn:") else f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key}"
    return [Need(action, arn)]


_MAC = {"KeyId", "Message", "MacAlgorithm"}
_CALLS: dict[tuple[str, str], tuple[set[str], Needs]] = {
    ("s3", "GetObject"): ({"Bucket", "Key", "IfMatch", "IfNoneMatch", "Range"}, _get_object),
    ("s3", "PutObject"): ({"Bucket", "Key", "Body", "IfMatch", "IfNoneMatch"}, _put_object),
    ("s3", "ListObjectsV2"): (
        {"Bucket", "Prefix", "Delimiter", "StartAfter", "ContinuationToken", "MaxKeys"},
        _list_objects,
    ),
    ("firehose", "PutRecordBatch"): ({"DeliveryStreamName", "Records"}, _put_record_batch),
    ("events", "PutEvents"): ({"Entries"}, _put_events),
    ("kms", "GenerateMac"): (_MAC, partial(_mac, "kms:GenerateMac")),
    ("kms", "VerifyMac"): (_MAC | {"Mac"}, partial(_mac, "kms:VerifyMac")),
}


def bucket_of(params: Mapping[str, Any]) -> str:
    """Return the ARN of the bucket that a call is about."""
    return f"arn:aws:s3:::{params['Bucket']}"
