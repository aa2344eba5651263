"""How documents, decisions, manifests and runs lie in the bucket: JSON that people can read."""

import msgspec

from evergreen.aws.s3 import Store
from evergreen.contract.decoding import UNDECODABLE
from evergreen.contract.errors import CorruptDocumentError

MOST_BYTES = 8_000_000  # of a manifest or document; a hundred times what they have


def encode(value: msgspec.Struct) -> bytes:
    """Return what is written of a value."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def read[T](key: str, body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return what was written under a key; raises CorruptDocumentError where it is not that."""
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise CorruptDocumentError(key, str(error)) from error


def cached[T](store: Store, key: str, kind: type[T]) -> T | None:
    """Return what can be made again; None where it is not there, is damaged, or of older form."""
    stored = store.get(key)
    try:
        return msgspec.json.decode(stored.body, type=kind) if stored else None
    except UNDECODABLE:
        return None
