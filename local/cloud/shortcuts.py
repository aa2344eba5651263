"""Short ways into moto for the calls that a replay makes by the ten thousand.

botocore writes a request for each call and moto reads it, then the other way round with the answer:
milliseconds for what is one look into a dictionary. What is not answered here goes the long way,
and gets the same answer there; tests compare the two.
"""

import os
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from itertools import takewhile
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient
from botocore.response import StreamingBody
from botocore.signers import RequestSigner
from botocore.useragent import UserAgentString
from jsonpath_ng.ext.parser import parse
from moto.core.exceptions import ServiceException
from moto.events.models import EventPattern
from moto.firehose.models import firehose_backends
from moto.s3.models import FakeDeleteMarker, s3_backends
from moto.sqs.models import sqs_backends

from local.template import ACCOUNT, REGION

OK = {"ResponseMetadata": {"HTTPStatusCode": 200}}
SIGNED = f"AWS4-HMAC-SHA256 Credential=testing/20130101/{REGION}/any/aws4_request, Signature=none"
CHECKSUMS = ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION")


@contextmanager
def taken() -> Iterator[None]:
    """Take them, within `resources.started`. Of a signature moto reads the region alone."""
    listings = _Listings()
    ways = {
        "GetObject": _get_object,
        "ListObjectsV2": listings.list_objects,
        "PutObject": _put_object,
        "PutRecordBatch": _put_record_batch,
        "ReceiveMessage": _receive_message,
    }
    long_way = vars(BaseClient)["_make_api_call"]

    def call(self: Any, operation: str, params: dict[str, Any]) -> Any:
        way = ways.get(operation)
        answer = way(self, params) if way else None
        return long_way(self, operation, params) if answer is None else answer

    with (
        patch.dict(os.environ, dict.fromkeys(CHECKSUMS, "when_required")),
        patch.object(BaseClient, "_make_api_call", call),
        patch.object(RequestSigner, "sign", _sign),
        patch("jsonpath_ng.ext.parse", cache(parse)),
        patch.object(EventPattern, "matches_event", _matches_event),
        patch.object(UserAgentString, "to_string", lambda _: "local"),
    ):
        yield


_MATCHES_EVENT = EventPattern.matches_event


def _matches_event(self: EventPattern, event: Any) -> bool:
    """Look at an event's source first: most objects that are written are news to no rule."""
    sources = self.get_pattern().get("source", ())
    plain = sources and all(isinstance(source, str) for source in sources)
    if plain and event["source"] not in sources:
        return False
    return bool(_MATCHES_EVENT(self, event))


def _sign(_: Any, __: str, request: Any, *___: Any, **____: Any) -> None:
    request.headers["Authorization"] = SIGNED


def _s3() -> Any:
    return s3_backends[ACCOUNT]["aws"]


def _get_object(client: Any, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return an object; raise what the client raises where there is none, or it is the same."""
    bucket = _s3().buckets.get(params["Bucket"])
    if bucket is None or params.keys() - {"Bucket", "Key", "IfNoneMatch"}:
        return None
    found, code, status = bucket.keys.get(params["Key"]), "304", 304
    if not _stands(bucket, params["Key"]):
        code, status = "NoSuchKey", 404
    elif params.get("IfNoneMatch") != found.etag:
        body = found.value
        return {"Body": StreamingBody(BytesIO(body), len(body)), "ETag": found.etag, **OK}
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    raise client.exceptions.from_code(code)(answer, "GetObject")


def _put_object(_: Any, params: dict[str, Any]) -> dict[str, Any] | None:
    """Write an object, if there is no condition to look at."""
    bucket = _s3().buckets.get(params["Bucket"])
    body = params.get("Body")
    if bucket is None or params.keys() - {"Bucket", "Key", "Body"} or not isinstance(body, bytes):
        return None
    written = _s3().put_object(params["Bucket"], params["Key"], body, storage="STANDARD")
    written.set_acl(bucket.acl)
    return {"ETag": written.etag, **OK}


class _Listings:
    """The keys of each bucket in order, kept while there are as many and the newest is the same."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, str | None, list[str]]] = {}

    def list_objects(self, _: Any, params: dict[str, Any]) -> dict[str, Any] | None:
        """Return all keys under a prefix at once, however many; of each no more than its name."""
        bucket = _s3().buckets.get(params["Bucket"])
        known = {"Bucket", "Prefix", "StartAfter", "Delimiter"}
        if bucket is None or params.keys() - known or not params.get("Prefix"):
            return None
        prefix, after = params["Prefix"], params.get("StartAfter", "")
        names = self._names(bucket)
        start = bisect_left(names, max(prefix, after))
        under = takewhile(lambda name: name.startswith(prefix), names[start:])
        found = [name for name in under if name > after and _stands(bucket, name)]
        folders = {}
        if delimiter := params.get("Delimiter"):
            rests = ((name, name[len(prefix) :].partition(delimiter)) for name in found)
            folders = {prefix + first + middle: None for _, (first, middle, _) in rests if middle}
            found = [name for name in found if delimiter not in name[len(prefix) :]]
        answer: dict[str, Any] = {"IsTruncated": False, "KeyCount": len(found) + len(folders), **OK}
        listed = {
            "Contents": [{"Key": name} for name in found],
            "CommonPrefixes": [{"Prefix": name} for name in folders],
        }
        return answer | {name: those for name, those in listed.items() if those}

    def _names(self, bucket: Any) -> list[str]:
        keys = bucket.keys
        newest = next(reversed(keys), None)
        if self._kept.get(bucket.name, ())[:2] != (len(keys), newest):
            self._kept[bucket.name] = len(keys), newest, sorted(keys)
        return self._kept[bucket.name][2]


def _stands(bucket: Any, name: str) -> bool:
    return not isinstance(bucket.keys.get(name), FakeDeleteMarker | None)


def _put_record_batch(_: Any, params: dict[str, Any]) -> dict[str, Any] | None:
    backend = firehose_backends[ACCOUNT][REGION]
    if (name := params["DeliveryStreamName"]) not in backend.delivery_streams:
        return None
    with suppress(ServiceException):  # the long way says it in the client's words
        return {**backend.put_record_batch(name, params["Records"]), **OK}
    return None


def _receive_message(_: Any, params: dict[str, Any]) -> dict[str, Any] | None:
    """Answer for an empty queue, which most looks find."""
    queue = sqs_backends[ACCOUNT][REGION].queues.get(params["QueueUrl"].rpartition("/")[2])
    return None if queue is None or queue._messages else {**OK}
