"""Measure what a user gets from predict, beside an empty function and the common pattern."""

import json
from collections.abc import Iterator
from importlib.metadata import distributions

from benchmarks.serving import cloud, measure
from benchmarks.serving.contenders import contenders
from benchmarks.serving.results import part
from benchmarks.shown import BUILD, Page, Part
from local.template import ROOT

# Installing takes a few minutes.
PAGE = Page("make bench", ROOT / "docs" / "performance.md", minutes=30)
LIBRARIES = ("scikit-learn", "pandas", "joblib", "numpy", "onnxruntime", "awslambdaric", "botocore")


def bench(quick: bool) -> Iterator[Part]:
    """Run every contender in turns, so that a busy minute of the machine slows all of them."""
    plan = measure.QUICK if quick else measure.FULL
    with cloud.started(BUILD) as url:
        chosen = list(contenders(url))
        rows = json.loads((BUILD / cloud.ROWS).read_text())
        runs = []
        for run in measure.runs(chosen, plan, rows):
            runs.append(run)
            print(f"{run.contender}: {1000 * run.cold.caller:,.0f} ms cold", flush=True)
    paths = {str(path) for one in chosen for path in one.path}
    versions = {one.name: one.version for one in distributions(path=sorted(paths))}
    said = ", ".join(f"{name} {versions[name]}" for name in LIBRARIES if name in versions)
    of_each = f"{plan.processes} processes of each, {plan.warm_processes} of them also warm"
    yield part(runs, f"{said}. {of_each}, in turns.")


if __name__ == "__main__":
    PAGE.run("benchmarks.serving", __doc__, bench)
