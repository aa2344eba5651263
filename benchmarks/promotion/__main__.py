"""Measure how often promotion is wrong, how soon it comes, and what caution costs in a year."""

import os
import time
from dataclasses import asdict

from benchmarks import shown
from benchmarks.installed import BUILD
from benchmarks.promotion import chance, curve, pairs, power
from benchmarks.promotion.draws import PROCESSES
from benchmarks.promotion.figure import picture
from benchmarks.promotion.flights import year
from benchmarks.promotion.goals import Measured, goals
from benchmarks.promotion.tables import PAGE, tables
from benchmarks.promotion.year import Replay
from benchmarks.shown import SAME, conditions, told

LIMIT_SECONDS = 30 * 60  # the fits of the first run take two minutes on an idle machine


def main() -> None:
    """Measure everything, and write it down, with a picture on its page."""
    quick = PAGE.parser("benchmarks.promotion", __doc__).parse_args().quick
    found = shown.limited(LIMIT_SECONDS, lambda: bench(quick=quick))
    PAGE.write(
        BUILD / "promotion.json",
        found,
        conditions(found, after=SAME),
        tables(found),
        whole=not quick,
        goals=[asdict(goal) for goal in goals(found)],
    )
    if not quick:
        PAGE.path.with_suffix(".png").write_bytes(picture(found.points))


def bench(*, quick: bool) -> Measured:
    """Simulate what is known, then replay what is real.

    quick: of the flights one in twenty, and of the mornings of training one in four; at most one
    year of each schedule, of those that begin on another day.
    """
    runs, every, apart, starts = (500, 20, 4, 1) if quick else (10_000, 1, 1, 8)
    begun, load = time.monotonic(), os.getloadavg()[0]
    margins = ((process, 0.0) for process in PROCESSES)
    at_margin = (next(one for one in PROCESSES if one.day_sd), chance.MARGIN)
    wrong = told(
        "wrong promotions", lambda: [chance.wrong(*one, runs) for one in (*margins, at_margin)]
    )
    cells = [
        (gain, spread, margin)
        for gain in power.GAINS
        for spread in power.SPREADS
        for margin in (0.0, chance.MARGIN)
    ]
    found = told("power", lambda: [power.power(*cell, runs) for cell in cells])
    rollbacks = told("rollback", lambda: [power.rollback(one, runs) for one in power.ROLLBACKS])
    replay = Replay(told("models of the flights", lambda: year(every, apart)))
    return Measured(
        wrong=wrong,
        power=found,
        rollbacks=rollbacks,
        likeness=told("days of pairs", lambda: pairs.likeness(replay)),
        pairs=told("pairs", lambda: pairs.pairs(replay)),
        points=told("years", lambda: list(curve.points(replay, starts))),
        models=len(replay.year.models),
        seconds=time.monotonic() - begun,
        load=(load, os.getloadavg()[0]),
    )


if __name__ == "__main__":
    main()
