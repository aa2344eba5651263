"""Whatever Firehose and callers do to records on their way, all who read them find the same."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st

from evergreen.captures.arrivals import ARRIVAL, BUFFER
from evergreen.captures.label_join import join
from evergreen.captures.records import Capture, Label
from evergreen.contract.endpoint import Policy
from evergreen.contract.schema import JsonSchema
from evergreen.monitoring.daily_performance import Followed, follow
from evergreen.monitoring.hourly_counts import Hours
from evergreen.monitoring.report import CheckReport
from evergreen.registry.manifest import Manifest
from evergreen.rollout.gathering import Gathering, labelled
from evergreen.rollout.paired_comparison import paired
from evergreen.serving import model
from evergreen.serving.model import ONNX, Model
from evergreen.training.train_version import Trained
from tests.support import checks, given, rollouts
from tests.support.given import NAME, START
from tests.support.memory import Memory, compacted

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SECOND = timedelta(seconds=1)
LABEL_DAYS = 1
MIDDLE, END = START + DAY, START + 6 * DAY  # Firehose may still be busy with the middle's objects
ROWS = 3
MADE = [  # when requests were; some of them around midnight
    *(START + n * 5 * HOUR for n in range(9)),
    START + DAY - MINUTE, START + DAY - SECOND, START + DAY - SECOND, START + DAY + MINUTE,
    START + 2 * DAY - timedelta.resolution, START + 2 * DAY, START + 2 * DAY + 14 * MINUTE,
]  # fmt: skip
DELAYS = [SECOND, 10 * MINUTE, 5 * HOUR, 20 * HOUR, 4 * DAY]  # of labels; the last are late
Record = Capture | Label


@dataclass(frozen=True, repr=False)
class Versions:
    """The champion, and the version that is compared with it."""

    champion: Model
    other: Model

    @property
    def manifest(self) -> Manifest:
        return self.champion.manifest


@pytest.fixture(scope="module")
def versions(trained: Trained) -> Versions:
    def before(found: Trained, version: str) -> Model:
        """Return a version that was trained before all that is recorded here."""
        lineage = msgspec.structs.replace(found.manifest.lineage, data_end=START - 2 * DAY)
        manifest = msgspec.structs.replace(found.manifest, lineage=lineage, version=version)
        return model.load(manifest, found.artifacts[ONNX])

    lying = rollouts.trained_on(lie=True)
    return Versions(before(trained, trained.manifest.version), before(lying, given.version(2)))


def records(manifest: Manifest) -> list[Record]:
    """Return requests of several rows, and labels: early, late, none, two, and of nobody."""
    captures = [
        msgspec.structs.replace(
            given.capture(0, at, features=given.whole(hour=(number + row) % 24, temp=40.0 + row)),
            id=f"{int(at.timestamp() * 1000):012x}{number:020x}-{row:03d}",
            version=manifest.version,
            variant={3: "canary", 5: "requested"}.get(number, "champion"),
            score=(7 * number + row) % 50 / 50,
        )
        for number, at in enumerate(MADE)
        for row in range(ROWS)
    ]
    labels = [
        Label(id=each.id, time=each.time + DELAYS[place % 5], endpoint=NAME, label=place % 3 == 0)
        for place, each in enumerate(captures)
        if place % 7
    ]
    against = [
        msgspec.structs.replace(label, label=not label.label, time=label.time + later)
        for label, later in zip(labels[::6], [MINUTE, 4 * DAY] * 9, strict=False)
    ]
    again = [msgspec.structs.replace(label, time=label.time + HOUR) for label in labels[::4]]
    return [*captures, *labels, *against, *again, given.label(9, time=START + DAY)]


Arrival = tuple[datetime, int]  # the hour of a folder, and the number of an object in it


def in_order(found: list[Record]) -> dict[Arrival, list[Record]]:
    """Put each record once into the object of its hour."""
    objects = defaultdict[Arrival, list[Record]](list)
    for record in sorted(found, key=lambda each: each.time):
        objects[_hour(record.time), 0].append(record)
    return objects


def shuffled(found: list[Record], random: Random) -> dict[Arrival, list[Record]]:
    """Put each record once or more into any objects that it may arrive in, in any order."""
    objects = defaultdict[Arrival, list[Record]](list)
    for record in found:
        for _ in range(random.choice([1, 1, 2, 3])):
            late = random.choice([0 * MINUTE, 1 * MINUTE, HOUR, ARRIVAL, SECOND - BUFFER])
            objects[_hour(record.time + late), random.randrange(3)].append(record)
    for lines in objects.values():
        random.shuffle(lines)
    return objects


def _hour(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def deliver(memory: Memory, objects: Iterable[tuple[Arrival, list[Record]]]) -> None:
    for (folder, number), lines in objects:
        for kind in (Capture, Label):
            if own := [each for each in lines if isinstance(each, kind)]:
                given.deliver(memory, own, folder, f"{number}")


def read(memory: Memory, versions: Versions, schema: JsonSchema, end: datetime) -> dict[str, Any]:
    """Return what everybody who reads captures and labels makes of them at a time."""
    manifest = versions.manifest
    recorded = compacted(memory, now=end + ARRIVAL + HOUR)  # all that is of before `end`
    hours = Hours(recorded, manifest, [manifest.version]).between(START, end)
    joined = join(recorded, schema, START, end)
    sources = Gathering(
        memory, given.document(), Policy(label_days=LABEL_DAYS), lambda _: versions.champion, end
    )
    performance = follow(recorded, _followed(manifest), end, None)
    everything = recorded.predictions(START, end)
    return {
        "check": {at: _plain(hour) for at, hour in hours.items() if hour.rows},
        "performance": performance.days,
        "labels": performance.labels | {"repeated": 0},
        "delays": performance.delays,
        "training": joined.examples and joined.examples.sha256(),
        "joined": vars(joined) | {"examples": None},
        "comparison": paired(sources, versions.champion, versions.other, START.date()),
        "arms": list(labelled(sources, "binary", START.date())["id"]) if end == END else [],
        "guard": list(zip(everything["id"], everything["variant"], strict=True)),
        "due": recorded.told_since(START, end),
    }


def _differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return who found something else; what they found would take minutes to print."""
    return [name for name in other if one[name] != other[name]]


