"""Measure how often drift and performance alarms are wrong, and what they find."""

from benchmarks import shown
from benchmarks.drift import alarms, ecusum, power
from benchmarks.installed import BUILD
from benchmarks.shown import SAME, Page, Part, conditions, told
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
    """Measure what does not depend on the machine."""

    def often(whole: int) -> int:
        return max(1, whole // QUICK) if quick else whole

    checks = {features: often(number) for features, number in CHECKS.items()}
    return [
        told("false alarms", lambda: alarms.false_alarms(checks)),
        told("years", lambda: alarms.years(often(300))),
        told("power", lambda: power.changes(often(2_000))),
        told("correlation", lambda: power.correlations(often(200))),
        told("steps", lambda: alarms.steps(often(500))),
        told("years of labels", lambda: ecusum.quiet(often(150))),
        told("faults", lambda: ecusum.faults(often(40))),
    ]


if __name__ == "__main__":
    main()
