"""A better challenger is promoted and a worse champion rolled back, sooner the more so."""

import numpy as np
import pytest

from benchmarks.promotion import simulated


def test_more_gain_is_found_more_often_and_a_margin_finds_more() -> None:
    small, large, allowed = (
        np.isfinite(simulated.promoted(gain, 0.045, margin, 500)).mean()
        for gain, margin in ((0.01, 0.0), (0.02, 0.0), (0.01, 0.01))
    )

    assert small < large == pytest.approx(allowed, abs=0.05)


def test_a_clear_loser_is_rolled_back_while_it_is_watched_and_an_equal_is_not() -> None:
    equal, loser = simulated.rolled_back(0.0, 1_000), simulated.rolled_back(0.1, 1_000)

    assert np.isfinite(equal).mean() < 0.03
    assert np.isfinite(loser).mean() > 0.95
    assert np.median(loser) <= 10
