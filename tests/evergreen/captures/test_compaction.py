"""What has arrived as parts: the same bytes, whatever came when, how often, and cut off where."""

import contextlib
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st

from evergreen.captures import compaction
from evergreen.captures.arrivals import HOUR
from evergreen.captures.compaction import compact, ledger_of
from evergreen.captures.parquet_parts import OvertakenError
from evergreen.captures.recorded import Recorded
from evergreen.captures.records import Capture, Label
from tests.support import given
from tests.support.given import NAME, START, capture, deliver, label
from tests.support.memory import CrashError, Fault, Memory, compacted, flights

DAY = timedelta(days=1)
PARTS = ("rows/", "outcomes/", "arrivals/")
END = START + 2 * DAY


def parts(memory: Memory) -> dict[str, bytes]:
    return {key: body for key, body in memory.objects.items() if key.startswith(PARTS)}


def anew(memory: Memory) -> dict[str, bytes]:
    """Return the parts that a run makes that knows of no run before."""
    fresh = Memory()
    fresh.objects.update(memory.under("captures/") | memory.under("labels/"))
    compact(fresh, flights, END)
    return parts(fresh)


def ids(memory: Memory) -> list[str]:
    found = Recorded(memory, NAME).predictions(START - DAY, END)
    return list(found["id"])


def test_captures_and_labels_are_read_as_they_were_recorded() -> None:
    memory = Memory()
    features = given.whole(hour=9, temp=0.1 + 0.2, carrier="'✓")
    sent = capture(
        5, START + timedelta(microseconds=7), features=features, key="a'b", unseen=["carrier"],
        scores={"b": 0.1, "a": 0.9}, failed=given.version(7), ms=1.5,
    )  # fmt: skip
    deliver(memory, [sent, capture(6)], START)
    deliver(memory, [label(5, True, START + HOUR)], START + HOUR)

    recorded = compacted(memory)
    recorded.tell(START, END)
    found = recorded.predictions(START, END, told="LEFT")

    assert recorded.request(sent.id[:-4], sent.time) == {sent.id: sent}
    assert found["outcome"].tolist() == [None, True]
    assert recorded.first_day() == START.date()


@pytest.mark.parametrize("hour", [0, 1])
def test_an_hour_is_read_when_it_is_over_and_each_of_its_objects_once(hour: int) -> None:
    memory = Memory()
    deliver(memory, [capture(1)], START)

    found = compact(memory, flights, START + hour * HOUR + HOUR / 3)
    compact(memory, flights, START + hour * HOUR + HOUR / 2)

    assert found == ({NAME: 1} if hour else {})
    assert memory.read.count("captures/2013/01/01/00/a.jsonl.gz") == hour


def test_a_busy_hour_gets_a_part_of_its_own_and_the_others_share_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compaction, "BUSY", 3)
    memory = Memory()
    for hour, count in ((3, 1), (4, 5), (5, 2)):
        at = START + hour * HOUR
        deliver(memory, [capture(10 * hour + n, at) for n in range(count)], at)

    compact(memory, flights, END)

    names = sorted(key.rpartition("/")[2].partition("-")[0] for key in memory.under("rows/"))
    assert names == ["04", "day"]
    assert len(ids(memory)) == 8


RECORDS: list[Capture | Label] = [
    *(capture(n, START + n * 5 * HOUR) for n in range(8)),
    *(label(n, n % 2 == 0, START + 9 * HOUR + n * HOUR) for n in range(6)),
]


@st.composite
def deliveries(draw: st.DrawFn) -> list[tuple[int, int, bool, int]]:
    """Draw which record arrives, how many hours late, whether a run follows, and its crash."""
    one = st.tuples(
        st.integers(0, len(RECORDS) - 1), st.integers(0, 2), st.booleans(), st.integers(0, 4)
    )
    return draw(st.lists(one, min_size=1, max_size=12))


@pytest.mark.slow
@settings(max_examples=40)
@hypothesis_given(arriving=deliveries(), busy=st.sampled_from([2, 1_000]))
def test_however_it_came_and_wherever_runs_were_cut_off_the_parts_are_the_same_bytes(
    arriving: list[tuple[int, int, bool, int]], busy: int
) -> None:
    memory = Memory()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "BUSY", busy)
        for number, (place, late, run, crash) in enumerate(arriving):
            record: Any = RECORDS[place]
            deliver(memory, [record], record.time + late * HOUR, f"{number}")
            if run:
                memory.faults[:] = [Fault(("before", "after")[number % 2], crash)]
                with contextlib.suppress(CrashError):
                    compact(memory, flights, END - number * HOUR)
                memory.faults.clear()
        compact(memory, flights, END)

        assert parts(memory) == anew(memory)
        known = {RECORDS[place].id for place, *_ in arriving if place < 8}
        assert set(ids(memory)) == known


