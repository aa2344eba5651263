"""Captures meet their labels, in whatever order and however often both arrive."""

from datetime import timedelta
from typing import Annotated

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from msgspec import Meta

from endpoints.flight_delay import Flight
from evergreen.aws.s3 import Store
from evergreen.captures import label_join
from evergreen.captures.label_join import Joined, join
from evergreen.captures.records import Capture, Label
from evergreen.contract.problem import Answer, Kind
from evergreen.contract.schema import JsonSchema, schema_of
from tests.support import given
from tests.support.given import NAME, capture, deliver, label
from tests.support.memory import compacted

END = given.START + timedelta(days=3)
HOUR = timedelta(hours=1)


def joined(store: Store, schema: JsonSchema) -> Joined:
    return join(compacted(store), schema, given.START, END)


def test_a_labelled_capture_becomes_an_example(bucket: Store, schema: JsonSchema) -> None:
    deliver(bucket, [capture(1, features=given.whole(hour=9))], given.START)
    deliver(bucket, [label(1, True)], given.START + HOUR)

    found = joined(bucket, schema)

    assert found.examples is not None
    assert found.examples.labels.tolist() == [True]
    assert found.examples.columns["hour"].tolist() == [9.0]
    assert found.examples.times[0] == np.datetime64("2013-01-01T00:00:00", "us")
    assert (found.joined, found.unlabelled, found.pending) == (1, 0, 0)


def test_nothing_joins_to_nothing(bucket: Store, schema: JsonSchema) -> None:
    assert joined(bucket, schema) == Joined()


def test_a_capture_without_a_label_waits(bucket: Store, schema: JsonSchema) -> None:
    deliver(bucket, [capture(1)], given.START)

    found = joined(bucket, schema)

    assert (found.examples, found.unlabelled) == (None, 1)


def test_a_label_that_comes_before_its_capture_joins_it_later(
    bucket: Store, schema: JsonSchema
) -> None:
    deliver(bucket, [label(1)], given.START)
    before = join(compacted(bucket), schema, given.START, given.START + HOUR)
    assert before.pending == 1

    deliver(bucket, [capture(1)], given.START + HOUR)

    assert joined(bucket, schema).joined == 1


def test_a_label_of_another_endpoint_joins_nothing(bucket: Store, schema: JsonSchema) -> None:
    deliver(bucket, [capture(1)], given.START)
    deliver(bucket, [label(1, endpoint="other")], given.START)

    assert joined(bucket, schema).joined == 0


def test_an_id_with_two_labels_teaches_nothing_and_is_named(
    bucket: Store, schema: JsonSchema
) -> None:
    deliver(bucket, [capture(1), capture(2)], given.START)
    deliver(bucket, [label(1, True), label(2, True)], given.START)
    deliver(bucket, [label(1, False)], given.START + timedelta(days=2), "b")

    found = joined(bucket, schema)

    assert found.conflicting == [given.prediction_id(1)]
    assert found.joined == 1
    assert found.pending == 0


def test_a_capture_that_arrived_on_two_days_is_one_example(
    bucket: Store, schema: JsonSchema
) -> None:
    late = given.START + timedelta(hours=23, minutes=59)
    deliver(bucket, [capture(1, late)], late)
    deliver(bucket, [capture(1, late)], late + HOUR)
    deliver(bucket, [label(1)], late)

    found = joined(bucket, schema)

    assert (found.joined, found.unlabelled) == (1, 0)


def test_a_capture_that_the_present_schema_cannot_read_is_counted_and_left_out(
    bucket: Store, schema: JsonSchema
) -> None:
    def of_old(_: str, version: str) -> JsonSchema:
        return schema if version == given.version(1) else older

    older = schema | {"properties": schema["properties"] | {"old": {"type": "integer"}}}
    older["properties"]["hour"] = {"type": "integer"}
    features = [given.whole(old=1, hour=99), given.whole(old=1), given.whole(old=2)]
    odd = [
        msgspec.structs.replace(capture(n, features=row), version=given.version(2))
        for n, row in enumerate(features, start=1)
    ]
    deliver(bucket, [*odd, capture(4)], given.START)
    deliver(bucket, [label(number) for number in range(1, 5)], given.START)

    found = join(compacted(bucket, of_old), schema, given.START, END)

    assert (found.joined, found.incompatible, found.pending) == (1, 3, 0)


