"""What a check knows of the ones before it: alarms that go on, the trend, the report before."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.aws.s3 import Store
from evergreen.monitoring.earlier_checks import MEMORY, TREND_DAYS, alarm, key_of, previous, trend
from evergreen.monitoring.report import Alarm, CheckReport
from tests.support import checks, given
from tests.support.given import NAME, NOW, injected

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
HEALTHY = checks.healthy()


def report(end: datetime = NOW, **more: Any) -> CheckReport:
    plain: dict[str, Any] = {"features": [], "prediction": None, "performance": None, "trend": []}
    return msgspec.structs.replace(HEALTHY, end=end, start=end - WEEK, **(plain | more))


def alarms(days: Sequence[set[str]], repeat: timedelta = WEEK) -> list[Alarm | None]:
    """Return the alarm of each of the checks of some days in a row."""
    found: list[Alarm | None] = []
    before = None
    for number, about in enumerate(days):
        end = NOW + number * DAY
        found.append(alarm("drift", about, end=end, before=before, repeat=repeat))
        before = report(end, alarms=[each for each in found[-1:] if each])
    return found


# Alarms


def test_nothing_to_say_is_no_alarm() -> None:
    assert alarm("drift", [], end=NOW, before=None, repeat=WEEK) is None


def test_an_alarm_is_announced_when_it_begins_and_says_since_when() -> None:
    first, second = alarms([{"temp", "hour"}, {"temp"}])

    assert first == Alarm(
        kind="drift", since=NOW, about=["hour", "temp"], raised=True, announced=NOW
    )
    assert second == Alarm(kind="drift", since=NOW, about=["temp"], raised=False, announced=NOW)


def test_an_alarm_that_lasts_is_announced_again_after_each_cooldown() -> None:
    found = alarms([{"hour"}] * 30)

    assert [day for day, each in enumerate(found) if each and each.raised] == [0, 7, 14, 21, 28]
    assert {each.since for each in found if each} == {NOW}


def test_an_alarm_that_ended_begins_anew() -> None:
    found = alarms([{"hour"}, set(), {"hour"}])

    assert found[1] is None
    assert found[2] is not None
    assert (found[2].raised, found[2].since) == (True, NOW + 2 * DAY)


def test_an_alarm_of_another_kind_does_not_go_on_as_this_one() -> None:
    before = report(alarms=[checks.alarm("schema", NOW, ["carrier"])])

    found = alarm("drift", ["carrier"], end=NOW + DAY, before=before, repeat=WEEK)

    assert found is not None
    assert found.raised


@hypothesis_given(
    days=st.lists(st.sets(st.sampled_from(["hour", "temp"])), min_size=1, max_size=20),
    repeat=st.integers(1, 5),
)
def test_an_alarm_is_announced_first_and_never_twice_within_a_cooldown(
    days: list[set[str]], repeat: int
) -> None:
    found = alarms(days, repeat * DAY)

    raised = [day for day, each in enumerate(found) if each and each.raised]
    for day, each in enumerate(found):
        assert (each is not None) is bool(days[day])
        if each and (day == 0 or found[day - 1] is None):
            assert each.raised
        if each and not each.raised:
            assert any(day - repeat < earlier < day for earlier in raised)
            assert each.announced < NOW + day * DAY


# The trend


def test_the_trend_ends_with_the_check_before() -> None:
    before = report(
        features=[checks.feature("temp", 0.3)], alarms=[checks.alarm("schema", NOW, [])]
    )

    (found,) = trend(before)

    assert (found.end, found.version, found.status) == (NOW, before.version, "steady")
    assert found.psi == {"temp": 0.3}
    assert found.alarms == ["schema"]


def test_the_first_check_has_no_trend() -> None:
    assert trend(None) == []


def test_the_trend_forgets_what_is_older_than_two_months_of_daily_checks() -> None:
    before = None
    for day in range(TREND_DAYS + 10):
        before = report(NOW + day * DAY, trend=trend(before))

    found = trend(before)

    assert [each.end for each in found] == [NOW + day * DAY for day in range(10, TREND_DAYS + 10)]


# What this check flagged


def test_what_was_flagged_names_the_prediction_and_all_together_too() -> None:
    assert checks.drifted().flagged == {"temp", "dewp", "prediction", "all together"}
    assert checks.drifted().violated == {"carrier"}
    assert checks.healthy().flagged == checks.healthy().violated == set()


def test_a_row_that_does_not_fit_is_a_violation_of_no_field() -> None:
    violation = checks.violation("", "wrong schema", 0.1, 0.0, flagged=True)

    assert report(violations=[violation]).violated == {"wrong schema"}


def test_the_last_closed_day_is_told_of_an_endpoint_that_gets_labels() -> None:
    days = [checks.day(9), checks.day(8), checks.day(7, labelled=0.0), checks.day(6, closed=False)]

    assert checks.performance(days).last_closed == days[2]
    assert checks.performance(days[2:3]).last_closed is None


# Reports in the store


def test_a_report_survives_json() -> None:
    for state in checks.STATES.values():
        found = state()
        assert (
            msgspec.json.decode(msgspec.json.encode(found, enc_hook=float), type=CheckReport)
            == found
        )


def store_report(store: Store, found: CheckReport) -> CheckReport:
    store.put(key_of(NAME, found.end), msgspec.json.encode(found))
    store.put(key_of(NAME, found.end, "html"), b"<p>")
    return found


def test_the_report_before_is_the_newest_that_is_older(bucket: Store) -> None:
    reports = [store_report(bucket, report(NOW + day * DAY)) for day in range(4)]

    assert previous(bucket, NAME, NOW + 2 * DAY) == reports[1]
    assert previous(bucket, NAME, NOW + 9 * DAY) == reports[3]
    assert previous(bucket, "other", NOW + 2 * DAY) is None


def test_a_check_that_is_repeated_is_not_the_one_before_itself(bucket: Store) -> None:
    store_report(bucket, report())

    assert previous(bucket, NAME, NOW) is None


def test_a_report_of_long_ago_is_forgotten(bucket: Store) -> None:
    store_report(bucket, report())

    assert previous(bucket, NAME, NOW + MEMORY - DAY) is not None
    assert previous(bucket, NAME, NOW + MEMORY + DAY) is None


def test_of_all_reports_only_one_is_read(bucket: Store) -> None:
    for day in range(5):
        store_report(bucket, report(NOW + day * DAY))
    counter = given.Fault(first=99)

    with injected(bucket.s3, "s3.GetObject", counter):
        previous(bucket, NAME, NOW + 9 * DAY)

    assert counter.first == 98


@hypothesis_given(hours=st.lists(st.integers(0, 10**5), min_size=2, max_size=2, unique=True))
def test_keys_sort_by_time(hours: list[int]) -> None:
    first, second = (given.START + timedelta(hours=h) for h in sorted(hours))

    assert key_of(NAME, first) < key_of(NAME, second)


@pytest.mark.parametrize("kind", ["json", "html"])
def test_a_key_says_which_hour_the_window_ended(kind: str) -> None:
    assert key_of(NAME, NOW, kind) == f"drift/{NAME}/2013-02-01T12.{kind}"
