"""What MLflow's clients ask a scoring server for; the answer is that of predict.

`key` in `params` is that of predict.
Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/#inference-server-specification
"""

import csv
from io import StringIO
from typing import Any

import msgspec

from evergreen.contract.decoding import MAX_ROWS, UNDECODABLE, refusal
from evergreen.contract.schema import JsonSchema
from evergreen.serving.model_cache import Serving
from http_api import tables
from http_api.dispatch import Answer, Request, answer
from http_api.tables import Answered, Value, refused

Row = dict[str, Any]

MAX_COLUMNS = 10_000
TEXT = {"content-type": "text/plain"}
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class Split(msgspec.Struct, frozen=True):
    """A table as pandas writes it with orient="split"."""

    columns: list[str]
    data: list[list[Value]]
    index: list[Value] | None = None


class Invocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows in one of four forms; lists have their values in the order of the fields."""

    dataframe_split: Split | None = None
    dataframe_records: list[Row] | None = None
    instances: list[Row | list[Value]] | None = None
    inputs: dict[str, list[Value]] | list[Row | list[Value]] | None = None
    params: Row | None = None


def ping(*_: object) -> Answer:
    """Say that the API answers."""
    return {"statusCode": 200, "headers": TEXT, "body": "\n"}


def api_version(*_: object) -> Answer:
    """Say which version of the API it is."""
    return {"statusCode": 200, "headers": TEXT, "body": "1\n"}


def invocations(request: Request, serving: Serving, answered: Answered) -> Answer:
    """Score a table."""
    schema = serving.champion(request.parameters["endpoint"]).served.decoder.schema
    if request.content_type == "text/csv":
        rows, key = of_csv(request.body(), schema), None
    else:
        rows, key = of_json(request.json_body(), schema)
    return answer(200, answered(request, lambda: tables.body(schema, rows, key)))


def of_json(body: bytes, schema: JsonSchema) -> tuple[list[Row], object]:
    """Return the rows of a body, in whichever form, and the key. Raises InvalidRequestError."""
    try:
        asked = msgspec.json.decode(body, type=Invocation)
    except UNDECODABLE as error:
        raise refusal(body, error, lambda _: []) from None
    found = [(name, given) for name in FORMS if (given := getattr(asked, name)) is not None]
    if len(found) != 1:
        raise refused("$", f"expected exactly one of {', '.join(FORMS)}")
    name, given = found[0]
    if isinstance(given, Split):
        rows = [_row(given.columns, values, f"$.{name}.data") for values in given.data]
    elif isinstance(given, dict):
        if len({len(values) for values in given.values()}) > 1:
            raise refused(f"$.{name}", "the columns are of different lengths")
        rows = tables.in_rows(given)
    else:
        fields = list(schema["properties"])
        path = f"$.{name}"
        rows = [_row(fields, each, path) if isinstance(each, list) else each for each in given]
    tables.check_rows(len(rows), MAX_ROWS)
    return rows, (asked.params or {}).get("key")


def of_csv(body: bytes, schema: JsonSchema) -> list[Row]:
    """Return the rows of CSV in UTF-8 whose first line has the names; an empty cell is missing."""
    specs = schema["properties"]
    try:
        lines = csv.reader(StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        names = next(lines, [])
        if len(names) > MAX_COLUMNS:
            raise refused("$", f"it has more than {MAX_COLUMNS:,} columns")
        rows = []
        for cells in lines:
            if cells:
                row = _row(names, cells, f"line {lines.line_num}")
                rows.append({name: tables.cell(row[name], specs.get(name, {})) for name in row})
                tables.check_rows(len(rows), MAX_ROWS)
    except (csv.Error, UnicodeDecodeError) as error:
        raise refused("$", "it is no CSV in UTF-8 with the names in its first line") from error
    return rows


def _row(names: list[str], values: list[Any], path: str) -> Row:
    if len(values) != len(names):
        raise refused(path, f"a row has {len(values)} values, and there are {len(names)} columns")
    row = dict(zip(names, values, strict=True))
    if len(row) != len(names):
        raise refused(path, "two columns have the same name")
    return row
