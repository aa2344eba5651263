"""Measure what a user gets from predict, beside an empty function and the common pattern."""

import os
import signal
import sys
import time
from types import FrameType
from typing import NoReturn

from rich.console import Console

from benchmarks import installed
from benchmarks.installed import BUILD, Folders
from benchmarks.serving import cloud, measure, report
from benchmarks.serving.contenders import contenders
from benchmarks.serving.measure import Plan, Run
from benchmarks.serving.results import results
from local import command_line
from local.template import ROOT

LIMIT_SECONDS = 15 * 60  # nothing here may run for ever


def main() -> None:
    """Measure everything, and write it down."""
    parser = command_line.parser("benchmarks.serving", __doc__, "make bench QUICK=1")
    parser.add_argument(
        "--quick", action="store_true", help="repeat less, and leave the page alone"
    )
    quick = parser.parse_args().quick
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGALRM, _stop)
    try:
        folders = installed.everything()
        signal.alarm(LIMIT_SECONDS)
        measured = bench(folders, measure.QUICK if quick else measure.FULL)
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
    report.show(measured)
    report.write_json(measured, BUILD / "serving.json")
    written = [BUILD / "serving.json"]
    if not quick:
        report.write_document(measured)
        written.append(report.DOCUMENT)
    print("Written to", " and ".join(str(path.relative_to(ROOT)) for path in written))


def _stop(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(f"ended by {signal.Signals(number).name}")


def bench(folders: Folders, plan: Plan) -> report.Measured:
    """Run every contender in turns."""
    console = Console()
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
