"""The figures as tables: title, remark, heads and rows."""

from collections.abc import Iterator

from benchmarks.promotion.chance import MARGIN, MIN_DAYS, Wrong
from benchmarks.promotion.curve import OURS, POLICY, SCHEDULES, Point
from benchmarks.promotion.draws import DAY_SD, ROW_SD, ROWS_A_DAY
from benchmarks.promotion.goals import Measured, goals
from benchmarks.promotion.pairs import QUANTILES
from benchmarks.shown import Page, Shown, reached
from evergreen.contract.endpoint import Policy
from local.template import ROOT

PAGE = Page("make bench-promotion", ROOT / "docs" / "promotion.md", width=130)


def tables(measured: Measured) -> list[Shown]:
    """Return the title, a remark, the heads and the rows of each table."""
    return [
        reached(goals(measured)),
        _wrong(measured.wrong),
        *_real(measured),
        *_power(measured),
        *_years(measured.points),
    ]


def _wrong(found: list[Wrong]) -> Shown:
    end = Policy().max_shadow_days
    remark = (
        f"Shares of {found[0].runs:,} simulated years in which a challenger that is no better was "
        f"promoted, with a look every day at alpha 5 %, by the policy's fewest days; and the part "
        f"of them within the {end} days of a comparison. The gain of a row is the effect of its "
        f"day plus noise of {ROW_SD} nats; a day has {ROWS_A_DAY} rows, and its mean a standard "
        f"deviation of {DAY_SD} with effects of days, {ROW_SD / ROWS_A_DAY**0.5:.4f} without. "
        "With a margin, the challenger is worse by exactly the margin."
    )
    heads = ["", *(f"{days} days" for days in MIN_DAYS)]
    heads += [f"{days}, in {end} days" for days in MIN_DAYS if days <= end]
    rows = []
    for one in found:
        name = f"{one.process}; margin {one.margin:g}" if one.margin else one.process
        counts = [one.promoted[days] for days in MIN_DAYS]
        counts += [one.in_time[days] for days in MIN_DAYS if days <= end]
        rows.append([name, *(f"{count / one.runs:.1%}" for count in counts)])
    return "Promoted wrongly", remark, heads, rows


def _real(measured: Measured) -> Iterator[Shown]:
    found, pairs = measured.likeness, measured.pairs
    rows: list[tuple[str, list[float], str]] = [
        ("standard deviation of a day's gain, nats", found.day_sd, ".3f"),
        ("standard deviation of a row's gain, nats", found.row_sd, ".3f"),
        ("design effect: rows that tell as much as one", found.effect, ".0f"),
        ("skewness of the days", found.skew, ".1f"),
        ("correlation of a day with the next", found.memory, ".2f"),
    ]
    yield (
        "How days of real models differ",
        f"{found.pairs:,} pairs of {measured.models} models of the flights, 7 to 45 days apart in "
        "age, over the 60 days after the training of the younger; quantiles over pairs.",
        ["", *(f"{100 * quantile:.0f} %" for quantile in QUANTILES)],
        [[name, *(f"{value:{form}}" for value in values)] for name, values, form in rows],
    )
    yield (
        "Real models: promoted wrongly",
        f"The {pairs.worse} of these pairs whose younger model was worse over the 60 days. It was "
        f"promoted as superior, within {POLICY.max_shadow_days} days and unless rejected before.",
        ["", "promoted", "share", "highest loss of one, nats per flight"],
        [
            ["rows as units, a look every 50", str(pairs.by_row),
             f"{pairs.by_row / pairs.worse:.1%}", f"{pairs.lost_by_row:.4f}"],
            ["days as units", str(pairs.by_day), f"{pairs.by_day / pairs.worse:.1%}",
             f"{pairs.lost_by_day:.4f}"],
            [f"days, as not worse by more than {POLICY.margin:g}, and it was", str(pairs.beyond),
             f"{pairs.beyond / pairs.worse:.1%}", ""],
        ],
    )  # fmt: skip


def _power(measured: Measured) -> Iterator[Shown]:
    yield (
        "A better challenger: found",
        f"{measured.power[0].runs:,} runs each; labelled days, at least {Policy().shadow_days}. "
        f"Then it takes two days for labels and {3 * Policy().canary_days:g} of canary. By margin "
        f"0 (superior) / {MARGIN:g} (not worse).",
        ["gain, nats", "spread of days", "in 30 days", "in 60 days", "median days"],
        [
            [
                f"{own.gain:g}",
                f"{own.spread:g}",
                *(f"{own.within[n]:.0%} / {allowed.within[n]:.0%}" for n in (30, 60)),
                f"{_days(own.median)} / {_days(allowed.median)}",
            ]
            for own, allowed in zip(measured.power[::2], measured.power[1::2], strict=True)
        ],
    )
    yield (
        "A worse champion: rolled back",
        f"{Policy().watch_days} days of watch beside the previous champion, by comparison alone; "
        f"spread of days {DAY_SD}. Days since its promotion.",
        ["loss, nats", "rolled back", "median days"],
        [[f"{one.loss:g}", f"{one.share:.1%}", _days(one.median)] for one in measured.rollbacks],
    )


def _years(points: list[Point]) -> Iterator[Shown]:
    policy = ", ".join(
        f"{name} {getattr(POLICY, name)}"
        for name in ("shadow_days", "max_shadow_days", "alpha", "margin", "promotion",
                     "canary_days")
    )  # fmt: skip
    heads = ["", *SCHEDULES]
    names = list(dict.fromkeys(point.name for point in points))
    by_place = {(point.name, point.schedule): point for point in points}
    yield (
        "The year's log-loss over that of level 1",
        f"February to December, by how often a training starts unless a version is in flight. The "
        f"policy is {policy}; each other line changes one of these. Means over "
        f"{', '.join(str(by_place[OURS, name].years) for name in SCHEDULES)} starting points, and "
        "the best and the worst of them.",
        heads,
        [[name, *(_ratio(by_place[name, schedule]) for schedule in SCHEDULES)] for name in names],
    )
    yield (
        "What was decided in these years",
        "A year, on average: promoted (of these, worse than the previous champion over the next 60 "
        "days) / rolled back / refused or rejected.",
        heads,
        [[name, *(_decided(by_place[name, schedule]) for schedule in SCHEDULES)] for name in names],
    )


def _ratio(point: Point) -> str:
    if point.worst - point.best < 1e-9:
        return f"{point.ratio:.3f}"
    return f"{point.ratio:.3f} ({point.best:.3f} to {point.worst:.3f})"


def _decided(point: Point) -> str:
    return f"{point.promoted:.1f} ({point.worse:.1f}) / {point.back:.1f} / {point.rejected:.1f}"


def _days(days: float | None) -> str:
    return "most never" if days is None else f"{days:,.0f}"
