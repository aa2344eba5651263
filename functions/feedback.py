"""Take the outcomes of predictions.

    POST /endpoints/{endpoint}/feedback   {"labels": [{"id", "label"}, ...]}

Labels go to a stream and meet their predictions when these are read: a label may come before its
capture does, in which case it waits. So this function cannot know whether an id exists, or whether
another request said otherwise; evergreen.join decides and reports that. What it can see, it
answers.
"""

import os
from functools import cache
from typing import Annotated, Any

import msgspec
from snapshot_restore_py import register_after_restore, register_before_snapshot

from evergreen import aws, records
from evergreen.errors import Fault, TooLargeError
from evergreen.known import check_endpoint_file, check_endpoint_name
from evergreen.schema import MAX_ROWS, UNDECODABLE, faults_in_body, refusal
from evergreen.telemetry import measure, observed
from http_api import Answer, Request, answer, respond

register_before_snapshot(aws.warm)
register_after_restore(aws.reopen)


class LabelRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One outcome: the id that predict answered with, and what really happened."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}-[0-9]{3}\Z")]
    label: bool


class FeedbackRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of a request."""

    labels: Annotated[list[LabelRow], msgspec.Meta(min_length=1)]


def feedback(request: Request) -> Answer:
    """Keep labels; those that contradict each other in one request are kept out and named."""
    endpoint = request.parameters["endpoint"]
    _check_exists(endpoint)
    rows = _decode(request.json_body())
    labels = {row.id: row.label for row in rows}
    distinct = {(row.id, row.label) for row in rows}
    conflicting = sorted({row.id for row in rows if (row.id, not row.label) in distinct})
    accepted = [
        records.Label(id=label_id, time=request.time, endpoint=endpoint, label=label)
        for label_id, label in labels.items()
        if label_id not in set(conflicting)
    ]
    records.send(aws.firehose(), os.environ["LABEL_STREAM"], accepted)
    measure(endpoint, LabelsAccepted=len(accepted), LabelsConflicting=len(conflicting))
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
    check_endpoint_name(endpoint)
    if aws.registry().document(endpoint) is None:
        check_endpoint_file(endpoint)


def _decode(body: bytes) -> list[LabelRow]:
    try:
        rows = msgspec.json.decode(body, type=FeedbackRequest).labels
    except UNDECODABLE as error:
        raise refusal(body, error, _faults) from None
    if len(rows) > MAX_ROWS:
        raise TooLargeError("labels", len(rows), MAX_ROWS)
    return rows


def _faults(value: object) -> list[Fault]:
    return faults_in_body(value, "labels", LabelRow.__annotations__, LabelRow.__struct_fields__, {})


ROUTES = {"POST /endpoints/{endpoint}/feedback": feedback}


@observed
def handler(event: dict[str, Any], context: Any) -> Answer:  # noqa: ARG001 - Lambda passes it
    """Answer one request."""
    return respond(ROUTES, event)
