"""What became of each day's predictions: labels early, late, twice, in conflict, and of nobody."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from evergreen.aws.s3 import Store
from evergreen.captures.arrivals import ARRIVAL
from evergreen.contract.problem import Answer, Problem
from evergreen.contract.schema import JsonSchema
from evergreen.monitoring.daily_performance import FIRST, Followed, follow
from evergreen.monitoring.earlier_checks import MEMORY
from evergreen.monitoring.report import CheckReport, DayPerformance, Performance
from evergreen.registry.manifest import Expected
from evergreen.registry.recalibration import tally
from tests.support import checks, given
from tests.support.given import NAME, START, label
from tests.support.memory import FLIGHTS, Memory, compacted

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
LABEL_DAYS = 2
CLOSED = START + DAY + LABEL_DAYS * DAY + ARRIVAL  # the first day is, from then on
V1 = given.version(1)
VERSIONS = [given.version(number) for number in range(1, 10)]
EXPECTED = Expected(bounded=0.2, upper=0.22, similarity=0.0, calibration=[(0.0, 0.0), (1.0, 1.0)])


def followed(*slices: str, version: str = V1) -> Followed:
    def described(_: str) -> tuple[Problem, Expected | None]:
        return Problem(), EXPECTED

    return Followed(NAME, version, VERSIONS, LABEL_DAYS, slices, described)


def predicting(problem: Problem) -> Followed:
    """Follow a version of another kind of problem."""
    return replace(followed(), described=lambda _: (problem, EXPECTED))


def look(
    memory: Store, end: datetime, before: CheckReport | None = None, *slices: str
) -> Performance:
    return follow(compacted(memory), followed(*slices), end, before)


def after(found: Performance, end: datetime) -> CheckReport:
    """Return the report in which a performance is carried to the next check."""
    return msgspec.structs.replace(HEALTHY, end=end, performance=found)


HEALTHY = checks.healthy(performance=None)


def predicted(memory: Store, *numbers: int, at: datetime = START, **more: Any) -> None:
    """Deliver predictions that were made at a time."""
    captures = [
        msgspec.structs.replace(given.capture(n, at), id=id_of(n, at), **more) for n in numbers
    ]
    name = f"{numbers[0]}-{more.get('version', '')}"
    given.deliver(memory, captures, at, name)


def id_of(number: int, at: datetime = START) -> str:
    """Return an id as predict makes it: it begins with the time."""
    return f"{int(at.timestamp() * 1000):012x}{number:020x}-000"


def labelled(
    memory: Store,
    *numbers: int,
    at: datetime = START + HOUR,
    of: datetime = START,
    value: Answer = True,
) -> None:
    """Deliver labels at a time, of predictions that were made at another."""
    found = [msgspec.structs.replace(label(n, value, at), id=id_of(n, of)) for n in numbers]
    given.deliver(memory, found, at, f"{numbers[0]}-{value}")


def days(found: Performance) -> dict[date, DayPerformance]:
    return {day.day: day for day in found.days}


def test_a_day_has_the_predictions_of_the_champion_and_their_labels(memory: Memory) -> None:
    predicted(memory, *range(10))
    predicted(memory, 20, at=START + 23 * HOUR + 59 * MINUTE)
    predicted(memory, 30, variant="requested")
    predicted(memory, 31, endpoint="other")
    labelled(memory, *range(4))

    found = look(memory, START + 2 * DAY)

    (day,) = found.days
    assert (day.day, day.version, day.captured, day.labelled) == (START.date(), V1, 11, 4)
    assert day.bounded == pytest.approx(0.75**2)
    assert found.labels == {"joined": 4, "unlabelled": 7}
    assert found.delays["<= 1 h"] == 4
    assert (found.status, found.expected, found.limit) == ("steady", 0.2, 0.22)


def test_without_captures_there_are_no_days(memory: Memory) -> None:
    found = look(memory, START + 2 * DAY)

    assert (found.days, found.status, found.labels) == ([], "no labels", {})


def test_without_labels_the_days_are_counted_and_estimated(memory: Memory) -> None:
    predicted(memory, 1, 2)

    found = look(memory, CLOSED)

    (day,) = found.days
    assert found.status == "no labels"
    assert (day.captured, day.labelled, day.loss, day.closed) == (2, 0, None, True)
    assert day.estimate == pytest.approx(0.75)
    assert found.labels == {"unlabelled": 2}


def test_labels_that_come_after_their_time_do_not_count(memory: Memory) -> None:
    due = START + DAY + LABEL_DAYS * DAY
    predicted(memory, 1, 2)
    labelled(memory, 1, at=due - MINUTE)
    labelled(memory, 2, at=due)

    found = look(memory, due + DAY)

    assert days(found)[START.date()].labelled == 1
    assert found.labels == {"joined": 1, "late": 1}


def test_a_label_from_before_its_prediction_counts_and_is_called_early(memory: Memory) -> None:
    predicted(memory, 1, at=START + 5 * HOUR)
    labelled(memory, 1, at=START + HOUR, of=START + 5 * HOUR)

    found = look(memory, START + DAY)

    assert found.labels == {"early": 1, "joined": 1}


def test_a_label_that_came_again_counts_once_with_the_delay_of_the_first(memory: Memory) -> None:
    predicted(memory, 1)
    labelled(memory, 1, at=START + 30 * HOUR)
    labelled(memory, 1, at=START + 5 * HOUR)

    found = look(memory, START + 2 * DAY)

    assert found.labels == {"joined": 1, "repeated": 1}
    assert {name for name, n in found.delays.items() if n} == {"<= 6 h"}


def test_labels_that_contradict_each_other_are_none(memory: Memory) -> None:
    predicted(memory, 1, 2)
    labelled(memory, 1, value=True)
    labelled(memory, 1, value=False, at=START + DAY)

    found = look(memory, START + 2 * DAY)

    (day,) = found.days
    assert (day.captured, day.labelled) == (2, 0)
    assert found.labels == {"conflicting": 1, "unlabelled": 1}


def test_a_label_without_a_prediction_waits_while_that_may_still_come(memory: Memory) -> None:
    end = START + 10 * HOUR
    labelled(memory, 1, at=end - MINUTE, of=end - HOUR)
    assert look(memory, end).labels == {"waiting": 1}

    assert look(memory, end + ARRIVAL + HOUR).labels == {"unknown": 1}


@pytest.mark.parametrize("odd", ["", "no-id", "zz" * 18, "f" * 36, "é" * 36])
def test_a_label_of_an_id_that_is_not_ours_is_unknown(memory: Memory, odd: str) -> None:
    given.deliver(memory, [msgspec.structs.replace(label(1), id=odd)], START)

    assert sum(look(memory, START + DAY).labels.values()) == 1


def test_a_label_of_a_day_that_is_closed_is_late(memory: Memory) -> None:
    predicted(memory, 1)
    predicted(memory, 5, at=START + 4 * DAY)
    first = look(memory, CLOSED + HOUR)
    labelled(memory, 1, at=CLOSED + 2 * HOUR)

    found = look(memory, CLOSED + DAY, after(first, CLOSED + HOUR))

    assert found.labels == {"late": 1, "unlabelled": 1}
    assert days(found)[START.date()].labelled == 0


def test_a_label_that_has_been_counted_in_its_closed_day_is_not_called_late(memory: Memory) -> None:
    predicted(memory, 1)
    labelled(memory, 1, at=START + DAY + HOUR)
    first = look(memory, CLOSED + HOUR)

    found = look(memory, CLOSED + DAY, after(first, CLOSED + HOUR))

    assert first.labels == {"joined": 1}
    assert found.labels == {}


@pytest.mark.parametrize("left", [timedelta(0), timedelta.resolution])
def test_a_day_is_closed_when_its_labels_have_had_their_time(
    memory: Memory, left: timedelta
) -> None:
    predicted(memory, 1)

    assert look(memory, CLOSED - left).days[0].closed is (not left)


def test_a_closed_day_is_carried_on_and_never_computed_again(memory: Memory) -> None:
    predicted(memory, 1)
    labelled(memory, 1)
    predicted(memory, 2, at=START + DAY)
    first = look(memory, CLOSED)
    for key in [key for key in memory.objects if "/2013-01-01/" in key]:
        del memory.objects[key]
    memory.forget()

    found = look(memory, CLOSED + DAY, after(first, CLOSED))

    assert days(found)[START.date()] == days(first)[START.date()]
    assert days(found)[START.date()].labelled == 1
    assert not [key for key in memory.read if "/2013-01-01/" in key]
    assert [day.captured for day in found.days] == [1, 1]


def test_an_open_day_is_computed_again_until_its_labels_are_in(memory: Memory) -> None:
    predicted(memory, 1, 2)
    labelled(memory, 1)
    first = look(memory, START + DAY)
    labelled(memory, 2, at=START + DAY + HOUR)

    found = look(memory, START + 2 * DAY, after(first, START + DAY))

    assert [day.labelled for day in (*first.days, *found.days)] == [1, 2]


def test_checks_in_a_row_find_what_one_check_at_the_end_finds(memory: Memory) -> None:
    for number in range(8):
        at = START + number * DAY
        predicted(memory, number, number + 20, at=at, version=given.version(1 + number % 2))
        labelled(memory, number, at=at + number * 9 * HOUR, of=at)
    before, found = None, None
    for number in range(1, 12):
        end = START + number * DAY + 5 * HOUR
        found = look(memory, end, before)
        before = after(found, end)

    assert found is not None
    assert found.days == look(memory, START + 11 * DAY + 5 * HOUR).days
    assert len(found.days) == 8


def test_a_day_is_told_apart_by_version_and_slice(memory: Memory) -> None:
    predicted(memory, 1, 2)
    predicted(memory, 3, version=given.version(2))
    predicted(memory, 4, features=given.whole(carrier="EV"))
    predicted(memory, 5, features={"old": 1}, version=given.version(3))
    labelled(memory, *range(1, 6))

    recorded = compacted(memory, schemas)
    found = follow(recorded, followed("carrier"), START + DAY, None)

    one, other, older = found.days
    assert list(older.slices["carrier"]) == ["None"]
    assert (one.version, one.labelled, other.version, other.labelled) == (
        V1,
        3,
        given.version(2),
        1,
    )
    assert {value: part.rows for value, part in one.slices["carrier"].items()} == {
        "UA": 2, "EV": 1,
    }  # fmt: skip


def test_the_first_check_looks_back_a_month_and_forgets_after_three(memory: Memory) -> None:
    end = START + 60 * DAY
    for at in (end - FIRST, end - FIRST - DAY):
        predicted(memory, 1, at=at)

    found = look(memory, end)
    later = look(memory, end + MEMORY, after(found, end))

    assert list(days(found)) == [(end - FIRST).date()]
    assert later.days == []


def test_a_prediction_that_arrived_twice_counts_once(memory: Memory) -> None:
    predicted(memory, 1)
    given.deliver(memory, [msgspec.structs.replace(given.capture(1), id=id_of(1))], START + HOUR)
    labelled(memory, 1)

    (day,) = look(memory, START + DAY).days

    assert (day.captured, day.labelled) == (1, 1)


def test_a_capture_is_followed_though_its_features_are_of_an_older_schema(memory: Memory) -> None:
    predicted(memory, 1, features={"old": 1}, version=given.version(3))

    found = follow(compacted(memory, schemas), followed(), START + DAY, None)

    assert found.days[0].captured == 1


def schemas(_: str, version: str) -> JsonSchema:
    """Return the schema of a version, of which the third is an older one."""
    return OLDER if version == given.version(3) else FLIGHTS


OLDER: JsonSchema = {"type": "object", "properties": {"old": {"type": "integer"}}}


def test_a_day_of_several_classes_has_the_losses_of_all_their_scores(memory: Memory) -> None:
    problem = Problem(kind="multiclass", classes=["fog", "rain", "sun"])
    scores = {"sun": 0.35, "fog": 0.25, "rain": 0.4}  # by name, in whatever order
    predicted(memory, 1, 2, label="rain", score=0.4, scores=scores)
    labelled(memory, 1, value="rain")
    labelled(memory, 2, value="sun")

    found = follow(compacted(memory), predicting(problem), START + 2 * DAY, None)

    (day,) = found.days
    assert day.loss == pytest.approx(-np.log([0.4, 0.35]).mean())
    assert day.bounded == pytest.approx((0.6**2 + 0.35**2 + 2 * 0.25**2 + 0.4**2 + 0.65**2) / 4)
    assert (day.accuracy, day.estimate) == (0.5, 0.4)
    assert [(each.rows, each.positive) for each in day.calibration if each.rows] == [(2, 0.5)]
    assert (found.metric, found.bounded_metric) == ("log-loss", "Brier score")


def test_a_day_of_a_regression_has_errors_in_its_scale_and_nothing_that_is_a_chance(
    memory: Memory,
) -> None:
    predicted(memory, 1, 2, label=100.0, score=100.0)
    labelled(memory, 1, value=95.0)
    labelled(memory, 2, value=140.0)

    minutes = Problem(kind="regression", scale=10.0)
    found = follow(compacted(memory), predicting(minutes), START + 2 * DAY, None)

    (day,) = found.days
    assert (day.loss, day.bounded) == (2.25, 0.75)
    assert (day.accuracy, day.estimate, day.calibration) == (None, None, [])
    assert found.metric == "relative absolute error"


def test_a_label_of_another_kind_is_counted_as_that(memory: Memory) -> None:
    predicted(memory, 1, 2)
    labelled(memory, 1)
    labelled(memory, 2, value="yes")

    found = look(memory, START + 2 * DAY)

    assert found.days[0].labelled == 1
    assert found.labels == {"joined": 1, "of another kind": 1}


def test_a_check_of_days_before_the_holdout_of_its_champion_ends(memory: Memory) -> None:
    """As one that is asked for again, after another champion has come."""
    later = tally(START.date() + 9 * DAY, np.full(50, 0.4), np.arange(50) % 2 == 0)
    expected = msgspec.structs.replace(EXPECTED, days=[later])
    predicted(memory, 1)
    labelled(memory, 1)

    found = follow(
        compacted(memory),
        replace(followed(), described=lambda _: (Problem(), expected)),
        CLOSED,
        None,
    )

    assert [day.labelled for day in found.days] == [1]


def test_what_was_answered_and_what_the_model_gave_are_both_judged(memory: Memory) -> None:
    predicted(memory, 1, 2, score=0.5, raw=0.8, recalibration="2013-02-01")
    labelled(memory, 1, 2)

    (day,) = look(memory, CLOSED).days

    assert day.loss == pytest.approx(np.log(2))
    assert day.raw == pytest.approx(-np.log(0.8))
    assert day.tally
    assert day.tally.logit == pytest.approx([np.log(4)], abs=1e-5)
