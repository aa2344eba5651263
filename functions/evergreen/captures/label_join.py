"""What a training learns from captures: those that have a label."""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from evergreen.captures.examples import Examples, concat
from evergreen.captures.recorded import Recorded
from evergreen.captures.rows import Rows
from evergreen.contract.problem import Kind, array, is_label
from evergreen.contract.schema import JsonSchema

MAX_ROWS = 1_000_000  # of more a share is drawn


@dataclass
class Joined:
    """Labelled predictions, and the counts of everything that is not one.

    unlabelled: captures without a label yet. pending: labels without a capture in the span.
    incompatible: labelled captures of an older schema that the present one cannot read, or with a
        label of another kind of problem. one_in: 2, if only half of the labelled rows were drawn,
        as all are more than MAX_ROWS; joined and incompatible are of these.
    """

    examples: Examples | None = None
    joined: int = 0
    unlabelled: int = 0
    pending: int = 0
    incompatible: int = 0
    conflicting: list[str] = field(default_factory=list)
    one_in: int = 1


def join(
    recorded: Recorded, schema: JsonSchema, start: datetime, end: datetime, kind: Kind = "binary"
) -> Joined:
    """Join the captures made from start to end with every label that arrived by end."""
    recorded.tell(start, end)
    result = Joined(conflicting=recorded.conflicting())
    drawn: list[Rows] = []
    for span in recorded.spans(start, end, MAX_ROWS, told="INNER"):
        rows = recorded.predictions(
            *span, schemas=[schema], where="NOT odd", told="INNER", one_in=result.one_in,
            meta=("time", "id", "draw"),
        )  # fmt: skip
        drawn.append(rows)
        result.unlabelled += recorded.count(*span, where="outcome IS NULL", told="LEFT")
        while sum(map(len, drawn)) > MAX_ROWS:
            result.one_in *= 2
            drawn = [rows.take(rows["draw"] % result.one_in == 0) for rows in drawn]
    parts = []
    for rows in drawn:
        right = np.array([is_label(kind, label) for label in rows["outcome"]], dtype=bool)
        known = rows.take(rows.fits & right)
        result.incompatible += len(rows) - len(known)
        times = known["time"].astype("datetime64[us]")
        parts.append(Examples(known.columns[0], array(kind, known["outcome"].tolist()), times))
    result.pending = sum(1 for _ in recorded.strays(start, end))
    result.examples = concat(parts)
    result.joined = len(result.examples) if result.examples else 0
    return result
