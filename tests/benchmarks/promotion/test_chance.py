"""Promotions by chance alone: those of ours are few."""

import pytest

from benchmarks.promotion import simulated
from benchmarks.promotion.simulated import PROCESSES

pytestmark = pytest.mark.slow


def test_looking_every_day_for_a_year_promotes_wrongly_in_at_most_six_percent() -> None:
    for process in PROCESSES[:5]:
        promoted, in_time = simulated.wrong(process, 0.0, 2_000)

        assert max(promoted) <= 0.06, process.name
        assert (in_time <= promoted).all()


def test_a_margin_changes_nothing_for_a_challenger_that_is_worse_by_it() -> None:
    plain, _ = simulated.wrong(PROCESSES[3], 0.0, 500)
    allowed, _ = simulated.wrong(PROCESSES[3], 0.01, 500)

    assert sum(allowed) == pytest.approx(sum(plain), abs=8 / 500)
