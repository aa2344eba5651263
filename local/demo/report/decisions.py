"""The words of the demo's report about decisions: who decided what, when, and on which figures."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from evergreen.registry.state import Decision

if TYPE_CHECKING:
    from local.demo.summary import Level, Summary, Turned

SHOWN_FIGURES = 8
SAME = 5e-5  # no difference that anybody would print


def name_of(decision: Decision) -> str:
    """Return what was decided, and the share of the requests that it was about."""
    share = decision.figures.get("share")
    return f"{decision.type} {share:.0%}" if isinstance(share, float) else decision.type


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


def at(found: Iterable["Turned"], level: int) -> int:
    """Return how many of the versions were turned away at a level."""
    return sum(each.level == level for each in found)


def beside_first(level: "Level", summary: "Summary") -> str:
    """Say how the loss of a level compares with that of the first model left alone."""
    less = 1 - level.loss / summary.loss.frozen
    side = f"{abs(less):.1%} {'below' if less > 0 else 'above'} " if abs(less) > SAME else ""
    return f"{level.loss:.4f}, {side}the first model left alone"
