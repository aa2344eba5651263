"""What the rollout decides on: figures about versions, as they were found at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import msgspec

from evergreen.contract.endpoint import Policy
from evergreen.registry.recalibration import Recalibration, Tally
from evergreen.rollout.confidence_sequence import Bound, bound, e_excess, mismatch

FAILURES = 0.01  # of its requests a version may leave to others, or be too slow with
UNLIKE_SPLIT = 0.001  # chance below which the arms of an experiment are not what was asked for
UNLIKE_LABELS = 0.001  # the same for the share of predictions that got their label


class PairedDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day on which two versions scored the same labelled rows.

    gain: mean loss of the one that serves, less that of the other: above 0, the other is better.
    """

    day: date
    rows: int
    gain: float


class ScoredDay(msgspec.Struct, frozen=True, kw_only=True):
    """What a version makes of the labelled requests of a day, whoever answered them.

    rows: for which it has a score; mute: for which it has none. loss: mean per row of its scores
    as they are, in its own unit. tally: of a binary problem.
    """

    day: date
    rows: int
    mute: int = 0
    loss: float = 0.0
    tally: Tally | None = None


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the requests that a version was to answer.

    rows: of all requests. failed: requests that another version had to answer, as this one failed.
    slow: those that took longer for each row than the policy allows. drifted: its answers are
    unlike those on its holdout, by more than its weeks differ, and for some days much more than
    the champion's to the same requests; psi: how unlike.
    """

    requests: int = 0
    rows: int = 0
    failed: int = 0
    slow: int = 0
    psi: float | None = None
    drifted: bool = False


class ArmDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day of one arm of an experiment; loss: the mean of its labelled rows."""

    day: date
    rows: int
    labelled: int
    loss: float | None


@dataclass(frozen=True)
class Waiting:
    """The candidate.

    compared_with: the champion of its training. alone: why it cannot be compared with the present
    one on recorded requests, or None.
    """

    version: str
    compared_with: str | None
    alone: str | None = None


@dataclass(frozen=True)
class Evidence:
    """All of it, at the time `at`.

    paired: the challenger beside the champion, by day. refreshed: whether it is of the champion's
    own recipe, fitted on newer data. watched: the previous champion, beside the champion, since
    that was promoted. canary, champion: what came of their requests. alarms: those
    that are the champion's fault, in words. control, treatment: the arms of the experiment by day;
    keys: how many distinct ones each has had (requests, where these name none). broken: why a
    version cannot be loaded, of those that the document names. one_way: why the previous champion
    cannot answer what is asked now, or None. maps: of scores, that are to be written.
    """

    at: datetime
    waiting: Waiting | None = None
    paired: Sequence[PairedDay] = ()
    refreshed: bool = False
    watched: Sequence[PairedDay] = ()
    canary: Guard = field(default_factory=Guard)
    champion: Guard = field(default_factory=Guard)
    alarms: Sequence[str] = ()
    control: Sequence[ArmDay] = ()
    treatment: Sequence[ArmDay] = ()
    keys: tuple[int, int] = (0, 0)
    broken: Mapping[str, str] = field(default_factory=dict)
    one_way: str | None = None
    maps: Sequence[Recalibration] = ()


def gain(days: Sequence[PairedDay], alpha: float) -> Bound | None:
    """Return by how much the other version is better, in the metric's unit per row."""
    return bound([day.gain for day in days], alpha)


def figures(days: Sequence[PairedDay], found: Bound | None) -> dict[str, Any]:
    """Return what a decision says of a comparison, for those who read it years later."""
    said: dict[str, Any] = {"days": len(days), "rows": sum(day.rows for day in days)}
    if found:
        said |= {"gain": found.mean, "lower": found.lower, "upper": found.upper}
    return said


def faults(guard: Guard, policy: Policy) -> list[str]:
    """Return in words what is wrong with the answers of a version, each beyond chance."""
    found = []
    limit = 1 / policy.alpha
    if e_excess(guard.failed, guard.requests, FAILURES) >= limit:
        found.append(f"it failed to answer {guard.failed:,} of {guard.requests:,} requests")
    if e_excess(guard.slow, guard.requests, FAILURES) >= limit:
        found.append(
            f"{guard.slow:,} of {guard.requests:,} requests took over {policy.max_latency_ms} ms"
        )
    if guard.drifted:
        psi = "" if guard.psi is None else f" (PSI {guard.psi:.2f})"
        found.append(f"its answers drifted away from those on its holdout{psi}")
    return found


@dataclass(frozen=True)
class Standing:
    """How an experiment stands: the rows and labels of each arm, and the treatment's gain.

    invalid: why its figures say nothing, or None.
    """

    rows: tuple[int, int]
    labelled: tuple[int, int]
    gain: Bound | None
    invalid: str | None


def standing(evidence: Evidence, shares: tuple[float, float], alpha: float) -> Standing:
    """Return how the arms of an experiment compare; days without labels on a side are left out.

    shares: of the requests, that control and treatment were to get.
    """
    arms = evidence.control, evidence.treatment
    rows = sum(day.rows for day in arms[0]), sum(day.rows for day in arms[1])
    labelled = sum(day.labelled for day in arms[0]), sum(day.labelled for day in arms[1])
    ours, theirs = (
        {day.day: day for day in arm if day.rows and day.loss is not None} for arm in arms
    )
    both = [(ours[day], theirs[day]) for day in sorted(ours.keys() & theirs.keys())]
    # Other people were asked on either side, but what moves both on one day still cancels out.
    found = bound([(one.loss or 0.0) - (two.loss or 0.0) for one, two in both], alpha)
    coverage = bound(
        [one.labelled / one.rows - two.labelled / two.rows for one, two in both], UNLIKE_LABELS
    )
    invalid = None
    if mismatch(evidence.keys, shares) < UNLIKE_SPLIT:
        one, two = evidence.keys
        invalid = f"the arms had {one:,} and {two:,} keys, which is not the split asked for"
    elif coverage and (coverage.lower > 0 or coverage.upper < 0):
        invalid = (
            f"{labelled[0]:,} of {rows[0]:,} and {labelled[1]:,} of {rows[1]:,} rows have their "
            "label, which is not by chance: what is missing may be unlike the rest"
        )
    return Standing(rows, labelled, found, invalid)
