"""Measure how often drift and performance alarms are wrong, what they find, and what they cost."""

import os
import time
from dataclasses import asdict, dataclass

from benchmarks import shown
from benchmarks.drift import alarms, cost, ecusum, power, rival, usual
from benchmarks.drift.goals import Measured, Statistics, goals
from benchmarks.drift.tables import PAGE, tables
from benchmarks.installed import BUILD
from benchmarks.shown import SAME, conditions, told

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
    raced: int
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
    raced=200_000,
    rival=40,
    captures=1_000_000,
)
QUICK = Plan(
    checks={1: 100, 20: 10, 100: 2},
    years=2,
    delays=3,
    power=20,
    together=2,
    streams=2,
    delays_of_errors=100,
    holdouts=1,
    usual=1,
    turns=1,
    raced=20_000,
    rival=1,
    captures=20_000,
)
STEPS = (0.5, 1.0, 2.0)
ERRORS = (0.25, 0.3, 0.5)
PAIRS = ((0.5, 1_000), (0.0, 1_000))


def main() -> None:
    """Measure everything, and write it down."""
    quick = PAGE.parser("benchmarks.drift", __doc__).parse_args().quick
    found = shown.limited(LIMIT_SECONDS, lambda: bench(QUICK if quick else FULL))
    PAGE.write(
        BUILD / "drift.json",
        found,
        conditions(found, after=SAME),
        tables(found),
        whole=not quick and found.race is not None,
        goals=[asdict(goal) for goal in goals(found)],
    )


def bench(plan: Plan) -> Measured:
    """Measure times first, with nothing beside them; then let evidently work beside us."""
    begun, load = time.monotonic(), os.getloadavg()[0]
    reduced = told("captures", lambda: cost.reduced(plan.captures))
    checked = told("30 days of hours", lambda: cost.checked(plan.turns))
    race, theirs = None, []
    with rival.started() as other:
        if other:
            race = told(
                "the race with evidently", lambda: rival.race(other, plan.raced, plan.turns)
            )
            rival.ask_for_alarms(other, plan.rival)
        statistics = _statistics(plan)
        if other:
            theirs = told("evidently's false alarms", lambda: list(rival.alarms(other, plan.rival)))
    return Measured(
        statistics=statistics,
        evidently=theirs,
        race=race,
        reduced=reduced,
        checked=checked,
        versions=rival.versions() if race else {},
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
