"""Captures and labels: what they look like, and how they are sent."""

import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from evergreen.contract.errors import DeliveryError
from evergreen.contract.moments import Moment
from evergreen.contract.problem import Answer

if TYPE_CHECKING:
    from mypy_boto3_firehose import FirehoseClient
    from mypy_boto3_firehose.type_defs import RecordTypeDef

LINES_PER_RECORD = 32  # Firehose bills each record in steps of 5 KB,
RECORD_BYTES = 1_000_000  # and takes 1,024,000 bytes in one
RECORDS_PER_BATCH = 500  # its limit, as are 4 MiB
ATTEMPTS = 3
BATCH_BYTES = 3_500_000


class Capture(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A recorded prediction.

    variant: why this version answered: `champion`, `canary`, `ab`, `requested` by the caller, or
    `fallback` in place of the version `failed`. ms: how long its whole request took to score.
    label, score, scores: what was answered (see contract.problem); scores are of each class.
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


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome that came back for a prediction; `time` is when it was reported."""

    id: str
    time: Moment
    endpoint: str
    label: Answer


def told(label: Label) -> tuple[type, Answer]:
    """Return what two labels are compared by: to Python, true and 1.0 are the same."""
    return type(label.label), label.label


def new_ids(count: int) -> list[str]:
    """Return ids for the predictions of one request, sortable by time and unguessable."""
    request = f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
    return [f"{request}-{index:03d}" for index in range(count)]


def send(firehose: "FirehoseClient", stream: str, records: Sequence[Capture | Label]) -> None:
    """Send records to a stream, and those that it refused again.

    Raises DeliveryError for what it refuses after ATTEMPTS attempts.
    """
    encoder = msgspec.json.Encoder()
    pending: list[bytes] = []
    for place, record in enumerate(records):
        line = encoder.encode(record) + b"\n"
        if place % LINES_PER_RECORD and len(pending[-1]) + len(line) <= RECORD_BYTES:
            pending[-1] += line
        else:
            pending.append(line)
    batch: list[RecordTypeDef] = []
    size = 0
    for lines in pending:
        if batch and (size + len(lines) > BATCH_BYTES or len(batch) == RECORDS_PER_BATCH):
            _send_batch(firehose, stream, batch)
            batch, size = [], 0
        batch.append({"Data": lines})
        size += len(lines)
    if batch:
        _send_batch(firehose, stream, batch)


def _send_batch(firehose: "FirehoseClient", stream: str, batch: "list[RecordTypeDef]") -> None:
    sent = len(batch)
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.05 * 2**attempt)
        answer = firehose.put_record_batch(DeliveryStreamName=stream, Records=batch)
        results = answer.get("RequestResponses", [])
        if len(results) != len(batch):
            reason = "what answers is no stream"
            continue
        failed = [
            (record, result)
            for record, result in zip(batch, results, strict=True)
            if result.get("ErrorCode")
        ]
        if not failed:
            return
        batch = [record for record, _ in failed]
        reason = failed[0][1].get("ErrorCode", "")  # its message may quote
    raise DeliveryError(stream, len(batch), sent, reason)
