"""How documents, decisions, manifests and runs lie in the bucket: JSON that people can read."""

import msgspec

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
