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

COUNTS = ("joined", "unlabelled", "pending", "incompatible")  # of labels and captures that met


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
    tables = folders.tables(data.keys(f"training/{name}/"))
    found = [from_files(data, keys, endpoint, schema) for keys in tables]
    recorded, joined = Recorded(data, name), Joined()
    if (first := recorded.first_day()) is not None:
        start, history = midnight(first), endpoint.policy.history
        if history is not None:  # as far back as the policy's windows reach
            start = max(start, at - history)
        joined = join(recorded, schema, start, at, endpoint.problem)
    labels = {count: getattr(joined, count) for count in COUNTS}
    if joined.one_in > 1:
        labels["one_in"] = joined.one_in
    parts = [part for part in (*found, joined.examples) if part is not None]
    return Dataset(concat(parts), labels, joined.conflicting)


def from_files(
    data: Store, keys: Sequence[str], endpoint: Endpoint, schema: JsonSchema
) -> Examples | None:
    """Return the examples in one file, or in the files of one folder; None where it has no rows."""
    files = endpoint.files
    types = types_of(schema) | {**files.columns}  # which stand over those of `row`
    code: CodeType | None = getattr(endpoint.examples, "__code__", None)
    texts = (*code.co_consts, *code.co_names) if code else ()  # its columns: no secret then
    known = {*types, *(each for each in texts if isinstance(each, str))}
    found = table.read(data, keys, types, files, known)
    if found is None:
        return None
    where = keys[0] if len(keys) == 1 else f"{keys[0].rpartition('/')[0]}/"
    try:
        rows = endpoint.examples(found.frame)
    except Exception as error:  # it is the user's code, and pandas raises many kinds
        said = f"`examples` raised {worded(error)}: {_hint(error, found.frame, known)}"
        shown = "`make train` with DATA= shows the whole error"
        raise DataError(f"{where}: {said}; {shown}") from error
    try:
        return from_table(schema, rows, endpoint.problem, files, found.place)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    except Exception as error:  # what else pandas holds
        said = f"what `examples` returned is no table of plain values ({worded(error)})"
        raise DataError(f"{where}: {said}") from error


def _hint(error: Exception, frame: pd.DataFrame, known: Collection[str]) -> str:
    """Return what of the file may have made `examples` fail."""
    if isinstance(error, UndeclaredError):
        first = error.__cause__  # pandas makes others of it
        return str(first if isinstance(first, UndeclaredError) else error)
    # The words of a KeyError may be of a row: only what is known is repeated.
    words = str(error) if isinstance(error, KeyError) else ""
    asked = [name for name in known if name not in frame and repr(name) in words]
    said = listed(frame.columns, asked, known)
    if asked:
        said = f"the file has no column {', '.join(sorted(asked))}; {said}"
    here = [name for name in frame if name in known]
    named = [str(name) for name in here if isinstance(frame[name].iloc[0], Undeclared)]
    if named and not asked:
        said += (
            f"; of these {', '.join(named)} came as text, for nothing says of which type they are: "
            f'declare it, as in Files(columns={{"{named[0]}": float}})'
        )
    return said
