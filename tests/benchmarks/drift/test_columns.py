"""Evidently, in an environment of its own, sees the rows that we see."""

from benchmarks.drift.columns import (
    KINDS,
    draws,
)


def test_the_rival_sees_the_same_rows() -> None:
    ours, theirs = (draws(KINDS, 300, 200, seed=7) for _ in range(2))

    for one, other in zip(ours, theirs, strict=True):
        assert [len(side) for side in one] == [300, 200]
        assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))
