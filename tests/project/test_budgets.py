"""What each scheduled job asks of S3, by objects, endpoints and days, so that growth is seen."""

from datetime import timedelta

import msgspec
import pytest

from evergreen.captures.compaction import compact
from evergreen.captures.recorded import Recorded
from evergreen.contract.endpoint import Policy
from evergreen.contract.problem import Problem
from evergreen.monitoring.daily_performance import Followed, follow
from evergreen.monitoring.hourly_counts import Hours
from evergreen.registry.manifest import Manifest
from evergreen.rollout.gathering import Gathering
from evergreen.rollout.paired_comparison import paired
from evergreen.serving import model
from evergreen.serving.model import ONNX
from evergreen.training.train_version import Trained
from tests.support import given, rollouts
from tests.support.given import NAME, NOW, START
from tests.support.memory import Memory, compacted, flights

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LEDGERS = 8  # of four dates that something may still arrive for, twice: listed and read


@pytest.fixture(scope="module")
def manifest(trained: Trained) -> Manifest:
    return trained.manifest


@pytest.mark.parametrize("endpoints", [1, 40])
@pytest.mark.parametrize("objects", [1, 12])
def test_a_compaction_reads_each_new_object_once_and_each_part_that_it_writes(
    endpoints: int, objects: int
) -> None:
    memory = Memory()

    def hour(number: int) -> None:
        at = START + number * HOUR
        for name in range(objects):
            captures = [
                given.capture(1_000 * number + 100 * name + n, at, endpoint=f"e{n}")
                for n in range(endpoints)
            ]
            given.deliver(memory, captures, at, f"{name}")
        memory.forget()
        compact(memory, flights, at + HOUR)

    hour(0)
    assert len(memory.written) == endpoints + 1
    hour(1)

    # A part is read once, and by `Memory` again where it is replaced.
    assert len(memory.read) <= objects + 2 * endpoints + LEDGERS
    assert len(memory.written) == endpoints + 1
    assert len(memory.listed) <= LEDGERS + 4


def test_a_compaction_of_nothing_new_costs_the_same_however_much_there_was() -> None:
    memory = Memory()
    for day in range(30):
        given.deliver(memory, [given.capture(day, START + day * DAY)], START + day * DAY)
    compact(memory, flights, START + 30 * DAY)
    memory.forget()

    compact(memory, flights, START + 30 * DAY)

    assert (len(memory.read), memory.written) == (3, [])
    assert len(memory.listed) <= LEDGERS + 4


@pytest.mark.parametrize("rows", [1, 50])
def test_a_check_reads_an_object_for_each_day_that_is_over_and_the_parts_of_the_open_ones(
    manifest: Manifest, rows: int
) -> None:
    memory, days, label_days = Memory(), 30, 2
    for day in range(days):
        for hour in range(6):
            at = START + day * DAY + hour * HOUR
            captures = [given.capture(10_000 * day + 100 * hour + n, at) for n in range(rows)]
            given.deliver(memory, captures, at)
    compacted(memory)

    def check(end: int) -> None:
        recorded, at = Recorded(memory, NAME), START + end * DAY
        Hours(recorded, manifest, [manifest.version, given.version(1)]).between(START, at)
        followed = Followed(
            NAME, given.version(1), [given.version(1)], label_days, (), lambda _: (Problem(), None)
        )
        follow(recorded, followed, at, None)

    check(days)
    memory.forget()
    check(days)

    kept = [key for key in memory.read if key.startswith("hours/")]
    parts = {key for key in memory.read if key.startswith(("rows/", "outcomes/"))}
    assert len(kept) == days
    assert len(parts) <= days + 1
    assert len(memory.read) <= 3 * days + 10
    assert not [key for key in memory.read if key.startswith(("captures/", "labels/"))]


def test_a_tick_reads_the_parts_of_the_days_that_have_closed_since_the_last(
    trained: Trained,
) -> None:
    memory = Memory()
    rollouts.days(memory, range(1, 20), version=given.version(1))
    compacted(memory)
    champion, other = (
        model.load(
            msgspec.structs.replace(trained.manifest, version=given.version(n)),
            trained.artifacts[ONNX],
        )
        for n in (1, 2)
    )

    def tick(day: float) -> None:
        sources = Gathering(
            memory, given.document(), Policy(label_days=1), lambda _: champion, NOW + day * DAY
        )
        paired(sources, champion, other, NOW.date())

    tick(15)
    memory.forget()
    tick(16)

    parts = [key for key in memory.read if key.startswith(("rows/", "outcomes/"))]
    assert 0 < len(parts) <= 7  # rows of the day and its neighbours, outcomes until it closed
    assert len(memory.written) == 2  # a file for each version
