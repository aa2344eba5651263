"""Years are replayed on the losses of versions."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from benchmarks.autopilot.histories import History, candidates
from benchmarks.autopilot.versions import Matrix, Version
from benchmarks.autopilot.year import Replay, approved, autopilot, frozen, hindsight
from evergreen.contract.endpoint import Policy

POLICY = Policy(shadow_days=10, max_shadow_days=21, margin=0.01)
DAYS, FIRST, ROWS = 160, 31, 60  # rows a day


def replay(*versions: tuple[int, float], recipe: str = "", recipes: str = "") -> Replay:
    """Return a year of versions, made on these days, whose logits are right but for this error."""
    random = np.random.default_rng(1)
    logit = random.normal(-1, 1, DAYS * ROWS)
    label = random.random(len(logit)) < 1 / (1 + np.exp(-logit))
    day = np.repeat(np.arange(DAYS), ROWS)
    noise = random.normal(0, 0.05, (len(versions), len(logit)))
    error = np.array([[each] for _, each in versions])
    signs = np.where(random.random(len(logit)) < 0.5, 1, -1)  # that no line can mend
    scores = 1 / (1 + np.exp(-(logit + signs * error + noise)))
    past = History(pd.DataFrame(), label, day, FIRST, candidates)
    names = recipes or [recipe or str(place) for place in range(len(versions))]
    made = [Version(day, day - 9, name) for (day, _), name in zip(versions, names, strict=True)]
    return Replay(Matrix(past, made, scores.astype(np.float32)))


def test_a_clear_winner_becomes_champion_after_shadow_and_canary() -> None:
    year = replay((FIRST, 1.5), (66, 0.0))

    course = autopilot(year, POLICY)

    days = {kind: day for day, kind, _ in course.events}
    assert [kind for _, kind, _ in course.events] == [
        "candidate entered", "shadow started", "canary started", "canary widened",
        "canary widened", "promoted",
    ]  # fmt: skip
    assert days["candidate entered"] == 66
    assert days["canary started"] >= 66 + POLICY.shadow_days
    assert days["promoted"] == days["canary started"] + 3
    assert year.wrong(course) == 0
    losses = [
        year.mean(found.served)
        for found in (hindsight(year), approved(year, 0.01, 1), course, frozen(year))
    ]
    assert all(better < worse for better, worse in pairwise(losses))


@pytest.mark.parametrize(("error", "chosen"), [(0.3, 2), (2.0, 1)], ids=["kept", "surely better"])
def test_a_morning_keeps_the_champions_recipe_unless_another_is_surely_better(
    error: float, chosen: int
) -> None:
    year = replay((FIRST, 1.5), (66, 0.0), (66, error), recipes="aba")

    assert year.chosen(66, 0, POLICY.margin) == chosen


def test_a_version_of_the_champions_recipe_skips_the_days_in_shadow() -> None:
    course = autopilot(replay((FIRST, 1.5), (66, 0.0), recipe="the same"), POLICY)

    days = {kind: day for day, kind, _ in course.events}
    assert (days["shadow started"], days["canary started"], days["promoted"]) == (66, 67, 70)


def test_while_a_version_is_tried_no_other_is_trained() -> None:
    course = autopilot(replay((FIRST, 1.5), (66, 0.7), (69, 0.0), (94, 0.0)), POLICY)

    assert [v for _, kind, v in course.events if kind == "promoted"] == [1, 3]


def test_a_version_that_the_gate_refuses_does_not_serve_at_any_level() -> None:
    year = replay((FIRST, 0.0), (66, 1.5))

    course, at_once = autopilot(year, POLICY), approved(year, 0.01, 0)

    assert [kind for _, kind, _ in course.events] == ["candidate refused"]
    assert at_once.events == [(66, "candidate refused", 1)]
    assert (at_once.served[FIRST:] == frozen(year).served[FIRST:]).all()


def test_a_promotion_is_judged_by_the_sixty_days_after_it() -> None:
    year = replay((FIRST, 0.0), (66, 1.5))

    course = approved(year, 9.0, 1)

    assert course.events == [(67, "promoted", 1)]
    assert year.wrong(course) == 1


def test_what_is_served_recalibrated_mends_what_a_line_can() -> None:
    year = replay((FIRST, 0.0))
    scores = year._matrix.scores
    off = Matrix(year._matrix.history, year.versions, scores**2)

    found = Replay(off)

    served, raw = found.mean(frozen(found).served), float(np.nanmean(found.raw[0, FIRST:]))
    assert served < raw - 0.01
    assert year.mean(year.recalibrated[0]) == pytest.approx(year.mean(year.raw[0]), abs=0.001)
