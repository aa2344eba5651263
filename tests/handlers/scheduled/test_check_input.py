"""Whatever lies in the bucket, a check answers: bad captures, odd features, no labels, no days."""

import gzip
import json
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import time_machine

from evergreen.aws.s3 import Store
from evergreen.captures.examples import from_table
from evergreen.monitoring import reference_profile
from evergreen.monitoring.report import CheckReport
from evergreen.registry.registry import fingerprint
from evergreen.serving.model import REFERENCE
from evergreen.training.train_version import Trained
from local.plane.plane import Plane
from tests.support import given, queues
from tests.support.given import NAME, NOW, capture
from tests.support.traffic import (
    DAY,
    SLOT,
    Announced,
    compact,
    outcomes,
    promoted,
    requests,
    stored_report,
)

FOLDER = f"captures/{NOW:%Y/%m/%d/%H}"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shortcuts")]


@pytest.fixture
def champion(plane: Plane, artifacts: Store, trained: Trained) -> str:
    return promoted(artifacts, trained).version


def checked(plane: Plane, clock: time_machine.Traveller, data: Store) -> CheckReport:
    clock.move_to(SLOT)
    compact(plane)
    slot = f"{SLOT:%Y-%m-%dT%H:%M:%SZ}"
    answer = plane.invoke("CheckFunction", {"endpoint": NAME, "slot": slot})
    found = stored_report(data, SLOT)
    assert answer == {"checked": {NAME: found.status}}
    return found


def test_everything_that_can_be_wrong_with_captures_at_once_costs_only_what_is_wrong(
    plane: Plane, clock: time_machine.Traveller, champion: str, data: Store, announced: Announced
) -> None:
    requests(data, range(7))
    line = msgspec.json.encode(capture(99_000, NOW))
    odd = {
        "truncated": gzip.compress(line)[:-9],
        "flipped": gzip.compress(line)[:-8] + bytes(8),
        "garbage": b"\x00\x01\xfe",
        "no-text": line.replace(b'"UA"', b'"\xff"'),
        "huge": line.replace(b"1400.0", b"1e999"),
        "older": line.replace(b'"hour"', b'"our"'),
        "unknown": line.replace(champion.encode(), b"20130199T000000Z-deadbeef"),
        "wrong-hour": msgspec.json.encode(capture(99_001, NOW - DAY)),
    }
    for name, body in odd.items():
        data.put(f"{FOLDER}/{name}.gz", body)
    for key in list(data.keys("captures/2013/02/02")):
        stored = data.get(key)
        assert stored is not None
        data.put(f"{key}.again", stored.body)

    found = checked(plane, clock, data)

    assert (found.rows, found.status) == (2_100, "steady")
    assert found.set_aside["damaged object"] == 2
    assert found.set_aside["repeated"] == 300
    assert found.set_aside["unknown version"] == found.set_aside["wrong hour"] == 1
    assert sum(n for kind, n in found.set_aside.items() if kind != "repeated") == len(odd)
    aside = [key for key in data.keys("quarantine/") if f"/{FOLDER}/" in key]
    assert len(aside) == len(odd)
    assert announced() == []


def test_requests_for_one_version_and_other_endpoints_do_not_count(
    plane: Plane, clock: time_machine.Traveller, champion: str, data: Store
) -> None:
    requests(data, range(7))
    odd = [capture(99_000 + n, NOW, variant="requested") for n in range(500)]
    other = [capture(99_500 + n, NOW, endpoint="other") for n in range(500)]
    given.deliver(data, [*odd, *other], NOW, "odd")

    assert checked(plane, clock, data).rows == 2_100


def test_requests_outside_the_window_do_not_count(
    plane: Plane, clock: time_machine.Traveller, champion: str, data: Store
) -> None:
    requests(data, range(-3, 9), rows=100)

    assert checked(plane, clock, data).rows == 700


def test_an_id_that_comes_again_in_another_hour_with_other_values_is_survived(
    plane: Plane, clock: time_machine.Traveller, champion: str, data: Store
) -> None:
    requests(data, range(7), rows=40)
    rows = given.features(given.table(40, seed=80))
    other = [row | {"temp": None if row["temp"] else 40.0} for row in rows]
    again = [capture(n, NOW + DAY, features=row) for n, row in enumerate(other)]
    given.deliver(data, again, NOW + DAY, "again")

    found = checked(plane, clock, data)

    assert 280 <= found.rows <= 320


DEGENERATE: dict[str, Any] = {
    "a constant": {"temp": 40.0},
    "all missing": {"temp": np.nan},
    "one category": {"carrier": "UA"},
    "a category a row": {"carrier": lambda table: [f"{n:04d}" for n in range(len(table))]},
}


