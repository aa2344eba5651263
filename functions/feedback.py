"""Take the outcomes of predictions.

    POST /endpoints/{endpoint}/feedback   {"labels": [{"id", "label"}, ...]}

Labels go to a stream and meet their predictions when these are read: a label may come before its
capture does, in which case it waits. So this function cannot know whether an id exists, or whether
another request said otherwise; evergreen.join decides and reports that. What it can see, it answers.
"""

import os
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any

import msgspec
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.metrics import MetricUnit

from evergreen import aws, records
from evergreen.errors import Fault, TooLargeError
from evergreen.schema import MAX_ROWS, UNDECODABLE, fault_from, refusal
from evergreen.serving import check_has_file, check_known
from http_api import answer, handler_of, json_body, metrics, resolver

app = resolver()


class LabelRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One outcome: the id that predict answered with, and what really happened."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}-[0-9]{3}$")]
    label: bool


class FeedbackRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of a request."""

    labels: Annotated[list[LabelRow], msgspec.Meta(min_length=1)]


@app.post("/endpoints/<endpoint>/feedback")
def feedback(endpoint: str) -> Response[Any]:
    """Keep labels; those that contradict each other in one request are kept out and named."""
    _check_exists(endpoint)
    rows = _decode(json_body(app.current_event))
    labels = {row.id: row.label for row in rows}
    distinct = {(row.id, row.label) for row in rows}
    conflicting = sorted({row.id for row in rows if (row.id, not row.label) in distinct})
    now = datetime.now(UTC)
    accepted = [
        records.Label(id=label_id, time=now, endpoint=endpoint, label=label)
        for label_id, label in labels.items()
        if label_id not in set(conflicting)
    ]
    records.send(aws.firehose(), os.environ["LABEL_STREAM"], accepted)
    metrics.add_dimension("endpoint", endpoint)
    metrics.add_metric("LabelsAccepted", MetricUnit.Count, len(accepted))
    metrics.add_metric("LabelsConflicting", MetricUnit.Count, len(conflicting))
    return answer(
        202,
        {
            "endpoint": endpoint,
            "accepted": len(accepted),
            "repeated": len(rows) - len(distinct),
            "conflicting": conflicting,
        },
    )


@cache  # an endpoint that exists once stays; errors are not remembered
def _check_exists(endpoint: str) -> None:
    check_known(endpoint)
    if aws.registry().document(endpoint) is None:
        check_has_file(endpoint)


def _decode(body: bytes) -> list[LabelRow]:
    try:
        rows = msgspec.json.decode(body, type=FeedbackRequest).labels
    except UNDECODABLE as error:
        raise refusal(body, error, _faults) from None
    if len(rows) > MAX_ROWS:
        raise TooLargeError("labels", len(rows), MAX_ROWS)
    return rows


def _faults(value: object) -> list[Fault]:
    """Return the faults of each label in a body that did not decode."""
    labels = value.get("labels") if isinstance(value, dict) else None
    faults = []
    for index, row in enumerate(labels if isinstance(labels, list) else ()):
        try:
            msgspec.convert(row, LabelRow)
        except msgspec.ValidationError as error:
            faults.append(fault_from(error, f"$.labels[{index}]"))
    return faults


handler = handler_of(app)
