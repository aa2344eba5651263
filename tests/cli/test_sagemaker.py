"""Captured JSON lines of Model Monitor become a training file, or nothing is written."""

import base64
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from cli import main

EVENT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeee%d"


def part(data: Any, encoding: str = "CSV", kind: str = "text/csv") -> dict[str, Any]:
    return {"observedContentType": kind, "mode": "INPUT", "data": data, "encoding": encoding}


def event(number: int, **more: Any) -> dict[str, Any]:
    about = {"eventId": EVENT % number, "inferenceTime": f"2024-05-01T10:0{number}:00Z"}
    return {**more, "eventMetadata": about, "eventVersion": "0"}


def captured(number: int, asked: Any, answered: Any = None) -> dict[str, Any]:
    data = {"endpointInput": asked} | ({"endpointOutput": answered} if answered else {})
    return event(number, captureData=data)


def truth(number: int, data: str) -> dict[str, Any]:
    return event(number, groundTruthData={"data": data, "encoding": "CSV"})


def written(folder: Path, name: str, *lines: Any) -> str:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(file)


def imported(folder: Path, *words: str) -> list[dict[str, str]]:
    out = folder / "out.csv"
    assert main.run(["import-captures", *words, "--out", str(out)]) == 0
    with out.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_gets_the_names_that_are_given_and_the_labels_of_the_ground_truth(
    tmp_path: Path,
) -> None:
    first = captured(1, part('50,"EWR, old",7'), part("0.25", kind="text/csv; charset=utf-8"))
    packed = base64.b64encode(b"51,NA,0.10").decode()
    second = captured(2, part(packed, "BASE64"))
    third = captured(3, part("52,JFK,9"))
    written(tmp_path, "in/a.jsonl", first, second)
    written(tmp_path, "in/b.jsonl", third)
    labels = written(tmp_path, "truth.jsonl", truth(1, "1"), truth(2, "0"))

    found = imported(tmp_path, str(tmp_path / "in"), "--labels", labels, "--columns", "age,at,x")

    assert found == [
        {
            "event_id": EVENT % 1, "time": "2024-05-01T10:01:00Z", "age": "50", "at": "EWR, old",
            "x": "7", "prediction": "0.25", "label": "1",
        },
        {
            "event_id": EVENT % 2, "time": "2024-05-01T10:02:00Z", "age": "51", "at": "NA",
            "x": "0.10", "prediction": "", "label": "0",
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        '{"instances": [{"x": 1.10, "t": "a"}, {"x": 2, "t": null}]}',
        '[{"x": 1.10, "t": "a"}, {"x": 2, "t": null}]',
    ],
)
def test_json_brings_its_own_names_and_numbers_stay_as_they_were_written(
    tmp_path: Path, body: str
) -> None:
    asked = part(body, "JSON", "application/json")
    file = written(tmp_path, "a.jsonl", captured(1, asked, part("0.1\n0.9")))
    labels = written(tmp_path, "truth.jsonl", truth(1, "no\nyes"))

    found = imported(tmp_path, file, "--labels", labels)

    assert [(row["x"], row["t"]) for row in found] == [("1.10", "a"), ("2", "")]
    assert [(row["prediction"], row["label"]) for row in found] == [("0.1", "no"), ("0.9", "yes")]


def test_what_is_missing_stands_without_quotes_and_text_within(tmp_path: Path) -> None:
    body = part('{"x": null, "t": "NA"}', "JSON", "application/json")
    file = written(tmp_path, "a.jsonl", captured(1, body), captured(2, part(",7")))
    words = ["--columns", "x,t", "--out", str(tmp_path / "out.csv")]

    assert main.run(["import-captures", file, *words]) == 0

    lines = (tmp_path / "out.csv").read_text().splitlines()[1:]
    assert [line.split(",")[2:4] for line in lines] == [["", '"NA"'], ["", '"7"']]


GOOD = captured(1, part("1,2"))


@pytest.mark.parametrize(
    ("lines", "words", "said"),
    [
        ([GOOD], (), "line 1: its values have no names: give them with --columns"),
        ([GOOD], ("--columns", "a"), "line 1: it has 2 values, and --columns names 1"),
        ([GOOD], ("--columns", "a,label"), "a field is named label"),
        ([GOOD, {"a": 1}], ("--columns", "a,b"), "line 2: it has no 'eventMetadata'"),
        ([captured(1, part("e30", "BASE64"))], ("--columns", "a,b"), "its body is no text/csv"),
        ([captured(1, part("{", "JSON", "application/json"))], (), "is no application/json"),
        ([], ("--columns", "a,b"), "no request is captured"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[Any], words: tuple[str, ...],
    said: str,
) -> None:  # fmt: skip
    file, out = written(tmp_path, "a.jsonl", *lines), tmp_path / "out.csv"

    assert main.run(["import-captures", file, *words, "--out", str(out)]) == 1

    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_request_of_more_rows_than_labels_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "a.jsonl", captured(1, part("1\n2")))
    labels = written(tmp_path, "truth.jsonl", truth(1, "1"))
    words = ["--labels", labels, "--columns", "a", "--out", str(tmp_path / "out.csv")]

    assert main.run(["import-captures", file, *words]) == 1
    assert "has more rows than labels" in capsys.readouterr().err
