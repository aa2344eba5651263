"""An alarm takes two checks in a row, and a window the sum of seven days."""

import numpy as np

from benchmarks.drift import alarms


def test_a_window_is_the_sum_of_seven_days() -> None:
    daily = np.arange(9.0)[:, None]

    assert alarms.slid(daily).tolist() == [[21.0], [28.0], [35.0]]


def test_an_alarm_takes_two_checks_in_a_row_and_begins_once() -> None:
    found = np.array([[0, 0], [1, 0], [0, 1], [0, 1], [0, 1], [0, 0]], dtype=bool)

    twice = alarms._twice(found)

    assert twice.tolist() == [False, False, False, True, True, False]
    assert alarms._begun(twice).tolist() == [False, False, False, True, False, False]


def test_a_large_step_is_found_within_days_and_no_step_is_not() -> None:
    _, after_a_step = alarms.delays(2.0, 3)
    _, without = alarms.delays(0.0, 3)

    assert np.median(after_a_step) in (2.0, 3.0, 4.0)
    assert np.isinf(without).all()
