"""Predictions as a person looks for them: what fits, in which order, and in pages."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from evergreen.captures.records import Capture, Label
from evergreen.captures.search import Found, Search, search
from tests.support import given
from tests.support.given import NAME, START
from tests.support.memory import Memory, compacted

HOUR = timedelta(hours=1)
END = START + timedelta(hours=20)


def id_of(number: int) -> str:
    """Return an id as predict makes them, of the time of the capture with this number."""
    return f"{int((START + number * HOUR).timestamp() * 1000):012x}{number:020x}-000"


def capture(number: int, **more: Any) -> Capture:
    made = given.capture(number, START + number * HOUR, **more)
    return msgspec.structs.replace(made, id=id_of(number))


def label(number: int, value: Any = True) -> Label:
    return msgspec.structs.replace(
        given.label(number, value, START + (number + 1) * HOUR), id=id_of(number)
    )


def deliver(store: Memory, *records: Capture | Label) -> None:
    for number, record in enumerate(records):
        given.deliver(store, [record], record.time, f"{number}")


def found(store: Memory, **wanted: Any) -> list[Found]:
    until: datetime = wanted.pop("until", END)
    return search(store, NAME, Search(until=until, **wanted), label_days=7)[0]


def numbers(found: list[Found]) -> list[int]:
    return [int(one.id[12:32], 16) for one in found]


@pytest.fixture(params=["compacted", "fresh"])
def store(request: pytest.FixtureRequest) -> Memory:
    """Return three predictions: a wrong answer, a right one of another version, one that failed."""
    made, other = Memory(), given.version(2)
    second = msgspec.structs.replace(capture(2), version=other)
    third = capture(3, failed=other, ms=12.5)
    deliver(made, capture(1), second, third)
    deliver(made, label(1, True), label(2, False))
    if request.param == "compacted":
        compacted(made)
    return made


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({}, [3, 2, 1]),
        ({"version": given.version(2)}, [2]),
        ({"only": "labelled"}, [2, 1]),
        ({"only": "unlabelled"}, [3]),
        ({"only": "wrong"}, [1]),
        ({"only": "failed"}, [3]),
        ({"label": "true"}, [1]),
        ({"label": "x' OR 'a'='a"}, []),
        ({"id": id_of(2)}, [2]),
        ({"before": id_of(3)}, [2, 1]),
        ({"until": START + 2 * HOUR}, [1]),
        ({"limit": 1}, [3]),
    ],
)
def test_what_fits_is_found_newest_first_whether_it_was_compacted_or_not(
    store: Memory, wanted: dict[str, Any], fits: list[int]
) -> None:
    assert numbers(found(store, **wanted)) == fits


def test_each_is_joined_with_what_was_told_of_it(store: Memory) -> None:
    last, _, first = found(store)

    assert (first.outcome, first.told, first.label) == (True, START + 2 * HOUR, False)
    assert (last.outcome, last.told, last.ms) == (None, None, 12.5)


def test_pages_hold_each_once_also_where_it_was_recorded_twice() -> None:
    store = Memory()
    deliver(store, *(capture(number) for number in range(9)))
    given.deliver(store, [capture(4)], START + 4 * HOUR, "again")
    compacted(store)
    given.deliver(store, [capture(5)], START + 5 * HOUR, "and fresh")

    pages, before, more = [], None, True
    while more:
        page, more = search(store, NAME, Search(until=END, limit=2, before=before), 7)
        pages.append(numbers(page))
        before = page[-1].id

    assert pages == [[8, 7], [6, 5], [4, 3], [2, 1], [0]]


def test_a_prediction_that_was_told_two_outcomes_is_disputed() -> None:
    store = Memory()
    deliver(store, capture(1))
    deliver(store, label(1, True), msgspec.structs.replace(label(1, False), time=END - HOUR))
    compacted(store)

    (one,) = found(store)

    assert (one.outcome, one.disputed) == (True, True)


def test_predictions_of_another_endpoint_are_not_found() -> None:
    store = Memory()
    deliver(store, capture(1, endpoint="other"))

    assert found(store) == []
