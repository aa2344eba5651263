"""Training runs: who may carry one out, and what is recorded of it, runs/{endpoint}/{run}.json."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from evergreen.aws.s3 import Store
from evergreen.contract.errors import DocumentChangedError
from evergreen.registry.manifest import Gate
from evergreen.registry.stored_json import MOST_BYTES, encode, read

RUN_LIMIT = timedelta(minutes=15)  # a Lambda function is ended by then, and its claim with it


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A training run, from its claim (`outcome` is None) to its end.

    owner: the invocation that holds the claim; a retry of the same invocation has the same.
    at: the newest moment that the run may know of; started: when its owner began.
    seconds: that its last attempt took. outcome: promoted (as the first), entered as candidate,
    rejected or skipped, for the reason.
    labels: how many met their predictions, and what became of the others; conflicting: ids of
    predictions for which two different labels came. data: its rows, their span and SHA-256.
    previous: the champion that it was compared with. All from there on describes the version.
    """

    run: str
    owner: str
    trigger: str
    at: datetime
    started: datetime
    outcome: str | None = None
    reason: str = ""
    version: str | None = None
    labels: dict[str, int] = {}
    conflicting: list[str] = []
    seconds: float | None = None
    data: dict[str, Any] = {}
    code_sha256: str | None = None
    libraries: dict[str, str] = {}
    previous: str | None = None
    candidate: str | None = None
    parameters: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    gates: list[Gate] = []


_DECODER = msgspec.json.Decoder(Run)
_key = "runs/{}/{}.json".format


def claim(store: Store, endpoint: str, asked: Run) -> Run:
    """Claim a training run; the caller may go on if the run that is returned has its owner.

    One slot is trained for once: a duplicate of its event gets the run of the first, whether
    that is under way or done. A claim whose owner must have been ended by now is taken over,
    and a retry of its owner, which Lambda gives as long again, holds it as long again.
    """
    key = _key(endpoint, asked.run)
    if store.create(key, encode(asked)):
        return asked
    if (known := _stored(store, key)) is None:
        raise DocumentChangedError(endpoint, 0)
    found, etag = known
    free = found.owner == asked.owner or asked.started - found.started > RUN_LIMIT
    if found.outcome is not None or not free:
        return found
    held = msgspec.structs.replace(found, owner=asked.owner, started=asked.started)
    if store.replace(key, encode(held), etag):
        return held
    return claim(store, endpoint, asked)  # somebody else was faster


def find(store: Store, endpoint: str, prefix: str) -> Run | None:
    """Return the training run whose name begins so, or None where none has begun."""
    return _run(store, next(store.keys(_key(endpoint, prefix).removesuffix(".json")), None))


def newest(store: Store, endpoint: str) -> Run | None:
    """Return the training run with the latest time in its name, or None where there is none."""
    keys = (key for key in store.keys(f"runs/{endpoint}/") if key.split("/")[-1][0].isdigit())
    return _run(store, max(keys, default=None))


def find_upload(store: Store, endpoint: str, since: str) -> Run | None:
    """Return the first run for an upload since a time such as 20130201T080000Z, or None."""
    later = store.keys(f"runs/{endpoint}/", after=_key(endpoint, since).removesuffix(".json"))
    return _run(store, next((key for key in later if "-upload-" in key), None))


def finish(store: Store, endpoint: str, run: Run) -> bool:
    """Record how a claimed run ended; False where the claim has been taken over meanwhile."""
    key = _key(endpoint, run.run)
    known = _stored(store, key)
    if known is None or (known[0].owner, known[0].started) != (run.owner, run.started):
        return False
    return store.replace(key, encode(run), known[1])


def _run(store: Store, key: str | None) -> Run | None:
    known = _stored(store, key) if key else None
    return known[0] if known else None


def _stored(store: Store, key: str) -> tuple[Run, str] | None:
    stored = store.get(key, MOST_BYTES)
    return (read(key, stored.body, _DECODER), stored.etag) if stored else None
