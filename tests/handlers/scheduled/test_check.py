"""The check: what it reads, what it writes, and when it raises an alarm."""

import io
import json
from typing import Any

import boto3
import msgspec
import pytest
import time_machine

import bootstrap as clients
import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.contract.errors import UnexpectedError, UnknownEventError
from evergreen.monitoring.earlier_checks import key_of
from evergreen.monitoring.report import CheckReport
from evergreen.training.train_version import Trained
from local.cloud.resources import inbox
from local.plane.plane import Plane
from local.plane.process import Process
from local.template import queue_url
from tests.support import given
from tests.support.given import NAME, NOW, Fault, capture, injected
from tests.support.registries import registry_of
from tests.support.traffic import (
    DAY,
    SLOT,
    Announced,
    Check,
    compact,
    outcomes,
    promoted,
    requests,
    stored_report,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shortcuts")]


@pytest.fixture
def check(plane: Plane, clock: time_machine.Traveller) -> Check:
    """Return what runs the daily check, some days after SLOT."""

    def invoke(days: float = 0) -> Any:
        clock.move_to(SLOT + days * DAY)
        compact(plane)
        slot = f"{SLOT + days * DAY:%Y-%m-%dT%H:%M:%SZ}"
        return plane.invoke("CheckFunction", {"endpoint": NAME, "slot": slot})["checked"]

    return invoke


@pytest.fixture
def champion(plane: Plane, artifacts: Store, trained: Trained) -> str:
    return promoted(artifacts, trained).version


def report(data: Store, days: float = 0) -> CheckReport:
    return stored_report(data, SLOT + days * DAY)


def kinds(announced: Announced) -> list[str]:
    return [kind for kind, _ in announced()]


# Drift


def test_requests_like_the_training_data_are_steady(
    check: Check, champion: str, data: Store, announced: Announced
) -> None:
    requests(data, range(7))

    assert check() == {NAME: "steady"}

    found = report(data)
    assert (found.rows, found.version, found.versions) == (2_100, champion, {champion: 2_100})
    assert (found.start, found.end) == (SLOT - 7 * DAY, SLOT)
    assert [each.feature for each in found.features] == list(flight_delay.Flight.__struct_fields__)
    assert found.prediction is not None
    assert found.multivariate is not None
    assert found.set_aside == {}
    assert announced() == []


def test_no_requests_are_insufficient_data(
    check: Check, champion: str, data: Store, announced: Announced
) -> None:
    assert check() == {NAME: "insufficient data"}

    found = report(data)
    assert found.rows == 0
    assert found.performance is not None
    assert found.performance.status == "no labels"
    assert announced() == []


def test_few_requests_are_insufficient_data_however_odd_they_are(
    check: Check, champion: str, data: Store, announced: Announced
) -> None:
    requests(data, range(7), rows=28, temp=100.0)

    assert check() == {NAME: "insufficient data"}
    assert announced() == []


def test_an_alarm_takes_two_windows_in_a_row(
    check: Check, champion: str, data: Store, announced: Announced
) -> None:
    requests(data, range(8), temp=100.0)

    assert check(0) == {NAME: "steady"}
    assert announced() == []
    assert check(1) == {NAME: "drifted"}

    ((kind, detail),) = announced()
    assert kind == "Drift Detected"
    assert "temp" in detail["features"]
    assert (detail["endpoint"], detail["version"]) == (NAME, champion)
    assert detail["time"] == detail["since"] == f"{SLOT + DAY:%Y-%m-%dT%H:%M:%SZ}"
    assert data.get(detail["report"]) is not None
    assert report(data, 1).raised("drift")
    assert "temp" in report(data, 1).confirmed


def test_the_same_check_twice_says_the_same_and_does_not_confirm_itself(
    check: Check, champion: str, data: Store, announced: Announced
) -> None:
    requests(data, range(8), temp=100.0)
    check(0)
    first = report(data)

    assert check(0) == {NAME: "steady"}

    assert report(data) == first
    assert announced() == []


def test_an_alarm_whose_event_was_not_taken_is_raised_when_the_check_is_tried_again(
    check: Check, champion: str, data: Store, announced: Announced
) -> None:
    requests(data, range(8), temp=100.0)
    check(0)
    with (
        injected(clients.events(), "eventbridge.PutEvents", Fault(500, times=9)),
        pytest.raises(UnexpectedError),
    ):
        check(1)

    check(1)

    assert kinds(announced) == ["Drift Detected"]


def test_a_window_that_began_with_the_traffic_is_not_compared(
    check: Check, champion: str, data: Store
) -> None:
    requests(data, range(3, 7), temp=100.0)

    assert check() == {NAME: "insufficient data"}
    assert report(data).rows == 1_200


def test_traffic_of_another_endpoint_does_not_make_a_window_whole(
    check: Check, champion: str, data: Store
) -> None:
    requests(data, range(4, 7))
    given.deliver(data, [capture(1, NOW + DAY, endpoint="other")], NOW + DAY, "other")
    given.deliver(data, [capture(2, NOW - DAY, endpoint="other")], NOW - DAY, "other")

    assert check() == {NAME: "insufficient data"}


def test_a_new_champion_begins_anew_and_answers_for_the_old_ones_traffic(
    check: Check, champion: str, data: Store, artifacts: Store, trained: Trained
) -> None:
    requests(data, range(8), temp=100.0)
    check(0)
    promoted(artifacts, trained, given.version(28))

    assert check(1) == {NAME: "steady"}
    assert report(data, 1).versions == {champion: 2_100}
    assert "temp" in report(data, 1).flagged
    assert check(2) == {NAME: "drifted"}


# The other alarms


def test_a_schema_that_is_violated_is_announced_at_once(
    check: Check, champion: str, data: Store, announced: Announced
) -> None:
    requests(data, range(7), carrier=lambda n: "ZZ" if n % 2 else "UA")

    check()

    ((kind, detail),) = announced()
    assert (kind, detail["features"]) == ("Schema Violated", ["carrier"])
    (carrier,) = [each for each in report(data).features if each.feature == "carrier"]
    assert carrier.unseen == pytest.approx(0.5)
    assert len(carrier.rows) == 5


def test_a_degraded_performance_is_announced_once_and_again_after_the_cooldown(
    check: Check, champion: str, data: Store, announced: Announced
) -> None:
    cooldown = flight_delay.endpoint.policy.cooldown_days
    requests(data, range(4), scores=lambda _: 0.02)
    outcomes(data, range(4), 300, lambda n: n % 3 > 0)

    raised = []
    for day in (0, 1, 7, cooldown - 1, cooldown, cooldown + 1):
        check(day)
        raised += [day] if "Performance Degraded" in kinds(announced) else []

    assert raised == [0, cooldown]
    performance = report(data).performance
    assert performance is not None
    assert performance.status == "degraded"
    assert performance.labels == {"joined": 1_200}
    assert [day.labelled for day in performance.days] == [300] * 4


def test_a_performance_as_promised_raises_nothing(
    check: Check, champion: str, data: Store, announced: Announced
) -> None:
    requests(data, range(7), scores=lambda n: float(n % 2))
    outcomes(data, range(7), 300, lambda n: n % 2 > 0)

    check()

    performance = report(data).performance
    assert performance is not None
    assert performance.status == "steady"
    assert announced() == []


# What is written


def test_a_page_is_written_beside_each_report(check: Check, champion: str, data: Store) -> None:
    check()

    page = data.get(key_of(NAME, SLOT, "html"))
    assert page is not None
    assert page.body.startswith(b"<!doctype html>")
    assert NAME.encode() in page.body


@pytest.mark.parametrize(
    ("days", "drifted", "written"), [(0, False, False), (0, True, True), (21, False, True)]
)
def test_pages_may_be_written_for_alarms_and_the_first_of_a_month_only(
    check: Check, champion: str, data: Store, plane: Plane, days: int, drifted: bool, written: bool
) -> None:
    variables = plane._functions["CheckFunction"]["Environment"]["Variables"]
    plane._functions["CheckFunction"]["Environment"]["Variables"] = variables | {
        "REPORT_PAGES": "alarms-and-months"
    }
    if drifted:
        requests(data, range(7), carrier="ZZ")

    check(days)

    plane._functions["CheckFunction"]["Environment"]["Variables"] = variables
    assert (data.get(key_of(NAME, SLOT + days * DAY, "html")) is not None) is written
    assert data.get(key_of(NAME, SLOT + days * DAY)) is not None


def test_a_check_measures_what_alarms_look_at(
    check: Check, champion: str, data: Store, plane: Plane
) -> None:
    log = io.StringIO()
    plane.runtime = Process(log)
    requests(data, range(7), carrier="ZZ")
    given.deliver(data, [capture(1, NOW, endpoint=NAME)], NOW - DAY, "wrong-hour")

    check()

    compacted, endpoint, stack = given.metrics(log)
    assert compacted["CompactionsRun"] == [1.0]
    assert stack["ChecksRun"] == [1.0]
    assert (endpoint["DriftChecked"], endpoint["DriftRows"]) == ([1.0], [2_100.0])
    assert (endpoint["SchemaAlarm"], endpoint["DriftAlarm"]) == ([1.0], [0.0])
    assert endpoint["UnseenShare"] == [1.0]
    assert endpoint["ModelAgeDays"] == [(SLOT - NOW) / DAY]


# Which endpoints, and which events


def test_without_a_champion_nothing_is_checked(plane: Plane, data: Store) -> None:
    found = plane.invoke("CheckFunction", {"slot": f"{NOW:%Y-%m-%dT%H:%M:%SZ}"})

    assert not found["requested"]
    assert list(data.keys("drift/")) == []


def test_an_endpoint_whose_file_is_gone_is_not_checked(
    plane: Plane, champion: str, artifacts: Store
) -> None:
    document = msgspec.structs.replace(given.document(), endpoint="gone")
    registry_of(artifacts).write_document(document, None)
    slot = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"

    assert plane.invoke("CheckFunction", {"slot": slot}) == {"requested": [NAME]}

    waiting = boto3.client("sqs").receive_message(
        QueueUrl=queue_url(inbox("CheckFunctionCheckRequested")), MaxNumberOfMessages=10
    )
    (message,) = waiting["Messages"]
    assert json.loads(message["Body"])["detail"] == {"endpoint": NAME, "time": slot}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"slot": "2013-02-01T13:00:00Z"},
        {"endpoint": NAME, "slot": "2013-02-01T13:00:00Z"},
        {"detail-type": "Check Requested", "detail": {"endpoint": NAME}},
    ],
    ids=str,
)
def test_an_event_without_a_time_or_from_the_future_is_an_error(
    plane: Plane, event: dict[str, Any]
) -> None:
    with pytest.raises(UnknownEventError, match="check does not handle"):
        plane.invoke("CheckFunction", event)
