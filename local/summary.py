"""What a replay comes to: the figures of summary.json, and how they are shown at the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec
import numpy as np
from rich.table import Table

from evergreen.gate import losses
from evergreen.report import CheckReport
from local.flights import YEAR


class LogLoss(msgspec.Struct):
    """Mean log-loss in nats of the three on the same rows."""

    frozen: float
    evergreen: float
    base_rate: float


class Month(msgspec.Struct):
    """One month of the replay."""

    month: int
    rows: int
    log_loss: LogLoss


class Event(msgspec.Struct):
    """Something that the system announced on its bus."""

    time: datetime
    type: str
    detail: dict[str, Any]


class Summary(msgspec.Struct, kw_only=True):
    """What is written to summary.json.

    log_loss: over all rows. alarms: the days on which a check found one going on, by its kind.
    """

    endpoint: str
    seed: int
    months: list[Month]
    log_loss: LogLoss
    events: list[Event]
    requests: dict[str, int]
    captures: dict[str, int]
    labels: dict[str, int]
    alarms: dict[str, list[date]]
    dead_letters: int
    peak_memory_mb: int
    seconds: float


@dataclass
class Tally:
    """The losses of one month, as they come in."""

    rows: int = 0
    frozen: float = 0.0
    evergreen: float = 0.0
    base_rate: float = 0.0

    def add(self, late: np.ndarray[Any, Any], **scores: np.ndarray[Any, Any]) -> None:
        """Add the rows of one request."""
        self.rows += len(late)
        for name, values in scores.items():
            setattr(self, name, getattr(self, name) + float(losses(late, values).sum()))

    def mean(self) -> LogLoss:
        """Return the losses per row."""
        rows = max(self.rows, 1)
        return LogLoss(self.frozen / rows, self.evergreen / rows, self.base_rate / rows)


def alarm_days(reports: Sequence[CheckReport]) -> dict[str, list[date]]:
    """Return the days on which alarms went on, by kind."""
    days: dict[str, list[date]] = {"drift": [], "schema": [], "performance": []}
    for report in reports:
        for alarm in report.alarms:
            days[alarm.kind].append(report.end.date())
    return days


def closing_table(summary: Summary) -> Table:
    """Return the table that the demo ends with."""
    table = Table(title="Log-loss by month, lower is better", title_justify="left")
    for name in ("month", "flights", "January model, frozen", "base rate, 30 days", "Evergreen"):
        table.add_column(name, justify="right")
    for month in summary.months:
        table.add_row(f"{date(YEAR, month.month, 1):%b}", *_cells(month.rows, month.log_loss))
    table.add_section()
    rows = sum(month.rows for month in summary.months)
    table.add_row("all", *_cells(rows, summary.log_loss))
    return table


def _cells(rows: int, loss: LogLoss) -> list[str]:
    return [f"{rows:,}", *(f"{x:.4f}" for x in (loss.frozen, loss.base_rate, loss.evergreen))]


def closing_lines(summary: Summary) -> str:
    """Return the lines after the table: what it was worth, and that nothing was lost."""
    better = 1 - summary.log_loss.evergreen / summary.log_loss.frozen
    promoted = sum(event.type == "Model Promoted" for event in summary.events)
    return (
        f"Evergreen's log-loss is {better:.1%} below the frozen model's, after {promoted} "
        f"promotion{'' if promoted == 1 else 's'}.\n"
        f"{summary.requests['answered']:,} of {summary.requests['sent']:,} requests answered; "
        f"{summary.captures['distinct']:,} predictions captured; "
        f"{summary.labels['joined']:,} of {summary.labels['sent']:,} labels joined.\n"
        f"{_alarms(summary.alarms)}\n"
        f"{summary.seconds:.0f} s, {summary.peak_memory_mb:,} MB at the peak. "
        "See build/demo/report.html, report.png, summary.json, and checks/ for the page of each "
        "month and alarm."
    )


def _alarms(days: dict[str, list[date]]) -> str:
    """Say on how many days each kind of alarm went on, and since when it first did."""
    parts = [
        f"{kind} on {len(found)} day{'' if len(found) == 1 else 's'} from {found[0]:%d %b}"
        for kind, found in days.items()
        if found
    ]
    return f"Alarms: {', '.join(parts) or 'none'}."
