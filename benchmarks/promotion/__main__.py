"""Measure how often promotion is wrong, how soon it comes, and what caution costs in a year."""

import os
import time
from dataclasses import dataclass

from benchmarks import shown
from benchmarks.promotion import chance as chance
from benchmarks.promotion import curve as curve
from benchmarks.promotion import pairs as pairs
from benchmarks.promotion import power as power
from benchmarks.promotion import report as report
from benchmarks.promotion.draws import PROCESSES
from benchmarks.promotion.flights import year
from benchmarks.promotion.goals import Measured
from benchmarks.promotion.year import Replay
from benchmarks.shown import told

LIMIT_SECONDS = 30 * 60  # the fits of the first run take two minutes on an idle machine
RUNS, QUICK_RUNS = 10_000, 2_000
PEEKING_RUNS = 2_000  # every 50 rows for a year
EVERY, QUICK_EVERY = 1, 10  # of the flights, one in so many


@dataclass(frozen=True)
class Plan:
    """How often each simulation is repeated, and which part of the flights is used."""

    runs: int
    every: int


def main() -> None:
    """Measure everything, and write it down."""
    shown.command(
        "benchmarks.promotion",
        report.COMMAND,
        __doc__,
        LIMIT_SECONDS,
        lambda quick: bench(Plan(QUICK_RUNS, QUICK_EVERY) if quick else Plan(RUNS, EVERY)),
        report.write,
    )


def bench(plan: Plan) -> Measured:
    """Simulate what is known, then replay what is real."""
    begun, load, runs = time.monotonic(), os.getloadavg()[0], plan.runs
    margins = ((process, 0.0) for process in PROCESSES)
    at_margin = (next(one for one in PROCESSES if one.day_sd), chance.MARGIN)
    wrong = told(
        "wrong promotions",
        lambda: [chance.wrong(*one, runs) for one in (*margins, at_margin)],
    )
    usual = told("usual rules", lambda: chance.usual(PEEKING_RUNS))
    cells = [
        (gain, spread, margin)
        for gain in power.GAINS
        for spread in power.SPREADS
        for margin in (0.0, chance.MARGIN)
    ]
    found = told("power", lambda: [power.power(*cell, runs) for cell in cells])
    rollbacks = told("rollback", lambda: [power.rollback(one, runs) for one in power.ROLLBACKS])
    experiments = [power.experiment(gain, runs) for gain in power.EXPERIMENTS]
    splits = told("splits", lambda: [power.split(shares, PEEKING_RUNS) for shares in power.SPLITS])
    guardrails = told("guardrails", lambda: power.guardrails(runs))
    replay = Replay(told("models of the flights", lambda: year(plan.every)))
    return Measured(
        wrong=wrong,
        usual=usual,
        power=found,
        rollbacks=rollbacks,
        experiments=experiments,
        splits=splits,
        guardrails=guardrails,
        likeness=told("days of pairs", lambda: pairs.likeness(replay)),
        pairs=told("pairs", lambda: pairs.pairs(replay)),
        points=told("years", lambda: list(curve.points(replay))),
        models=len(replay.year.models),
        seconds=time.monotonic() - begun,
        load=(load, os.getloadavg()[0]),
    )


if __name__ == "__main__":
    main()
