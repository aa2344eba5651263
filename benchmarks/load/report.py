"""The figures as JSON, in a terminal, and in docs/load.md."""

from benchmarks.load.results import Loaded, Measured, Played, claims, told
from benchmarks.shown import Goal, Page, Part, Shown, Spent, conditions
from local.template import ROOT

BUILD = ROOT / "build" / "load"
PAGE = Page("make load", ROOT / "docs" / "load.md", 110, BUILD / "load.json")
SHOWN = 10  # of what was found against a claim


def write(measured: Measured, spent: Spent, *, whole: bool) -> None:
    """Show everything and write it; only a whole run is for the page."""
    held = claims(measured)
    goals = [
        Goal(
            claim.text,
            f"{len(claim.against)} faults" if claim.judged else "the soak is too short",
            "0 faults",
            claim.holds,
        )
        for claim in held
    ]
    said = conditions(spent, "clients and servers on the same machine, ")
    PAGE.write_parts([Part(tables(measured), goals)], said, whole=whole)
    for claim in held:
        for one in claim.against[:SHOWN]:
            print("DOES NOT HOLD:", one)


def tables(measured: Measured) -> list[Shown]:
    """Return the title, remark, heads and rows of each table."""
    each = [(one, played) for one in measured.loaded for played in one.played]
    decided = [(one, played) for one, played in each if played.decision]
    heads = ["", "requests", "a second", "errors", "p50, ms", "p95, ms", "p99, ms", "most, ms"]
    growth = "KB a request, second half"
    return [
        ("Answers", "", heads, [line for one, played in each for line in _answers(one, played)]),
        (
            "Decisions in the middle of it",
            "",
            ["", "decision", "failed requests", "answered in, s", "first shown after, s"],
            [_decision(one, played) for one, played in decided],
        ),
        (
            "What was recorded",
            "",
            ["", "predictions", "labels", "objects", "MB", "lost, twice or other"],
            [_recorded(one) for one in measured.loaded],
        ),
        (
            "Memory, MB",
            "",
            ["", "process", "start", "middle", "end", growth],
            [line for one, played in each for line in _memory(one, played)],
        ),
    ]


def _answers(one: Loaded, played: Played) -> list[list[str]]:
    lines = []
    for kind, times in reversed(played.times.items()):
        every = kind == "all"
        name = f"{one.name}, {played.phase.name}" if every else f"… {kind}"
        rate = f"{played.rate:.1f}" if every else ""
        waited = (times.p50, times.p95, times.p99, times.most)
        figures = [f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}" for figure in waited]
        lines.append([name, f"{times.requests:,}", rate, str(times.errors), *figures])
    return lines


def _decision(one: Loaded, played: Played) -> list[str]:
    made = played.decision
    assert made
    took = f"{made.received - made.sent:.2f}"
    after = "never" if played.shown is None else f"{played.shown:.2f}"
    failed = str(played.times["all"].errors)
    return [f"{one.name}, {played.phase.name}", made.what, failed, took, after]


def _recorded(one: Loaded) -> list[str]:
    counts = [f"{count:,}" for count in (one.predictions, one.labels, one.objects)]
    return [one.name, *counts, f"{one.megabytes:.1f}", str(len(one.unrecorded))]


def _memory(one: Loaded, played: Played) -> list[list[str]]:
    samples = [played.memory[index][1] for index in (0, len(played.memory) // 2, -1)]
    lines: list[list[str]] = []
    for process in played.processes:
        figures = [f"{sample[process]:.0f}" if process in sample else "" for sample in samples]
        figures.append(told(played.growth_kb(process)))
        lines.append(["" if lines else f"{one.name}, {played.phase.name}", process, *figures])
    return lines
