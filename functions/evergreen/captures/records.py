"""Captures and labels: what they look like, and how they are sent."""

import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from evergreen.contract.errors import DeliveryError
from evergreen.contract.moments import Moment
from evergreen.contract.problem import Answer

if TYPE_CHECKING:
    from mypy_boto3_firehose import FirehoseClient

LINES_PER_RECORD = 32  # Firehose bills each record in steps of 5 KB,
RECORD_BYTES = 900_000  # and takes 1,024,000 bytes in one, before they are base64
RECORDS_PER_BATCH = 500  # its limit, as are 4 MiB
BATCH_BYTES = 4_000_000
ATTEMPTS = 3


class Capture(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A recorded prediction.

    variant: why this version answered: `champion`, `canary`, `ab`, `requested` by the caller, or
    `fallback` in place of the version `failed`. ms: how long its whole request took to score.
    label, score, scores: what was answered (see contract.problem); scores are of each class.
    raw: the score as the model gave it, where it was recalibrated before it was answered;
    recalibration: the day of the map that did it (see registry.recalibration).
    """

    id: str
    time: Moment
    endpoint: str
    version: str
    variant: str
    features: dict[str, Any]
    label: Answer
    score: float
    scores: dict[str, float] | None = None
    key: str | None = None
    unseen: list[str] = []
    failed: str | None = None
    ms: float | None = None
    raw: float | None = None
    recalibration: str | None = None


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome that came back for a prediction; `time` is when it was reported."""

    id: str
    time: Moment
    endpoint: str
    label: Answer


def told(label: Label) -> tuple[type, Answer]:
    """Return what two labels are compared by: to Python, true and 1.0 are the same."""
    return type(label.label), label.label


def new_ids(count: int, at: datetime) -> list[str]:
    """Return ids for the predictions of a request of a time, sortable by it and unguessable."""
    request = f"{int(at.timestamp() * 1000):012x}{secrets.token_hex(10)}"
    return [f"{request}-{index:03d}" for index in range(count)]


def send(firehose: "FirehoseClient", stream: str, records: Sequence[Capture | Label]) -> None:
    """Send records to a stream, and those that it refused again.

    Raises DeliveryError, once the others are sent, for what it refuses after ATTEMPTS attempts, and
    for each whose line alone is over RECORD_BYTES.
    """
    encoder = msgspec.json.Encoder()
    lines = [encoder.encode(record) + b"\n" for record in records]
    fit = [line for line in lines if len(line) <= RECORD_BYTES]
    lost, reason = len(lines) - len(fit), f"one has more than {RECORD_BYTES:,} bytes"
    joined = map(b"".join, _grouped(fit, LINES_PER_RECORD, RECORD_BYTES))
    for batch in _grouped(joined, RECORDS_PER_BATCH, BATCH_BYTES):
        refused, why = _send_batch(firehose, stream, batch)
        lost, reason = lost + sum(record.count(b"\n") for record in refused), why or reason
    if lost:
        raise DeliveryError(stream, lost, len(lines), reason)


def _grouped(parts: Iterable[bytes], most: int, most_bytes: int) -> Iterator[list[bytes]]:
    """Group parts in their order, so many at most and of so many bytes; none is larger alone."""
    group: list[bytes] = []
    held = 0
    for part in parts:
        if len(group) == most or held + len(part) > most_bytes:
            yield group
            group, held = [], 0
        group.append(part)
        held += len(part)
    if group:
        yield group


def _send_batch(
    firehose: "FirehoseClient", stream: str, batch: list[bytes]
) -> tuple[list[bytes], str]:
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.05 * 2**attempt)
        data: Any = [{"Data": record} for record in batch]
        answer = firehose.put_record_batch(DeliveryStreamName=stream, Records=data)
        results = answer.get("RequestResponses", [])
        if len(results) != len(batch):
            reason = "what answers is no stream"
            continue
        failed = [pair for pair in zip(batch, results, strict=True) if pair[1].get("ErrorCode")]
        if not failed:
            return [], ""
        batch = [record for record, _ in failed]
        reason = failed[0][1].get("ErrorCode", "")  # its message may quote
    return batch, reason
