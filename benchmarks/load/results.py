"""What became of a load, and what it was to be."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.load.checks import Decision, Growth, Memory, Times, growth
from benchmarks.load.client import Plan
from benchmarks.shown import Goal

GROWTH_KB = 1.0  # a request, of what records nothing: more is a leak
SURE = 3.0  # standard errors above that: by chance about once in 700 checks
JUDGED_SAMPLES = 30  # of the second half; within a shorter one a server may still be warming up
FUNCTION = "Function"  # how the container of a function is called, which holds no records
STILL = "memory stands still where nothing is recorded"
UNJUDGED = "the soak is too short"
SHOWN = 10  # of what was found against a goal
NOISE_MB = 4.0  # by which an allocator moves all the same


@dataclass(frozen=True)
class Phase:
    """A part of a load. decision: what a person does in its middle."""

    name: str
    plan: Plan
    kinds: dict[str, int]
    decision: str | None = None


@dataclass(frozen=True)
class Played:
    """What became of a phase; shown: how many seconds after the decision it first showed."""

    phase: Phase
    seconds: float
    times: dict[str, Times]
    memory: Memory
    decision: Decision | None = None
    shown: float | None = None

    @property
    def rate(self) -> float:
        """Return how many requests were answered a second."""
        return self.times["all"].requests / self.seconds

    def growth_kb(self, process: str) -> Growth | None:
        """Return by how much a request made a process grow, over the second half."""
        found = growth(self.memory, process)
        kilobytes = 1024 / self.rate
        return found and Growth(found.by * kilobytes, found.error * kilobytes, found.samples)

    def judged(self, process: str) -> Growth | None:
        """Return the growth that tells a leak: at a steady rate, and of enough samples.

        While many ask at once, each thread takes what it then keeps.
        """
        found = self.growth_kb(process) if self.phase.plan.rate else None
        return found if found and found.samples >= JUDGED_SAMPLES else None

    def leaks(self, process: str) -> bool:
        """Say whether a process surely grew by more than GROWTH_KB a request, and NOISE_MB."""
        found, later = self.judged(process), self.times["all"].requests / 2
        return (
            found is not None
            and found.by - SURE * found.error > GROWTH_KB
            and found.by * later > 1024 * NOISE_MB
        )

    @property
    def processes(self) -> list[str]:
        """Return whose memory was sampled."""
        return list(dict.fromkeys(name for _, found in self.memory for name in found))


@dataclass
class Loaded:
    """What became of a target.

    errors: answers that are not as they should be. unrecorded: what was lost, or recorded twice or
    otherwise. misanswered: by another version than the answer says, or than was champion.
    megabytes: of what was recorded, which the memory holds where moto is in the same process.
    """

    name: str
    played: list[Played] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unrecorded: list[str] = field(default_factory=list)
    misanswered: list[str] = field(default_factory=list)
    predictions: int = 0
    labels: int = 0
    objects: int = 0
    megabytes: float = 0.0
    bare: bool = False  # whether it records nothing


def goals(each: Sequence[Loaded]) -> list[Goal]:
    """Return what must hold of every load."""
    steady = [
        (f"{one.name}, {played.phase.name}: {process}", played, process)
        for one in each
        for played in one.played
        for process in played.processes
        if (one.bare or process.endswith(FUNCTION)) and played.judged(process)
    ]
    memory = [
        f"{name} grew by {told(played.growth_kb(process))} KB a request"
        for name, played, process in steady
        if played.leaks(process)
    ]
    never = [
        f"{one.name}, {played.phase.name}: {played.decision.what} never showed"
        for one in each
        for played in one.played
        if played.decision and played.shown is None
    ]
    found = {
        "every request is answered as it should be": _named(each, "errors"),
        "every prediction and label is recorded once, as it was told": _named(each, "unrecorded"),
        "every score is that of the version named, and that one was champion then": _named(
            each, "misanswered"
        ),
        "a decision shows in the answers": never,
        STILL: memory,
    }
    unjudged = set() if steady else {STILL}
    return [
        Goal(text, UNJUDGED if text in unjudged else f"{len(against)} faults", "0 faults",
             not against, against[:SHOWN])
        for text, against in found.items()
    ]  # fmt: skip


def _named(each: Sequence[Loaded], what: str) -> list[str]:
    return [f"{one.name}: {fault}" for one in each for fault in getattr(one, what)]


def told(growth: Growth | None) -> str:
    """Return a growth with its error, or nothing where there is none."""
    return f"{growth.by:.2f} ± {growth.error:.2f}" if growth else ""
