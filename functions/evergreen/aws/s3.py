"""Objects in one S3 bucket, with conditional writes whose answer is true even when it was lost.

S3 answers 412 to a condition that does not hold and 409 to a race. Either may also mean "I won, and
the answer to my first attempt was lost": the retry of a write that succeeded fails its own
condition. So every conditional write that fails is resolved by reading what stands there now.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ABSENT = {"404", "NoSuchKey", "NotFound"}
_UNCHANGED = {"304", "NotModified"}
_FINAL = {"AccessDenied", "NoSuchBucket", "InvalidRequest", "EntityTooLarge", "403"}


class Stored(msgspec.Struct, frozen=True):
    """An object's bytes and the ETag that stands for them."""

    body: bytes
    etag: str


class Store(msgspec.Struct, frozen=True):
    """One bucket."""

    s3: "S3Client"
    bucket: str

    def get(self, key: str, most: int | None = None) -> Stored | None:
        """Return an object, or None where there is none; no more than its first `most` bytes."""
        return self._read(_ABSENT, key, most)

    def part(self, key: str, start: int, end: int, etag: str) -> tuple[bytes, int] | None:
        """Return the bytes of an object from `start` to before `end`, and how many it has in all.

        None where there are none, or the object is another by now.
        """
        try:
            answer = self.s3.get_object(
                Bucket=self.bucket, Key=key, Range=f"bytes={start}-{end - 1}", IfMatch=f'"{etag}"'
            )
        except ClientError as error:
            if _status(error) in (404, 412, 416):
                return None
            raise
        return answer["Body"].read(), int(answer["ContentRange"].rpartition("/")[2])

    def changed(self, key: str, etag: str, most: int | None = None) -> Stored | None:
        """Return an object, as `get` does, if it is no longer the one with `etag`, else None."""
        return self._read(_UNCHANGED | _ABSENT, key, most, IfNoneMatch=etag)

    def _read(self, none: set[str], key: str, most: int | None, **condition: Any) -> Stored | None:
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=key, **condition)
        except ClientError as error:
            if _code(error) in none:
                return None
            raise
        return Stored(answer["Body"].read(most), answer.get("ETag", ""))

    def put(self, key: str, body: bytes) -> None:
        """Write an object, whatever stood there: for what can be computed again at any time."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def create(self, key: str, body: bytes) -> bool:
        """Write an object that must not exist yet.

        Returns True when `body` stands there now, also when an earlier attempt of ours wrote it,
        and False when something else does. Raises when it cannot be known.
        """
        return self._put_if(key, body, IfNoneMatch="*")

    def replace(self, key: str, body: bytes, etag: str) -> bool:
        """Write an object in place of the one with `etag`; the answer means what `create` says.

        `body` must be one that nobody else would write: that is what the nonce is for.
        """
        return self._put_if(key, body, IfMatch=etag)

    def _put_if(self, key: str, body: bytes, **condition: Any) -> bool:
        try:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **condition)
        except (ClientError, BotoCoreError) as error:
            return self._stands(key, body, error)
        return True

    def _stands(self, key: str, body: bytes, error: Exception) -> bool:
        if isinstance(error, ClientError) and _code(error) in _FINAL:
            raise error
        found = self.get(key)
        if found is not None and found.body == body:
            return True
        if isinstance(error, ClientError) and _status(error) in (409, 412):
            if found is None:
                raise error  # a 409 from a deletion under way: neither answer would be true
            return False
        raise error

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """List the keys under a prefix, in order, those that sort after `after`."""
        asked: Any = {"StartAfter": after} if after else {}  # some stores refuse an empty one
        for page in self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, **asked
        ):
            for item in page.get("Contents", ()):
                yield item["Key"]

    def names(self, prefix: str) -> Iterator[str]:
        """List what is directly under a prefix that ends with a slash; folders end with one too."""
        for page in self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, Delimiter="/"
        ):
            for item in page.get("Contents", ()):
                yield item["Key"].removeprefix(prefix)
            for folder in page.get("CommonPrefixes", ()):
                yield folder["Prefix"].removeprefix(prefix)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
