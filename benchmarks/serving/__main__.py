"""Measure what a user gets from predict, beside an empty function and the common pattern."""

import json
from importlib.metadata import distributions

from rich.console import Console

from benchmarks import installed, shown
from benchmarks.installed import BUILD, Folders
from benchmarks.serving import cloud, measure
from benchmarks.serving.contenders import contenders
from benchmarks.serving.measure import Plan, Run
from benchmarks.serving.results import part, results
from benchmarks.shown import Page, Part, conditions
from local.template import ROOT

PAGE = Page("make bench", ROOT / "docs" / "performance.md", 100, BUILD / "serving.json")
LIMIT_SECONDS = 30 * 60  # nothing here may run for ever; installing takes a few minutes
LIBRARIES = ("scikit-learn", "pandas", "joblib", "numpy", "onnxruntime", "awslambdaric", "botocore")


def main() -> None:
    """Measure everything, and write it down."""
    quick = PAGE.parser("benchmarks.serving", __doc__).parse_args().quick
    plan = measure.QUICK if quick else measure.FULL
    (found, versions), spent = shown.limited(LIMIT_SECONDS, lambda: bench(plan))
    said = (
        f"{versions}. {plan.processes} processes of each, {plan.warm_processes} of them also warm, "
        "in turns, "
    )
    PAGE.write_parts([found], conditions(spent, said), whole=not quick)


def bench(plan: Plan) -> tuple[Part, str]:
    """Run every contender in turns; return what was found, and the versions of the libraries."""
    folders = installed.everything()
    with Console().status("training a champion") as status, cloud.started(BUILD) as url:
        chosen = list(contenders(folders, url))
        runs: list[Run] = []
        for run in measure.runs(chosen, plan, json.loads((BUILD / cloud.ROWS).read_text())):
            runs.append(run)
            cold = f"{run.contender}: {1000 * run.cold.caller:,.0f} ms cold"
            status.update(f"{len(runs)} of {len(chosen) * plan.processes}: {cold}")
    return part(results(runs)), libraries(folders)


def libraries(folders: Folders) -> str:
    """Return the versions of the libraries that matter."""
    paths = [folders.runtime, folders.pattern, *folders.layers.values()]
    found = {one.name: one.version for one in distributions(path=[str(path) for path in paths])}
    return ", ".join(f"{name} {found[name]}" for name in LIBRARIES if name in found)


if __name__ == "__main__":
    main()