@pytest.mark.parametrize("known", DEGENERATE)
def test_a_feature_that_told_nothing_in_training_is_checked_all_the_same(
    plane: Plane,
    clock: time_machine.Traveller,
    artifacts: Store,
    data: Store,
    trained: Trained,
    known: str,
) -> None:
    promoted(artifacts, described(trained, given.table().assign(**DEGENERATE[known])))
    field, value = next(iter(DEGENERATE[known].items()))
    requests(data, range(7), rows=40, **{field: plain(value)})

    report = checked(plane, clock, data)

    assert report.rows == 280
    (feature,) = [each for each in report.features if each.feature == field]
    assert np.isfinite([feature.p, feature.psi, feature.wasserstein]).all()


def described(trained: Trained, table: pd.DataFrame) -> Trained:
    """Return a version whose reference is another table."""
    schema = trained.manifest.schema
    examples = from_table(schema, given.quick().examples(table))
    body = gzip.compress(json.dumps(given.features(table)).encode())
    artifacts = trained.artifacts | {REFERENCE: body}
    manifest = msgspec.structs.replace(
        trained.manifest,
        reference=reference_profile.profile(examples, schema),
        artifacts={name: fingerprint(each) for name, each in artifacts.items()},
    )
    return replace(trained, manifest=manifest, artifacts=artifacts, fallback=None)


def plain(value: Any) -> Any:
    """Return a value as a request would have it, or what makes one from the number of a row."""
    if callable(value):
        return lambda n: f"{n:04d}"
    return None if value != value else value


def test_a_window_of_nothing_but_gaps_and_new_categories_is_an_answer(
    plane: Plane, clock: time_machine.Traveller, champion: str, data: Store
) -> None:
    gaps: dict[str, Any] = dict.fromkeys(given.WEATHER)
    requests(data, range(7), rows=300, dest=lambda n: f"{n:04d}", **gaps)

    found = checked(plane, clock, data)

    assert {*given.WEATHER, "dest"} <= found.violated
    assert [alarm.kind for alarm in found.alarms] == ["schema"]


def test_labels_of_nobody_in_conflict_and_twice_are_counted_and_the_rest_is_judged(
    plane: Plane, clock: time_machine.Traveller, champion: str, data: Store
) -> None:
    requests(data, range(3), rows=50)
    outcomes(data, range(3), 40, lambda n: n % 2 > 0)
    at = NOW + DAY
    odd = [given.label(0, True, at), given.label(1, True, at), given.label(77_777_777, True, at)]
    given.deliver(data, odd, at, "odd")
    data.put(f"labels/{NOW:%Y/%m/%d/%H}/odd.gz", b"\x1f\x8b broken")

    found = checked(plane, clock, data).performance

    assert found is not None
    assert found.labels["joined"] == 119
    assert (found.labels["conflicting"], found.labels["repeated"]) == (1, 1)
    assert found.labels["unlabelled"] == 30
    assert sum(day.captured for day in found.days) == 150


def test_a_closed_day_stays_though_its_captures_are_gone(
    plane: Plane, clock: time_machine.Traveller, champion: str, data: Store
) -> None:
    requests(data, range(2), rows=50)
    outcomes(data, range(2), 40, lambda n: n % 2 > 0)
    first = checked(plane, clock, data).performance
    for prefix in ("captures/", "labels/", "rows/", "outcomes/"):
        for key in list(data.keys(prefix)):
            data.s3.delete_object(Bucket=data.bucket, Key=key)
    clock.move_to(SLOT + DAY)

    slot = f"{SLOT + DAY:%Y-%m-%dT%H:%M:%SZ}"
    plane.invoke("CheckFunction", {"endpoint": NAME, "slot": slot})

    later = stored_report(data, SLOT + DAY).performance
    assert first is not None
    assert later is not None
    assert later.days == first.days
    assert all(day.closed and day.labelled == 40 for day in later.days)


def test_an_endpoint_that_fails_does_not_keep_the_others_from_being_checked(
    plane: Plane,
    clock: time_machine.Traveller,
    champion: str,
    data: Store,
    artifacts: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evergreen.contract.endpoint_files.names", lambda: ["another", NAME])
    lost = msgspec.structs.replace(given.document(given.version(9)), endpoint="another")
    artifacts.put("endpoints/another.json", msgspec.json.encode(lost))
    clock.move_to(SLOT)

    plane.deliver("CheckFunction", {"slot": f"{SLOT:%Y-%m-%dT%H:%M:%SZ}"})
    for _ in range(4):
        plane.settle()
        clock.shift(DAY / 12)

    assert stored_report(data, SLOT).status == "insufficient data"
    (letter,) = queues.letters()
    assert (letter["detail-type"], letter["detail"]["endpoint"]) == ("Check Requested", "another")
