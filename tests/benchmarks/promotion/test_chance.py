"""Promotions by chance alone: ours are few, those of the usual rules many."""

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


def test_the_usual_rules_are_wrong_far_more_often_than_they_say() -> None:
    found = {one.rule: one for one in chance.usual(200)}

    assert 0.25 < found["z-test, no day effects"].short / 200 < 0.5
    assert 0.25 < found["McNemar, no day effects"].short / 200 < 0.5
    assert found["the sequence by rows, no day effects"].year / 200 <= 0.06
    assert found["the sequence by rows, day effects"].year / 200 > 0.5
