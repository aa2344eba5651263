"""The figures as JSON, as tables for a terminal, and as tables in docs/performance.md."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import distributions

from benchmarks.installed import BUILD, Folders
from benchmarks.serving.contenders import EMPTY
from benchmarks.serving.measure import Plan
from benchmarks.serving.results import Goal, Result, Times, goals
from benchmarks.shown import Page, Shown, conditions
from local.template import ROOT

PAGE = Page("make bench", ROOT / "docs" / "performance.md", width=100)
LIBRARIES = ("scikit-learn", "pandas", "joblib", "numpy", "onnxruntime", "awslambdaric", "botocore")
WARM = ["1 row, ms", "p99, ms", "100 rows, ms", "rows/s of 1,000"]


@dataclass(frozen=True)
class Measured:
    """All that one `make bench` found.

    load: the machine's load average before and after; ours alone is about 1.
    """

    results: dict[str, Result]
    plan: Plan
    seconds: float
    libraries: dict[str, str]
    load: tuple[float, float]


def libraries(folders: Folders) -> dict[str, str]:
    """Return the versions of the libraries that matter."""
    paths = [folders.runtime, folders.pattern, *folders.layers.values()]
    found = {one.name: one.version for one in distributions(path=[str(path) for path in paths])}
    return {name: found[name] for name in LIBRARIES if name in found}


def write(measured: Measured, *, whole: bool) -> None:
    """Show everything and write it; only a whole run is for the page."""
    found = measured.results
    plan = measured.plan
    versions = ", ".join(f"{name} {version}" for name, version in measured.libraries.items())
    processes = (
        f"{versions}. {plan.processes} processes of each, {plan.warm_processes} of them also warm, "
        "in turns, "
    )
    PAGE.write(
        BUILD / "serving.json",
        measured,
        conditions(measured, processes),
        tables(found),
        whole=whole,
        goals=[
            asdict(goal) | {"ratio": goal.ratio(found), "reached": goal.reached(found)}
            for goal in goals(found)
        ],
    )


def tables(results: Mapping[str, Result]) -> list[Shown]:
    """Return the title, remark, heads and rows of each table."""
    return [
        (
            "As the emulator's caller sees it",
            "",
            ["", "cold, ms", *WARM],
            [[name, *_cells(one.caller)] for name, one in results.items()],
        ),
        (
            "Until the handler returns",
            "",
            ["", "cold, ms", *WARM],
            [[name, *_cells(one.handler)] for name, one in results.items() if name != EMPTY],
        ),
        (
            "The function's process",
            "",
            ["", "processor time of a cold start, ms", "peak MB"],
            [
                [name, f"{one.cold_cpu_ms:,.0f}", f"{one.peak_mb:.0f}"]
                for name, one in results.items()
            ],
        ),
        (
            "Goals",
            "",
            ["", "seen by", "of", "over", "ratio", "goal", "reached"],
            [_goal(goal, results) for goal in goals(results)],
        ),
    ]


def _cells(times: Times) -> list[str]:
    precise = [times.one_p50, times.one_p99, times.hundred_p50]
    return [
        f"{times.cold:,.0f}",
        *("" if value is None else f"{value:.2f}" for value in precise),
        "" if times.rows_per_second is None else f"{times.rows_per_second:,.0f}",
    ]


def _goal(goal: Goal, results: Mapping[str, Result]) -> list[str]:
    limit = f"≤ {goal.at_most}" if goal.at_most is not None else f"≥ {goal.at_least}"
    verdict = "yes" if goal.reached(results) else "NO"
    ratio = f"{goal.ratio(results):.2f}"
    return [goal.text, goal.seen, goal.of, goal.base, ratio, limit, verdict]