def test_a_capture_from_before_an_optional_field_existed_joins_with_its_default(
    bucket: Store,
) -> None:
    """A new version may add a field; the old requests are still good examples."""

    snow = Annotated[float, Meta(ge=0, description="inches")] | None
    newer = msgspec.defstruct("Newer", [("snow", snow, None)], bases=(Flight,), frozen=True)

    deliver(bucket, [capture(1)], given.START)
    deliver(bucket, [label(1)], given.START)

    found = join(compacted(bucket), schema_of(NAME, newer), given.START, END)

    assert found.joined == 1
    assert found.examples is not None
    assert np.isnan(found.examples.columns["snow"][0])


def test_a_label_that_was_reported_after_the_end_is_not_known_yet(
    bucket: Store, schema: JsonSchema
) -> None:
    noon = given.START + timedelta(hours=12)
    deliver(bucket, [capture(1)], given.START)
    deliver(bucket, [label(1, time=noon + HOUR)], noon + HOUR)

    found = join(compacted(bucket), schema, given.START, noon)

    assert (found.joined, found.unlabelled) == (0, 1)


COUNT = 5
RECORDS: list[Capture | Label] = [
    *(capture(n, given.START + n * timedelta(hours=7)) for n in range(COUNT)),
    *(label(n, n % 2 == 0, given.START + timedelta(days=1)) for n in range(1, COUNT + 1)),
    label(2, False, given.START + timedelta(days=1)),
]


@pytest.mark.slow
@pytest.mark.usefixtures("shortcuts")
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@hypothesis_given(
    order=st.permutations(range(len(RECORDS))),
    again=st.lists(st.integers(0, len(RECORDS) - 1), max_size=5),
    hours=st.lists(st.integers(1, 70), min_size=30, max_size=30),
)
def test_labels_join_the_same_in_any_order_and_with_duplicates(
    bucket: Store, schema: JsonSchema, order: list[int], again: list[int], hours: list[int]
) -> None:
    for key in [*bucket.keys("")]:
        bucket.s3.delete_object(Bucket=bucket.bucket, Key=key)
    for number, (place, hour) in enumerate(zip([*order, *again], hours, strict=False)):
        record = RECORDS[place]
        at = max(record.time, given.START + hour * HOUR)  # nothing arrives before it is made
        at = min(at, record.time + HOUR) if isinstance(record, Capture) else at
        deliver(bucket, [record], at, f"{number}")

    found = joined(bucket, schema)

    assert found.examples is not None
    assert found.examples.labels.tolist() == [False, False, True]
    assert found.examples.times.tolist() == [
        RECORDS[n].time.replace(tzinfo=None) for n in (1, 3, 4)
    ]
    assert (found.joined, found.unlabelled, found.pending) == (3, 1, 1)
    assert found.conflicting == [given.prediction_id(2)]


@pytest.mark.parametrize(
    ("kind", "value", "wrong"), [("regression", 7.5, True), ("multiclass", "rain", 7.5)]
)
def test_labels_of_the_problem_teach_and_those_of_another_kind_do_not(
    bucket: Store, schema: JsonSchema, kind: Kind, value: Answer, wrong: Answer
) -> None:
    deliver(bucket, [capture(1), capture(2)], given.START)
    deliver(bucket, [label(1, value), label(2, wrong)], given.START + HOUR)

    found = join(compacted(bucket), schema, given.START, END, kind)

    assert found.examples is not None
    assert (found.examples.kind, found.examples.labels.tolist()) == (kind, [value])
    assert (found.joined, found.incompatible) == (1, 1)


def test_of_more_rows_than_can_be_learnt_from_a_share_is_drawn_that_says_so(
    bucket: Store, schema: JsonSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_join, "MAX_ROWS", 30)
    for day in range(3):
        at = given.START + timedelta(days=day)
        deliver(bucket, [capture(1_000 * day + n, at + n * HOUR / 200) for n in range(200)], at)
        deliver(bucket, [label(1_000 * day + n, time=at + HOUR) for n in range(200)], at + HOUR)

    found = joined(bucket, schema)

    assert found.one_in in (32, 64)
    assert 1 <= found.joined <= 30
    again = joined(bucket, schema)
    assert again.examples is not None
    assert found.examples is not None
    assert again.examples.sha256() == found.examples.sha256()
