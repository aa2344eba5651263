import math
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evergreen.pages import scales

NUMBERS = st.floats(-1e300, 1e300, exclude_min=True, exclude_max=True)
ALIKE = st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e-3)).map(lambda pair: (pair[0], sum(pair)))
RANGES = st.tuples(NUMBERS, NUMBERS).map(sorted) | ALIKE


def check_ticks(found: list[float], low: float, high: float) -> None:
    """Check that ticks cover a range, are round, and are apart by equal steps."""
    step = (found[-1] - found[0]) / (len(found) - 1)
    size = max(map(abs, found))

    assert found[0] <= low + 1e-9 * size
    assert found[-1] >= high - 1e-9 * size
    assert [b - a for a, b in pairwise(found)] == pytest.approx([step] * (len(found) - 1), rel=1e-4)
    assert round(step / 10.0 ** math.floor(math.log10(step * 1.0001)), 3) in {1, 2, 2.5, 5}
    assert [each / step for each in found] == pytest.approx(
        [round(each / step) for each in found], rel=1e-9, abs=1e-6
    )


@given(RANGES)
def test_ticks_cover_any_range_by_four_to_seven_round_numbers(ends: tuple[float, float]) -> None:
    low, high = ends

    found = scales.ticks(low, high)

    assert 4 <= len(found) <= 7
    check_ticks(found, low, high)


@given(st.floats(1e-290, 1e290))
def test_a_small_chart_has_three_or_four_ticks_from_zero(high: float) -> None:
    found = scales.ticks(0, high, most=4)

    assert found[0] == 0
    assert 3 <= len(found) <= 4
    check_ticks(found, 0, high)


@given(RANGES)
def test_ticks_have_names_of_their_own_and_the_last_stands_at_the_end(
    ends: tuple[float, float],
) -> None:
    scale = scales.numbers(scales.ticks(*ends), 291, 32)

    assert len({name for _, name in scale.marks}) == len(scale.marks)
    assert scale.marks[0][0] == 291
    assert scale.marks[-1][0] == 32
    assert max(len(name) for _, name in scale.marks) <= 16  # as much as stands beside a plot


@given(st.dates(date(1, 1, 1), date(9999, 12, 31)), st.integers(0, 4000))
def test_three_to_seven_days_are_named_and_the_last_is_one_of_them(last: date, more: int) -> None:
    assume(more < last.toordinal())
    first = last - timedelta(days=more)

    scale = scales.days(first, last, 115, 806)

    named = list(scale.names)
    apart = {int(b - a) for a, b in pairwise(named)}
    assert min(more + 1, 3) <= len(named) <= 7
    assert named[-1] == last.toordinal()
    assert first.toordinal() <= named[0]
    assert apart <= {1, 2} or (len(apart) == 1 and apart.pop() % 7 == 0)
    assert named[0] - first.toordinal() < (named[-1] - named[0]) / max(len(named) - 1, 1) + (
        len(named) == 1
    )


@given(st.lists(st.none() | st.floats()))
def test_only_numbers_are_shown(values: list[float | None]) -> None:
    assert all(math.isfinite(value) for value in scales.finite(values))
