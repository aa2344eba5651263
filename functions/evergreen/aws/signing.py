"""Files that say who wrote them: a JSON object whose last member is a MAC of all before it.

    {..., "mac": "<HMAC-SHA-256 by a key in KMS, hexadecimal>"}

The MAC is of the file's key in the bucket and of its bytes, so a file that was changed, or that was
put in another's place, is not opened. Nothing is decoded before its MAC has been checked.
"""

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Literal

import msgspec
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

ALGORITHM: Literal["HMAC_SHA_256"] = "HMAC_SHA_256"
KEPT = 10_000  # digests of files that were checked, 32 bytes each
_START, _END = b',\n  "mac": "', b'"\n}'
_MAC = re.compile(rb"[0-9a-f]{64}")  # one way only to write each, or a flipped bit could pass


class Seal(msgspec.Struct, frozen=True):
    """Seals files, and opens them, with a key in KMS.

    writes: whether the role of this process may generate MACs, and not verify them. One that may
    generate verifies by generating again; one that may only verify can forge nothing.
    """

    kms: "KMSClient"
    key: str
    writes: bool = False
    _opened: set[bytes] = msgspec.field(default_factory=set)

    def seal(self, name: str, text: bytes) -> bytes:
        """Return a JSON object that is not empty, indented, with its MAC as the last member."""
        head = msgspec.json.format(text, indent=2).removesuffix(b"\n}")
        return head + _START + self._mac(_message(name, head)).hex().encode() + _END

    def open(self, name: str, sealed: bytes) -> bytes | None:
        """Return the JSON object without its MAC, or None unless it was sealed under this name.

        name: its key in the bucket.
        """
        head, _, tail = sealed.rpartition(_START)
        mac = tail.removesuffix(_END)
        if tail != mac + _END or not _MAC.fullmatch(mac):
            return None
        message = _message(name, head)
        digest = hashlib.sha256(message + mac).digest()
        if digest not in self._opened:
            if not self._holds(message, bytes.fromhex(mac.decode())):
                return None
            if len(self._opened) >= KEPT:
                self._opened.clear()
            self._opened.add(digest)
        return head + b"\n}"

    def _mac(self, message: bytes) -> bytes:
        answer = self.kms.generate_mac(KeyId=self.key, MacAlgorithm=ALGORITHM, Message=message)
        return answer["Mac"]

    def _holds(self, message: bytes, mac: bytes) -> bool:
        if self.writes:
            return hmac.compare_digest(self._mac(message), mac)
        try:
            answer = self.kms.verify_mac(
                KeyId=self.key, MacAlgorithm=ALGORITHM, Message=message, Mac=mac
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "KMSInvalidMacException":
                return False
            raise
        return answer.get("MacValid") is True


def _message(name: str, head: bytes) -> bytes:
    """Return what is signed; KMS takes 4,096 bytes."""
    return b"evergreen\0" + name.encode() + b"\0" + hashlib.sha256(head).digest()
