"""Encoders of categories as tables in ONNX, which the fitted encoder itself fills."""

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from evergreen.training.onnx.graph import Graph

Values = npt.NDArray[Any]

UNSEEN = "\x01unseen"  # a text that no data has
ENCODERS = (OneHotEncoder, OrdinalEncoder)


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Convert an encoder to tables of what it makes of each category, of NaN, and of all others.

    The encoder itself fills them. (skl2onnx casts numbers to integers, does not know infrequent
    categories, and takes NaN for whatever the processor makes of it.)
    """
    graph = Graph(scope, operator, container)
    names = [name for variable in operator.inputs for name in _columns(graph, variable)]
    found = []
    for (name, text), known, table in zip(names, *_tables(operator.raw_operator), strict=True):
        if text:
            place = graph.node(
                "LabelEncoder",
                name,
                op_domain="ai.onnx.ml",
                op_version=2,
                keys_strings=known.tolist(),
                values_int64s=list(range(len(known))),
                default_int64=len(known),
            )
            place = graph.node("Squeeze", place, graph.value(np.array([1])))
        else:
            number = graph.cast(name, np.float32)
            same = graph.cast(graph.node("Equal", number, graph.value(known[None])), np.float32)
            missing = graph.cast(graph.node("IsNaN", number), np.float32)
            half = graph.value(np.float32(0.5))  # the other rows are 0 or 1: it is the last resort
            other = graph.node("Max", graph.node("Mul", missing, half), half)
            rows = graph.node("Concat", same, missing, other, axis=1)
            place = graph.node("ArgMax", rows, axis=1, keepdims=0)
        found.append(graph.node("Gather", graph.value(table), place, axis=0))
    container.add_node("Concat", found, operator.outputs[0].full_name, axis=1)


def _columns(graph: Graph, variable: Any) -> list[tuple[str, bool]]:
    """Return the name of each column of a variable, and whether it is text."""
    name, text = variable.full_name, isinstance(variable.type, StringTensorType)
    if variable.type.shape[1] == 1:
        return [(name, text)]
    places = (graph.value(np.array([place])) for place in range(variable.type.shape[1]))
    return [(graph.node("Gather", name, place, axis=1), text) for place in places]


def _tables(model: Any) -> tuple[list[Values], list[Values]]:
    """Return the categories of each column, and what becomes of each: float32, (rows, width)."""
    # The rows after those of the categories are, of numbers, that of NaN, and that of all others.
    known, asked = [], []
    for each in model.categories_:
        text = each.dtype.kind in "OU" and isinstance(each[0], str)
        found = each if text else each[~np.isnan(each.astype(np.float32))].astype(np.float32)
        others = [UNSEEN] if text else [np.nan, 2 * max([0, *found]) + 1]
        known.append(found)
        asked.append(np.array([*found, *others], dtype=object if text else np.float32))
    ends = np.cumsum(getattr(model, "_n_features_outs", [1] * len(known)))
    tables = []
    for number, (start, end) in enumerate(pairwise([0, *ends])):
        values = asked[number]
        rows = {at: np.repeat(each[:1], len(values)) for at, each in enumerate(asked)}
        tables.append(_encoded(model, rows | {number: values})[:, start:end])
    return known, tables


def _encoded(model: Any, rows: dict[int, Values]) -> Values:
    """Return what an encoder makes of rows; of those that it refuses, NaN."""
    frame: Any = pd.DataFrame(rows)
    named = hasattr(model, "feature_names_in_")
    frame = frame.set_axis(model.feature_names_in_, axis=1) if named else frame.to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the one of unseen categories
        try:
            found = model.transform(frame)
        except ValueError:
            if len(frame) == 1:
                width = sum(getattr(model, "_n_features_outs", [1] * len(rows)))
                return np.full((1, width), np.nan, dtype=np.float32)
            alone = [{name: each[[at]] for name, each in rows.items()} for at in range(len(frame))]
            return np.concatenate([_encoded(model, row) for row in alone])
    dense = found.toarray() if hasattr(found, "toarray") else np.asarray(found)
    return dense.astype(np.float32)


def declare_encoded(operator: Any) -> None:
    """Declare the outputs of an encoder: as many float32 columns as its tables have."""
    width = sum(table.shape[1] for table in _tables(operator.raw_operator)[1])
    operator.outputs[0].type = FloatTensorType([None, width])
