"""What makes pages: templates that escape whatever they show, and the words that pages share.

A page fetches nothing, and is readable on a phone and in the dark.
"""

from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def render(template: Path, **view: Any) -> str:
    """Return a page; view: what the template shows, of which only charts are HTML."""
    return _environment(template.parent).get_template(template.name).render(view) + "\n"


def draw(chart: str, **view: Any) -> Markup:
    """Return a chart as SVG, by its macro in `charts.svg.jinja`, which escapes what it shows."""
    macros = _environment(TEMPLATES).get_template("charts.svg.jinja").module
    drawn: Markup = getattr(macros, chart)(**view)
    return drawn


@cache  # so that a process compiles each template once
def _environment(folder: Path) -> Environment:
    made = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]), autoescape=True, undefined=StrictUndefined,
        finalize=_shown, trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    made.globals = {"count": count, "number": number, "on": on, "share": share}
    return made


def _shown(value: Any) -> Any:
    """Return what a page shows for a value: HTML as it is, of a text what can be shown."""
    return value if hasattr(value, "__html__") else printable(value)


def printable(text: object) -> str:
    """Return a text without what cannot be shown, such as control characters."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else " " for sign in text)


def on(day: date) -> str:
    """Return a day, in words."""
    return f"{day.day} {day:%B %Y}"


def count(things: int, name: str) -> str:
    """Return a number of things.

    >>> count(1, "field"), count(2000, "field")
    ('1 field', '2,000 fields')
    """
    return f"{things:,} {name}{'' if things == 1 else 's'}"


def number(value: float | None, form: str = ",") -> str:
    """Return a number in a format of Python's, or a dash for none."""
    return "–" if value is None else format(value, form)


def share(part: float, whole: float = 1.0) -> str:
    """Return a part as percent, or a dash for none."""
    return f"{part / whole:.1%}" if part and whole else "–"
