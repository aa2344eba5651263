"""The tables of the demo's report about decisions: who decided what, when, and on which figures."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from evergreen.pages.html import figure, said, table
from evergreen.registry.state import Decision
from local.demo.levels import NAMES

if TYPE_CHECKING:
    from local.demo.result import Event, Result
    from local.demo.summary import Recovery, Summary, Turned

SHOWN_FIGURES = 8
SAME = 5e-5  # no difference that anybody would print
COLOURS = {"promoted": "evergreen", "rolled back": "frozen"}  # of what changes who answers
HEAD = ["time", "decision", "version", "by", "reason", "figures"]


def decisions_table(result: "Result") -> str:
    """Return the table of all decisions of a level, with their evidence."""
    injected = {each.version: each.name for each in result.injected if each.version}
    rows = (decision_cells(decision, result.kinds, injected) for decision in result.decisions)
    return figure(table("decisions", HEAD, rows))


def decision_cells(
    decision: Decision, kinds: dict[str, str], injected: dict[str, str]
) -> list[str]:
    """Return the cells of a decision; kinds: the candidate of each version."""
    version = f"{said(number_of(decision.version))}<br>{said(kinds.get(decision.version, ''))}"
    if decision.version in injected:
        version += f'<br><b class="drift">injected: {said(injected[decision.version])}</b>'
    share = decision.figures.get("share")
    name = f"{decision.type} {share:.0%}" if isinstance(share, float) else decision.type
    colour = COLOURS.get(decision.type)
    return [
        when(decision.time),
        f'<b class="{colour}">{said(name)}</b>' if colour else said(name),
        version,
        said(by(decision.by)),
        said(decision.reason),
        said(words_of(decision.figures)),
    ]


def when(time: datetime) -> str:
    """Return a time as tables show it."""
    return f"{time:%d %b %H:%M}"


def number_of(version: str) -> str:
    """Return the part of a version's id by which it is told from the others.

    >>> number_of("20130301T060000Z-e7a8b274")
    'e7a8b274'
    """
    return version.rpartition("-")[2]


def by(who: str) -> str:
    """Return who decided, in a word: a training is named by what started it.

    >>> by("20130301T060000Z-schedule-0123abcd"), by("rollout"), by("local")
    ('training (schedule)', 'rollout', 'a person')
    """
    parts = who.split("-")
    if len(parts) >= 3 and parts[0].endswith("Z"):
        return f"training ({'-'.join(parts[1:-1])})"
    return "a person" if who == "local" else who


def words_of(figures: dict[str, Any]) -> str:
    """Return figures in a line: numbers shortly, and no more of them than a reader takes in.

    >>> words_of({"days": 14, "gain": 0.0213, "lower": -0.0012, "canary": {"rows": 120}})
    'days 14; gain +0.0213; lower -0.0012; canary: rows 120'
    """
    return "; ".join(_parts(figures)[:SHOWN_FIGURES])


def _parts(figures: dict[str, Any]) -> list[str]:
    parts = []
    for name, value in figures.items():
        if isinstance(value, dict):
            inner = _parts(value)
            parts += [f"{name.replace('_', ' ')}: {', '.join(inner)}"] if inner else []
        elif isinstance(value, float):
            signed = name in ("gain", "lower", "upper", "improvement", "improvement_lower")
            parts.append(f"{name.replace('_', ' ')} {value:{'+' if signed else ''}.4f}")
        elif isinstance(value, int) and not isinstance(value, bool):
            parts.append(f"{name.replace('_', ' ')} {value:,}")
    return parts


def turned_table(found: Iterable["Turned"]) -> str:
    """Return the table of versions that were refused or rolled back."""
    rows = (
        [
            f"{turned.level}",
            when(turned.time),
            said(number_of(turned.version or "none")),
            f'<b class="drift">{said(turned.injected)}</b>' if turned.injected else "",
            said(turned.reason),
            said(words_of(turned.figures)),
        ]
        for turned in found
    )
    head = ["level", "time", "version", "injected", "why", "figures"]
    return figure(table("turned", head, rows))


def recoveries_table(found: Iterable["Recovery"]) -> str:
    """Return the table of episodes, from the first alarm to another champion."""
    rows = (
        [
            f"{each.level}",
            each.kind,
            when(each.alarm),
            when(each.promoted) if each.promoted else "not in this year",
            f"{each.days:.1f}" if each.days is not None else "",
        ]
        for each in found
    )
    head = ["level", "first alarm", "announced", "another champion", "days"]
    return figure(table("recoveries", head, rows))


def worth(summary: "Summary") -> list[str]:
    """Return a sentence for each level: what it came to, and what it did for that, as HTML."""
    sentences = []
    for name, level in summary.levels.items():
        less = 1 - level.log_loss / summary.log_loss.frozen
        side = f"{abs(less):.1%} {'below' if less > 0 else 'above'} the first model left alone"
        found = (
            f"{level.log_loss:.4f}, {side if abs(less) > SAME else 'the first model left alone'}"
        )
        sentences.append(f"<b>{name} {NAMES[int(name)]}</b>: {found}. {_did(summary, int(name))}.")
    return sentences


def _did(summary: "Summary", number: int) -> str:
    """Say what a level does about a change, and what it did in this replay."""
    level = summary.levels[str(number)]
    promoted = _counted(max(level.promotions - 1, 0))  # the first model was nobody's decision
    refused = sum(turned.level == number for turned in summary.refused)
    back = sum(turned.level == number for turned in summary.rolled_back)
    match number:
        case 1:
            return "It costs nothing and sees nothing"
        case 2:
            alarms = ", ".join(f"{kind} on {days} days" for kind, days in level.alarms.items())
            return f"The same answers, but somebody knows: alarms for {alarms or 'nothing'}"
        case 3:
            return (
                f"{promoted} by a person, a day after each candidate came; "
                f"{refused} were refused, and what the field shows later is the person’s to see"
            )
        case _:
            return (
                f"{promoted} by evidence alone; {refused} were refused or "
                f"rejected, and {back} taken back"
            )


def _counted(number: int) -> str:
    return f"{number} promotion{'' if number == 1 else 's'}"


def event_words(event: "Event") -> str:
    """Return the detail of an event in words; whatever it is not known for, as it is."""
    detail = event.detail
    match event.type:
        case "Retrain Requested":
            return f"by {detail['trigger']}"
        case "Model Trained":
            return (
                f"{detail['candidate']}, {detail['metric']} {detail['loss']:.4f} on the holdout; "
                f"trigger: {detail['trigger']}; version {detail['version']}"
            )
        case "Model Promoted" | "Model Rolled Back":
            before = f" after {detail['previous']}" if detail["previous"] else ""
            return f"{detail['reason']}; version {detail['version']}{before}"
        case "Challenger Started":
            share = f" {detail['share']:.0%}" if detail["share"] else ""
            return f"{detail['stage']}{share}; {detail['reason']}; version {detail['version']}"
        case "Training Skipped":
            return f"{detail['reason']}; trigger: {detail['trigger']}"
        case "Candidate Rejected":
            return f"{detail['reason']}; stage: {detail['stage']}"
        case "Drift Detected" | "Performance Degraded" | "Schema Violated":
            since = datetime.fromisoformat(detail["since"])
            return f"{', '.join(detail['features'])}; since {since:%Y-%m-%d}"
        case _:
            return ", ".join(f"{name}: {value}" for name, value in detail.items())
