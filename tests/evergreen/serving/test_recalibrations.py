"""The map of the day is served, and whatever is wrong with it, scores stay as they are."""

from datetime import date, timedelta

import msgspec
import numpy as np
import pytest
import time_machine

from evergreen.registry.recalibration import Recalibration
from evergreen.registry.registry import FRESH, Registry
from evergreen.serving.recalibrations import LOOK_SECONDS, Recalibrations
from tests.support import given
from tests.support.given import NAME, NOW

TODAY = NOW.date()
DAY = timedelta(days=1)
VERSION = given.version(1)


def learnt(day: date = TODAY, **fields: object) -> Recalibration:
    found = Recalibration(
        endpoint=NAME,
        version=VERSION,
        day=day,
        lines=[(0.0, 1.0), (0.7, 1.0)],
        weights=[0.5, 0.5],
        rows=900,
    )
    return msgspec.structs.replace(found, **fields)


@pytest.fixture
def maps(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Recalibrations:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Evergreen")
    return Recalibrations(registry, on=True)


def of(maps: Recalibrations, day: date = TODAY) -> Recalibration | None:
    return maps.of(NAME, VERSION, day)


def test_the_map_of_the_day_is_found_and_what_was_written_first_stays(
    registry: Registry, maps: Recalibrations
) -> None:
    registry.write_recalibration(learnt())
    registry.write_recalibration(learnt(rows=5))

    assert of(maps) == learnt()


def test_until_a_new_one_is_written_that_of_the_day_before_is_served(
    registry: Registry, maps: Recalibrations, clock: time_machine.Traveller
) -> None:
    registry.write_recalibration(learnt(TODAY - DAY))
    assert of(maps) == learnt(TODAY - DAY)

    registry.write_recalibration(learnt())
    assert of(maps) == learnt(TODAY - DAY)  # it has just looked

    clock.shift(LOOK_SECONDS)
    assert of(maps) == learnt()


@pytest.mark.parametrize(
    "other", [{"day": TODAY - FRESH}, {"day": TODAY + DAY}, {"version": given.version(2)}]
)
def test_what_is_old_or_of_another_version_or_day_is_not_served(
    registry: Registry, maps: Recalibrations, other: dict[str, object]
) -> None:
    registry.write_recalibration(learnt(**other))  # type: ignore[arg-type]

    assert of(maps) is None


def test_a_map_that_ages_in_a_warm_process_is_dropped(
    registry: Registry, maps: Recalibrations
) -> None:
    registry.write_recalibration(learnt())

    assert of(maps) == learnt()
    assert of(maps, TODAY + FRESH) is None


def test_a_map_that_was_put_in_anothers_place_is_not_served(
    registry: Registry, maps: Recalibrations
) -> None:
    registry.write_recalibration(learnt(version=given.version(2)))
    folder = f"recalibrations/{NAME}"
    body = registry.store.get(f"{folder}/{given.version(2)}/{TODAY}.json")
    assert body
    registry.store.put(f"{folder}/{VERSION}/{TODAY}.json", body.body)

    assert of(maps) is None


@pytest.mark.parametrize("change", [b"", b"{", b'{"mac": "0"}'])
def test_a_map_that_is_damaged_is_not_served(
    registry: Registry, maps: Recalibrations, change: bytes
) -> None:
    registry.store.put(f"recalibrations/{NAME}/{VERSION}/{TODAY}.json", change)

    assert of(maps) is None


def test_a_stack_that_does_not_recalibrate_asks_for_nothing(registry: Registry) -> None:
    registry.write_recalibration(learnt())

    assert of(Recalibrations(registry, on=False)) is None


@pytest.mark.parametrize(
    ("lines", "weights"),
    [([], []), ([(0.0, 1.0)], [0.5]), ([(0.0, np.nan)], [1.0]), ([(0.0, 1.0)], [0.5, 0.5])],
)
def test_what_would_not_map_chances_to_chances_is_no_map(
    lines: list[tuple[float, float]], weights: list[float]
) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        learnt(lines=lines, weights=weights)
