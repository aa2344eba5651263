"""A better challenger is promoted and a worse champion rolled back, sooner the more so."""

import pytest

from benchmarks.promotion import power


def test_more_gain_is_found_more_often_and_a_margin_finds_more() -> None:
    small = power.power(0.01, 0.045, 0.0, 500)
    large = power.power(0.02, 0.045, 0.0, 500)
    allowed = power.power(0.01, 0.045, 0.01, 500)

    assert small.within[60] < large.within[60] == pytest.approx(allowed.within[60], abs=0.05)


def test_a_clear_loser_is_rolled_back_while_it_is_watched_and_an_equal_is_not() -> None:
    equal, loser = power.rollback(0.0, 1_000), power.rollback(0.1, 1_000)

    assert equal.share < 0.03
    assert loser.share > 0.95
    assert loser.median is not None
    assert loser.median <= 10
