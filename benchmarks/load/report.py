"""The figures as JSON, in a terminal, and in docs/load.md."""

from collections.abc import Sequence

from benchmarks.load.results import Loaded, Played, goals, told
from benchmarks.shown import Page, Part, Shown
from local.template import ROOT

BUILD = ROOT / "build" / "load"
PAGE = Page("make load", ROOT / "docs" / "load.md", 110, BUILD / "load.json")


def part(loaded: Sequence[Loaded]) -> Part:
    """Return all figures as tables, and what must hold."""
    each = [(one, played) for one in loaded for played in one.played]
    decided = [(one, played) for one, played in each if played.decision]
    heads = ["", "requests", "a second", "errors", "p50, ms", "p95, ms", "p99, ms", "most, ms"]
    growth = "KB a request, second half"
    tables: list[Shown] = [
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
            [_recorded(one) for one in loaded],
        ),
        (
            "Memory, MB",
            "",
            ["", "process", "start", "middle", "end", growth],
            [line for one, played in each for line in _memory(one, played)],
        ),
    ]
    return Part(tables, goals(loaded))


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
