"""The endpoint document: who is champion, and how it came to that. The only mutable state."""

import secrets
from datetime import datetime
from typing import Any, Literal

import msgspec

from evergreen.errors import DocumentChangedError

NONCE_BYTES = 16


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One change of an endpoint document, kept for good in its history.

    generation: the generation of the document that this change made.
    by: the run or person that decided; figures: the numbers it was decided on.
    """

    generation: int
    type: Literal["promoted", "rolled back"]
    version: str
    previous: str | None
    time: datetime
    by: str
    reason: str
    figures: dict[str, Any] = {}


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one endpoint.

    generation: rises by one with each change. nonce: fresh with each change, so that no two states
    have the same bytes, and the writer of a state can recognise it as its own.
    """

    endpoint: str
    generation: int
    nonce: str
    champion: str
    since: datetime
    last: Transition


def promote(
    endpoint: str,
    document: Document | None,
    *,
    version: str,
    seen: int,
    time: datetime,
    by: str,
    reason: str,
    figures: dict[str, Any] | None = None,
) -> Document:
    """Return the document in which `version` is the champion.

    seen: the generation that the decision was made on, 0 where there was no document; raises
    DocumentChangedError where the document has another.
    """
    generation = document.generation if document else 0
    if generation != seen:
        raise DocumentChangedError(endpoint, seen)
    previous = document.champion if document else None
    last = Transition(
        generation=generation + 1,
        type="promoted",
        version=version,
        previous=previous,
        time=time,
        by=by,
        reason=reason,
        figures=figures or {},
    )
    return Document(
        endpoint=endpoint,
        generation=generation + 1,
        nonce=secrets.token_hex(NONCE_BYTES),
        champion=version,
        since=time,
        last=last,
    )
