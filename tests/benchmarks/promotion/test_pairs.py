"""Pairs of models: rows of one day that are alike, and days."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.autopilot.histories import History, candidates
from benchmarks.autopilot.versions import Matrix, Version
from benchmarks.autopilot.year import Replay
from benchmarks.promotion import pairs

DAYS, FIRST, ROWS = 365, 31, 40  # rows a day


def test_rows_of_one_day_that_are_alike_promote_a_worse_model_and_days_do_not() -> None:
    random = np.random.default_rng(5)
    day = np.repeat(np.arange(DAYS), ROWS)
    versions = [Version(made, made - 9, "") for made in range(FIRST, 200, 7)]
    effects = random.normal(0, 0.03, (len(versions), DAYS))
    losses = 0.5 + random.normal(0, 0.1, len(day)) + effects[:, day]
    losses += random.normal(0, 0.02, losses.shape)
    past = History(pd.DataFrame(), np.ones(len(day), dtype=bool), day, FIRST, candidates)
    replay = Replay(Matrix(past, versions, np.exp(-losses).astype(np.float32)))

    _, by_row, by_day, _ = pairs.decisions(replay)
    day_sd, *_, memory = pairs.quantiles(replay)[:, 2]

    assert by_row.mean() > 0.2
    assert by_day.mean() <= 0.1
    assert day_sd == pytest.approx(0.03 * 2**0.5, rel=0.2)
    assert abs(memory) < 0.2
