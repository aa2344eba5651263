"""What is kept of captures: brought up to date, set aside, and read no more than needed."""

import gzip
import json
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st

from evergreen.captures.arrivals import ARRIVAL, DELIVERY
from evergreen.captures.recorded import Recorded
from evergreen.captures.records import Capture
from evergreen.monitoring import hourly_counts
from evergreen.monitoring.hourly_counts import Hour, Hours, window
from evergreen.registry.manifest import Manifest
from tests.support import given
from tests.support.given import NAME, START
from tests.support.memory import OLD, Memory, compacted, deliver, hours, made

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
COMPLETE = START + DAY + ARRIVAL + DELIVERY
KEY = f"hours/{NAME}/2013-01-01.json"
FOLDER = f"captures/{START:%Y/%m/%d/%H}"


def anew(memory: Memory, manifest: Manifest, end: datetime) -> dict[datetime, Hour]:
    """Return what there is to count, as a run that knows nothing of runs before would."""
    fresh = Memory()
    fresh.objects.update(memory.under("captures/"))
    return hours(fresh, manifest, START, end)


# Up to date


def test_an_object_that_comes_late_is_counted_by_the_next_run(
    memory: Memory, manifest: Manifest
) -> None:
    deliver(memory, [made(manifest, 1)])
    assert window(hours(memory, manifest, START, START + DAY)).rows == 1
    deliver(memory, [made(manifest, 2)], name="later")

    found = hours(memory, manifest, START, START + DAY)

    assert window(found).rows == 2
    assert found == anew(memory, manifest, START + DAY)


def test_an_hour_that_was_counted_before_its_folder_was_complete_is_counted_again(
    memory: Memory, manifest: Manifest
) -> None:
    at = START + 9 * HOUR
    deliver(memory, [made(manifest, 1, at)], at)
    hours(memory, manifest, START, at + HOUR / 2)
    deliver(memory, [made(manifest, 2, at + HOUR - timedelta.resolution)], at + HOUR)

    found = hours(memory, manifest, START, at + DAY)

    assert found[at].rows == 2
    assert found == anew(memory, manifest, at + DAY)


def test_after_a_promotion_the_window_is_counted_in_the_new_champions_bins(
    memory: Memory, manifest: Manifest
) -> None:
    bins = manifest.reference["hour"]
    coarse = msgspec.structs.replace(bins, edges=[-0.5, 11.0, 23.0], counts=[0, 9, 9, 0, 0])
    promoted = msgspec.structs.replace(
        manifest, version=given.version(28), reference=manifest.reference | {"hour": coarse}
    )
    deliver(memory, [made(manifest, n) for n in range(48)])
    hours(memory, manifest, START, COMPLETE)

    versions = [manifest.version, promoted.version]
    hour = Hours(compacted(memory), promoted, versions).between(START, COMPLETE)[START]

    assert hour.counts["hour"] == [0, 24, 24, 0, 0]
    assert hour.versions == {manifest.version: 48}


@pytest.mark.slow
@settings(max_examples=40)
@hypothesis_given(
    arrivals=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 2), st.booleans()), min_size=1, max_size=8
    ),
    other=st.booleans(),
)
def test_many_runs_on_the_way_find_what_one_run_at_the_end_finds(
    manifest: Manifest, arrivals: list[tuple[int, int, bool]], other: bool
) -> None:
    memory, end = Memory(), START + 2 * DAY
    second = msgspec.structs.replace(manifest, version=OLD)
    for number, (hour, late, run) in enumerate(arrivals):
        at = START + hour * HOUR
        deliver(memory, [made(manifest, number, at)], at + late * HOUR, f"{number}")
        if run:
            hours(memory, second if other and number % 2 else manifest, START, at)

    found = hours(memory, manifest, START, end)

    assert found == anew(memory, manifest, end)
    assert window(found).rows == len(arrivals)


# No more than needed


def test_an_hour_whose_objects_are_the_same_is_not_read_again(
    memory: Memory, manifest: Manifest
) -> None:
    deliver(memory, [made(manifest, 1)])
    first = hours(memory, manifest, START, START + DAY)
    memory.forget()

    again = Hours(Recorded(memory, NAME), manifest, [OLD, manifest.version])
    assert again.between(START, START + DAY) == first
    assert {key for key in memory.read if not key.startswith("arrivals/")} == {KEY}
    assert memory.written == []


def test_a_complete_day_is_neither_listed_nor_read_nor_written_again(
    memory: Memory, manifest: Manifest
) -> None:
    deliver(memory, [made(manifest, 1)])
    first = hours(memory, manifest, START, COMPLETE)
    memory.forget()

    again = Hours(Recorded(memory, NAME), manifest, [OLD, manifest.version])
    assert again.between(START, START + DAY) == {
        at: hour for at, hour in first.items() if at < START + DAY
    }
    assert (memory.listed, memory.read, memory.written) == ([], [KEY], [])


@pytest.mark.parametrize("left", [timedelta(0), timedelta.resolution])
def test_a_day_is_complete_once_nothing_can_arrive_for_it_any_more(
    memory: Memory, manifest: Manifest, left: timedelta
) -> None:
    deliver(memory, [made(manifest, 1)])

    hours(memory, manifest, START, COMPLETE - left)

    assert json.loads(memory.objects[KEY])["complete"] is (not left)


def test_hours_are_a_cache(memory: Memory, manifest: Manifest) -> None:
    deliver(memory, [made(manifest, n) for n in range(30)])
    first = hours(memory, manifest, START, COMPLETE)
    del memory.objects[KEY]

    assert hours(memory, manifest, START, COMPLETE) == first


