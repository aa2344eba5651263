"""Promotions by chance alone: those of ours are few."""

import pytest

from benchmarks.promotion import chance
from benchmarks.promotion.draws import PROCESSES

pytestmark = pytest.mark.slow


def test_looking_every_day_for_a_year_promotes_wrongly_in_at_most_six_percent() -> None:
    for process in PROCESSES[:5]:
        found = chance.wrong(process, 0.0, 2_000)

        assert max(found.promoted.values()) / found.runs <= 0.06, process.name
        assert all(found.in_time[days] <= found.promoted[days] for days in found.promoted)


def test_a_margin_changes_nothing_for_a_challenger_that_is_worse_by_it() -> None:
    plain = chance.wrong(PROCESSES[3], 0.0, 500)
    allowed = chance.wrong(PROCESSES[3], 0.01, 500)

    assert sum(allowed.promoted.values()) == pytest.approx(sum(plain.promoted.values()), abs=8)
