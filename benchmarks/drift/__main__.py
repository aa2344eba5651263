"""Measure how often drift and performance alarms are wrong, what they find, and what they cost."""

import os
import time
from dataclasses import dataclass

from benchmarks import shown
from benchmarks.drift import alarms as alarms
from benchmarks.drift import cost as cost
from benchmarks.drift import ecusum as ecusum
from benchmarks.drift import power as power
from benchmarks.drift import report as report
from benchmarks.drift import rival as rival
from benchmarks.drift import usual as usual
from benchmarks.drift.goals import Measured, Statistics
from benchmarks.shown import told

LIMIT_SECONDS = 15 * 60  # nothing here may run for ever


@dataclass(frozen=True)
class Plan:
    """How often each is repeated. checks: by number of features."""

    checks: dict[int, int]
    years: int
    delays: int
    power: int
    together: int
    streams: int
    delays_of_errors: int
    holdouts: int
    usual: int
    turns: int
    rival: int
    captures: int


FULL = Plan(
    checks={1: 10_000, 20: 10_000, 100: 3_000},
    years=300,
    delays=500,
    power=2_000,
    together=200,
    streams=300,
    delays_of_errors=2_000,
    holdouts=10,
    usual=80,
    turns=5,
    rival=40,
    captures=1_000_000,
)
QUICK = Plan(
    checks={1: 1_000, 20: 200, 100: 50},
    years=10,
    delays=20,
    power=100,
    together=10,
    streams=10,
    delays_of_errors=200,
    holdouts=1,
    usual=3,
    turns=1,
    rival=1,
    captures=100_000,
)
STEPS = (0.5, 1.0, 2.0)
ERRORS = (0.25, 0.3, 0.5)
PAIRS = ((0.5, 1_000), (0.0, 1_000))


def main() -> None:
    """Measure everything, and write it down."""
    shown.command(
        "benchmarks.drift",
        report.COMMAND,
        __doc__,
        LIMIT_SECONDS,
        lambda quick: bench(QUICK if quick else FULL),
        report.write,
    )


def bench(plan: Plan) -> Measured:
    """Measure times first, with nothing beside them; then let evidently work beside us."""
    begun, load = time.monotonic(), os.getloadavg()[0]
    reduced = told("captures", lambda: cost.reduced(plan.captures))
    checked = told("30 days of hours", cost.checked)
    with rival.started() as other:
        race = told("the race with evidently", lambda: rival.race(other, plan.turns))
        rival.ask_for_alarms(other, plan.rival)
        statistics = _statistics(plan)
        theirs = told("evidently's false alarms", lambda: list(rival.alarms(other, plan.rival)))
    return Measured(
        statistics=statistics,
        evidently=theirs,
        race=race,
        reduced=reduced,
        checked=checked,
        versions=rival.versions(),
        seconds=time.monotonic() - begun,
        load=(load, os.getloadavg()[0]),
    )


def _statistics(plan: Plan) -> Statistics:
    return Statistics(
        cells=told("false alarms", lambda: list(alarms.cells(plan.checks))),
        years=told("years", lambda: [alarms.year(n, plan.years) for n in (200, 2_000)]),
        delays=told("steps", lambda: [alarms.delay(step, plan.delays) for step in STEPS]),
        power=told("power", lambda: [power.power(one, plan.power) for one in power.CHANGES]),
        together=told(
            "correlation", lambda: [power.together(*pair, plan.together) for pair in PAIRS]
        ),
        quiet=told("streams", lambda: ecusum.quiet(plan.streams)),
        found=told("errors", lambda: [ecusum.found(one, plan.delays_of_errors) for one in ERRORS]),
        clustered=told(
            "clustered days",
            lambda: [ecusum.clustered(*one, plan.holdouts) for one in ecusum.SETTINGS],
        ),
        usual=told("usual rules", lambda: [usual.usual(*one, plan.usual) for one in usual.SIZES]),
    )


if __name__ == "__main__":
    main()
