"""Measure what a user gets from predict, beside an empty function and the common pattern."""

from collections.abc import Iterator
from importlib.metadata import distributions

from benchmarks.serving import cloud, measure
from benchmarks.serving.contenders import contenders
from benchmarks.shown import Page, Part
from local.template import ROOT

# Installing takes a few minutes.
PAGE = Page("make bench", ROOT / "docs" / "performance.md", minutes=30)
LIBRARIES = ("scikit-learn", "pandas", "joblib", "numpy", "onnxruntime", "awslambdaric", "botocore")


def bench(quick: bool) -> Iterator[Part]:
    """Ask every contender in turns, so that a busy minute of the machine slows all of them."""
    plan = measure.QUICK if quick else measure.FULL
    with cloud.started() as (url, rows):
        chosen = list(contenders(url))
        samples = measure.samples(chosen, plan, rows)
    paths = {str(path) for one in chosen for path in one.path}
    versions = {one.name: one.version for one in distributions(path=sorted(paths))}
    said = ", ".join(f"{name} {versions[name]}" for name in LIBRARIES if name in versions)
    of_each = f"{plan.processes} processes of each, {plan.warm_processes} of them also warm"
    yield measure.part(samples, f"{said}. {of_each}, in turns.")


if __name__ == "__main__":
    PAGE.run("benchmarks.serving", __doc__, bench)
