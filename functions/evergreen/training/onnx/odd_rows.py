"""Rows that the holdout does not have and a request may: where a model or its twin fails first.

They are made from the schema, the holdout and the fitted pipeline: limits of each field, missing
values and unseen categories, alone and together; and of every kind of model the numbers between
which its score jumps, as between the leaves of a tree or the neighbours of a point.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from evergreen.contract.errors import CandidateError
from evergreen.contract.problem import Floats
from evergreen.contract.schema import Columns, JsonSchema, Score, is_text
from evergreen.training.onnx.encoders import UNSEEN

ROWS = 20  # of the holdout, in which one field at a time is odd
MIXED = 2_000  # rows of which any field may be odd
ODD = 0.25  # of their values
JUMPS = 48  # pairs of numbers between which to find one
PARTS = 16  # of the span between two numbers, all asked at once
FLOAT = np.float32(3.4e38)  # the largest number that a request may have

Values = npt.NDArray[Any]


def check_robust(ask: Score, schema: JsonSchema, rows: Columns) -> None:
    """Raise CandidateError for a model that has no score for a missing value or a new category."""
    few = _take(rows, slice(ROWS))
    odd = {name: _demanded(spec) for name, spec in schema["properties"].items()}
    alone = [(name, *pair) for name, values in odd.items() for pair in values.items()]
    parts = [(f"{n} is {what}", few | {n: np.full_like(few[n], v)}) for n, v, what in alone]
    gaps = {name: value for name, each in odd.items() for value in each if each[value] == "missing"}
    together = {name: np.full_like(few[name], value) for name, value in gaps.items()}
    parts.append((f"{', '.join(gaps)} are missing together", few | together))
    if _finite(ask, _joined([columns for _, columns in parts])):
        return
    if where := next((where for where, columns in parts if not _finite(ask, columns)), None):
        way_out = 'impute it, or set handle_unknown="ignore"; see docs/endpoints.md, candidates'
        raise CandidateError(f"the pipeline has no score where {where}: {way_out}")


def odd_rows(ask: Score, schema: JsonSchema, rows: Columns, seed: int) -> tuple[Columns, Floats]:
    """Return odd rows for which a pipeline has a score, and that; the same seed gives the same."""
    random = np.random.default_rng(seed)
    specs = schema["properties"]
    odd = {name: [*_demanded(spec), *_extremes(spec, rows[name])] for name, spec in specs.items()}
    one = _take(rows, slice(1))
    alone = [one | {name: np.full_like(one[name], v)} for name, each in odd.items() for v in each]
    kept = iter(_scored(ask, alone))
    odd = {name: [value for value in each if next(kept)] for name, each in odd.items()}
    mixed = _take(rows, random.integers(_rows(rows), size=MIXED))
    for name, values in odd.items():
        if values:
            known = np.array(values, dtype=rows[name].dtype)
            chosen = known[random.integers(len(values), size=MIXED)]
            mixed[name] = np.where(random.uniform(size=MIXED) < ODD, chosen, mixed[name])
    numbers = [name for name, spec in specs.items() if not is_text(spec)]
    parts = (mixed, _jumps(ask, rows, numbers, random))
    found, scores = zip(*(pair for each in parts for pair in _scorable(ask, each)), strict=True)
    return _joined(found), np.concatenate(scores)


def _rows(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _demanded(spec: Mapping[str, Any]) -> dict[Any, str]:
    """Return the values of a field for which there must be a score, and what they are."""
    options = spec.get("anyOf", [spec])
    nullable = "anyOf" in spec or spec.get("default", "") is None
    if not is_text(spec):
        return {np.nan: "missing"} if nullable else {}
    if choices := [each for option in options for each in option.get("enum", ())]:
        gap = {"": "missing"} if nullable or None in choices else {}
        return gap | {each: "a category that it may be" for each in choices if each is not None}
    empty = nullable or not any(option.get("minLength") for option in options)
    return ({"": "missing"} if empty else {}) | {UNSEEN: "a category that training has not seen"}


def _extremes(spec: Mapping[str, Any], seen: Values) -> list[Any]:
    """Return the limits of a number, and what is just within them or just beyond what was seen."""
    if is_text(spec):
        return []
    option = next(each for each in spec.get("anyOf", [spec]) if each.get("type") != "null")
    if option["type"] == "boolean":
        return [0.0, 1.0]
    whole, widest = option["type"] == "integer", np.float32(2**63)
    low, high = (-widest, widest) if whole else (-FLOAT, FLOAT)
    low = np.float32(option.get("minimum", option.get("exclusiveMinimum", low)))
    high = np.float32(option.get("maximum", option.get("exclusiveMaximum", high)))
    inside = [low + 1, high - 1] if whole else np.nextafter([low, high], [high, low])
    known = seen[~np.isnan(seen)]
    ends = [known.min(), known.max()] if len(known) else []
    near = [step for end in ends for step in (np.nextafter(end, -FLOAT), np.nextafter(end, FLOAT))]
    beyond = [end + step for end in ends for step in (-1, 1)] if whole else near
    given = [value for name, value in (("minimum", low), ("maximum", high)) if name in option]
    open_ = [] if given else [low, high]
    found = [*given, *open_, *inside, *ends, *beyond, 0.0]
    return [float(value) for value in dict.fromkeys(found) if low <= value <= high]


def _jumps(ask: Score, rows: Columns, numbers: Iterable[str], random: Generator) -> Columns:
    """Return rows with the numbers between which a score jumps, and with their next neighbours."""
    known = {name: np.unique(rows[name][~np.isnan(rows[name])]) for name in numbers}
    names = [name for name, values in known.items() if len(values) > 1]
    base = _take(rows, random.integers(_rows(rows), size=JUMPS if names else 0))
    own = np.arange(_rows(base)) % max(len(names), 1)  # the field of each row
    low, high = np.zeros((2, len(own)), dtype=np.int64)

    def at(points: npt.NDArray[np.int64]) -> Columns:
        """Return the rows with some numbers of their fields, shape (numbers, rows)."""
        found = {name: np.tile(values, len(points)) for name, values in base.items()}
        for number, name in enumerate(names):
            here = np.tile(own == number, len(points))
            found[name][here] = _number(points.reshape(-1)[here])
        return found

    for number, name in enumerate(names):
        for end in (low, high):
            here = own == number
            end[here] = _ordered(random.choice(known[name], size=int(here.sum())))
    low, high = np.minimum(low, high), np.maximum(low, high)
    while (high - low).max(initial=0) > 1:
        points = low + (high - low) * np.arange(PARTS + 1)[:, None] // PARTS
        try:
            scores = ask(at(points))
        except Exception:  # it has none there
            break
        steps = np.abs(np.diff(scores.reshape(*points.shape, -1), axis=0)).sum(axis=2)
        found = steps.argmax(axis=0)
        low, high = (np.take_along_axis(points, (found + end)[None], axis=0)[0] for end in (0, 1))
    least, most = _ordered(np.array([-FLOAT, FLOAT]))
    return at(np.clip(low + np.arange(-1, 3)[:, None], least, most))


def _ordered(values: Values) -> npt.NDArray[np.int64]:
    """Return integers that follow each other as the float32 do."""
    bits = values.astype(np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _number(ordered: npt.NDArray[np.int64]) -> Values:
    bits = np.where(ordered < 0, -ordered | 0x80000000, ordered)
    return bits.astype(np.uint32).view(np.float32)


def _scored(ask: Score, parts: Sequence[Columns]) -> list[bool]:
    """Say which rows have a score; all at once where that goes."""
    try:
        scores = ask(_joined(parts))
    except Exception:  # of one of them
        return [_finite(ask, part) for part in parts]
    return list(np.isfinite(scores.reshape(len(scores), -1)).all(axis=1))


def _scorable(ask: Score, columns: Columns) -> Iterator[tuple[Columns, Floats]]:
    """Yield rows that have a score, with it: one that has none fails those beside it too."""
    size = _rows(columns)
    try:
        scores = ask(columns)
    except Exception:
        if size > ROWS:
            for part in (slice(size // 2), slice(size // 2, None)):
                yield from _scorable(ask, _take(columns, part))
        return
    finite = np.isfinite(scores.reshape(size, -1)).all(axis=1)
    yield _take(columns, finite), scores[finite]


def _finite(ask: Score, columns: Columns) -> bool:
    try:
        return bool(np.isfinite(ask(columns)).all())
    except Exception:  # it is the user's pipeline, and may raise whatever it likes
        return False


def _take(columns: Columns, rows: Any) -> Columns:
    return {name: values[rows] for name, values in columns.items()}


def _joined(parts: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
