"""Measure what a user gets from predict, beside an empty function and the common pattern."""

import os
import time

from rich.console import Console

from benchmarks import installed, shown
from benchmarks.installed import BUILD
from benchmarks.serving import cloud, measure, report
from benchmarks.serving.contenders import contenders
from benchmarks.serving.measure import Plan, Run
from benchmarks.serving.results import results

LIMIT_SECONDS = 30 * 60  # nothing here may run for ever; installing takes a few minutes


def main() -> None:
    """Measure everything, and write it down."""
    quick = report.PAGE.parser("benchmarks.serving", __doc__).parse_args().quick
    plan = measure.QUICK if quick else measure.FULL
    report.write(shown.limited(LIMIT_SECONDS, lambda: bench(plan)), whole=not quick)


def bench(plan: Plan) -> report.Measured:
    """Run every contender in turns."""
    console, folders = Console(), installed.everything()
    for name, reason in folders.missing.items():
        console.print(f"{name} is left out: {reason}", highlight=False)
    begun, load = time.monotonic(), os.getloadavg()[0]
    with console.status("training a champion") as status, cloud.started(BUILD) as url:
        chosen = list(contenders(folders, url))
        runs: list[Run] = []
        for run in measure.runs(chosen, plan, measure.rows_of(BUILD)):
            runs.append(run)
            cold = f"{run.contender}: {1000 * run.cold.caller:,.0f} ms cold"
            status.update(f"{len(runs)} of {len(chosen) * plan.processes}: {cold}")
    return report.Measured(
        results=results(runs),
        plan=plan,
        seconds=time.monotonic() - begun,
        libraries=report.libraries(folders),
        load=(load, os.getloadavg()[0]),
    )


if __name__ == "__main__":
    main()
