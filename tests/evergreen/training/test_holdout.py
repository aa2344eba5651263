"""The holdout is the newest days that can tell models apart, however rows lie in time."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.captures.examples import Examples, check_enough, concat, utc
from evergreen.contract.endpoint import Policy
from evergreen.contract.errors import DataError
from evergreen.training.holdout import MIN_DAYS, split
from tests.support import given

POLICY = Policy(min_rows=30, holdout_days=7)
ENOUGH = 3  # rows of a holdout, a tenth of min_rows
DAY = timedelta(days=1)


def rows(counts: dict[int, int], seed: int = 0) -> Examples:
    """Return examples: so many on each day, with labels at random."""
    random = np.random.default_rng(seed)
    days = np.repeat(sorted(counts), [counts[day] for day in sorted(counts)])
    micros = np.sort(days * 86_400_000_000 + random.integers(0, 86_400_000_000, len(days)))
    return Examples(
        {"x": np.zeros(len(days), np.float32)},
        random.uniform(size=len(days)) < 0.5,
        np.datetime64("2013-01-01", "us") + micros.astype("timedelta64[us]"),
    )


def fits(part: Examples) -> bool:
    try:
        check_enough(part, min_rows=POLICY.min_rows)
    except DataError:
        return False
    return True


def tells_apart(part: Examples) -> bool:
    days = len(set(part.times.astype("datetime64[D]").tolist()))
    return len(part) >= ENOUGH and days >= MIN_DAYS and len(set(part.labels.tolist())) == 2


DISTRIBUTIONS = st.dictionaries(
    st.integers(0, 60) | st.integers(0, 3_000), st.integers(1, 40), min_size=1, max_size=25
)


@hypothesis_given(counts=DISTRIBUTIONS, seed=st.integers(0, 9))
def test_a_training_is_possible_wherever_days_can_be_parted_at_all(
    counts: dict[int, int], seed: int
) -> None:
    known = rows(counts, seed)
    cuts = [np.datetime64("2013-01-01", "us") + np.timedelta64(day, "D") for day in counts]
    parts = [(known.between(None, utc(cut)), known.between(utc(cut), None)) for cut in cuts]
    assume(any(fits(earlier) and tells_apart(holdout) for earlier, holdout in parts))

    found = split(known, POLICY, None)

    assert fits(found.earlier)
    assert tells_apart(found.holdout)
    joined = concat([found.earlier, found.holdout])
    assert joined is not None
    assert joined.sha256() == known.sha256()
    assert found.earlier.times[-1] < found.holdout.times[0]


@hypothesis_given(counts=DISTRIBUTIONS, seed=st.integers(0, 9), later=st.integers(1, 400))
def test_a_row_on_a_newer_day_never_leaves_less_to_fit(
    counts: dict[int, int], seed: int, later: int
) -> None:
    known = rows(counts, seed)
    try:
        before = split(known, POLICY, None)
    except DataError:
        assume(False)
    newer = rows({max(counts) + later: 1})

    joined = concat([known, newer])
    assert joined is not None
    after = split(joined, POLICY, None)

    assert len(after.earlier) >= len(before.earlier)
    assert after.holdout.times[-1] == newer.times[0]


@hypothesis_given(seed=st.integers(0, 50))
def test_where_every_day_has_rows_it_is_as_many_days_as_the_policy_says(seed: int) -> None:
    known = rows(dict.fromkeys(range(30), 20), seed)

    assert split(known, POLICY, None).cut == utc(known.times[-1]) - 7 * DAY


def test_after_a_single_label_on_a_new_day_it_is_what_it_was_and_that_row() -> None:
    known, late = rows(dict.fromkeys(range(30), 20)), rows({100: 1})

    joined = concat([known, late])
    assert joined is not None
    found = split(joined, POLICY, None)

    before = split(known, POLICY, None)
    assert found.earlier.sha256() == before.earlier.sha256()
    assert len(found.holdout) == len(before.holdout) + 1
    assert found.said == (
        f"the holdout has {len(found.holdout)} rows on 9 days, 2013-01-23 to 2013-04-11"
    )


def test_of_rows_that_come_once_a_week_it_takes_the_newest_weeks() -> None:
    found = split(rows({7 * week: 10 for week in range(20)}), POLICY, None)

    assert len(found.holdout) == 10 * MIN_DAYS


def test_it_begins_after_what_the_champion_was_fitted_on() -> None:
    known = rows(dict.fromkeys(range(30), 20))
    until = given.START + 26 * DAY

    assert split(known, POLICY, until).cut == until + timedelta.resolution
    with pytest.raises(DataError, match="that no champion was fitted on are 40 on 2 days"):
        split(known, POLICY, until + 2 * DAY)


def test_rows_that_cannot_be_parted_are_refused_with_what_is_too_few() -> None:
    with pytest.raises(DataError, match="20 labelled rows are fewer than"):
        split(rows({0: 20, 10: 20, 11: 20, 12: 20}), POLICY, None)
    with pytest.raises(DataError, match="are left to fit, as the holdout has 120 rows on 3"):
        split(rows({0: 40, 1: 40, 2: 40}), POLICY, None)


@pytest.mark.parametrize("labels", [[1.0, 2.0, 3.0], ["a", "b", "c"]], ids=["numbers", "texts"])
def test_a_holdout_has_two_labels_that_differ(labels: list[object]) -> None:
    known = rows(dict.fromkeys(range(30), 20))
    places = np.arange(len(known)) % 3
    kind = np.float64 if isinstance(labels[0], float) else object
    other = Examples(known.columns, np.array(labels, dtype=kind)[places], known.times)
    same = Examples(known.columns, np.array(labels, dtype=kind)[places * 0], known.times)

    assert split(other, Policy(min_rows=2, holdout_days=7), None)
    with pytest.raises(DataError, match="and two labels that differ"):
        split(same, POLICY, None)
