"""Labelled rows, and the checks that they must pass before anything is fitted."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from msgspec import Meta

import endpoints.flight_delay as flight_delay
from evergreen.captures.examples import Examples, check, concat, from_table, moment, utc
from evergreen.contract.errors import DataError
from evergreen.contract.problem import Kind
from evergreen.contract.schema import JsonSchema, schema_of
from tests.support import given


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """A number, a whole number with gaps, and a text."""

    x: float
    n: Annotated[int, Meta(ge=0)] | None = None
    t: str | None = None


SCHEMA = schema_of("test", Row)


def table(**columns: Any) -> pd.DataFrame:
    plain = {
        "x": [1.0, 2.0, 3.0],
        "n": [1, 2, 3],
        "t": ["a", "b", "c"],
        "label": [True, False, True],
        "time": ["2013-01-03", "2013-01-01", "2013-01-02"],
    }
    return pd.DataFrame({**plain, **columns})


def examples(rows: int, seed: int = 0) -> Examples:
    random = np.random.default_rng(seed)
    x = random.normal(size=rows)
    return given.from_rows(
        SCHEMA,
        [{"x": float(v), "n": None, "t": "a"} for v in x],
        (random.uniform(size=rows) < 0.5).tolist(),
        [given.START + timedelta(hours=n) for n in range(rows)],
    )


# From a table


def test_a_table_becomes_examples_in_order_of_time() -> None:
    found = from_table(SCHEMA, table())

    assert found.columns["x"].tolist() == [2.0, 3.0, 1.0]
    assert found.columns["t"].tolist() == ["b", "c", "a"]
    assert found.labels.tolist() == [False, True, True]
    assert found.times.dtype == "datetime64[us]"


def test_gaps_are_missing_values() -> None:
    found = from_table(SCHEMA, table(n=[1, np.nan, 3], t=["a", None, "c"]))

    assert np.isnan(found.columns["n"][0])
    assert found.columns["t"][0] == ""


@pytest.mark.parametrize("kind", ["int8", "int64", "float32", "Int64", "uint16"])
def test_whole_numbers_may_come_in_any_kind_of_column(kind: str) -> None:
    found = from_table(SCHEMA, table(n=pd.Series([1, 2, 3], dtype=kind)))

    assert found.columns["n"].tolist() == [2.0, 3.0, 1.0]


@pytest.mark.parametrize("labels", [[1, 0, 1], [1.0, 0.0, 1.0], [True, False, True]])
def test_labels_may_be_booleans_or_zero_and_one(labels: list[Any]) -> None:
    found = from_table(SCHEMA, table(label=labels))

    assert found.labels.dtype == bool
    assert found.labels.tolist() == [False, True, True]


def test_weights_are_read_kept_with_their_rows_and_hashed() -> None:
    found = from_table(SCHEMA, table(sample_weight=[3, 1, 2.5]))
    plain = from_table(SCHEMA, table())

    assert found.weights is not None
    assert found.weights.tolist() == [1, 2.5, 3]
    assert plain.weights is None
    assert len({each.sha256() for each in (plain, found, found.take(slice(2)))}) == 3
    both = concat([found, plain])
    assert both is not None
    assert both.weights is not None
    assert both.weights.tolist() == [1, 1, 2.5, 1, 3, 1], "captures weigh 1"


@pytest.mark.parametrize("odd", [-1, np.nan, np.inf, "heavy", None])
def test_a_weight_that_is_none_is_refused_with_its_row(odd: Any) -> None:
    with pytest.raises(DataError, match=r"row 1 .*column sample_weight"):
        from_table(SCHEMA, table(sample_weight=[1, odd, 1]))


def test_rows_that_all_weigh_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="sample_weight is 0 in every row"):
        from_table(SCHEMA, table(sample_weight=0))


def test_times_in_another_zone_are_the_same_moments() -> None:
    zoned = pd.to_datetime(table()["time"]).dt.tz_localize("America/New_York")

    found = from_table(SCHEMA, table(time=zoned))

    assert found.times[0] == np.datetime64("2013-01-01T05:00:00", "us")


def test_a_table_without_rows_has_no_examples() -> None:
    assert len(from_table(SCHEMA, table().iloc[:0])) == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [True, None, False]}, r"row 1 .*column label: the label is missing"),
        ({"label": [1.0, 0.0, np.nan]}, r"row 2 .*the label is missing"),
        ({"label": [0, 1, 2]}, r"row 2 .*label: a number where true or false"),
        ({"label": ["yes", "no", "no"]}, r"row 0 .*label: text where true or false"),
        ({"time": ["2013-01-01", None, "2013-01-01"]}, r"row 1 .*the time is missing"),
        (
            {"time": ["2013-01-01", "yesterday", "2013-01-01"]},
            r"row 1 .*time: text where a time such as",
        ),
        ({"x": [1.0, np.nan, 2.0]}, r"row 1 .*column x: "),
        ({"x": ["1", "a", "3"]}, r"row 1 .*column x: text where a number"),
        ({"n": [1, -1, 2]}, r"row 1 .*column n: "),
        ({"n": [1, 1.5, 2]}, r"row 1 .*column n: a number that is not whole"),
        ({"t": ["a", 7, "c"]}, r"row 1 .*column t: a number where text"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_table_with_a_value_that_a_request_could_not_have_is_refused_with_its_row(
    columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        from_table(SCHEMA, table(**columns))


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39], ids=str)
def test_an_infinite_number_is_refused_since_some_estimators_would_fit_it(value: float) -> None:
    with pytest.raises(DataError, match="row 1"):
        from_table(SCHEMA, table(x=[1.0, value, 2.0]))


@pytest.mark.parametrize("column", ["x", "n", "label", "time"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(DataError, match=f"lacks {column}"):
        from_table(SCHEMA, table().drop(columns=column))


@pytest.mark.parametrize(
    ("kind", "labels", "found"),
    [
        ("regression", [3, -1, 2], [-1.0, 2.0, 3.0]),
        ("regression", [3.5, -1.0, 2.0], [-1.0, 2.0, 3.5]),
        ("multiclass", ["c", "a", "b"], ["a", "b", "c"]),
    ],
)
def test_labels_are_numbers_or_texts_in_the_other_kinds(
    kind: Kind, labels: list[Any], found: list[Any]
) -> None:
    got = from_table(SCHEMA, table(label=labels), kind)

    assert got.labels.tolist() == found
    assert got.kind == kind
    assert got.take(slice(1)).kind == kind


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("regression", ["1", "a", "3"], "row 1 .*column label: text where a number"),
        ("regression", [True, False, True], "row 0 .*column label: true or false where"),
        ("regression", [1.0, np.inf, 2.0], "row 1 .*column label: infinity where"),
        ("regression", [1.0, np.nan, 2.0], "row 1 .*the label is missing"),
        ("multiclass", [1, 2, 3], "row 0 .*column label: a number where text"),
        ("multiclass", ["a", "b", ""], "row 2 .*column label: Expected `str`"),
        ("multiclass", ["a", "b" * 65, "c"], "row 1 .*column label: Expected `str`"),
        ("multiclass", ["a", None, "c"], "row 1 .*the label is missing"),
    ],
)
def test_a_label_of_another_kind_is_refused_with_its_row(
    kind: Kind, labels: list[Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        from_table(SCHEMA, table(label=labels), kind)


# Slices and hashes


@hypothesis_given(
    cuts=st.lists(st.integers(-5, 45), max_size=4).map(sorted), minutes=st.integers(0, 59)
)
def test_slices_of_time_next_to_each_other_have_every_row_once(
    cuts: list[int], minutes: int
) -> None:
    whole = examples(40)
    bounds = [given.START + timedelta(hours=cut, minutes=minutes) for cut in cuts]

    edges: list[datetime | None] = [None, *bounds, None]
    parts = [whole.between(low, high) for low, high in pairwise(edges)]

    joined = concat(parts)
    assert joined is not None
    assert joined.sha256() == whole.sha256()


@hypothesis_given(start=st.integers(0, 4 * 10**15))
def test_a_time_survives_numpy_to_the_microsecond(start: int) -> None:
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start)

    assert utc(moment(time)) == time


def test_a_slice_that_ends_before_it_begins_is_empty() -> None:
    assert len(examples(10).between(given.NOW, given.START)) == 0


def test_parts_are_joined_in_order_of_time() -> None:
    whole = examples(10)

    joined = concat([whole.take(slice(5, 10)), whole.take(slice(0, 0)), whole.take(slice(0, 5))])

    assert joined is not None
    assert joined.sha256() == whole.sha256()
    assert concat([]) is None
    assert concat([whole.take(slice(0, 0))]) is None


VALUES = st.lists(
    st.tuples(
        st.floats(width=32, allow_nan=False),
        st.none() | st.integers(0, 1000),
        st.none() | st.text(alphabet="ab\0é", min_size=1, max_size=3),
        st.booleans(),
        st.integers(0, 10**9),
    ),
    min_size=1,
    max_size=4,
)


def of(values: list[tuple[float, int | None, str | None, bool, int]]) -> Examples:
    return given.from_rows(
        SCHEMA,
        [{"x": x, "n": n, "t": t} for x, n, t, _, _ in values],
        [label for *_, label, _ in values],
        [given.START + timedelta(microseconds=micros) for *_, micros in values],
    )


@hypothesis_given(values=VALUES, other=VALUES, place=st.integers(0, 3), part=st.integers(0, 4))
def test_the_hash_changes_with_any_one_value(
    values: list[Any], other: list[Any], place: int, part: int
) -> None:
    place %= len(values)
    changed = [list(value) for value in values]
    changed[place][part] = other[0][part]
    assume(changed[place][part] != values[place][part])

    assert of(values).sha256() != of([tuple(value) for value in changed]).sha256()


@pytest.mark.parametrize("part", range(5), ids=["number", "gap", "text", "label", "time"])
def test_the_hash_covers_features_labels_and_times(part: int) -> None:
    first = (1.0, 2, "a", True, 5)
    second = (1.5, None, "b", False, 6)
    changed = tuple((second if index == part else first)[index] for index in range(5))

    assert of([first]).sha256() != of([changed]).sha256()  # type: ignore[list-item]


def test_the_hash_tells_texts_apart_whatever_character_is_in_them() -> None:
    times = [given.START, given.START]
    a = given.from_rows(
        SCHEMA, [{"x": 1, "n": 1, "t": t} for t in ("a\0b", "c")], [True, False], times
    )
    b = given.from_rows(
        SCHEMA, [{"x": 1, "n": 1, "t": t} for t in ("a", "b\0c")], [True, False], times
    )

    assert a.sha256() != b.sha256()


def test_the_hash_covers_text_labels_by_what_they_say() -> None:
    good, word = examples(4), "".join(["su", "n"])  # another object than "sun"

    assert labelled(good, ["sun"] * 4).sha256() == labelled(good, [word] * 4).sha256()
    assert labelled(good, ["sun"] * 4).sha256() != labelled(good, ["fog"] * 4).sha256()


def test_the_hash_is_the_same_for_the_same_rows() -> None:
    assert examples(20).sha256() == examples(20).sha256()


# The checks before a training


def checked(found: Examples | None, at: datetime = given.NOW, min_rows: int = 20) -> Examples:
    return check(found, SCHEMA, at=at, min_rows=min_rows)


def test_good_data_passes_as_it_is() -> None:
    good = examples(100)

    assert checked(good) is good


@pytest.mark.parametrize("none", [None, examples(0)], ids=["none", "no rows"])
def test_no_data_is_refused_with_advice(none: Examples | None) -> None:
    with pytest.raises(DataError, match="upload training data"):
        checked(none)


def test_a_row_from_the_future_is_refused() -> None:
    good = examples(100)
    newest = utc(good.times[-1])

    assert checked(good, at=newest) is good
    with pytest.raises(DataError, match="in the future"):
        checked(good, at=newest - timedelta(microseconds=1))


def test_too_few_rows_are_refused_with_both_figures() -> None:
    with pytest.raises(DataError, match=r"19 labelled rows .*policy.min_rows=20"):
        checked(examples(19))


@pytest.mark.parametrize("value", [True, False])
def test_one_class_is_refused(value: bool) -> None:
    good = examples(100)
    one = Examples(good.columns, np.full(100, value), good.times)

    with pytest.raises(DataError, match=f"only 0 of 100 labels are {str(not value).lower()}"):
        checked(one)


def test_a_class_needs_a_tenth_of_the_rows_that_a_fit_needs() -> None:
    good = examples(100)
    labels = np.zeros(100, dtype=bool)
    labels[[3, 50]] = True

    assert checked(Examples(good.columns, labels, good.times), min_rows=20)
    with pytest.raises(DataError, match="only 2 of 100 labels are true"):
        checked(Examples(good.columns, labels, good.times), min_rows=30)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_feature_that_alone_predicts_the_label_is_refused(sign: int) -> None:
    good = examples(100)
    leak = {**good.columns, "x": (sign * good.labels).astype(np.float32)}

    with pytest.raises(DataError, match="feature x alone predicts the label"):
        checked(Examples(leak, good.labels, good.times))


def labelled(found: Examples, labels: list[Any]) -> Examples:
    """Return examples with numbers or texts as their labels."""
    kind = object if isinstance(labels[0], str) else np.float64
    return Examples(found.columns, np.array(labels, dtype=kind), found.times)


def test_a_constant_is_nothing_to_learn() -> None:
    with pytest.raises(DataError, match="all 100 labels are the same number"):
        checked(labelled(examples(100), [7.5] * 100))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "b"] * 50, "2 classes: multiclass needs 3 to 100; two are a binary problem"),
        ([f"c{n}" for n in range(101)], "101 classes: .*; join the rare ones"),
        (["a"] * 98 + ["b", "c"], "only 1 of 100 labels are of the second most frequent"),
    ],
    ids=["two", "many", "one"],
)
def test_classes_that_nothing_can_be_learnt_of_are_refused(labels: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked(labelled(examples(len(labels)), labels))


def test_a_rare_class_beside_two_frequent_ones_is_fine() -> None:
    found = labelled(examples(100), ["a"] * 60 + ["b"] * 39 + ["c"])

    assert checked(found) is found


def test_a_number_that_says_the_class_is_refused_and_one_that_tells_some_apart_is_not() -> None:
    classes = ["abc"[n % 3] for n in range(300)]
    codes = np.array([{"a": 1, "b": 0, "c": 2}[name] for name in classes], dtype=np.float32)
    good = labelled(examples(300), classes)

    assert checked(Examples({**good.columns, "x": np.minimum(codes, 1)}, good.labels, good.times))
    with pytest.raises(DataError, match=r"feature x alone .*share of right answers 1\.0000"):
        checked(Examples({**good.columns, "x": codes}, good.labels, good.times))


def test_a_number_that_orders_the_label_perfectly_is_refused_and_one_close_to_it_is_not() -> None:
    good = examples(300)
    x = good.columns["x"]
    near = labelled(good, (x + 0.1 * np.random.default_rng(1).normal(size=300)).tolist())

    assert checked(near) is near
    with pytest.raises(DataError, match=r"feature x alone .*rank correlation 1\.0000"):
        checked(labelled(good, (-np.exp(x)).tolist()))


def test_a_feature_whose_gaps_predict_the_label_is_refused() -> None:
    good = examples(100)
    gaps = np.where(good.labels, 5, np.nan).astype(np.float32)

    with pytest.raises(DataError, match="feature x"):
        checked(Examples({**good.columns, "x": gaps}, good.labels, good.times))


def test_flights_pass(schema: JsonSchema) -> None:
    endpoint = flight_delay.endpoint
    found = from_table(schema, endpoint.examples(given.table()))

    assert check(found, schema, at=given.NOW, min_rows=500)
