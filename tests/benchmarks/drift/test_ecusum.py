"""Many rows at once have the evidence that the product gives them."""

import numpy as np
import pytest

from benchmarks.drift import ecusum
from evergreen.monitoring import performance


def test_a_stream_of_errors_has_the_evidence_that_the_product_gives_it() -> None:
    errors = np.random.default_rng(5).random(900) < 0.22

    state = performance.START
    for day in np.split(errors, 3):
        evidence = performance.evidence(day.astype(np.float64), ecusum.ERROR, 1.0)
        state = performance.accumulate(state, evidence)

    assert ecusum.e_values(errors)[-1] == pytest.approx(performance.e_value(state))
