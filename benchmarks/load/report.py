"""What became of a load: the figures as tables, and what must hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from benchmarks.load.checks import Decision, Growth, growth, shown_within
from benchmarks.load.client import Answer, Phase
from benchmarks.shown import Goal, Part

GROWTH_KB = 1.0  # a request, of what records nothing: more is a leak
SURE = 3.0  # standard errors above that: by chance about once in 700 checks
JUDGED_SAMPLES = 30  # of the second half; within a shorter one a server may still be warming up
RIGHT = "every request is answered as it should be"
RECORDED = "every prediction and label is recorded once, as it was told"
NAMED = "every score is that of the version named, and that one was champion then"
SHOWS = "a decision shows in the answers"
STILL = "memory stands still where nothing is recorded"
FUNCTION = "Function"  # how the container of a function is called, which holds no records
UNJUDGED = "the soak is too short"
SHOWN = 10  # of what was found against a goal
NOISE_MB = 4.0  # by which an allocator moves all the same


@dataclass(frozen=True)
class Played:
    """What became of a phase of a target; memory: MB, by second and process."""

    target: str
    phase: Phase
    answers: Sequence[Answer]
    seconds: float
    memory: pd.DataFrame
    decision: Decision | None = None

    @property
    def name(self) -> str:
        """Return what the tables call it."""
        return f"{self.target}, {self.phase.name}"

    @property
    def shown(self) -> float | None:
        """Return how many seconds after the decision it first showed; None if it never did."""
        return shown_within(self.answers, self.decision) if self.decision else None

    def growth_kb(self, process: str) -> Growth | None:
        """Return by how much a request made a process grow, over the second half."""
        found, kilobytes = growth(self.memory[process]), 1024 * self.seconds / len(self.answers)
        return found and Growth(found.by * kilobytes, found.error * kilobytes, found.samples)

    def judged(self, process: str) -> Growth | None:
        """Return the growth that tells a leak: at a steady rate, and of enough samples.

        While many ask at once, each thread takes what it then keeps.
        """
        found = self.growth_kb(process) if self.phase.rate else None
        return found if found and found.samples >= JUDGED_SAMPLES else None

    def leaks(self, process: str) -> bool:
        """Say whether a process surely grew by more than GROWTH_KB a request, and NOISE_MB."""
        found, noise = self.judged(process), 2 * 1024 * NOISE_MB / len(self.answers)
        return bool(found and found.by - SURE * found.error > GROWTH_KB and found.by > noise)


@dataclass
class Loaded:
    """What became of a target.

    faults: by what was to hold of its answers and records. sizes: in bytes, of the objects that
    were recorded.
    """

    name: str
    played: list[Played] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)
    predictions: int = 0
    labels: int = 0
    sizes: Sequence[int] = ()
    bare: bool = False  # whether it records nothing


def part(loaded: Sequence[Loaded]) -> Part:
    """Return all figures as tables, and what must hold."""
    each = [played for one in loaded for played in one.played]
    times = ["requests", "a second", "errors", "p50, ms", "p95, ms", "p99, ms", "most, ms"]
    decided = ["decision", "failed requests", "answered in, s", "first shown after, s"]
    kept = ["predictions", "labels", "objects", "MB", "lost, twice or other"]
    memory = ["process", "start", "middle", "end", "KB a request, second half"]
    tables = [
        ("Answers", times, [line for played in each for line in answers(played)]),
        (
            "Decisions in the middle of it",
            decided,
            [_decision(one) for one in each if one.decision],
        ),
        ("What was recorded", kept, [_recorded(one) for one in loaded]),
        ("Memory, MB", memory, [line for played in each for line in _memory(played)]),
    ]
    return Part([(title, "", ["", *heads], rows) for title, heads, rows in tables], goals(loaded))


def answers(played: Played) -> list[list[str]]:
    """Return the times, in ms, of all requests of a phase, and of each kind, the slowest first."""
    rows = [(a.ask.kind, 1000 * (a.received - a.due), bool(a.fault)) for a in played.answers]
    sent = pd.DataFrame(rows, columns=["kind", "waited", "failed"])
    kinds = sorted(sent.groupby("kind"), key=lambda found: -found[1]["waited"].max())
    lines = []
    for name, found in [(played.name, sent), *((f"… {kind}", some) for kind, some in kinds)]:
        rate = f"{len(sent) / played.seconds:.1f}" if found is sent else ""
        waited = np.percentile(found["waited"], [50, 95, 99, 100])
        figures = [f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}" for figure in waited]
        lines.append([name, f"{len(found):,}", rate, str(found["failed"].sum()), *figures])
    return lines


def _decision(played: Played) -> list[str]:
    made, shown = played.decision, played.shown
    assert made  # else it has no line
    failed = sum(1 for one in played.answers if one.fault)
    after = "never" if shown is None else f"{shown:.2f}"
    return [played.name, made.what, str(failed), f"{made.received - made.sent:.2f}", after]


def _recorded(one: Loaded) -> list[str]:
    counts = [f"{count:,}" for count in (one.predictions, one.labels, len(one.sizes))]
    lost = len(one.faults.get(RECORDED, ()))
    return [one.name, *counts, f"{sum(one.sizes) / 1024**2:.1f}", str(lost)]


def _memory(played: Played) -> list[list[str]]:
    samples = played.memory.iloc[[0, len(played.memory) // 2, -1]]
    lines: list[list[str]] = []
    for process in map(str, played.memory):
        figures = ["" if np.isnan(size) else f"{size:.0f}" for size in samples[process]]
        grown = told(played.growth_kb(process))
        lines.append(["" if lines else played.name, process, *figures, grown])
    return lines


def goals(loaded: Sequence[Loaded]) -> list[Goal]:
    """Return what must hold of every load."""
    found = {
        text: [f"{one.name}: {fault}" for one in loaded for fault in one.faults.get(text, ())]
        for text in (RIGHT, RECORDED, NAMED)
    }
    found[SHOWS], found[STILL], judged = [], [], False
    for target, played in [(one, played) for one in loaded for played in one.played]:
        if played.decision and played.shown is None:
            found[SHOWS].append(f"{played.name}: {played.decision.what} never showed")
        for process in map(str, played.memory):
            grown = played.judged(process) if target.bare or process.endswith(FUNCTION) else None
            judged = judged or grown is not None
            if grown and played.leaks(process):
                found[STILL].append(f"{played.name}: {process} grew by {told(grown)} KB a request")
    return [
        Goal(text, UNJUDGED if text == STILL and not judged else f"{len(against)} faults",
             "0 faults", not against, against[:SHOWN])
        for text, against in found.items()
    ]  # fmt: skip


def told(growth: Growth | None) -> str:
    """Return a growth with its error, or nothing where there is none."""
    return f"{growth.by:.2f} ± {growth.error:.2f}" if growth else ""
