"""Everything that a training may learn from: files in any order, and captures with labels."""

from datetime import timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest

import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.contract.errors import DataError
from evergreen.contract.schema import JsonSchema
from evergreen.training.dataset import Dataset, read
from tests.support import given
from tests.support.given import NAME, capture, csv, deliver, label
from tests.support.memory import compacted

FOLDER = f"training/{NAME}"


def dataset(store: Store, schema: JsonSchema) -> Dataset:
    return read(store, NAME, flight_delay.endpoint, schema, given.NOW)


def size(found: Dataset) -> int:
    return len(found.examples) if found.examples else 0


def test_without_data_there_are_no_examples(bucket: Store, schema: JsonSchema) -> None:
    found = dataset(bucket, schema)

    assert found.examples is None
    assert found.sha256 is None


def test_files_of_every_kind_are_read(
    bucket: Store, schema: JsonSchema, tmp_path: pytest.TempPathFactory
) -> None:
    table = given.table(60)
    path = f"{tmp_path}/part.parquet"
    duckdb.connect().register("part", table.iloc[:20]).execute(f"COPY part TO '{path}'")
    with open(path, "rb") as file:
        bucket.put(f"{FOLDER}/a.parquet", file.read())
    bucket.put(f"{FOLDER}/b.csv", csv(table.iloc[20:40]))
    table.iloc[40:].to_csv(f"{tmp_path}/c.csv.gz", index=False)
    with open(f"{tmp_path}/c.csv.gz", "rb") as file:
        bucket.put(f"{FOLDER}/c.csv.gz", file.read())

    found = dataset(bucket, schema)

    bucket.s3.delete_object(Bucket="bucket", Key=f"{FOLDER}/a.parquet")
    bucket.s3.delete_object(Bucket="bucket", Key=f"{FOLDER}/b.csv")
    bucket.put(f"{FOLDER}/c.csv.gz", b"")
    bucket.s3.delete_object(Bucket="bucket", Key=f"{FOLDER}/c.csv.gz")
    bucket.put(f"{FOLDER}/whole.csv", csv(table))
    assert size(found) == 60
    assert found.sha256 == dataset(bucket, schema).sha256


def test_labelled_captures_are_examples_beside_the_files(bucket: Store, schema: JsonSchema) -> None:
    bucket.put(f"{FOLDER}/a.csv", csv(given.table(30)))
    deliver(bucket, [capture(1), capture(2)], given.START)
    deliver(bucket, [label(1), label(9)], given.START + timedelta(days=1))
    compacted(bucket)

    found = dataset(bucket, schema)

    assert size(found) == 31
    assert found.labels["joined"] == 1
    assert found.labels["unlabelled"] == 1
    assert found.labels["pending"] == 1


def test_what_is_made_after_the_time_of_the_run_is_not_known(
    bucket: Store, schema: JsonSchema
) -> None:
    deliver(bucket, [capture(1, given.NOW)], given.NOW)
    deliver(bucket, [label(1, time=given.NOW)], given.NOW)
    compacted(bucket)

    assert size(dataset(bucket, schema)) == 0


def test_data_of_another_endpoint_is_not_read(bucket: Store, schema: JsonSchema) -> None:
    bucket.put("training/flight-delay-2/a.csv", csv(given.table(30)))

    assert size(dataset(bucket, schema)) == 0


def test_the_mark_of_a_folder_is_not_a_file(bucket: Store, schema: JsonSchema) -> None:
    bucket.put(f"{FOLDER}/", b"")

    assert size(dataset(bucket, schema)) == 0


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.xlsx", b"PK"),
        ("a.parquet", b"not parquet"),
        ("a.parquet", b""),
        ("a.csv", b""),
        ("a.csv", b"a,b\n1,2\n"),
        ("a.csv", b"\xff\xfe\x00\x01"),
        ("a.csv.gz", b"not gzip"),
        ("a.csv", csv(given.table(30).drop(columns="carrier"))),
        ("a.csv", csv(given.table(30).drop(columns="arr_delay"))),
        ("a.csv", csv(given.table(30).assign(hour=99))),
        ("a.csv", csv(given.table(30).assign(arr_delay=[np.nan, *[1.0] * 29]))),
        ("a.csv", csv(given.table(30).assign(arr_delay=["late", *["1"] * 29]))),
        ("a.csv", csv(given.table(30).assign(time_hour="yesterday"))),
        ("a.csv", csv(given.table(30).assign(temp="warm"))),
    ],
    ids=[
        "unknown kind",
        "no parquet",
        "empty parquet",
        "empty csv",
        "other columns",
        "no text",
        "no gzip",
        "a feature is missing",
        "the label's column is missing",
        "out of range",
        "a label is missing",
        "a label is text",
        "a time is text",
        "a number is text",
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_key(
    bucket: Store, schema: JsonSchema, name: str, body: bytes
) -> None:
    bucket.put(f"{FOLDER}/good.csv", csv(given.table(30)))
    bucket.put(f"{FOLDER}/{name}", body)

    with pytest.raises(DataError, match=f"{FOLDER}/{name}"):
        dataset(bucket, schema)


def test_a_table_with_a_head_and_no_rows_is_no_data_or_refused(
    bucket: Store, schema: JsonSchema
) -> None:
    bucket.put(f"{FOLDER}/a.csv", csv(pd.DataFrame(given.table(1)).iloc[:0]))

    try:
        found = dataset(bucket, schema)
    except DataError as error:
        assert "a.csv" in str(error)  # noqa: PT017 - either is an answer
    else:
        assert size(found) == 0


def refused(store: Store, schema: JsonSchema, body: bytes) -> str:
    store.put(f"{FOLDER}/a.csv", body)
    with pytest.raises(DataError) as error:
        dataset(store, schema)
    return str(error.value)


def test_a_column_that_examples_asks_for_is_named_with_those_that_there_are(
    bucket: Store, schema: JsonSchema
) -> None:
    said = refused(bucket, schema, csv(given.table(3).rename(columns={"arr_delay": "Arr_Delay"})))

    assert "the file has no column arr_delay; the columns are Arr_Delay, " in said


def test_a_fault_in_what_examples_returned_is_found_in_the_file(
    bucket: Store, schema: JsonSchema
) -> None:
    said = refused(bucket, schema, csv(given.table(30).assign(hour=[7] * 20 + [99] * 10)))

    assert "row 20 of what `examples` returned (line 22 of a.csv), column hour: " in said
