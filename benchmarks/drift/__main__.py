"""Measure how often drift and performance alarms are wrong, and what they find."""

from collections.abc import Iterator

from benchmarks.drift import alarms, ecusum, power
from benchmarks.shown import Page, Part
from local.template import ROOT

PAGE = Page("make bench-drift", ROOT / "docs" / "monitoring.md", minutes=15)
QUICK = 200  # a quick run repeats everything so many times less often
CHECKS = {1: 10_000, 20: 10_000, 100: 3_000}  # by number of features


def bench(quick: bool) -> Iterator[Part]:
    """Measure what does not depend on the machine."""

    def often(whole: int) -> int:
        return max(1, whole // QUICK) if quick else whole

    yield alarms.false_alarms({features: often(number) for features, number in CHECKS.items()})
    yield alarms.years(often(300))
    yield power.changes(often(2_000))
    yield power.correlations(often(200))
    yield alarms.steps(often(500))
    yield ecusum.quiet(often(150))
    yield ecusum.faults(often(40))


if __name__ == "__main__":
    PAGE.run("benchmarks.drift", __doc__, bench)
