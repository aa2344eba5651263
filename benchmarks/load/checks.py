"""What must hold of a load, from what its clients saw and what was recorded; no more than that."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.load.client import Answered, Seen, Sent

Memory = list[tuple[float, dict[str, float]]]  # when, on the clients' clock, and MB by process
MIN_SAMPLES = 6  # for a line
EXACT = 1e-9  # MB squared: what is less beside the line is the arithmetic's
TOLERANCE = 1e-6  # of a score: a row alone is multiplied in another order than one of a hundred


@dataclass(frozen=True)
class Decision:
    """A change of champion: which version it made champion, when it was asked and answered."""

    what: str
    after: str
    sent: float
    received: float


@dataclass(frozen=True)
class Times:
    """How long callers waited, in ms, and how many requests were answered wrongly."""

    requests: int
    errors: int
    p50: float
    p95: float
    p99: float
    most: float


@dataclass(frozen=True)
class Growth:
    """By how much a process grew in a unit, its standard error, and of how many samples."""

    by: float
    error: float
    samples: int


def times(sent: Sequence[Sent]) -> dict[str, Times]:
    """Return the times of each kind of request, and of all."""
    kinds = list(dict.fromkeys(one.kind for one in sent))
    grouped = {kind: [one for one in sent if one.kind == kind] for kind in kinds}
    return {kind: _times(some) for kind, some in (grouped | {"all": list(sent)}).items() if some}


def _times(sent: Sequence[Sent]) -> Times:
    waited = np.percentile([1000 * one.seconds for one in sent], [50, 95, 99, 100])
    return Times(len(sent), sum(1 for one in sent if one.fault), *waited.tolist())


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


def told(seen: Seen) -> dict[str, Any]:
    """Return what each prediction's capture must say."""
    return {
        one["id"]: (answer.version, answer.variant, one["score"], one["label"])
        for answer in seen.answered
        for one in answer.predictions
    }


def captured(lines: Iterable[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    """Return what each capture says."""
    return [
        (one["id"], (one["version"], one["variant"], one["score"], one["label"])) for one in lines
    ]


def mixed(answered: Iterable[Answered], scores: Mapping[str, Sequence[float]]) -> list[str]:
    """Return predictions whose score is not that of the version which the answer names.

    scores: of each version, of all rows of the pool.
    """
    faults = []
    for answer in answered:
        known = scores.get(answer.version)
        for row, one in zip(answer.rows, answer.predictions, strict=True):
            if known is None or abs(one["score"] - known[row]) > TOLERANCE:
                expected = known and known[row]
                faults.append(f"{one['id']}: {answer.version} gives {expected}, not {one['score']}")
    return faults


def untimely(
    answered: Iterable[Answered], champion: str, decisions: Sequence[Decision], ttl: float
) -> list[str]:
    """Return answers by a version that was not champion then.

    A decision may show from the moment when it is asked for, and must show in what is asked `ttl`
    seconds after its answer; between the two either version is right.
    """
    begins = [float("-inf"), *(one.sent for one in decisions)]
    ends = [*(one.received + ttl for one in decisions), float("inf")]
    versions = [champion, *(one.after for one in decisions)]
    reigns = list(zip(versions, begins, ends, strict=True))
    return [
        f"{answer.version} answered what was asked at {answer.sent:.3f}"
        for answer in answered
        if not any(
            answer.version == version and begin <= answer.received and answer.sent <= end
            for version, begin, end in reigns
        )
    ]


def shown_within(answered: Iterable[Answered], decision: Decision) -> float | None:
    """Return how long after a decision's answer its version first answered; None if it never did.

    0 where it did so before that.
    """
    first = min(
        (
            one.received
            for one in answered
            if one.version == decision.after and one.received >= decision.sent
        ),
        default=None,
    )
    return None if first is None else max(0.0, first - decision.received)


def growth(memory: Memory, process: str) -> Growth | None:
    """Return how many MB a second a process grew over the second half; None of a few samples.

    One sample is like the one before. With a correlation r of what is left beside the line, n of
    them tell as much as n (1 - r) / (1 + r) that were independent.
    """
    if len(memory) < MIN_SAMPLES:
        return None
    half = (memory[0][0] + memory[-1][0]) / 2
    later = [(at, found[process]) for at, found in memory if at >= half and process in found]
    if len(later) < MIN_SAMPLES // 2:
        return None
    at, size = np.array(later).T
    line, intercept = np.polyfit(at, size, 1)
    beside = size - line * at - intercept
    squares = float((beside**2).sum())
    alike = max(0.0, float((beside[1:] * beside[:-1]).sum()) / squares) if squares > EXACT else 0.0
    variance = squares / (len(at) - 2) / float(((at - at.mean()) ** 2).sum())
    return Growth(float(line), (variance * (1 + alike) / (1 - alike)) ** 0.5, len(at))
