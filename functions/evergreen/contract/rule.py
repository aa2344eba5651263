"""A rule as a candidate, as a baseline, and as what answers when no model can be loaded.

    Rule(
        When(("hour", ">=", 17), ("carrier", "in", ["EV", "MQ"]), score=0.4),
        When(("hour", "<", 7)),
    )

The first branch that holds has the score. A branch without one, and all rows that are in none, get
theirs from the data. `Rule()` is the constant.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from evergreen.contract import problem
from evergreen.contract.errors import CandidateError
from evergreen.contract.problem import Floats, Kind, Problem
from evergreen.contract.rule_file import Branch, Condition, Given, RuleFile, places, scorer_of
from evergreen.contract.schema import Columns, JsonSchema, is_text

_KINDS: dict[str, Kind] = {"b": "binary", "f": "regression"}  # of a problem, by that of labels


class When:
    """Conditions that must all hold, and the score of the rows for which they do, if it is known.

    conditions: each (field, test, value); tests are <, <=, >, >=, ==, !=, `in`, with a list, and
        `missing`, without a value.
    score: a probability, 0 to 1, a number, or probabilities by class, which sum to 1; None is
        learnt from the data.

    Raises msgspec.ValidationError for what is no condition.

    >>> night = When(("hour", ">=", 22), ("carrier", "in", ["EV", "MQ"]), score=0.4)
    >>> [condition.field for condition in night.conditions]
    ['hour', 'carrier']
    """

    def __init__(self, *conditions: tuple[Any, ...], score: Given | None = None) -> None:
        self.conditions = [msgspec.convert(condition, Condition) for condition in conditions]
        self.score = score


class Rule:
    """A candidate that is fitted like those of scikit-learn, without being one.

    branches: in order; the first that holds has the score.
    otherwise: the score of rows for which none holds, as `When` has it; None is learnt.

    >>> import pandas as pd
    >>> from evergreen import Rule, When
    >>> hours = pd.DataFrame({"hour": [8, 9, 18, 19]})
    >>> rule = Rule(When(("hour", ">=", 17)), otherwise=0.1)
    >>> rule = rule.fit(hours, np.array([False, True, True, True]))
    >>> rule.scores(columns_from(hours)).round(2).tolist()
    [0.1, 0.1, 0.92, 0.92]
    """

    kind = "rule"

    def __init__(self, *branches: When, otherwise: Given | None = None) -> None:
        self.branches = branches
        self.otherwise = otherwise
        self.fitted: RuleFile | None = None

    def check(self, schema: JsonSchema) -> None:
        """Raise ValueError for a condition that no row of a schema could be tested by."""
        for condition in (found for branch in self.branches for found in branch.conditions):
            spec, given = schema["properties"].get(condition.field), condition.value
            if spec is None:
                raise ValueError(f"{condition.field!r} is not a field of `row`")
            values = given if isinstance(given, list) else [given]
            fits = all(isinstance(value, str) is is_text(spec) for value in values)
            ordered = condition.test in ("==", "!=", "in") or not is_text(spec)
            listed = (condition.test == "in") is isinstance(given, list)
            right = fits and ordered and listed and given is not None
            if not (given is None if condition.test == "missing" else right):
                raise ValueError(f"{msgspec.to_builtins(condition)} cannot test {condition.field}")

    def fit(self, frame: Any, labels: npt.NDArray[Any]) -> "Rule":
        """Learn the scores that are not given, from the rows of each branch.

        frame: a DataFrame with a column per field. labels: shape (rows,), booleans, floats or text.
        A branch has the share of its rows, or of their classes, with one row more that is like all
        others, so that few rows do not make certain; of a regression it has their median.
        Raises CandidateError for a score that the problem cannot have.
        """
        found = problem.of(_KINDS.get(labels.dtype.kind, "multiclass"), labels)
        inside = places([branch.conditions for branch in self.branches], columns_from(frame))
        everywhere = found.constant(labels)
        given = [*(branch.score for branch in self.branches), self.otherwise]
        scores = [
            _learnt(found, labels[inside == number], everywhere)
            if score is None
            else _checked(found, score)
            for number, score in enumerate(given)
        ]
        pairs = zip(self.branches, scores, strict=False)
        branches = [Branch(when=branch.conditions, score=score) for branch, score in pairs]
        self.fitted = RuleFile(problem=found, branches=branches, otherwise=scores[-1])
        return self

    def scores(self, columns: Columns) -> Floats:
        """Return the scores of columns: (rows,), or (rows, classes) for multiclass."""
        return scorer_of(self.file)(columns)

    def artifact(self) -> bytes:
        """Return the rule as JSON, for people and for runtime_rule."""
        return msgspec.json.format(msgspec.json.encode(self.file), indent=2)

    @property
    def file(self) -> RuleFile:
        """What was fitted. Raises CandidateError before."""
        if self.fitted is None:
            raise CandidateError("this rule has not been fitted: its scores are not known yet")
        return self.fitted


def columns_from(frame: Any) -> Columns:
    """Return the columns of a DataFrame as a version reads them."""
    found = {name: frame[name].to_numpy() for name in frame.columns}
    kinds = {name: np.float32 if found[name].dtype.kind in "fiub" else object for name in found}
    return {name: found[name].astype(kind, copy=False) for name, kind in kinds.items()}


def _learnt(found: Problem, labels: npt.NDArray[Any], everywhere: Floats) -> Given:
    rows = len(labels)
    score = found.constant(labels) if rows else everywhere
    if rows and found.kind != "regression":
        score = (score * rows + everywhere) / (rows + 1)
    if found.kind == "multiclass":
        return dict(zip(found.classes, score.tolist(), strict=True))
    return float(score)


def _checked(found: Problem, score: Given) -> Given:
    """Return a score that was written by hand, if the problem can have it."""
    if found.kind != "multiclass":
        low, high = (0.0, 1.0) if found.kind == "binary" else (-np.inf, np.inf)
        if not isinstance(score, dict) and np.isfinite(score) and low <= score <= high:
            return float(score)
    elif isinstance(score, dict) and set(score) <= set(found.classes):
        if min(score.values(), default=-1) >= 0 and abs(sum(score.values()) - 1) < 1e-6:
            return score
    else:
        raise CandidateError(f"its score {score} is not by the classes {', '.join(found.classes)}")
    raise CandidateError(f"its score {score} is none that a {found.kind} problem can have")
