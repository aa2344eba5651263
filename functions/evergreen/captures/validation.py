"""Captures as they lie in S3, read with suspicion: what can be counted, and what is set aside.

Everything that is not counted is: what is unreadable, of a version that does not exist, of an older
schema, or in the folder of an hour that it cannot be from goes with its reason to
quarantine/, beside a copy of each object that fails its own checksum. The original stays.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from evergreen.captures.recorded_days import ARRIVAL, BUFFER, decoded, decompressed
from evergreen.contract.decoding import RowDecoder
from evergreen.contract.moments import Moment
from evergreen.contract.schema import Columns, JsonSchema, shortened

HOUR = timedelta(hours=1)
# Columns beside the features', by names that no field of a row can have.
ID, HOUR_OF, VERSION, SCORE = "#id", "#hour", "#version", "#score"
META = (ID, HOUR_OF, VERSION, SCORE)


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A capture whose features have not been decoded yet; what has a default is only kept."""

    id: str
    time: Moment
    endpoint: str
    version: str
    variant: str
    score: float
    features: msgspec.Raw
    label: Any = None
    scores: Any = None
    key: Any = None
    unseen: Any = None
    failed: Any = None
    ms: Any = None


class SetAside(msgspec.Struct, frozen=True):
    """A line that was not counted, as it goes to quarantine/."""

    reason: str
    line: str


@dataclass(frozen=True)
class Reader:
    """Reads the captures of one endpoint's champion traffic.

    schema: what the features must be; versions: those that exist. current: the version whose
    schema it is, so that a misfit of its own rows is a violation, and one of others is old age.
    """

    endpoint: str
    schema: JsonSchema
    versions: Collection[str]
    current: str

    @cached_property
    def _decoder(self) -> RowDecoder:
        return RowDecoder(self.schema)

    def read(self, body: bytes, folder: datetime) -> "Read":
        """Read an object that lies in the folder of an hour (UTC)."""
        found = Read()
        lines = decompressed(body)
        if lines is None:
            return Read(damaged=True)
        unreadable = partial(found.put, "unreadable")
        kept = [
            line
            for line in decoded(lines, msgspec.json.Decoder(_Line), unreadable)
            if line.endpoint == self.endpoint
            and line.variant == "champion"
            and self._belongs(line, folder, found)
        ]
        found.rows = self.table(*self._rows(kept, found))
        return found

    def _belongs(self, line: _Line, folder: datetime, found: "Read") -> bool:
        if line.version not in self.versions:
            found.put("unknown version", msgspec.json.encode(line))
        elif not folder - ARRIVAL <= line.time < folder + HOUR + BUFFER:
            found.put("wrong hour", msgspec.json.encode(line))
        else:
            return True
        return False

    def _rows(self, lines: list[_Line], found: "Read") -> tuple[list[_Line], list[Any]]:
        """Return the lines whose features fit the schema, and their rows."""
        rows = self._decoder.rows([line.features for line in lines])
        for line, row in zip(lines, rows, strict=True):
            if row is None:
                age = "wrong schema" if line.version == self.current else "older schema"
                found.put(age, msgspec.json.encode(line))
        fitting = [line for line, row in zip(lines, rows, strict=True) if row is not None]
        return fitting, [row for row in rows if row is not None]

    def table(self, lines: Sequence[_Line], rows: Sequence[Any]) -> Columns:
        """Return captures as columns; their features are `rows`."""
        hours = (int(line.time.timestamp()) // 3600 for line in lines)
        table: Columns = {
            ID: np.array([line.id for line in lines], dtype=object),
            HOUR_OF: np.fromiter(hours, dtype=np.int64, count=len(lines)),
            VERSION: np.array([line.version for line in lines], dtype=object),
            SCORE: np.array([line.score for line in lines], dtype=np.float64),
        }
        for name, values in self._decoder.columns(rows).items():
            table[name] = values
            if values.dtype == object:  # one string for all rows that have it
                codes, found = pd.factorize(values)
                table[name] = shortened(found)[codes]
        return table


@dataclass
class Read:
    """What came of an object: its rows, and what was set aside. damaged: nothing of it is used."""

    rows: Columns = field(default_factory=dict)
    aside: list[SetAside] = field(default_factory=list)
    damaged: bool = False

    def put(self, reason: str, line: bytes) -> None:
        """Set a line aside."""
        self.aside.append(SetAside(reason, line.decode(errors="backslashreplace")))

    @property
    def counts(self) -> Counter[str]:
        """Return how many lines were set aside, by reason."""
        counts = Counter(aside.reason for aside in self.aside)
        return counts + Counter({"damaged object": 1} if self.damaged else {})


def take(table: Columns, places: npt.NDArray[Any]) -> Columns:
    """Return some of the rows."""
    return {name: values[places] for name, values in table.items()}
