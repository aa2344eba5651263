"""How the demo ends in the terminal: a table, and what it was worth in a few lines."""

from collections.abc import Sequence
from datetime import date

from rich.table import Table

from local.demo.levels import NAMES
from local.demo.summary import Summary, Turned


def closing_table(summary: Summary) -> Table:
    """Return the table that the demo ends with."""
    names = "; ".join(f"{level} {NAMES[int(level)]}" for level in summary.levels)
    about = summary.about
    title = f"{about.loss} by {about.unit}, lower is better. Levels: {names}"
    table = Table(title=title, title_justify="left")
    levels = [f"level {name}" for name in list(summary.whole)[1:]]
    for name in (about.unit, about.noun, "base rate", *levels):
        table.add_column(name, justify="right")
    for period, losses in zip(summary.periods, summary.lines, strict=True):
        table.add_row(summary.name(period.start, short=True), *_cells(period.rows, losses))
    table.add_section()
    table.add_row("all", *_cells(summary.rows, summary.whole))
    return table


def _cells(rows: int, losses: dict[str, float]) -> list[str]:
    return [f"{rows:,}", *(f"{loss:.4f}" for loss in losses.values())]


def closing_lines(summary: Summary) -> str:
    """Return the lines after the table: what it was worth, and that nothing was lost."""
    promoted = max(summary.levels[str(summary.top)].promotions - 1, 0)
    lines = [
        f"Level {summary.top} ({NAMES[summary.top]}): {summary.about.metric} "
        f"{compared(summary.loss.evergreen, summary.loss.frozen)} the frozen model's, after "
        f"{promoted} promotion{'' if promoted == 1 else 's'} of a challenger.",
        f"Refused: {_counted(summary.refused)}. Rolled back: {_counted(summary.rolled_back)}. "
        f"From the first alarm to another champion: {_days(summary)}.",
        f"{summary.requests['answered']:,} of {summary.requests['sent']:,} requests answered, "
        f"{len(summary.levels)} level{'' if len(summary.levels) == 1 else 's'} together; at level "
        f"{summary.top}, {summary.captures['distinct']:,} predictions captured and "
        f"{summary.labels['joined']:,} of {summary.labels['sent']:,} labels joined.",
        _alarms(summary.alarms),
        *summary.held_back,
        said_share(summary.share, summary.about.noun),
        f"{summary.seconds:.0f} s, {summary.peak_memory_mb:,} MB at the peak of a level. "
        "See build/demo/report.html, summary.json, and level-N/ for what each level left.",
    ]
    return "\n".join(lines)


def compared(ours: float, other: float) -> str:
    """Say how one loss compares with another.

    >>> compared(0.9, 1.0), compared(1.05, 1.0), compared(0.9999, 1.0)
    ('10.0% lower than', '5.0% higher than', 'as good as')
    """
    share = f"{abs(1 - ours / other):.1%}"
    return (
        "as good as" if share == "0.0%" else f"{share} {'lower' if ours < other else 'higher'} than"
    )


def said_share(share: int, noun: str) -> str:
    """Say which rows were replayed."""
    one = noun.removesuffix("s")
    if share == 1:
        return f"Every {one} was replayed."
    return (
        f"One {one} of {share} was replayed, and the same ones at all levels; without SHARE every "
        "one is."
    )


def _counted(found: Sequence[Turned]) -> str:
    """Say how many versions at which levels, and how many of them the demo had injected."""
    by_level = [
        f"{sum(turned.level == level for turned in found)} at level {level}"
        for level in sorted({turned.level for turned in found})
    ]
    injected = sum(turned.injected is not None for turned in found)
    more = f" ({injected} injected)" if injected else ""
    return (", ".join(by_level) or "none") + more


def _days(summary: Summary) -> str:
    if summary.days_to_recover is None:
        return "no alarm was followed by one"
    return f"{summary.days_to_recover:.1f} days at level {summary.top} (median)"


def _alarms(days: dict[str, list[date]]) -> str:
    """Say on how many days each kind of alarm went on, and since when it first did."""
    parts = [
        f"{kind} on {len(found)} day{'' if len(found) == 1 else 's'} from {found[0]:%d %b}"
        for kind, found in days.items()
        if found
    ]
    return f"Alarms: {', '.join(parts) or 'none'}."
