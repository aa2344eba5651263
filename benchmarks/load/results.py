"""What became of a load, and what it was to be."""

from dataclasses import dataclass, field

from benchmarks.load.checks import Decision, Memory, Times, slope
from benchmarks.load.client import Plan

GROWTH_KB = 1.0  # a request, of what records nothing: more is a leak
FUNCTION = "Function"  # how the container of a function is called, which holds no records
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

    def growth_kb(self, process: str) -> float | None:
        """Return by how much a request made a process grow, over the second half."""
        found = slope(self.memory, process)
        return None if found is None else 1024 * found / self.rate

    def leaks(self, process: str) -> bool:
        """Say whether a process went on growing by more than GROWTH_KB a request, and NOISE_MB.

        At a steady rate: while many ask at once, each thread takes what it then keeps.
        """
        growth = (self.growth_kb(process) if self.phase.plan.rate else None) or 0.0
        later = self.times["all"].requests / 2
        return growth > GROWTH_KB and growth * later > 1024 * NOISE_MB

    @property
    def processes(self) -> list[str]:
        """Return whose memory was sampled."""
        return list(dict.fromkeys(name for _, found in self.memory for name in found))


@dataclass
class Loaded:
    """What became of a target.

    unrecorded: what was lost, or recorded twice or otherwise. misanswered: by another version than
    the answer says, or than was champion. megabytes: of what was recorded, which the memory holds
    where moto is in the same process.
    """

    name: str
    played: list[Played] = field(default_factory=list)
    unrecorded: list[str] = field(default_factory=list)
    misanswered: list[str] = field(default_factory=list)
    predictions: int = 0
    labels: int = 0
    objects: int = 0
    megabytes: float = 0.0
    bare: bool = False  # whether it records nothing


@dataclass(frozen=True)
class Measured:
    """All that one `make load` found; load: the machine's load average before and after."""

    loaded: list[Loaded]
    left_out: dict[str, str]
    errors: list[str]
    seconds: float
    load: tuple[float, float]


@dataclass(frozen=True)
class Claim:
    """Something that must hold of every load, and what was found against it."""

    text: str
    against: list[str]

    @property
    def holds(self) -> bool:
        """Say whether nothing was found against it."""
        return not self.against


def claims(measured: Measured) -> list[Claim]:
    """Return what must hold."""
    each = measured.loaded
    return [
        Claim("every request is answered as it should be", measured.errors),
        Claim(
            "every prediction and label is recorded once, as it was told",
            [f"{one.name}: {fault}" for one in each for fault in one.unrecorded],
        ),
        Claim(
            "every score is that of the version named, and that one was champion then",
            [f"{one.name}: {fault}" for one in each for fault in one.misanswered],
        ),
        Claim(
            "a decision shows in the answers",
            [
                f"{one.name}, {played.phase.name}: {played.decision.what} never showed"
                for one in each
                for played in one.played
                if played.decision and played.shown is None
            ],
        ),
        Claim(
            "memory stands still where nothing is recorded",
            [
                f"{one.name}, {played.phase.name}: {process} grew by "
                f"{played.growth_kb(process):.2f} KB a request"
                for one in each
                for played in one.played
                for process in played.processes
                if (one.bare or process.endswith(FUNCTION)) and played.leaks(process)
            ],
        ),
    ]
