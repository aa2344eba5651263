"""Simulated years have the limits and the evidence that the product gives their rows."""

import numpy as np
import pytest
from scipy.special import expit

from benchmarks.drift import ecusum
from evergreen.monitoring.ecusum import rows
from evergreen.monitoring.performance import expected


def test_counts_have_the_limit_and_the_evidence_that_the_product_gives_their_rows() -> None:
    random, kinds = np.random.default_rng(5), len(ecusum.ONE)
    score = expit(random.normal(-1.3, 1, kinds))
    true = expit(-1.3 + random.normal(0, 0.3, (1, ecusum.HOLDOUT, 1)) + np.zeros(kinds))
    came = random.binomial(ecusum.EACH, true).astype(np.float64)
    days = np.repeat(np.arange(ecusum.HOLDOUT), ecusum.ROWS).astype("datetime64[D]")
    labels = (np.arange(ecusum.EACH) < came[0][..., None]).reshape(ecusum.HOLDOUT, -1)
    scores = np.tile(score.repeat(ecusum.EACH), ecusum.HOLDOUT)
    promised = expected(labels.ravel(), scores, days)

    evidence, similarity = ecusum._rows(came, np.tile(score, (ecusum.HOLDOUT, 1)))

    brier = (labels[3] - score.repeat(ecusum.EACH)) ** 2
    told = rows.evidence(brier, promised.upper, 1.0)
    assert similarity[0] == pytest.approx(promised.similarity)
    assert evidence[3, 0] == pytest.approx([total for total, _ in told])


def test_a_year_in_which_scores_become_random_has_every_alarm_soon() -> None:
    on = ecusum.simulate("calm", 1.2, 4, "1").alarms()
    at = ecusum.ONSET - ecusum.HOLDOUT

    assert not on["any"][:at].any()
    assert all(each[at + 40].all() for each in on.values())
