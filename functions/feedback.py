"""Take the outcomes of predictions.

    POST /endpoints/{endpoint}/feedback   {"labels": [{"id", "label"}, ...]}

Labels go to a stream and meet their predictions when these are read: see captures.recorded. So this
function cannot know whether an id exists, or whether another request said otherwise. The kind of
the labels is known from the champion's manifest. A class that the champion does not know is
accepted and named: only labels can teach new ones.
"""

import os
from collections import Counter
from functools import cache, lru_cache
from typing import Annotated, Any

import msgspec
from snapshot_restore_py import register_after_restore, register_before_snapshot

import bootstrap
from evergreen.aws.telemetry import measure, observed
from evergreen.captures import records
from evergreen.contract.decoding import MAX_ROWS, UNDECODABLE, faults_in_body, refusal
from evergreen.contract.errors import TooLargeError
from evergreen.contract.identifiers import PREDICTION, check_endpoint_file, check_endpoint_name
from evergreen.contract.problem import KINDS, Kind, Problem, Text
from http_api.dispatch import Answer, Request, answer, operations, respond
from http_api.routes import ROUTES

register_before_snapshot(bootstrap.warm)
register_after_restore(bootstrap.reopen)


LOOK_SECONDS = 300  # after which the champion may have become one that knows other classes
_ID = Annotated[str, msgspec.Meta(pattern=rf"^{PREDICTION.pattern}\Z")]


def feedback(request: Request) -> Answer:
    """Keep labels; those that contradict each other in one request are kept out and named."""
    endpoint = request.parameters["endpoint"]
    problem = _problem(endpoint, int(request.time.timestamp()) // LOOK_SECONDS)
    rows = _decode(request.json_body(), problem.kind if problem else None)
    labels = {row.id: row.label for row in rows}
    distinct = {(row.id, type(row.label), row.label) for row in rows}
    times = Counter(label_id for label_id, *_ in distinct)
    conflicting = sorted(label_id for label_id, number in times.items() if number > 1)
    accepted = [
        records.Label(id=label_id, time=request.time, endpoint=endpoint, label=label)
        for label_id, label in labels.items()
        if times[label_id] == 1
    ]
    records.send(bootstrap.firehose(), os.environ["LABEL_STREAM"], accepted)
    measure(endpoint, LabelsAccepted=len(accepted), LabelsConflicting=len(conflicting))
    found = {
        "endpoint": endpoint, "accepted": len(accepted),
        "repeated": len(rows) - len(distinct), "conflicting": conflicting,
    }  # fmt: skip
    if problem and problem.classes and (new := set(labels.values()) - set(problem.classes)):
        found["new_classes"] = sorted(new)
    return answer(202, found)


@lru_cache(maxsize=128)  # errors are not remembered
def _problem(endpoint: str, slot: int) -> Problem | None:  # noqa: ARG001 - looked at anew in each
    """Return what the champion predicts; None where there is none yet, and any label may come."""
    check_endpoint_name(endpoint)
    seen = bootstrap.registry().document(endpoint)
    if seen is None:
        check_endpoint_file(endpoint)
        return None
    return _problem_of(endpoint, seen.document.champion)


@lru_cache(maxsize=128)
def _problem_of(endpoint: str, version: str) -> Problem | None:
    manifest = bootstrap.registry().manifest(endpoint, version)
    return manifest.problem if manifest else None


@cache
def _fields(kind: Kind | None) -> dict[str, Any]:
    return {"id": _ID, "label": KINDS[kind] if kind else bool | float | Text}


@cache
def _decoder(kind: Kind | None) -> msgspec.json.Decoder[Any]:
    row = msgspec.defstruct("Row", list(_fields(kind).items()), forbid_unknown_fields=True)
    labels = Annotated[list[row], msgspec.Meta(min_length=1)]  # type: ignore[valid-type]
    body = msgspec.defstruct("Request", [("labels", labels)], forbid_unknown_fields=True)
    return msgspec.json.Decoder(body)


def _decode(body: bytes, kind: Kind | None) -> list[Any]:
    try:
        rows: list[Any] = _decoder(kind).decode(body).labels
    except UNDECODABLE as error:
        fields = _fields(kind)
        raise refusal(
            body, error, lambda value: faults_in_body(value, "labels", fields, set(fields), {})
        ) from None
    if len(rows) > MAX_ROWS:
        raise TooLargeError("labels", len(rows), MAX_ROWS)
    return rows


OPERATIONS = operations(feedback)


@observed
def handler(event: dict[str, Any], context: Any) -> Answer:
    """Answer one request."""
    return respond(ROUTES["feedback"], OPERATIONS, event, context)
