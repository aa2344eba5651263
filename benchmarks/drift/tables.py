"""The figures as tables: title, remark, heads and rows."""

from collections.abc import Iterator
from statistics import median

from benchmarks.drift.alarms import FEATURES, WINDOW_ROWS, Cell, Year
from benchmarks.drift.counts import KINDS
from benchmarks.drift.goals import Measured, bound, goals
from benchmarks.shown import Page, Shown, reached
from local.template import ROOT

PAGE = Page("make bench-drift", ROOT / "docs" / "monitoring.md", width=110)


def tables(measured: Measured) -> list[Shown]:
    """Return the title, a remark, the heads and the rows of each table."""
    return [
        reached(goals(measured)),
        *_false_alarms(measured.cells),
        _years(measured.years),
        *_power(measured),
        *_errors(measured),
        *_race(measured),
        _cost(measured),
    ]


def _false_alarms(cells: list[Cell]) -> Iterator[Shown]:
    checks = {cell.features: cell.checks for cell in cells}
    counts = ", ".join(f"{checks[n]:,} of {n}" for n in FEATURES)
    remark = (
        "Checks of steady traffic in which any feature was found, in %, of 1 / 20 / 100 features "
        f"of the kind ({counts}). The reference has 20,000 rows, drawn anew for each feature and "
        "check, and no seasons, which would only widen the limits. "
        "Counts are drawn from their exact distribution given the reference's bins, which is the "
        "same as drawing rows and counting them."
    )
    levels: list[tuple[str, str]] = [
        ("significant", "Significant: more than chance and season"),
        ("warning", "Significant and at least moderate: shown as a warning"),
        ("flagged", "Significant and major: flagged, and an alarm if the next check flags it too"),
        ("schema", "Schema violated"),
    ]
    for level, title in levels:
        heads = ["n =", *(f"{rows:,}" for rows in WINDOW_ROWS), "upper bound, worst"]
        yield f"False alarms. {title}", remark, heads, [_kind(cells, kind, level) for kind in KINDS]
        remark = ""


def _kind(cells: list[Cell], kind: str, level: str) -> list[str]:
    own = [cell for cell in cells if cell.kind == kind]
    by_rows = [[cell for cell in own if cell.rows == rows] for rows in WINDOW_ROWS]
    shares = [[getattr(cell, level) / cell.checks for cell in same] for same in by_rows]
    shown = [" / ".join(f"{100 * share:.2f}" for share in some) for some in shares]
    plain = [text if text.strip("0./ ") else "0" for text in shown]
    return [kind, *plain, f"{100 * max(bound(cell, level) for cell in own):.2f}"]


def _years(years: list[Year]) -> Shown:
    return (
        "A year of daily checks",
        "20 features of all kinds, steady traffic, a window of seven days that slides by one. "
        "Counts are averages for a year. An alarm needs two checks in a row, a schema violation "
        "one.",
        ["rows a day", "years", "days with a significant feature", "with a flagged one",
         "alarms, were significance enough", "alarms", "worst year", "schema violations"],
        [
            [f"{one.rows_a_day:,}", f"{one.years:,}", f"{one.significant_days:.2f}",
             f"{one.flagged_days:.3f}", f"{one.significant_twice:.2f}", f"{one.alarms:.3f}",
             str(one.worst_year), f"{one.schema_days:.2f}"]
            for one in years
        ],
    )  # fmt: skip


