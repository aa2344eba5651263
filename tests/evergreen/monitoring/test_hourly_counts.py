"""Predictions as hourly histograms: whatever came when, and however often, they count the same."""

from datetime import datetime, timedelta
from functools import reduce
from typing import Any

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st

from evergreen.captures.arrivals import ARRIVAL
from evergreen.monitoring.domain_classifier import WINDOW_ROWS
from evergreen.monitoring.hourly_counts import HOUR_SAMPLE, Hour, Sampled, merge, window
from evergreen.registry.manifest import Manifest
from tests.support.given import START
from tests.support.memory import OLD, Memory, deliver, made
from tests.support.memory import hours as counted_hours

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


# Merging


def raw(value: Any) -> msgspec.Raw:
    """Return the values of a sampled row that has one."""
    return msgspec.Raw(msgspec.json.encode([value]))


@st.composite
def hours(draw: st.DrawFn) -> Hour:
    cells = st.lists(st.integers(0, 99), min_size=3, max_size=3)
    counted = draw(st.booleans())
    hashes = draw(st.sets(st.integers(0, 2**64 - 1), max_size=3))
    small = st.integers(1, 9)
    return Hour(
        rows=draw(st.integers(0, 99)),
        versions=draw(st.dictionaries(st.sampled_from(["v1", "v2"]), small)),
        counts={name: draw(cells) for name in ("x", "t")} if counted else {},
        scores=draw(cells) if counted else [],
        set_aside=draw(st.dictionaries(st.sampled_from(["unreadable", "repeated"]), small)),
        sample=[
            Sampled(each, f"{each}", raw(draw(st.none() | st.integers(0, 3) | st.text(max_size=2))))
            for each in sorted(hashes)
        ],
    )


@settings(max_examples=50)
@hypothesis_given(one=hours(), other=hours(), third=hours())
def test_hours_merge_in_any_grouping_and_order(one: Hour, other: Hour, third: Hour) -> None:
    assert merge(merge(one, other), third) == merge(one, merge(other, third))
    assert merge(one, other) == merge(other, one)


@hypothesis_given(one=hours())
def test_an_hour_without_anything_changes_nothing(one: Hour) -> None:
    assert merge(one, Hour()) == merge(Hour(), one)
    assert merge(Hour(), one).counts == one.counts


@settings(max_examples=30)
@hypothesis_given(found=st.lists(hours(), max_size=4), order=st.randoms(use_true_random=False))
def test_a_window_is_the_sum_of_its_hours_in_any_order(found: list[Hour], order: Any) -> None:
    by_time = list(enumerate(found))
    order.shuffle(by_time)

    total = window({START + number * HOUR: hour for number, hour in by_time})

    assert total == reduce(merge, found, Hour())
    assert total.rows == sum(hour.rows for hour in found)


def test_an_id_in_two_hours_with_and_without_a_value_can_be_merged() -> None:
    one, other = (Hour(rows=1, sample=[Sampled(7, "id", raw(value))]) for value in (None, 3.5))

    assert merge(one, other) == merge(other, one)


def test_the_sample_of_a_window_is_of_a_fixed_size_and_does_not_favour_an_hour() -> None:
    parts = [
        Hour(sample=[Sampled(n * 40 + part, f"{n}-{part}", raw(n)) for n in range(HOUR_SAMPLE)])
        for part in range(40)
    ]

    sample = reduce(merge, parts).sample

    assert [row.hash for row in sample] == list(range(WINDOW_ROWS))


# Reducing


def test_an_hour_counts_the_distinct_predictions_that_were_made_in_it(
    memory: Memory, manifest: Manifest
) -> None:
    deliver(memory, [made(manifest, n) for n in range(100)] + [made(manifest, 5)] * 3)
    deliver(memory, [made(manifest, n, version=OLD) for n in range(100, 110)], name="b")

    found = counted_hours(memory, manifest, START, START + HOUR)

    (hour,) = found.values()
    assert (hour.rows, hour.versions) == (110, {OLD: 10, manifest.version: 100})
    assert hour.set_aside == {"repeated": 3}
    assert {sum(counts) for counts in hour.counts.values()} == {110}
    assert set(hour.counts) == set(manifest.reference)
    assert sum(hour.scores) == 100, "another version's scores are not the champion's"
    assert len(hour.sample) == HOUR_SAMPLE
    assert hour.counts["temp"][-1] == sum(n % 5 > 0 for n in range(110))


def test_a_prediction_counts_in_its_own_hour_wherever_it_arrived(
    memory: Memory, manifest: Manifest
) -> None:
    at = START + 5 * HOUR
    deliver(memory, [made(manifest, 1, at + HOUR + MINUTE)], at)
    deliver(memory, [made(manifest, 2, at - MINUTE), made(manifest, 3, at - ARRIVAL)], at, "b")

    found = counted_hours(memory, manifest, START, START + DAY)

    counted = {(time - START) // HOUR: hour.rows for time, hour in found.items() if hour.rows}
    assert counted == {3: 1, 4: 1, 6: 1}


@pytest.mark.parametrize("shift", [timedelta(0), timedelta(microseconds=1)], ids=["at", "after"])
def test_hours_are_those_from_start_until_before_end(
    memory: Memory, manifest: Manifest, shift: timedelta
) -> None:
    for number in range(6):
        at = START + number * HOUR
        deliver(memory, [made(manifest, number, at)], at)

    found = counted_hours(memory, manifest, START + HOUR - shift, START + 4 * HOUR)

    assert window(found).rows == 3
    assert min(found) == START + HOUR


def test_of_nothing_there_are_no_hours(memory: Memory, manifest: Manifest) -> None:
    assert counted_hours(memory, manifest, START, START + HOUR) == {}
    assert window({}) == Hour()


COUNT = 12


@pytest.mark.slow
@settings(max_examples=20)
@hypothesis_given(
    order=st.permutations(range(COUNT)),
    again=st.lists(st.integers(0, COUNT - 1), max_size=6),
    names=st.permutations(range(COUNT + 6)),
    late=st.lists(st.integers(0, 1), min_size=COUNT + 6, max_size=COUNT + 6),
    per_file=st.integers(1, 5),
    steps=st.integers(1, 4),
)
def test_the_order_of_rows_and_files_repetitions_and_steps_on_the_way_change_nothing(
    manifest: Manifest,
    order: list[int],
    again: list[int],
    names: list[int],
    late: list[int],
    per_file: int,
    steps: int,
) -> None:
    captures = [made(manifest, n, START + n * 17 * MINUTE) for n in range(COUNT)]
    end = START + DAY
    plain = Memory()
    for number, capture in enumerate(captures):
        deliver(plain, [capture], capture.time, f"{number}")
    expected = counted_hours(plain, manifest, START, end)

    memory = Memory()
    places = [*order, *again]
    for step, first in enumerate(range(0, len(places), per_file)):
        for place in places[first : first + per_file]:
            capture = captures[place]
            at = capture.time + late[step] * ARRIVAL
            deliver(memory, [capture, capture], at, f"{names[place]}-{step}")
        if step % steps == 0:
            counted_hours(memory, manifest, START, START + step * HOUR)
    found = counted_hours(memory, manifest, START, end)

    assert comparable(found) == comparable(expected)
    assert comparable(counted_hours(memory, manifest, START, end)) == comparable(expected)


def comparable(found: dict[datetime, Hour]) -> dict[datetime, Hour]:
    """Return what does not depend on the objects: all but their names and repetitions."""
    return {
        at: msgspec.structs.replace(hour, sources="", set_aside={})
        for at, hour in found.items()
        if hour.rows
    }
