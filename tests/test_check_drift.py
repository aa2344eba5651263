"""The drift check: what it reads, what it writes, and when it raises an alarm."""

import gzip
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
import time_machine
from botocore.exceptions import ClientError

from endpoints import flight_delay
from evergreen import aws as clients
from evergreen.drift_report import DriftReport, key_of
from evergreen.errors import UnknownEventError
from evergreen.records import Capture
from evergreen.registry import Registry
from evergreen.store import Store
from evergreen.training import Trained
from local.plane import Plane
from tests import given
from tests.given import NAME, NOW, Fault, capture, injected

Announced = Callable[[], list[tuple[str, dict[str, Any]]]]
DAY = timedelta(days=1)
SLOT = NOW + 7 * DAY


@pytest.fixture
def check(plane: Plane, clock: time_machine.Traveller) -> Callable[..., Any]:
    def invoke(days: int = 0) -> Any:
        clock.move_to(SLOT + days * DAY)
        slot = f"{SLOT + days * DAY:%Y-%m-%dT%H:%M:%SZ}"
        return plane.invoke("CheckDriftFunction", {"slot": slot})["checked"]

    return invoke


@pytest.fixture
def champion(plane: Plane, artifacts: Store, trained: Trained) -> str:
    registry = Registry(artifacts)
    registry.write_version(trained.manifest, trained.artifacts)
    registry.write_document(given.document(trained.manifest.version), None)
    return trained.manifest.version


def requests(
    data: Store, days: range, *, rows: int = 300, version: str = "", **changes: Any
) -> None:
    """Deliver captures of days after NOW, like the training data but for the changes."""
    table = given.table(rows, seed=8).assign(**changes)
    found = table[list(flight_delay.Flight.__struct_fields__)]
    features = found.astype(object).where(found.notna(), None).to_dict("records")
    for day in days:
        at = NOW + day * DAY
        captures: list[Capture] = [
            msgspec.structs.replace(
                capture(day * 10_000 + n, at, features={str(k): v for k, v in row.items()}),
                version=version or given.version(1),
            )
            for n, row in enumerate(features)
        ]
        lines = msgspec.json.Encoder().encode_lines(captures)
        data.put(f"captures/{at:%Y/%m/%d/%H}/{day}.gz", gzip.compress(lines))


def report(data: Store, days: int = 0) -> DriftReport:
    stored = data.get(key_of(NAME, SLOT + days * DAY))
    assert stored is not None
    return msgspec.json.decode(stored.body, type=DriftReport)


def test_requests_like_the_training_data_are_steady(
    check: Any, champion: str, data: Store, announced: Announced
) -> None:
    requests(data, range(7))

    assert check() == {NAME: "steady"}

    found = report(data)
    assert (found.rows, found.version) == (2_100, champion)
    assert (found.start, found.end) == (SLOT - 7 * DAY, SLOT)
    assert {feature.feature for feature in found.features} == set(
        flight_delay.Flight.__struct_fields__
    )
    assert announced() == []


def test_no_requests_are_insufficient_data(
    check: Any, champion: str, data: Store, announced: Announced
) -> None:
    assert check() == {NAME: "insufficient data"}
    assert report(data).rows == 0
    assert announced() == []


def test_few_requests_are_insufficient_data_however_odd_they_are(
    check: Any, champion: str, data: Store
) -> None:
    requests(data, range(7), rows=28, hour=3)

    assert check() == {NAME: "insufficient data"}


def test_an_alarm_takes_two_windows_in_a_row(
    check: Any, champion: str, data: Store, announced: Announced
) -> None:
    requests(data, range(8), temp=100.0)

    assert check(0) == {NAME: "steady"}
    assert announced() == []
    assert check(1) == {NAME: "drifted"}

    ((kind, detail),) = announced()
    assert kind == "Drift Detected"
    assert detail["features"] == ["temp"]
    assert (detail["endpoint"], detail["version"]) == (NAME, champion)
    assert detail["time"] == detail["since"] == f"{SLOT + DAY:%Y-%m-%dT%H:%M:%SZ}"
    assert data.get(detail["report"]) is not None
    assert report(data, 1).alarm


