"""Measure how often drift and performance alarms are wrong, what they find, and what they cost."""

from benchmarks import shown
from benchmarks.drift import alarms, cost, ecusum, power, rival
from benchmarks.installed import BUILD
from benchmarks.shown import SAME, Goal, Page, Part, conditions, told
from local.template import ROOT

PAGE = Page("make bench-drift", ROOT / "docs" / "monitoring.md", 110, BUILD / "drift.json")
LIMIT_SECONDS = 15 * 60  # nothing here may run for ever
QUICK = 200  # a quick run repeats everything so many times less often
CHECKS = {1: 10_000, 20: 10_000, 100: 3_000}  # by number of features


def main() -> None:
    """Measure everything, and write it down."""
    quick = PAGE.parser("benchmarks.drift", __doc__).parse_args().quick
    found, spent = shown.limited(LIMIT_SECONDS, lambda: bench(quick=quick))
    PAGE.write_parts(found, conditions(spent, after=SAME), whole=not quick)


def bench(*, quick: bool) -> list[Part]:
    """Measure what does not depend on the machine, then times."""

    def often(whole: int) -> int:
        return max(1, whole // QUICK) if quick else whole

    captures, raced = (20_000, 20_000) if quick else (1_000_000, 200_000)
    checks = {features: often(number) for features, number in CHECKS.items()}
    return [
        told("false alarms", lambda: alarms.false_alarms(checks)),
        told("years", lambda: alarms.years(often(300))),
        told("power", lambda: power.changes(often(2_000))),
        told("correlation", lambda: power.correlations(often(200))),
        told("steps", lambda: alarms.steps(often(500))),
        told("streams", lambda: ecusum.independent(often(300), often(2_000))),
        told("clustered days", lambda: ecusum.clustered(often(10))),
        told("the race with evidently", lambda: rival.race(raced, often(5))),
        told("captures and 30 days of hours", lambda: costs(captures, often(5))),
    ]


def costs(captures: int, turns: int) -> Part:
    """Measure the time and memory of the product's own work."""
    reduced, checked = cost.reduced(captures), cost.checked(turns)
    memory = f"{reduced.peak_mb:.0f} MiB, {reduced.before_mb:.0f} before"
    what = f"{reduced.rows:,} captures of 20 features in {reduced.objects} objects, to an hour"
    read = f"{checked.hours} hours of {checked.rows:,} rows: read and added up"
    rows = [
        [what, f"{reduced.seconds:.1f} s, {reduced.processor:.1f} of the processor", memory],
        [read, f"{checked.read:.3f} s", ""],
        ["and all tests of counts", f"{checked.counts:.3f} s", ""],
        ["and the classifiers: the whole check", f"{checked.whole:.3f} s", ""],
    ]
    text, check = f"{reduced.rows:,} captures reduced", "a check of 30 days of hours"
    goals = [
        Goal(text, f"{reduced.seconds:.1f} s", "≤ 10 s", reduced.seconds <= 10),
        Goal(text, f"{reduced.peak_mb:.0f} MiB", "≤ 1,024 MiB", reduced.peak_mb <= 1_024),
        Goal(f"{check}, counts", f"{checked.counts:.2f} s", "≤ 1 s", checked.counts <= 1),
        Goal(f"{check}, and the classifiers", f"{checked.whole:.2f} s", "≤ 1 s",
             checked.whole <= 1),
    ]  # fmt: skip
    heads = ["", "time", "peak memory"]
    return Part([("Time and memory", "From files on a local disk.", heads, rows)], goals)


if __name__ == "__main__":
    main()