def _plain(hour: Any) -> Any:
    """Return an hour without what is about its objects: their names, and what they repeated."""
    aside = {reason: n for reason, n in hour.set_aside.items() if reason != "repeated"}
    return msgspec.structs.replace(hour, sources="", set_aside=aside)


def _followed(manifest: Manifest) -> Followed:
    expected = manifest.problem, manifest.expected
    return Followed(
        NAME, manifest.version, [manifest.version], LABEL_DAYS, ("hour",), lambda _: expected
    )


@settings(max_examples=30)
@hypothesis_given(seed=st.integers(0, 10**9))
def test_checks_trainings_and_comparisons_do_not_depend_on_how_records_arrive(
    versions: Versions, schema: JsonSchema, seed: int
) -> None:
    random, found = Random(seed), records(versions.manifest)
    clean, odd = Memory(), Memory()
    deliver(clean, in_order(found).items())
    objects = list(shuffled(found, random).items())
    random.shuffle(objects)

    deliver(odd, objects[: random.randrange(len(objects))])
    read(odd, versions, schema, MIDDLE)  # what is kept of it must not show later
    deliver(odd, objects)

    for end in (MIDDLE, END):
        expected = read(clean, versions, schema, end)
        assert _differing(read(odd, versions, schema, end), expected) == [], end


def test_there_is_something_of_each_kind_to_find(versions: Versions, schema: JsonSchema) -> None:
    memory = Memory()
    deliver(memory, in_order(records(versions.manifest)).items())

    found = read(memory, versions, schema, END)

    assert {"joined", "late", "conflicting", "unlabelled", "unknown"} <= set(found["labels"])
    assert [day.rows for day in found["comparison"]] == [14, 11, 3]
    assert found["joined"]["conflicting"]
    assert found["joined"]["joined"] > 20


@settings(max_examples=15)
@hypothesis_given(seed=st.integers(0, 10**9))
def test_a_check_each_day_finds_the_days_that_one_check_at_the_end_finds(
    versions: Versions, seed: int
) -> None:
    found, followed = records(versions.manifest), _followed(versions.manifest)
    memory, fresh = Memory(), Memory()
    deliver(memory, shuffled(found, Random(seed)).items())
    deliver(fresh, in_order(found).items())
    report: CheckReport | None = None
    for number in range(1, 7):
        end = START + number * DAY + 5 * HOUR
        report = msgspec.structs.replace(
            checks.no_data(), end=end, performance=follow(compacted(memory), followed, end, report)
        )

    assert report is not None
    assert report.performance is not None
    assert report.performance.days == follow(compacted(fresh), followed, END + 5 * HOUR, None).days


@pytest.mark.parametrize("at", [START + DAY + HOUR, START + 4 * DAY], ids=["in time", "late"])
def test_a_second_different_label_counts_as_the_deadline_of_its_day_says_and_for_all_alike(
    versions: Versions, schema: JsonSchema, at: datetime
) -> None:
    capture = records(versions.manifest)[0]
    first = Label(id=capture.id, time=START + HOUR, endpoint=NAME, label=True)
    second = msgspec.structs.replace(first, label=False, time=at)
    in_time = int(at < START + (1 + LABEL_DAYS) * DAY)
    memory = Memory()
    deliver(memory, in_order([capture, first, second]).items())

    found = read(memory, versions, schema, END)

    assert [day.labelled for day in found["performance"]] == [1 - in_time]
    assert [day.rows for day in found["comparison"]] == [1] * (1 - in_time)
    assert found["labels"]["conflicting"] == 1
    assert found["training"] is None  # it knows both


@pytest.mark.parametrize("pair", [(True, 1.0), ("True", True), (1.0, "1.0")], ids=str)
@pytest.mark.parametrize("apart", [timedelta(0), DAY], ids=["together", "a day apart"])
def test_labels_of_two_kinds_contradict_each_other_wherever_they_arrive(
    versions: Versions, schema: JsonSchema, pair: tuple[Any, Any], apart: timedelta
) -> None:
    capture = records(versions.manifest)[0]
    labels = [
        Label(id=capture.id, time=START + MINUTE + place * apart, endpoint=NAME, label=value)
        for place, value in enumerate(pair)
    ]
    memory = Memory()
    deliver(memory, in_order([capture, *labels]).items())

    found = join(compacted(memory), schema, START, END)

    assert (found.joined, found.conflicting) == (0, [capture.id])


def test_a_copy_that_somebody_puts_there_days_later_counts_nowhere(
    versions: Versions, schema: JsonSchema
) -> None:
    found = records(versions.manifest)
    clean, odd = Memory(), Memory()
    for memory in (clean, odd):
        deliver(memory, in_order(found).items())
    captures: list[Record] = [each for each in found if isinstance(each, Capture)]
    late = [msgspec.structs.replace(each, id=f"f{each.id[1:]}") for each in captures]
    deliver(odd, [((START + 4 * DAY, 7), [*captures, *late])])

    after, before = (read(each, versions, schema, END) for each in (odd, clean))

    assert _differing(after, before) in ([], ["check"])  # which counts what it set aside
    assert sum(hour.rows for hour in after["check"].values()) == sum(
        hour.rows for hour in before["check"].values()
    )