def test_the_same_check_twice_says_the_same_and_does_not_confirm_itself(
    check: Any, champion: str, data: Store, announced: Announced
) -> None:
    requests(data, range(8), temp=100.0)
    check(0)
    first = report(data)

    assert check(0) == {NAME: "steady"}

    assert report(data) == first
    assert announced() == []


def test_an_alarm_whose_event_was_not_taken_is_raised_when_the_check_is_tried_again(
    check: Any, champion: str, data: Store, announced: Announced
) -> None:
    requests(data, range(8), temp=100.0)
    check(0)
    with (
        injected(clients.events(), "eventbridge.PutEvents", Fault(500, times=9)),
        pytest.RaisesGroup(ClientError),
    ):
        check(1)

    check(1)

    assert [kind for kind, _ in announced()] == ["Drift Detected"]


def test_requests_that_were_delivered_twice_count_once(
    check: Any, champion: str, data: Store
) -> None:
    requests(data, range(7))
    for key in list(data.keys("captures/")):
        stored = data.get(key)
        assert stored is not None
        data.put(f"{key}.again", stored.body)

    check()

    assert report(data).rows == 2_100


def test_requests_for_one_version_do_not_count(check: Any, champion: str, data: Store) -> None:
    requests(data, range(7))
    odd = [capture(99_000 + n, NOW, variant="requested") for n in range(500)]
    given.deliver(data, odd, NOW, "requested")

    check()

    assert report(data).rows == 2_100


def test_requests_of_another_schema_are_left_out(check: Any, champion: str, data: Store) -> None:
    requests(data, range(7))
    given.deliver(data, [capture(99_000, NOW, features={"old": 1})], NOW, "old")

    check()

    assert report(data).rows == 2_100


def test_requests_from_before_an_optional_field_existed_count_as_without_it(
    check: Any, champion: str, data: Store
) -> None:
    requests(data, range(7))
    given.deliver(data, [capture(99_000, NOW, features=given.row())], NOW, "older")

    check()

    assert report(data).rows == 2_101


def test_requests_outside_the_window_do_not_count(check: Any, champion: str, data: Store) -> None:
    requests(data, range(-3, 12))

    check()

    assert report(data).rows == 2_100


def test_an_unseen_category_is_reported_with_its_share(
    check: Any, champion: str, data: Store
) -> None:
    requests(data, range(7), carrier=np.where(np.arange(300) % 2 == 0, "ZZ", "UA"))

    check()

    (carrier,) = [feature for feature in report(data).features if feature.feature == "carrier"]
    assert carrier.unseen == pytest.approx(0.5)
    assert carrier.flagged


def test_a_new_champion_begins_anew(
    check: Any, champion: str, data: Store, artifacts: Store, trained: Trained
) -> None:
    requests(data, range(8), temp=100.0)
    check(0)
    registry = Registry(artifacts)
    manifest = msgspec.structs.replace(trained.manifest, version=given.version(28))
    registry.write_version(manifest, trained.artifacts)
    seen = registry.document(NAME)
    assert seen is not None
    registry.write_document(given.document(given.version(28), seen.document), seen)

    assert check(1) == {NAME: "steady"}


def test_without_a_champion_nothing_is_checked(check: Any, data: Store) -> None:
    assert check() == {}
    assert list(data.keys("drift/")) == []


def test_an_endpoint_whose_file_is_gone_is_not_checked(check: Any, artifacts: Store) -> None:
    document = msgspec.structs.replace(given.document(), endpoint="gone")
    Registry(artifacts).write_document(document, None)

    assert check() == {}


def test_an_event_without_a_slot_is_an_error(plane: Plane) -> None:
    with pytest.raises(UnknownEventError, match="check_drift does not handle"):
        plane.invoke("CheckDriftFunction", {})
