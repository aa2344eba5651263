"""All that a training may learn from: the user's files, and the captures that have labels.

A file is data and nothing else, whoever wrote it: see evergreen.training.tables. A reason says
where a fault is, not what stands there: reasons are announced and kept, and rows are not.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import CodeType

import pandas as pd

from evergreen.aws.s3 import Store
from evergreen.captures.conversion import listed, types_of
from evergreen.captures.examples import Examples, concat, from_table
from evergreen.captures.label_join import Joined, join
from evergreen.captures.recorded import Recorded
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.errors import DataError, worded
from evergreen.contract.moments import midnight
from evergreen.contract.schema import JsonSchema
from evergreen.training.tables import folders, table
from evergreen.training.tables.undeclared import Undeclared, UndeclaredError


@dataclass(frozen=True)
class Dataset:
    """The examples, None where there are none, and how labels met captures (see label_join)."""

    examples: Examples | None
    labels: dict[str, int]
    conflicting: list[str]

    @property
    def sha256(self) -> str | None:
        """Return the hash of the examples."""
        return self.examples.sha256() if self.examples else None


def read(data: Store, name: str, endpoint: Endpoint, schema: JsonSchema, at: datetime) -> Dataset:
    """Return all that was known of an endpoint at a time.

    Raises DataError for a training file that cannot be read or does not fit the schema.
    """
    found = [
        from_files(data, keys, endpoint, schema)
        for keys in folders.tables(data.keys(f"training/{name}/"))
    ]
    parts = [part for part in found if part is not None]
    joined = _from_captures(data, name, endpoint, schema, at)
    if joined.examples is not None:
        parts.append(joined.examples)
    labels = {
        "joined": joined.joined,
        "unlabelled": joined.unlabelled,
        "pending": joined.pending,
        "incompatible": joined.incompatible,
    }
    if joined.one_in > 1:
        labels["one_in"] = joined.one_in
    return Dataset(concat(parts), labels, joined.conflicting)


def _from_captures(
    data: Store, name: str, endpoint: Endpoint, schema: JsonSchema, at: datetime
) -> Joined:
    """Join what was captured, no further back than the policy's windows reach."""
    recorded = Recorded(data, name)
    first = recorded.first_day()
    if first is None:
        return Joined()
    start = midnight(first)
    if (history := endpoint.policy.history) is not None:
        start = max(start, at - history)
    return join(recorded, schema, start, at, endpoint.problem)


def from_files(
    data: Store, keys: Sequence[str], endpoint: Endpoint, schema: JsonSchema
) -> Examples | None:
    """Return the examples in one file, or in the files of one folder; None where it has no rows."""
    files = endpoint.files
    types = types_of(schema) | {**files.columns}  # which stand over those of `row`
    known = {*types, *_texts(getattr(endpoint.examples, "__code__", None))}
    found = table.read(data, keys, types, files, known)
    if found is None:
        return None
    where = keys[0] if len(keys) == 1 else f"{keys[0].rpartition('/')[0]}/"
    try:
        try:
            rows = endpoint.examples(found.frame)
        except Exception as error:  # it is the user's code, and pandas raises many kinds
            raise DataError(
                f"`examples` raised {worded(error)}: {_hint(error, found.frame, known)}; "
                "`make train` with DATA= shows the whole error"
            ) from error
        try:
            return from_table(schema, rows, endpoint.problem, files, found.place)
        except DataError:
            raise
        except Exception as error:  # what else pandas holds
            raise DataError(
                f"what `examples` returned is no table of plain values ({worded(error)})"
            ) from error
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _texts(code: CodeType | None) -> set[str]:
    """Return the texts and names in a function: columns among them, which are no secret then."""
    found = (*code.co_consts, *code.co_names) if code else ()
    return {each for each in found if isinstance(each, str)}


def _hint(error: Exception, frame: pd.DataFrame, known: Collection[str]) -> str:
    """Return what of the file may have made `examples` fail."""
    if isinstance(error, UndeclaredError):
        first = error.__cause__  # pandas makes others of it
        return str(first if isinstance(first, UndeclaredError) else error)
    asked = []
    if isinstance(error, KeyError):  # its words may be of a row: only what is known is repeated
        asked = [name for name in known if name not in frame and repr(name) in str(error)]
    said = listed(frame.columns, asked, known)
    if asked:
        said = f"the file has no column {', '.join(sorted(asked))}; {said}"
    texts = [name for name in frame if isinstance(frame[name].iloc[0], Undeclared)]
    named = [str(name) for name in texts if name in known]
    if named and not asked:
        said += (
            f"; of these {', '.join(named)} came as text, for nothing says of which type they are: "
            f'declare it, as in Files(columns={{"{named[0]}": float}})'
        )
    return said