def test_each_object_is_read_once_in_a_run(memory: Memory, manifest: Manifest) -> None:
    for number in range(24):
        at = START + number * HOUR
        deliver(memory, [made(manifest, number, at), made(manifest, 50 + number, at - HOUR)], at)

    hours(memory, manifest, START, START + DAY)

    captures = [key for key in memory.read if key.startswith("captures/")]
    assert len(captures) == len(set(captures)) == 24


def test_an_object_that_expired_after_it_was_listed_counts_nothing(manifest: Manifest) -> None:
    class Expired(Memory, frozen=True, eq=False):
        def get(self, key: str, _: int | None = None) -> None:
            self.read.append(key)

    memory = Expired()
    deliver(memory, [made(manifest, 1)])

    assert window(hours(memory, manifest, START, START + HOUR)).rows == 0


# Set aside


Spoil = Callable[[Manifest], bytes]


def lines(*captures: Capture) -> bytes:
    return msgspec.json.Encoder().encode_lines(captures)


SPOILT: dict[str, tuple[Spoil, str]] = {
    "truncated": (lambda m: gzip.compress(lines(made(m, 9)))[:-9], "damaged object"),
    "a checksum that is wrong": (
        lambda m: gzip.compress(lines(made(m, 9)))[:-8] + bytes(8),
        "damaged object",
    ),
    "half a line": (lambda m: lines(made(m, 9))[:50], "unreadable"),
    "a wrong schema": (lambda m: lines(made(m, 9, features={"x": 1})), "wrong schema"),
    "an unknown version": (lambda m: lines(made(m, 9, version="v")), "unknown version"),
    "a wrong hour": (lambda m: lines(made(m, 9, START - 3 * HOUR)), "wrong hour"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_cannot_be_counted_is_in_quarantine_with_its_reason_and_the_rest_is_counted(
    memory: Memory, manifest: Manifest, name: str
) -> None:
    spoil, reason = SPOILT[name]
    body = spoil(manifest)
    deliver(memory, [made(manifest, n) for n in range(5)])
    memory.put(f"{FOLDER}/odd.gz", body)

    found = hours(memory, manifest, START, START + HOUR)[START]

    assert (found.rows, found.set_aside) == (5, {reason: 1})
    ((key, aside),) = memory.under("quarantine/").items()
    if reason == "damaged object":
        assert (key, aside) == (f"quarantine/-/{FOLDER}/odd.gz", body)
    else:
        whose = "-" if reason == "unreadable" else NAME
        assert key == f"quarantine/{whose}/{FOLDER}/odd.gz.jsonl"
        found_line = json.loads(aside)
        assert found_line["reason"] == reason
        assert given.prediction_id(9) in found_line["line"]
    assert memory.objects[f"{FOLDER}/odd.gz"] == body


def test_rows_of_one_id_that_contradict_each_other_are_set_aside_whatever_the_order(
    memory: Memory, manifest: Manifest
) -> None:
    odd = [made(manifest, 9), made(manifest, 9, score=0.5), made(manifest, 9)]
    for name, captures in (("a", odd[:1]), ("b", odd[1:]), ("c", [made(manifest, 1)])):
        deliver(memory, captures, name=name)

    found = hours(memory, manifest, START, START + HOUR)[START]

    assert (found.rows, found.set_aside) == (1, {"conflicting": 2, "repeated": 1})
    ((key, aside),) = memory.under("quarantine/").items()
    assert key == f"quarantine/{NAME}/conflicting/2013-01-01T00.json"
    assert json.loads(aside) == [given.prediction_id(9)]


def test_records_that_are_set_aside_are_counted_in_the_hour_of_their_folder_and_once(
    memory: Memory, manifest: Manifest
) -> None:
    memory.put(f"{FOLDER}/odd.gz", b"no JSON")
    deliver(memory, [made(manifest, 1, START + HOUR)], START + HOUR)
    hours(memory, manifest, START, START + HOUR)

    found = hours(memory, manifest, START, START + DAY)

    assert window(found).set_aside == {"unreadable": 1}
    assert found[START].set_aside == {"unreadable": 1}


def test_traffic_of_other_endpoints_is_nobodys_business(memory: Memory, manifest: Manifest) -> None:
    deliver(memory, [made(manifest, 1, endpoint="other", features={"y": 2})])

    found = hours(memory, manifest, START, START + DAY)

    assert window(found).rows == 0
    assert window(found).set_aside == {}


def test_rows_of_an_older_schema_that_the_champion_could_not_be_asked_are_counted_as_that(
    memory: Memory, manifest: Manifest
) -> None:
    older = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    deliver(memory, [made(manifest, 9, version=OLD, features={"x": 1}), made(manifest, 1)])

    recorded = compacted(memory, lambda _, version: older if version == OLD else manifest.schema)
    found = Hours(recorded, manifest, [OLD, manifest.version]).between(START, START + HOUR)[START]

    assert (found.rows, found.set_aside) == (1, {"older schema": 1})


@pytest.mark.parametrize("at_once", [2, 3, 7])
def test_an_hour_is_counted_the_same_in_shares(
    memory: Memory, manifest: Manifest, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(memory, [made(manifest, n, START + n * HOUR / 23) for n in (*range(20), *range(9), 3)])
    whole = hours(memory, manifest, START, COMPLETE)
    del memory.objects[KEY]
    monkeypatch.setattr(hourly_counts, "AT_ONCE", at_once)

    assert hours(memory, manifest, START, COMPLETE) == whole
