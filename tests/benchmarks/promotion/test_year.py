"""Years are replayed on the losses of models."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.promotion import curve, pairs
from benchmarks.promotion.flights import DAYS, FIRST, Model, Year
from benchmarks.promotion.year import Course, Replay, autopilot, direct, frozen, oracle
from evergreen.contract.endpoint import Policy

POLICY = Policy(shadow_days=10, max_shadow_days=21, margin=0.01)
ROWS = 40  # a day


def year(*levels: tuple[int, float]) -> Year:
    """Return a year of models, made on these days, with these mean losses and equal noise."""
    noise = np.random.default_rng(1).normal(0, 0.1, DAYS * ROWS)
    own = np.random.default_rng(2).normal(0, 0.02, (len(levels), DAYS * ROWS))
    day = np.repeat(np.arange(DAYS), ROWS)
    models = [Model(made, made - 9, "candidate", 0.5) for made, _ in levels]
    losses = np.array([[loss] for _, loss in levels]) + noise + own
    return Year(models, day, losses.astype(np.float32))


def test_a_clear_winner_becomes_champion_after_shadow_and_canary() -> None:
    replay = Replay(year((FIRST, 0.6), (66, 0.5)))

    course = autopilot(replay, [66], POLICY)

    days = {kind: day for day, kind, _ in course.events}
    assert [kind for _, kind, _ in course.events] == [
        "candidate entered", "shadow started", "canary started", "canary widened",
        "canary widened", "promoted",
    ]  # fmt: skip
    assert days["candidate entered"] == 66
    assert days["canary started"] == 66 + POLICY.shadow_days
    assert days["promoted"] == days["canary started"] + 3
    assert course.served[days["promoted"] - 4] == pytest.approx(0.6, abs=0.06)
    assert course.served[-1] == pytest.approx(0.5, abs=0.06)
    assert replay.mean(oracle(replay, [66]).served) < replay.mean(course.served)
    assert replay.mean(course.served) < replay.mean(frozen(replay).served)


def test_while_a_version_is_tried_no_other_is_trained() -> None:
    replay = Replay(year((FIRST, 0.6), (66, 0.5), (69, 0.4), (94, 0.4)))

    course = autopilot(replay, [66, 69, 94], POLICY)

    assert [v for _, kind, v in course.events if kind == "promoted"] == [1, 3]


def test_a_model_that_the_gate_refuses_does_not_serve_at_any_level() -> None:
    replay = Replay(year((FIRST, 0.5), (66, 0.6)))

    course, at_once = autopilot(replay, [66], POLICY), direct(replay, [66], 0.01, 0)

    assert [kind for _, kind, _ in course.events] == ["candidate refused"]
    assert not at_once.events
    assert (at_once.served[FIRST:] == frozen(replay).served[FIRST:]).all()


def test_a_promotion_is_judged_by_the_sixty_days_after_it() -> None:
    replay = Replay(year((FIRST, 0.5), (66, 0.6), (94, 0.4), (122, 0.3)))
    events = [(66, "promoted", 1), (94, "promoted", 2), (122, "promoted", 3)]
    course = Course(np.zeros(DAYS), events)

    assert curve._worse(replay, course) == 1


def test_rows_of_one_day_that_are_alike_promote_a_worse_model_and_days_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pairs, "POLICY", POLICY)
    many = year(*((day, 0.5) for day in range(FIRST, 200, 7)))
    effects = np.random.default_rng(5).normal(0, 0.03, (len(many.models), DAYS))
    losses = many.losses + effects[:, many.day]
    replay = Replay(replace(many, losses=losses.astype(np.float32)))

    _, by_row, by_day, _ = pairs.decisions(replay)
    day_sd, *_, memory = pairs.quantiles(replay)[:, 2]

    assert by_row.mean() > 0.2
    assert by_day.mean() <= 0.1
    assert day_sd == pytest.approx(0.03 * 2**0.5, rel=0.2)
    assert abs(memory) < 0.2
