"""`make bench-promotion` draws days in place of rows, and replays years on the losses of models."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import shown
from benchmarks.promotion import chance, curve, draws, figure, pairs, power
from benchmarks.promotion.draws import PROCESSES, bounds, gains
from benchmarks.promotion.flights import DAYS, FIRST, Model, Year
from benchmarks.promotion.goals import Measured, goals
from benchmarks.promotion.tables import PAGE, tables
from benchmarks.promotion.year import Course, Replay, autopilot, direct, frozen, oracle
from evergreen.contract.endpoint import Policy
from evergreen.rollout import confidence_sequence
from evergreen.rollout.confidence_sequence import e_excess
from local import marked

BEGIN, END = marked.begin(PAGE.command), marked.END
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


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.name)
def test_days_are_drawn_with_the_mean_and_the_spread_that_the_process_says(
    process: draws.Process,
) -> None:
    days = gains(process, 0.02, (4_000, 20), np.random.default_rng(0))

    spread = process.day_sd or draws.ROW_SD / draws.ROWS_A_DAY**0.5
    assert days.mean() == pytest.approx(0.02, abs=5 * spread / 80_000**0.5 * 2)
    assert days.std() == pytest.approx(spread, rel=0.05)
    together = np.corrcoef(days[:, 5], days[:, 6])[0, 1]
    assert together == pytest.approx(process.memory, abs=0.1)


def test_many_sequences_at_once_are_those_of_the_product() -> None:
    values = np.random.default_rng(3).normal(0.01, 0.05, (30, 60))

    lower, upper = bounds(values, 0.1)

    for run in range(30):
        for day in (1, 5, 30, 59):
            found = confidence_sequence.bound(values[run, : day + 1], 0.1)
            assert found is not None
            assert (lower[run, day], upper[run, day]) == pytest.approx((found.lower, found.upper))


def test_a_sequence_that_is_not_the_products_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draws, "radius", lambda n, _: 1 / np.sqrt(n))

    with pytest.raises(AssertionError):
        bounds(np.random.default_rng(3).normal(0, 1, (30, 60)), 0.05)


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


def test_the_fewest_failures_that_reject_a_canary_are_the_products() -> None:
    least = power._least(1_000)

    assert e_excess(least, 1_000, 0.01) >= 20 > e_excess(least - 1, 1_000, 0.01)


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

    found = pairs.pairs(replay)
    like = pairs.likeness(replay)

    assert found.by_row > 0.2 * found.worse
    assert found.by_day <= 0.1 * found.worse
    assert like.day_sd[2] == pytest.approx(0.03 * 2**0.5, rel=0.2)
    assert abs(like.memory[2]) < 0.2


def measured() -> Measured:
    """Return a small run of everything."""
    levels = [(day, 0.6 - 0.001 * (day - FIRST)) for day in range(FIRST, DAYS) if day % 7 in (3, 6)]
    replay = Replay(year(*levels, (DAYS, 0.5)))
    names = [
        *("level 1: frozen", "level 3: approved a day later", curve.OURS),
        "the best of the models, each day",
        *(f"{field} = {v}" for field, values in curve.GRID.items() for v in values),
    ]
    return Measured(
        wrong=[chance.wrong(process, 0.0, 100) for process in PROCESSES],
        usual=chance.usual(20),
        power=[power.power(0.02, 0.045, margin, 100) for margin in (0.0, 0.01)],
        rollbacks=[power.rollback(0.1, 100)],
        experiments=[power.experiment(0.02, 100)],
        splits=[power.split((0.5, 0.49), 100)],
        guardrails=power.guardrails(20),
        likeness=pairs.likeness(replay),
        pairs=pairs.Pairs(10, 5, 0, 0, 0.04, 0.0, 0),
        points=[
            curve.Point(name, schedule, 2, 0.9, 0.88, 0.91, 3.0, 0.5, 2.0, 1.0)
            for name in names
            for schedule in curve.SCHEDULES
        ],
        models=3,
        seconds=1.0,
        load=(0.1, 0.2),
    )


def test_the_figures_stand_between_the_markers_and_in_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "ROOT", tmp_path)
    page = replace(PAGE, path=tmp_path / "promotion.md")
    page.path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    found = measured()

    page.write(
        tmp_path / "promotion.json", found, "now", tables(found), whole=True, goals=["reached"]
    )

    text = page.path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| 0.900 (0.880 to 0.910) |" in text
    written = json.loads((tmp_path / "promotion.json").read_bytes())
    assert (written["goals"], written["models"]) == (["reached"], 3)
    assert figure.picture(found.points).startswith(b"\x89PNG")
    assert figure.picture(found.points) == figure.picture(found.points)


def test_a_quick_run_leaves_the_page_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "ROOT", tmp_path)
    page = replace(PAGE, path=tmp_path / "promotion.md")
    page.path.write_text(f"{BEGIN}\nold\n{END}\n")
    found = measured()

    page.write(tmp_path / "promotion.json", found, "now", tables(found), whole=False)

    assert "old" in page.path.read_text()


def test_a_goal_that_is_missed_says_so() -> None:
    found = measured()
    worse = [replace(point, ratio=0.95) for point in found.points]

    reached = {goal.text: goal.reached for goal in goals(replace(found, points=worse))}

    assert reached["promoted wrongly, real flights (50% by rows)"]
    assert not reached["log-loss of level 4 over level 1, trained weekly"]
