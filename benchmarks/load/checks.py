"""What must hold of a load, from what its clients saw and what was recorded; no more than that."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.load.client import Answer

MIN_SAMPLES = 6  # for a line
EXACT = 1e-9  # MB squared: what is less beside the line is the arithmetic's
TOLERANCE = 1e-6  # of a score: a row alone is multiplied in another order than one of a hundred

_says = itemgetter("version", "variant", "score", "label")


class Decision(NamedTuple):
    """A change of champion: which version it made champion, when it was asked and answered."""

    what: str
    after: str
    sent: float
    received: float


class Growth(NamedTuple):
    """By how much a process grew in a unit, its standard error, and of how many samples."""

    by: float
    error: float
    samples: int


def unfaithful(
    kind: str, told: Mapping[str, Any], recorded: Iterable[tuple[str, Any]]
) -> list[str]:
    """Return what was not recorded exactly once and as it was told, or never told at all.

    told, recorded: what an id stands for. kind: what to call it.
    """
    kept = list(recorded)
    count, by_id = Counter(one for one, _ in kept), dict(kept)
    faults = [f"{kind} {one} was recorded {count[one]} times" for one in told if count[one] != 1]
    faults += [
        f"{kind} {one} was recorded as {by_id[one]} and told as {value}"
        for one, value in told.items()
        if one in by_id and by_id[one] != value
    ]
    return faults + [f"{kind} {one} was never told" for one in by_id.keys() - told.keys()]


def predicted(answers: Iterable[Answer]) -> list[Answer]:
    """Return the answers that are predictions."""
    return [one for one in answers if one.ask.rows and not one.fault]


def told(answers: Iterable[Answer]) -> dict[str, Any]:
    """Return what each prediction's capture must say."""
    found = (answer.found for answer in predicted(answers))
    return {one["id"]: _says(each | one) for each in found for one in each["predictions"]}


def captured(lines: Iterable[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    """Return what each capture says."""
    return [(one["id"], _says(one)) for one in lines]


def mixed(answers: Iterable[Answer], scores: Mapping[str, Sequence[float]]) -> list[str]:
    """Return predictions whose score is not that of the version which the answer names.

    scores: of each version, of all rows of the pool.
    """
    faults = []
    for answer in predicted(answers):
        version = answer.found["version"]
        known = scores.get(version)
        for row, one in zip(answer.ask.rows, answer.found["predictions"], strict=True):
            if known is None or abs(one["score"] - known[row]) > TOLERANCE:
                expected = known and known[row]
                faults.append(f"{one['id']}: {version} gives {expected}, not {one['score']}")
    return faults


def untimely(
    answers: Iterable[Answer], champion: str, decisions: Sequence[Decision], ttl: float
) -> list[str]:
    """Return predictions by a version that was not champion then.

    A decision may show from the moment when it is asked for, and must show in what is asked `ttl`
    seconds after its answer; between the two either version is right.
    """
    begins = [float("-inf"), *(one.sent for one in decisions)]
    ends = [*(one.received + ttl for one in decisions), float("inf")]
    versions = [champion, *(one.after for one in decisions)]
    reigns = list(zip(versions, begins, ends, strict=True))
    return [
        f"{answer.found['version']} answered what was asked at {answer.sent:.3f}"
        for answer in predicted(answers)
        if not any(
            answer.found["version"] == version and begin <= answer.received and answer.sent <= end
            for version, begin, end in reigns
        )
    ]


def shown_within(answers: Iterable[Answer], decision: Decision) -> float | None:
    """Return how long after a decision's answer its version first answered; None if it never did.

    0 where it did so before that.
    """
    by_it = [one for one in predicted(answers) if one.found["version"] == decision.after]
    later = [one.received for one in by_it if one.received >= decision.sent]
    return max(0.0, min(later) - decision.received) if later else None


def growth(memory: "pd.Series[float]") -> Growth | None:
    """Return how many MB a second a process grew over the second half; None of a few samples.

    memory: MB, by seconds. One sample is like the one before. With a correlation r of what is left
    beside the line, n of them tell as much as n (1 - r) / (1 + r) that were independent.
    """
    later = memory[memory.index >= (memory.index[0] + memory.index[-1]) / 2].dropna()
    if len(memory) < MIN_SAMPLES or len(later) < MIN_SAMPLES // 2:
        return None
    at, size = later.index.to_numpy(), later.to_numpy()
    line, intercept = np.polyfit(at, size, 1)
    beside = size - line * at - intercept
    squares = float((beside**2).sum())
    alike = max(0.0, float((beside[1:] * beside[:-1]).sum()) / squares) if squares > EXACT else 0.0
    variance = squares / (len(at) - 2) / float(((at - at.mean()) ** 2).sum())
    return Growth(float(line), (variance * (1 + alike) / (1 - alike)) ** 0.5, len(at))
