"""Which version answers a request while an experiment or a canary shares them with the champion."""

import hashlib

from evergreen.registry.state import Document

_BITS = 53  # of a hash that a float holds exactly


def fraction(salt: str, key: str) -> float:
    """Return where a key lies in [0, 1): always the same, and another place for each salt.

    >>> 0 <= fraction("an experiment", "a customer") < 1
    True
    """
    text = f"{salt}:{key}".encode(errors="surrogatepass")
    number = int.from_bytes(hashlib.sha256(text).digest()[:8])
    return float((number >> 64 - _BITS) / 2**_BITS)


def arm(document: Document, key: str) -> str | None:
    """Return the version whose share a key falls into, or None: the champion answers it.

    The salt is the experiment's id, or the generation in which the challenger's comparison began,
    and no hash of its bytes, which would send other customers to it on another machine. So a canary
    that grows keeps the keys that it has, and the next one does not meet the same ones again.
    """
    arms, challenger = document.arms, document.challenger
    if not arms:
        return None
    if document.experiment:
        salt = document.experiment.id
    elif challenger and challenger.generation:
        salt = f"{document.endpoint} {challenger.generation}"
    else:
        (salt,) = arms  # of a comparison that an older Evergreen began: its keys stay
    place, end = fraction(salt, key), 0.0
    for version, share in arms.items():
        end += share
        if place < end:
            return version
    return None
