"""Captures meet their labels: what happened to each prediction, as far as it is known.

Both arrive at least once and in any order. A label whose prediction has not arrived is pending. An
id that was told two different labels in time has none, whoever reads it: what "in time" is, a
training, a check or a comparison of versions says.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

from evergreen.aws.s3 import Store
from evergreen.captures.examples import Examples, concat, moments
from evergreen.captures.recorded_days import answers_of, labels_of
from evergreen.captures.records import Label, told
from evergreen.contract.decoding import RowDecoder
from evergreen.contract.problem import Kind, array, is_label
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
            if known is label:
                continue
            if label.time < known.time:
                found.first[label.id] = label
            if told(known) != told(label):
                later = max(known.time, label.time)
                found.contradicted[label.id] = min(later, found.contradicted.get(label.id, later))
            else:
                repeated += 1
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
    for answers in answers_of(data, endpoint, start, end):
        answered = [each for each in answers if each.id not in labels.contradicted]
        met = [(each, waiting.pop(each.id)) for each in answered if each.id in waiting]
        result.unlabelled += len(answered) - len(met)
        rows = decoder.rows([answer.features for answer, _ in met])
        known = [
            (answer.time, label.label, row)
            for (answer, label), row in zip(met, rows, strict=True)
            if row is not None and is_label(kind, label.label)
        ]
        result.incompatible += len(met) - len(known)
        if known:
            times, found, fitting = zip(*known, strict=True)
            parts.append(Examples(decoder.columns(fitting), array(kind, found), moments(times)))
    result.pending = len(waiting)
    result.examples = concat(parts)
    result.joined = len(result.examples) if result.examples else 0
    return result
