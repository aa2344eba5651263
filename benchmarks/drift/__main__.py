"""Measure how often drift and performance alarms are wrong, what they find, and what they cost."""

import os
import time
from dataclasses import asdict

from benchmarks import shown
from benchmarks.drift import alarms, cost, ecusum, power, rival
from benchmarks.drift.goals import Measured, goals
from benchmarks.drift.tables import PAGE, tables
from benchmarks.installed import BUILD
from benchmarks.shown import SAME, conditions, told

LIMIT_SECONDS = 15 * 60  # nothing here may run for ever
QUICK = 200  # a quick run repeats everything so many times less often
CHECKS = {1: 10_000, 20: 10_000, 100: 3_000}  # by number of features
STEPS = (0.5, 1.0, 2.0)
ERRORS = (0.25, 0.3, 0.5)
PAIRS = ((0.5, 1_000), (0.0, 1_000))


def main() -> None:
    """Measure everything, and write it down."""
    quick = PAGE.parser("benchmarks.drift", __doc__).parse_args().quick
    found = shown.limited(LIMIT_SECONDS, lambda: bench(quick=quick))
    PAGE.write(
        BUILD / "drift.json",
        found,
        conditions(found, after=SAME),
        tables(found),
        whole=not quick and found.race is not None,
        goals=[asdict(goal) for goal in goals(found)],
    )


def bench(*, quick: bool) -> Measured:
    """Measure times first, then what does not depend on the machine."""

    def often(whole: int) -> int:
        return max(1, whole // QUICK) if quick else whole

    captures, raced = (20_000, 20_000) if quick else (1_000_000, 200_000)
    checks = {features: often(number) for features, number in CHECKS.items()}
    begun, load = time.monotonic(), os.getloadavg()[0]
    return Measured(
        reduced=told("captures", lambda: cost.reduced(captures)),
        checked=told("30 days of hours", lambda: cost.checked(often(5))),
        race=told("the race with evidently", lambda: rival.race(raced, often(5))),
        cells=told("false alarms", lambda: list(alarms.cells(checks))),
        years=told("years", lambda: [alarms.year(n, often(300)) for n in (200, 2_000)]),
        delays=told("steps", lambda: [alarms.delay(step, often(500)) for step in STEPS]),
        power=told("power", lambda: [power.power(one, often(2_000)) for one in power.CHANGES]),
        together=told("correlation", lambda: [power.together(*one, often(200)) for one in PAIRS]),
        quiet=told("streams", lambda: ecusum.quiet(often(300))),
        found=told("errors", lambda: [ecusum.found(one, often(2_000)) for one in ERRORS]),
        clustered=told(
            "clustered days", lambda: [ecusum.clustered(*one, often(10)) for one in ecusum.SETTINGS]
        ),
        seconds=time.monotonic() - begun,
        load=(load, os.getloadavg()[0]),
    )


if __name__ == "__main__":
    main()
