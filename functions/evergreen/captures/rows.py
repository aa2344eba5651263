"""Predictions as arrays: what was answered, what was told, and features as models read them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from evergreen.contract.decoding import RowDecoder
from evergreen.contract.schema import Columns, JsonSchema, column, is_text

Array = npt.NDArray[Any]
_KINDS: dict[str, Any] = {  # of what is no object of Python
    "time": np.int64, "told": np.int64, "disputed": np.int64, "draw": np.uint64,
    "score": np.float64, "ms": np.float64, "raw": np.float64,
}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Predictions, a value of each in every array; in the order of time, and then of ids.

    meta: what stands beside the features (see parquet_parts); draw: a hash of the id; time: in
    microseconds since 1970; label: what was answered; scores: of each class, None of other
    problems; outcome: the label that was told, None without one; told and disputed: when it was,
    and when another was first. plain: features as Python has them. columns: the features in each
    schema that was asked for, as a model reads them. fits: whether a request of the first of these
    could have them. counts: `repeated` and `conflicting` records, which are not in here. one_in: 2,
    if half was left out.
    """

    meta: dict[str, Array]
    plain: dict[str, Array]
    columns: tuple[Columns, ...]
    fits: npt.NDArray[np.bool_]
    counts: Counter[str] = field(default_factory=Counter)
    one_in: int = 1

    def __len__(self) -> int:
        return len(self.fits)

    def __getitem__(self, name: str) -> Array:
        return self.meta[name]

    @property
    def raw(self) -> npt.NDArray[np.float64]:
        """Return the scores as models gave them, before any recalibration, shape (rows,)."""
        return np.where(np.isnan(self["raw"]), self["score"], self["raw"])

    def take(self, places: Array) -> "Rows":
        """Return some of the rows, by a mask or by their places."""
        return replace(
            self,
            meta={name: values[places] for name, values in self.meta.items()},
            plain={name: values[places] for name, values in self.plain.items()},
            columns=tuple({n: v[places] for n, v in each.items()} for each in self.columns),
            fits=self.fits[places],
        )


def of(
    found: dict[str, Array],
    features: dict[str, Array],
    written: JsonSchema,
    plain: Iterable[str],
    schemas: Sequence[JsonSchema],
) -> Rows:
    """Return rows as DuckDB fetched them.

    found: by name what stands beside the features. features: in the schema `written`.
    """
    rows = len(next(iter(found.values())))
    missing = np.full(rows, None)
    other = bool(schemas) and schemas[0] != written
    return Rows(
        meta={name: _meta(name, values) for name, values in found.items()},
        plain={name: _plain(features.get(name, missing)) for name in plain},
        columns=tuple(_columns(features, written, schema, rows) for schema in schemas),
        fits=_fitting(features, schemas[0]) if other else np.ones(rows, dtype=bool),
    )


def joined(parts: Sequence[Rows], empty: Rows) -> Rows:
    """Return the rows of all parts in order; of none, `empty`."""
    some = [part for part in parts if len(part)]
    if len(some) < 2:
        return some[0] if some else empty
    rows = Rows(
        {name: np.concatenate([part[name] for part in some]) for name in some[0].meta},
        {name: np.concatenate([part.plain[name] for part in some]) for name in some[0].plain},
        tuple(
            {name: np.concatenate([part.columns[n][name] for part in some]) for name in columns}
            for n, columns in enumerate(some[0].columns)
        ),
        np.concatenate([part.fits for part in some]),
    )
    return rows.take(np.lexsort((rows["id"], rows["time"])))


def none(names: Sequence[str], plain: Sequence[str], schemas: Sequence[JsonSchema]) -> Rows:
    """Return no rows."""
    written = schemas[0] if schemas else {}
    return of({name: np.zeros(0) for name in names}, {}, written, plain, schemas)


def _plain(values: Array) -> Array:
    found = np.empty(len(values), dtype=object)
    found[:] = values.tolist()
    return found


def _meta(name: str, values: Array) -> Array:
    if name in _KINDS:
        kind = _KINDS[name]
        return np.ma.filled(values.astype(kind), np.nan if kind is np.float64 else 0)
    found = _plain(values)
    if name in ("outcome", "label", "scores", "unseen"):
        known = {text: text and msgspec.json.decode(text) for text in pd.unique(found)}
        found[:] = [known[text] for text in found]
    return found


def _columns(found: Columns, written: JsonSchema, wanted: JsonSchema, rows: int) -> Columns:
    """Return features as a model of another schema reads them; a younger field has its default."""
    columns: Columns = {}
    for name, spec in wanted["properties"].items():
        text = is_text(spec)
        if name not in found or is_text(written["properties"][name]) != text:
            columns[name] = column([spec.get("default")] * rows, text=text)
        elif text:
            columns[name] = np.asarray(np.ma.filled(found[name], ""), dtype=object)
        else:
            columns[name] = np.ma.filled(found[name].astype(np.float32), np.nan)
    return columns


def _fitting(found: Columns, schema: JsonSchema) -> npt.NDArray[np.bool_]:
    values = zip(*(column.tolist() for column in found.values()), strict=True)
    lines = [msgspec.Raw(msgspec.json.encode(dict(zip(found, row, strict=True)))) for row in values]
    return np.array([row is not None for row in RowDecoder(schema).rows(lines)], dtype=bool)
