"""Captures meet their labels: what happened to each prediction, as far as it is known.

Both arrive at least once and in any order. A label whose prediction has not arrived is pending. An
id that was told two different labels in time has none, whoever reads it: what "in time" is, a
training, a check or a comparison of versions says.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

from evergreen.aws.s3 import Store
from evergreen.captures.examples import Examples, concat, from_rows
from evergreen.captures.recorded_days import captures_of, labels_of
from evergreen.captures.records import Label, told
from evergreen.contract.decoding import RowDecoder
from evergreen.contract.problem import Kind, is_label
from evergreen.contract.schema import JsonSchema


@dataclass(frozen=True)
class Labels:
    """The labels that were reported in a span of time: the earliest of each id.

    contradicted: when an id was first told a label other than its earliest. repeated: labels that
    were the same as one of another day.
    """

    first: dict[str, Label]
    contradicted: dict[str, datetime]
    repeated: int

    def disputed(self, prediction: str, by: datetime) -> bool:
        """Say whether an id had been told two different labels by a time."""
        return self.contradicted.get(prediction, by) < by


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
    """Return the labels that were reported from start to end."""
    found = Labels({}, {}, 0)
    repeated = 0
    for labels in labels_of(data, endpoint, start, end):
        for label in labels:
            known = found.first.setdefault(label.id, label)
            if label.time < known.time:
                found.first[label.id] = label
            if told(known) != told(label):
                later = max(known.time, label.time)
                found.contradicted[label.id] = min(later, found.contradicted.get(label.id, later))
            else:
                repeated += known is not label
    return replace(found, repeated=repeated)


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
    waiting = dict(labels.first)
    for disputed in labels.contradicted:
        del waiting[disputed]
    decoder = RowDecoder(schema)
    result = Joined(conflicting=sorted(labels.contradicted))
    parts = []
    for captures in captures_of(data, endpoint, start, end):
        known = []
        for capture in captures:
            if capture.id in labels.contradicted:
                continue
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
