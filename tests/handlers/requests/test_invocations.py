"""MLflow's scoring protocol through its real routes: four forms of JSON, and CSV."""

import csv
import io
import json
from typing import Any

import pytest

from evergreen.aws.s3 import Store
from evergreen.registry.manifest import Manifest
from local.plane.gateway import Answer
from local.plane.plane import Plane
from tests.handlers.requests.test_predict import JSON, captures
from tests.support.given import NAME, row, whole

PATH = f"/endpoints/{NAME}/invocations"
CSV = {"Content-Type": "text/csv; charset=utf-8"}


def ask(plane: Plane, asked: dict[str, Any], query: str = "") -> Answer:
    return plane.request("POST", PATH + query, json.dumps(asked).encode(), JSON)


def written(rows: list[dict[str, Any]]) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


ROWS = [whole(), whole(hour=20, carrier="AA", temp=None)]
FORMS: dict[str, Any] = {
    "dataframe_split": {
        "columns": list(ROWS[0]), "index": [0, 1], "data": [list(each.values()) for each in ROWS],
    },
    "dataframe_records": ROWS,
    "instances": ROWS,
    "inputs": {name: [each[name] for each in ROWS] for name in ROWS[0]},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_table_is_answered_and_recorded_as_predict_does(
    plane: Plane, champion: Manifest, data: Store, form: str
) -> None:
    body = json.dumps({"instances": ROWS, "key": "me"}).encode()
    said = plane.request("POST", f"/endpoints/{NAME}/predict", body, JSON).json()

    found = ask(plane, {form: FORMS[form], "params": {"key": "me"}}).json()

    assert set(found) == set(said)
    scores = [[each["score"] for each in one["predictions"]] for one in (said, found)]
    assert scores[0] == scores[1]
    recorded = captures(data)
    features = {each.id: each.features for each in recorded}
    pairs = zip(said["predictions"], found["predictions"], strict=True)
    assert all(features[one["id"]] == features[other["id"]] for one, other in pairs)
    assert {each.key for each in recorded} == {"me"}


def test_lists_of_values_are_in_the_order_of_the_fields(plane: Plane, champion: Manifest) -> None:
    order = list(champion.schema["properties"])
    values = [[each.get(name) for name in order] for each in ROWS]

    for form in ("instances", "inputs"):
        assert ask(plane, {form: values}).status == 200
    assert ask(plane, {"instances": [values[0][:-1]]}).status == 400


def test_csv_is_answered_as_the_same_rows_are(
    plane: Plane, champion: Manifest, data: Store
) -> None:
    answer = plane.request("POST", PATH, b"\xef\xbb\xbf" + written(ROWS), CSV)

    assert answer.status == 200, answer.body
    features = {each.id: each.features for each in captures(data)}
    assert [features[each["id"]] for each in answer.json()["predictions"]] == ROWS


def test_a_whole_number_may_be_written_with_a_point(plane: Plane, champion: Manifest) -> None:
    assert ask(plane, {"dataframe_records": [row(hour=8.0)]}).status == 200
    assert ask(plane, {"dataframe_records": [row(hour=8.5)]}).status == 400


def test_a_version_is_asked_for_as_of_predict(plane: Plane, champion: Manifest) -> None:
    found = ask(plane, {"instances": ROWS}, f"?version={champion.version}").json()

    assert found["variant"] == "requested"


def test_a_scoring_server_answers_when_it_is_pinged(plane: Plane) -> None:
    assert [plane.request("GET", path).status for path in ("/ping", "/version")] == [200, 200]
    assert plane.request("GET", "/version").body == "1\n"


# Bad input


@pytest.mark.parametrize(
    "asked",
    [
        {}, {"params": {}}, {"instances": ROWS, "inputs": FORMS["inputs"]}, {"rows": ROWS},
        {"instances": []}, {"instances": "rows"}, {"inputs": {"hour": [1], "month": [1, 2]}},
        {"inputs": {}}, {"dataframe_split": {"columns": ["hour", "hour"], "data": [[1, 2]]}},
        {"dataframe_split": {"columns": ["hour"], "data": [[1, 2]]}}, {"dataframe_split": []},
        {"instances": ROWS, "params": {"key": 7}}, {"instances": ROWS, "params": {"key": ""}},
    ],
)  # fmt: skip
def test_what_is_no_table_or_more_than_one_is_refused(
    plane: Plane, champion: Manifest, asked: dict[str, Any]
) -> None:
    answer = ask(plane, asked)

    assert (answer.status, answer.json()["error"]["code"]) == (400, "invalid_request")


BOMBS = {
    "columns that rows lack": b"a," * 400_000 + b"b\n" + b"1\n" * 90_000,
    "columns": b"a," * 400_000 + b"b\n",
    "rows": b"hour\n" + b"1\n" * 400_000,
    "empty lines": b"hour\n" + b"\n" * 900_000,
    "a quote that does not end": b'hour\n"' + b"x" * 900_000,
    "quotes": b"hour\n" + b'"' * 900_000,
    "commas": b"," * 900_000,
    "nothing": b"",
    "NUL": b"hour\n\x00\n",
    "no UTF-8": b"hour\n\xff\n",
    "two columns of one name": b"hour,hour\n1,2\n",
    "a formula": b"hour\n=1+1\n",
    "a number of many digits": b"hour\n" + b"9" * 5_000 + b"\n",
    "infinity": b"temp\ninf\n",
    "a power that is none": b"temp\n1e999\n",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_csv_that_is_made_to_break_its_reader_is_refused_with_few_words(
    plane: Plane, champion: Manifest, data: Store, bomb: str
) -> None:
    answer = plane.request("POST", PATH, BOMBS[bomb], CSV)

    assert answer.status in (400, 413)
    assert len(answer.body) < 20_000
    assert captures(data) == []
