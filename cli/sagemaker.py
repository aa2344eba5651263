"""SageMaker Model Monitor's captured JSON lines, and its ground truth, as a training file.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-results.html
"""

import base64
import csv
import io
import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

OWN = ("event_id", "time", "prediction", "label")  # columns of the training file


class LineError(Exception):
    """A line is none of Model Monitor's, and the message says where and why."""


def import_captures(out: Console, errors: Console, asked: Namespace) -> bool:
    """Write a training file; False says which line cannot be read, and nothing is written."""
    try:
        labels = dict(_labels(asked.labels)) if asked.labels else None
        rows = [row for file in asked.files for row in _rows(file, asked.columns)]
        known = [row for row in rows if labels is None or row["event_id"] in labels]
        if labels is not None:
            _label(known, labels)
        names = list(dict.fromkeys(name for row in known for name in row))
        if not known:
            raise LineError("no captured request has a label" if rows else "no request is captured")
    except (LineError, OSError) as error:
        errors.print(f"Nothing is written: {error}")
        return False
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n", quoting=csv.QUOTE_NOTNULL)
    writer.writeheader()
    writer.writerows(known)
    asked.out.write_text(text.getvalue(), encoding="utf-8")
    out.print(f"{asked.out}: {len(known):,} rows of {len(rows):,} captured, {', '.join(names)}")
    return True


def _lines(file: Path) -> Iterator[tuple[str, Any]]:
    files = sorted(file.rglob("*.jsonl")) if file.is_dir() else [file]
    for each in files:
        for number, line in enumerate(each.read_text(encoding="utf-8").splitlines(), 1):
            try:
                found = json.loads(line, parse_float=str, parse_int=str) if line.strip() else None
            except ValueError as error:
                raise LineError(f"{each}, line {number}: it is no JSON: {error}") from error
            if found is not None:
                yield f"{each}, line {number}", found


def _rows(file: Path, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    for where, line in _lines(file):
        try:
            event, captured = line["eventMetadata"], line["captureData"]
            about = {"event_id": event["eventId"], "time": event["inferenceTime"]}
            asked = _values(where, captured["endpointInput"])
            output = captured.get("endpointOutput")
        except (KeyError, TypeError) as error:
            raise LineError(f"{where}: it has no {error}, so it is no captured request") from error
        answered = _values(where, output) if output else []
        for number, row in enumerate(asked):
            if not isinstance(row, dict):
                row = _named(where, row, columns)
            if clash := set(row) & set(OWN):
                raise LineError(f"{where}: a field is named {min(clash)}, as a column of ours is")
            said = answered[number] if len(answered) == len(asked) else None
            if isinstance(said, list | dict):
                said = said[0] if isinstance(said, list) and len(said) == 1 else json.dumps(said)
            yield about | row | {"prediction": said}


def _named(where: str, row: Any, columns: list[str] | None) -> dict[str, Any]:
    values = row if isinstance(row, list) else [row]
    if columns is None:
        raise LineError(f"{where}: its values have no names: give them with --columns a,b,c")
    if len(values) != len(columns):
        raise LineError(f"{where}: it has {len(values)} values, and --columns names {len(columns)}")
    return dict(zip(columns, values, strict=True))


def _values(where: str, part: Any) -> list[Any]:
    """Return the rows of a body: lists of CSV, and whatever JSON has."""
    encoding, data = part["encoding"].upper(), part["data"]
    kind = part.get("observedContentType", "").lower()
    try:
        if encoding == "BASE64":
            data = base64.b64decode(data, validate=True).decode()
            encoding = "CSV" if "csv" in kind else "JSON"
        if encoding == "CSV":
            lines = csv.reader(io.StringIO(data), strict=True)
            return [[value or None for value in line] for line in lines]  # an empty cell is missing
        body = json.loads(data, parse_float=str, parse_int=str) if isinstance(data, str) else data
    except (ValueError, csv.Error) as error:
        raise LineError(f"{where}: its body is no {kind or encoding}") from error
    if isinstance(body, dict) and len(body) == 1:
        (rows,) = body.values()
        body = rows if isinstance(rows, list) else body  # {"instances": [...]}, or predictions
    return body if isinstance(body, list) else [body]


def _labels(file: Path) -> Iterator[tuple[str, list[Any]]]:
    for where, line in _lines(file):
        try:
            yield line["eventMetadata"]["eventId"], _values(where, line["groundTruthData"])
        except (KeyError, TypeError) as error:
            raise LineError(f"{where}: it has no {error}, so it is no ground truth") from error


def _label(rows: list[dict[str, Any]], labels: dict[str, list[Any]]) -> None:
    """Give each row its label; an event of several rows has as many, in the same order."""
    left = {event: iter(found) for event, found in labels.items()}
    for row in rows:
        event = row["event_id"]
        try:
            label = next(left[event])
        except StopIteration:
            raise LineError(f"event {event} has more rows than labels") from None
        row["label"] = label[0] if isinstance(label, list) else label
