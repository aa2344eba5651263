"""The artifact rule.json, and what scores rows by it; it needs no library but numpy.

    {"problem": {"kind": "binary"},
     "branches": [{"when": [["hour", ">=", 17], ["carrier", "in", ["EV", "MQ"]]], "score": 0.41}],
     "otherwise": 0.22}

The first branch of which all conditions hold has the score. For multiclass it is one by class.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from evergreen.contract.problem import Floats, Problem
from evergreen.contract.schema import Columns, Score

Test = Literal["<", "<=", ">", ">=", "==", "!=", "in", "missing"]
Value = float | str | list[float | str] | None
Given = float | dict[str, float]  # a probability or number, or a probability by class
_COMPARE = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
    "==": np.equal, "!=": np.not_equal,
}  # fmt: skip


class Condition(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A test of one field of a row. Only `missing` holds where the value is missing."""

    field: str
    test: Test
    value: Value = None


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """The score of the rows for which every condition holds, and no earlier branch did."""

    when: list[Condition]
    score: Given


class RuleFile(msgspec.Struct, frozen=True, kw_only=True):
    """The artifact rule.json."""

    problem: Problem
    branches: list[Branch]
    otherwise: Given


def scorer_of(rule: RuleFile) -> Score:
    """Return what scores columns with a rule."""
    given = [*(branch.score for branch in rule.branches), rule.otherwise]
    table = np.array([_numbers(score, rule.problem) for score in given])
    conditions = [branch.when for branch in rule.branches]
    return lambda columns: table[places(conditions, columns)]


def places(branches: Sequence[Sequence[Condition]], columns: Columns) -> npt.NDArray[np.intp]:
    """Return the number of the branch that each row is in, the last + 1 where it is in none."""
    rows = len(next(iter(columns.values())))
    found = np.full(rows, len(branches), dtype=np.intp)
    for number, conditions in reversed(list(enumerate(branches))):
        inside = np.ones(rows, dtype=bool)
        for condition in conditions:
            inside &= _holds(condition, columns[condition.field])
        found[inside] = number
    return found


def _holds(condition: Condition, column: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    text = column.dtype == object
    missing = column == "" if text else np.isnan(column)
    if condition.test == "missing":
        return np.asarray(missing, dtype=bool)
    values = condition.value if isinstance(condition.value, list) else [condition.value]
    known: npt.NDArray[Any] = np.array(values, dtype=column.dtype)
    if condition.test == "in":
        held = (column[:, None] == known).any(axis=1)
    else:
        held = _COMPARE[condition.test](column, known[0])
    return np.asarray(held, dtype=bool) & ~missing


def _numbers(score: Given, problem: Problem) -> Floats:
    if isinstance(score, Mapping):
        return np.array([score.get(name, 0.0) for name in problem.classes], dtype=np.float64)
    return np.asarray(score, dtype=np.float64)
