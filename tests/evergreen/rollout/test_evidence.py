"""What evidence says: of a comparison, of a version's answers, and of an experiment's arms."""

from datetime import date, timedelta
from typing import Any

import pytest

from evergreen.contract.endpoint import Policy
from evergreen.rollout.evidence import (
    ArmDay,
    Evidence,
    Guard,
    PairedDay,
    faults,
    figures,
    gain,
    standing,
)
from tests.support.given import NOW

DAY = timedelta(days=1)
FIRST = date(2013, 2, 1)
POLICY = Policy()
HALVES = (0.5, 0.5)


def paired(gains: list[float], rows: int = 100) -> list[PairedDay]:
    return [PairedDay(day=FIRST + n * DAY, rows=rows, gain=gain) for n, gain in enumerate(gains)]


def arm(losses: list[float | None], *, rows: int = 100, labelled: int = 80) -> list[ArmDay]:
    return [
        ArmDay(day=FIRST + n * DAY, rows=rows, labelled=0 if loss is None else labelled, loss=loss)
        for n, loss in enumerate(losses)
    ]


def evidence(control: list[ArmDay], treatment: list[ArmDay], **more: Any) -> Evidence:
    keys = more.pop("keys", (1_000, 1_000))
    return Evidence(at=NOW, control=control, treatment=treatment, keys=keys, **more)


# A comparison


def test_a_day_counts_once_however_many_labels_it_has() -> None:
    gains = [0.01, 0.03, 0.02, -0.01]

    flooded = [*paired(gains[:-1]), PairedDay(day=FIRST + 3 * DAY, rows=1_000_000, gain=-0.01)]

    assert gain(flooded, 0.05) == gain(paired(gains), 0.05)


def test_a_comparison_says_its_days_its_rows_and_its_interval() -> None:
    days = paired([0.01, 0.02, 0.03])

    said = figures(days, gain(days, 0.05))

    assert (said["days"], said["rows"]) == (3, 300)
    assert said["gain"] == pytest.approx(0.02)
    assert said["lower"] < said["gain"] < said["upper"]


def test_a_comparison_without_days_says_so() -> None:
    assert gain([], 0.05) is None
    assert figures([], None) == {"days": 0, "rows": 0}


# The answers of a version


@pytest.mark.parametrize(
    "guard",
    [
        Guard(),
        Guard(requests=10_000, rows=20_000, failed=100, slow=100),
        Guard(requests=1, rows=1, failed=1),
        Guard(requests=1_000, rows=1_000, psi=3.0),
    ],
    ids=["no request", "as many as are allowed", "a single request", "as unlike as in other weeks"],
)
def test_nothing_is_wrong_with_what_chance_could_be(guard: Guard) -> None:
    assert faults(guard, POLICY) == []


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        (Guard(requests=1_000, failed=40), "it failed to answer 40 of 1,000 requests"),
        (Guard(requests=1_000, slow=40), "40 of 1,000 requests took over 500 ms"),
        (Guard(requests=1_000, drifted=True, psi=0.4), "its answers drifted away .* (PSI 0.40)"),
        (Guard(requests=1_000, drifted=True), "its answers drifted away"),
        (Guard(requests=3, failed=3), "it failed to answer 3 of 3 requests"),
    ],
)
def test_what_is_beyond_chance_is_said_in_words(guard: Guard, said: str) -> None:
    found = faults(guard, POLICY)

    assert len(found) == 1
    assert all(part in found[0] for part in said.split(" .* "))


# The arms of an experiment


def test_the_treatment_gains_what_the_control_loses_more() -> None:
    at = standing(evidence(arm([0.5, 0.6, 0.55]), arm([0.4, 0.5, 0.44])), HALVES, 0.05)

    assert at.gain is not None
    assert at.gain.mean == pytest.approx(0.1033, abs=1e-4)
    assert (at.rows, at.labelled, at.invalid) == ((300, 300), (240, 240), None)


def test_a_missing_label_is_missing_and_no_wrong_answer() -> None:
    at = standing(evidence(arm([0.5] * 21), arm([*[0.4] * 20, None])), HALVES, 0.05)

    assert at.gain is not None
    assert at.gain.mean == pytest.approx(0.1)
    assert at.gain.days == 20


def test_a_day_on_which_one_arm_has_no_label_is_left_out() -> None:
    at = standing(evidence(arm([0.5, 9.0, 0.5]), arm([0.4, None, 0.4])), HALVES, 0.05)

    assert at.gain is not None
    assert at.gain.days == 2
    assert at.gain.mean == pytest.approx(0.1)


def test_arms_without_traffic_have_no_gain_and_divide_by_nothing() -> None:
    at = standing(evidence([], [], keys=(0, 0)), HALVES, 0.05)

    assert (at.rows, at.labelled, at.gain, at.invalid) == ((0, 0), (0, 0), None, None)


def test_labels_on_a_day_without_recorded_requests_are_left_out() -> None:
    strange = [ArmDay(day=FIRST, rows=0, labelled=5, loss=0.1)]

    assert standing(evidence(strange, strange), HALVES, 0.05).gain is None


@pytest.mark.parametrize(
    ("keys", "shares", "valid"),
    [
        ((1_000, 1_000), HALVES, True),
        ((1_000, 800), HALVES, False),
        ((9_000, 1_000), (0.9, 0.1), True),
        ((9_000, 1_000), (0.8, 0.2), False),
        ((0, 30), HALVES, False),
    ],
)
def test_a_split_that_was_not_asked_for_makes_the_figures_invalid(
    keys: tuple[int, int], shares: tuple[float, float], valid: bool
) -> None:
    days = arm([0.5] * 20)

    at = standing(evidence(days, days, keys=keys), shares, 0.05)

    assert (at.invalid is None) == valid


def test_arms_whose_labels_come_unlike_often_are_not_compared() -> None:
    all_of_them = arm([0.5] * 20, labelled=100)
    some = arm([0.4] * 20, labelled=80)

    at = standing(evidence(all_of_them, some), HALVES, 0.05)

    assert at.invalid is not None
    assert "2,000 of 2,000 and 1,600 of 2,000 rows have their label" in at.invalid


def test_labels_that_come_a_little_unevenly_are_no_reason_to_doubt() -> None:
    shares = [78, 82, 80, 79, 81] * 4
    uneven = [
        ArmDay(day=FIRST + n * DAY, rows=100, labelled=labelled, loss=0.4)
        for n, labelled in enumerate(shares)
    ]

    assert standing(evidence(arm([0.5] * 20), uneven), HALVES, 0.05).invalid is None
