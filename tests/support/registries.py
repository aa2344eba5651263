"""The registry of a bucket that tests play, with the key of its functions, or one in memory."""

import hmac
from typing import Any

import boto3
from botocore.exceptions import ClientError

from evergreen.aws.s3 import Store
from evergreen.aws.signing import Seal
from evergreen.registry.registry import Registry
from local.template import key_id, physical_name


class Kms:
    """A key in memory, for tests that look at many states or have no template."""

    secret = b"key"

    def generate_mac(self, *, Message: bytes, **_: Any) -> dict[str, bytes]:  # noqa: N803 - its name
        return {"Mac": self.mac(Message)}

    def verify_mac(
        self,
        *,
        Message: bytes,  # noqa: N803 - its names
        Mac: bytes,  # noqa: N803
        **_: Any,
    ) -> dict[str, bool]:
        if self.mac(Message) != Mac:
            raise ClientError({"Error": {"Code": "KMSInvalidMacException"}}, "VerifyMac")
        return {"MacValid": True}

    def mac(self, message: bytes) -> bytes:
        return hmac.digest(self.secret, message, "sha256")


def registry_of(store: Store, *, writes: bool = True) -> Registry:
    """Return the registry in a bucket: that of the deployment, or another."""
    if store.bucket == physical_name("ArtifactBucket"):
        return Registry(store, Seal(boto3.client("kms"), key_id("ManifestKey"), writes))
    kms: Any = Kms()
    return Registry(store, Seal(kms, "key", writes))
