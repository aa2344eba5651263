"""Promotions by chance alone: those of ours are few."""

import pytest

from benchmarks.promotion import chance
from benchmarks.promotion.draws import PROCESSES

pytestmark = pytest.mark.slow


def test_looking_every_day_for_a_year_promotes_wrongly_in_at_most_six_percent() -> None:
    for process in PROCESSES[:5]:
        promoted, in_time = chance.wrong(process, 0.0, 2_000)

        assert max(promoted.values()) <= 0.06, process.name
        assert all(in_time[days] <= promoted[days] for days in promoted)


def test_a_margin_changes_nothing_for_a_challenger_that_is_worse_by_it() -> None:
    plain, _ = chance.wrong(PROCESSES[3], 0.0, 500)
    allowed, _ = chance.wrong(PROCESSES[3], 0.01, 500)

    assert sum(allowed.values()) == pytest.approx(sum(plain.values()), abs=8 / 500)