def test_a_run_that_another_overtook_fails_and_what_it_lacks_the_next_one_adds() -> None:
    memory = Memory()
    deliver(memory, [capture(1)], START, "a")
    compact(memory, flights, END)
    deliver(memory, [capture(2)], START, "b")

    def meanwhile() -> None:
        key = next(iter(memory.under("rows/")))
        memory.objects[key] = other[key]

    ahead = Memory()
    ahead.objects.update(memory.objects)
    deliver(ahead, [capture(3)], START, "c")
    compact(ahead, flights, END)
    other = ahead.objects
    memory.faults.append(Fault("lost", 0, meanwhile))
    with pytest.raises(OvertakenError):
        compact(memory, flights, END)
    deliver(memory, [capture(3)], START, "c")
    compact(memory, flights, END)

    assert len(ids(memory)) == 3
    assert parts(memory) == anew(memory)


def test_after_an_outage_of_days_nothing_is_missed() -> None:
    memory = Memory()
    for day in range(9):
        at = START + day * DAY
        deliver(memory, [capture(day, at)], at)
        if day < 2:
            compact(memory, flights, at + 2 * HOUR)

    found = compact(memory, flights, START + 9 * DAY)

    assert found == {NAME: 7}


def test_what_firehose_wrote_a_day_late_is_read() -> None:
    memory = Memory()
    deliver(memory, [capture(1)], START, "a")
    compact(memory, flights, START + DAY)
    deliver(memory, [capture(2)], START, "b")

    assert compact(memory, flights, START + DAY + HOUR) == {NAME: 1}


@pytest.mark.parametrize("damage", [b"", b"{", b'{"hours": []}'])
def test_of_a_damaged_list_of_what_was_read_everything_is_read_again(damage: bytes) -> None:
    memory = Memory()
    deliver(memory, [capture(1)], START)
    compact(memory, flights, END)
    before = parts(memory)
    memory.objects["arrivals/captures/2013-01-01.json"] = damage

    assert ledger_of(memory, "captures", START.date()).hours == {}
    compact(memory, flights, END)

    assert parts(memory) == before


def test_each_endpoint_has_its_own_parts_and_no_other_is_touched() -> None:
    memory = Memory()
    deliver(memory, [capture(1), capture(2, endpoint="other")], START)
    compact(memory, flights, END)
    memory.forget()
    deliver(memory, [capture(3, START + HOUR, endpoint="other")], START + HOUR)

    compact(memory, flights, END)

    assert not [key for key in memory.written if f"/{NAME}/" in key]
    assert len(Recorded(memory, "other").predictions(START, END)) == 2


def test_an_object_that_expired_after_it_was_listed_is_none() -> None:
    class Expired(Memory, frozen=True, eq=False):
        def get(self, key: str, most: int | None = None) -> Any:
            return None if key.startswith("captures/") else super().get(key, most)

    memory = Expired()
    deliver(memory, [capture(1)], START)

    assert compact(memory, flights, END) == {}


def test_two_fields_that_differ_in_large_and_small_letters_alone_are_two() -> None:
    kinds = {"a": {"type": "number"}, "A": {"type": "string"}, "f0": {"type": "boolean"}}
    schema = {"type": "object", "properties": kinds, "required": list(kinds)}
    memory = Memory()
    features = {"a": 1.5, "A": "x", "f0": True}
    deliver(memory, [capture(1, features=features)], START)

    found = compacted(memory, lambda *_: schema).request(given.prediction_id(1)[:-4], START)

    assert [each.features for each in found.values()] == [features]


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.floats(-3.4e38, 3.4e38),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "string": st.text(max_size=8),
}


@pytest.mark.slow
@settings(max_examples=40)
@hypothesis_given(data=st.data())
def test_every_value_that_a_request_may_have_is_recorded_bit_for_bit(data: st.DataObject) -> None:
    kinds = {name: {"anyOf": [{"type": name}, {"type": "null"}]} for name in VALUES}
    schema = {"type": "object", "properties": kinds, "required": list(kinds)}
    rows = data.draw(
        st.lists(
            st.fixed_dictionaries({n: st.none() | values for n, values in VALUES.items()}),
            min_size=1, max_size=5,
        )
    )  # fmt: skip
    memory = Memory()
    sent = [capture(n, features=row) for n, row in enumerate(rows)]
    deliver(memory, sent, START)

    recorded = compacted(memory, lambda *_: schema)

    for each in sent:
        (found,) = recorded.request(each.id[:-4], START).values()
        assert msgspec.json.encode(found, order="sorted") == msgspec.json.encode(
            each, order="sorted"
        )
