"""Captures meet their labels: what happened to each prediction, as far as it is known.

Both arrive at least once and in any order. A label whose prediction has not arrived is pending, an
id with two different labels is conflicting and teaches nothing until a person has looked at it.
"""

from dataclasses import dataclass, field
from datetime import datetime

from evergreen.examples import Examples, concat, from_rows
from evergreen.problem import Kind, is_label
from evergreen.records import Label, captures_of, labels_of
from evergreen.schema import JsonSchema, RowDecoder
from evergreen.store import Store


@dataclass(frozen=True)
class Labels:
    """The labels that arrived in a span of time: by id, and the ids that have two.

    repeated: labels that were the same as one of another day.
    """

    by_id: dict[str, Label]
    conflicting: frozenset[str]
    repeated: int


@dataclass
class Joined:
    """Labelled predictions, and the counts of everything that is not one.

    unlabelled: captures without a label yet. pending: labels without a capture in the span.
    incompatible: labelled captures of an older schema that the present one cannot read, or with a
        label of another kind of problem.
    """

    examples: Examples | None = None
    joined: int = 0
    unlabelled: int = 0
    pending: int = 0
    incompatible: int = 0
    conflicting: list[str] = field(default_factory=list)


def read_labels(data: Store, endpoint: str, start: datetime, end: datetime) -> Labels:
    """Return the labels that arrived from start to end."""
    by_id: dict[str, Label] = {}
    conflicting = set()
    repeated = 0
    for labels in labels_of(data, endpoint, start, end):
        for label in labels:
            known = by_id.setdefault(label.id, label)
            if known.label != label.label:
                conflicting.add(label.id)
            elif known is not label:
                repeated += 1
                if label.time < known.time:
                    by_id[label.id] = label
    for label_id in conflicting:
        del by_id[label_id]
    return Labels(by_id, frozenset(conflicting), repeated)


def join(
    data: Store,
    endpoint: str,
    schema: JsonSchema,
    start: datetime,
    end: datetime,
    kind: Kind = "binary",
) -> Joined:
    """Join the captures made from start to end with every label that arrived by end."""
    labels = read_labels(data, endpoint, start, end)
    waiting = dict(labels.by_id)
    decoder = RowDecoder(schema)
    result = Joined(conflicting=sorted(labels.conflicting))
    seen: set[str] = set()
    parts = []
    for captures in captures_of(data, endpoint, start, end):
        known = []
        for capture in captures:
            if capture.id in seen or capture.id in labels.conflicting:
                continue
            seen.add(capture.id)
            if capture.id not in waiting:
                result.unlabelled += 1
                continue
            label = waiting.pop(capture.id).label
            if is_label(kind, label) and decoder.fault(capture.features) is None:
                known.append((capture, label))
            else:
                result.incompatible += 1
        if known:
            rows = [capture.features for capture, _ in known]
            times = [capture.time for capture, _ in known]
            parts.append(from_rows(schema, rows, [label for _, label in known], times, kind))
    result.pending = len(waiting)
    result.examples = concat(parts)
    result.joined = len(result.examples) if result.examples else 0
    return result