def _power(found: Measured) -> Iterator[Shown]:
    rows = []
    for one in found.power:
        shares = (one.significant, one.warning, one.major)
        rows.append([one.name, f"{one.rows:,}", *(f"{share:.1%}" for share in shares)])
    checks = f"{found.power[0].repetitions:,}"
    yield (
        "What is found: one check",
        f"Shares of {checks} checks of one normal feature against 20,000 rows.",
        ["", "n", "significant", "warning", "major"],
        rows,
    )
    yield (
        "What is found: correlation alone",
        "A pair of 20 normal features becomes correlated; each feature stays as it was.",
        ["correlation", "n", "checks", "classifiers", "feature by feature", "median AUC"],
        [
            [f"{one.correlation:g}", f"{one.rows:,}", f"{one.repetitions:,}",
             f"{one.flagged / one.repetitions:.1%}", f"{one.by_feature / one.repetitions:.1%}",
             f"{one.median_auc:.3f}"]
            for one in found.together
        ],
    )  # fmt: skip
    yield (
        "Days until an alarm",
        "A step in one of 20 features at 2,000 rows a day; a window of seven days, two checks in a "
        "row. Medians over all; the last column: no alarm in 60 days.",
        ["step", "repetitions", "warning", "alarm", "95 % by", "none"],
        [
            [f"{one.step:g} σ", f"{one.repetitions:,}",
             *map(_days, (one.warning_days, one.alarm_days, one.slowest)), f"{one.missed:.1%}"]
            for one in found.delays
        ],
    )  # fmt: skip


def _days(days: float | None) -> str:
    return "never" if days is None else f"{days:.0f}"


def _errors(found: Measured) -> Iterator[Shown]:
    quiet = found.quiet
    yield (
        "Performance: independent rows",
        f"The promised error is at most 0.2. At exactly that limit {quiet.by_row} of "
        f"{quiet.streams:,} streams of 400,000 rows had an alarm with a look after every row, "
        f"and {quiet.by_day} with a look once a day (900 rows), as in a check.",
        ["error becomes", "rows until found, median", "after 2,000 rows at 0.2"],
        [
            [f"{one.error:g}", f"{one.median:,.0f}", f"{one.median_warm:,.0f}"]
            for one in found.found
        ],
    )
    yield (
        "Performance: days that differ",
        "Error rates of days vary by chance around 0.2; a holdout of 900 labels a day gives the "
        "limit and how alike the rows of a day are. Alarms a year, all of them false.",
        ["spread of days", "holdout, days", "labels a day", "years", "limit",
         "similarity / true", "alarms a year", "if rows were independent", "holdouts with any"],
        [
            [f"{one.spread:g}", str(one.holdout_days), f"{one.rows_a_day:,}", f"{one.years:,}",
             f"{one.limit:.3f}", f"{one.similarity:.3f} / {one.true_similarity:.3f}",
             f"{one.alarms:.3f}", f"{one.alarms_as_rows:.1f}", f"{one.endpoints:.0%}"]
            for one in found.clustered
        ],
    )  # fmt: skip


def _race(measured: Measured) -> Iterator[Shown]:
    race = measured.race
    if race is None:
        return
    rows = []
    for name, theirs in (("its preset's report", race.report), ("its tests alone", race.tests)):
        times = [race.times_faster(theirs, own) for own in (race.compared, race.profiled)]
        rows.append([name, f"{median(theirs):.2f}", *(f"{ratio:.0f} ×" for ratio in times)])
    versions = ", ".join(f"{name} {version}" for name, version in race.versions.items())
    remark = (
        f"{race.rows:,} rows against {race.rows:,}, 15 numbers and 5 categories, "
        f"{len(race.report)} turns each; medians. Ours takes {median(race.compared):.3f} s with a "
        f"ready reference profile, as in every check, and {median(race.profiled):.2f} s including "
        f"its making. {versions}."
    )
    heads = ["evidently", "s", "over ours", "over ours and its profile"]
    yield "Time, beside evidently", remark, heads, rows


def _cost(measured: Measured) -> Shown:
    reduced, checked = measured.reduced, measured.checked
    memory = f"{reduced.peak_mb:.0f} MiB, {reduced.before_mb:.0f} before"
    what = f"{reduced.rows:,} captures of 20 features in {reduced.objects} objects, to an hour"
    read = f"{checked.hours} hours of {checked.rows:,} rows: read and added up"
    rows = [
        [what, f"{reduced.seconds:.1f} s, {reduced.processor:.1f} of the processor", memory],
        [read, f"{checked.read:.3f} s", ""],
        ["and all tests of counts", f"{checked.counts:.3f} s", ""],
        ["and the classifiers: the whole check", f"{checked.whole:.3f} s", ""],
    ]
    return "Time and memory", "From files on a local disk.", ["", "time", "peak memory"], rows
