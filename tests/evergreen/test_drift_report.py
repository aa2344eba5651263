"""Two windows in a row, against the same champion: the rule of an alarm."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.drift import FeatureDrift
from evergreen.drift_report import DriftReport, assess, key_of, previous
from evergreen.store import Store
from tests import given
from tests.given import NAME, NOW

DAY = timedelta(days=1)
WEEK = timedelta(days=7)


def features(*flagged: str) -> list[FeatureDrift]:
    return [
        FeatureDrift(
            feature=name,
            p=0.0,
            psi=0.5,
            delta=0.01,
            severity="major",
            missing=0.0,
            unseen=0.0,
            flagged=name in flagged,
        )
        for name in ("hour", "temp", "dest")
    ]


def check(
    found: list[FeatureDrift] | None,
    before: DriftReport | None = None,
    end: datetime = NOW,
    version: str = "v1",
) -> DriftReport:
    more: dict[str, Any] = {"endpoint": NAME, "version": version, "start": end - WEEK, "end": end}
    return assess(**more, rows=500, features=found, previous=before, repeat=WEEK)


def test_one_window_is_no_drift() -> None:
    report = check(features("hour"))

    assert report.status == "steady"
    assert report.flagged == {"hour"}
    assert (report.confirmed, report.alarm, report.since) == ([], False, None)


def test_two_windows_in_a_row_are_drift_and_an_alarm() -> None:
    first = check(features("hour", "temp"))

    second = check(features("hour"), first, NOW + DAY)

    assert second.status == "drifted"
    assert second.confirmed == ["hour"]
    assert second.alarm
    assert second.since == NOW + DAY


def test_two_windows_with_different_features_are_no_drift() -> None:
    second = check(features("temp"), check(features("hour")), NOW + DAY)

    assert second.status == "steady"
    assert not second.alarm


def test_a_window_of_another_champion_does_not_count() -> None:
    second = check(features("hour"), check(features("hour")), NOW + DAY, version="v2")

    assert second.status == "steady"
    assert not second.alarm


def test_a_steady_window_between_begins_anew() -> None:
    first = check(features("hour"))
    second = check(features(), first, NOW + DAY)
    third = check(features("hour"), second, NOW + 2 * DAY)

    assert not third.alarm
    assert check(features("hour"), third, NOW + 3 * DAY).alarm


def test_too_few_rows_are_neither_steady_nor_drift_and_begin_anew() -> None:
    first = check(features("hour"))

    second = check(None, first, NOW + DAY)

    assert second.status == "insufficient data"
    assert (second.features, second.confirmed, second.alarm) == ([], [], False)
    assert not check(features("hour"), second, NOW + 2 * DAY).alarm


def test_a_drift_that_lasts_is_announced_when_it_begins_and_then_once_a_week() -> None:
    report = None
    alarms = []
    for day in range(30):
        report = check(features("hour"), report, NOW + day * DAY)
        if report.alarm:
            alarms.append(day)

    assert alarms == [1, 8, 15, 22, 29]


@hypothesis_given(
    checks=st.lists(
        st.none() | st.sets(st.sampled_from(["hour", "temp", "dest"])), min_size=1, max_size=12
    )
)
def test_there_is_no_alarm_without_the_same_feature_flagged_twice_in_a_row(
    checks: list[set[str] | None],
) -> None:
    report = None
    for day, flagged in enumerate(checks):
        before = set((checks[day - 1] if day else None) or ())
        report = check(None if flagged is None else features(*flagged), report, NOW + day * DAY)

        assert set(report.confirmed) == set(flagged or ()) & before
        assert (report.status == "drifted") is bool(report.confirmed)
        assert (report.since is not None) is bool(report.confirmed)
        assert report.confirmed or not report.alarm


def store_report(store: Store, report: DriftReport) -> None:
    store.put(key_of(NAME, report.end), msgspec.json.encode(report))


def test_the_report_before_is_the_newest_that_is_older(bucket: Store) -> None:
    reports = [check(features("hour"), end=NOW + day * DAY) for day in range(4)]
    for report in reports:
        store_report(bucket, report)

    assert previous(bucket, NAME, NOW - WEEK, NOW + 2 * DAY) == reports[1]
    assert previous(bucket, NAME, NOW - WEEK, NOW + 99 * DAY) == reports[3]
    assert previous(bucket, NAME, NOW - WEEK, NOW) is None
    assert previous(bucket, "other", NOW - WEEK, NOW + 2 * DAY) is None


def test_a_report_of_long_ago_is_not_the_one_before(bucket: Store) -> None:
    store_report(bucket, check(features("hour")))

    assert previous(bucket, NAME, NOW + DAY, NOW + 8 * DAY) is None


def test_windows_that_touch_are_in_a_row(bucket: Store) -> None:
    """A check once a week, with a window of a week, must still be able to find two in a row."""
    store_report(bucket, check(features("hour")))

    assert previous(bucket, NAME, NOW, NOW + WEEK) is not None


def test_a_check_that_is_repeated_does_not_count_itself_as_the_one_before(bucket: Store) -> None:
    store_report(bucket, check(features("hour")))

    assert previous(bucket, NAME, NOW - WEEK, NOW) is None


@hypothesis_given(hours=st.lists(st.integers(0, 10**5), min_size=2, max_size=2, unique=True))
def test_keys_sort_by_time(hours: list[int]) -> None:
    first, second = (given.START + timedelta(hours=h) for h in sorted(hours))

    assert key_of(NAME, first) < key_of(NAME, second)
