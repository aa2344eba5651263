"""What pages are made of: HTML that fetches nothing, and is readable on a phone and in the dark."""

from collections.abc import Iterable
from datetime import date
from html import escape
from string import Template
from typing import Any

from evergreen.pages.svg import printable

HTML = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f23; --muted: #5e666e; --rule: #d9dde1;
  --orange: #c25500; --grey: #6b7278; --green: #00805d; --purple: #a8478f; --blue: #0072b2 }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e8eaed; --muted: #a3abb3;
  --rule: #363c42; --orange: #ff8a3d; --grey: #a3abb3; --green: #2fc99b; --purple: #d77fc2;
  --blue: #56b4e9 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2.5rem 1rem 4rem; max-width: 62rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word }
h1 { margin: 0 0 1.5rem; max-width: 56rem; font-size: clamp(1.4rem, 4.5vw, 2rem); line-height: 1.25;
  letter-spacing: -.015em; text-wrap: balance }
h2 { margin: 3rem 0 .25rem; font-size: 1.2rem }
p { margin: 0 0 1rem; max-width: 46rem }
.kicker, .caption, dt, th, summary { color: var(--muted) }
.kicker { margin: 0 0 .5rem }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1rem 1.5rem;
  margin: 0; padding: 1rem 0; border: solid var(--rule); border-width: 1px 0 }
dt, dd small { font-size: .875rem }
dd { margin: 0; font-size: 1.5rem; font-weight: 600; line-height: 1.3 }
dd small { display: block; color: var(--muted); font-weight: 400 }
figure { margin: 0 -1rem; padding: 0 1rem; overflow-x: auto }
svg { display: block; width: 100%; min-width: 48rem; height: auto }
svg text { font-family: system-ui, sans-serif !important }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--rule); text-align: left;
  vertical-align: top }
th { font-size: .875rem; font-weight: 400; vertical-align: bottom }
summary { cursor: pointer }
$css
</style>
<p class="kicker">$kicker</p>
<h1>$headline</h1>
<dl>
$tiles
</dl>
$sections
</html>
""")


def document(*, css: str = "", **parts: str) -> str:
    """Return a page; title, kicker, headline, tiles and sections are HTML."""
    return HTML.substitute(parts, css=css)


def section(title: str, caption: str, *content: str) -> str:
    """Return a part of the page; the caption is HTML, and says what to see."""
    parts = (f"<h2>{title}</h2>", f'<p class="caption">{caption}</p>', *content)
    return "\n".join(("<section>", *parts, "</section>"))


def figure(content: str) -> str:
    """Return a figure or table that scrolls by itself, also by keyboard, on a narrow screen."""
    return f'<figure tabindex="0">\n{content}</figure>'


def panel(content: str, caption: str = "") -> str:
    """Return a figure that is small enough for every screen."""
    return f"<figure>\n<figcaption>{caption}</figcaption>\n{content}</figure>"


def grid(figures_of: list[str]) -> str:
    """Return figures beside each other, as many as the screen has room for."""
    return f'<div class="grid">\n{"\n".join(figures_of)}\n</div>'


def tile(name: str, value: str, more: str) -> str:
    """Return a number below the headline; all HTML."""
    return f"<div><dt>{name}</dt><dd>{value} <small>{more}</small></dd></div>"


def table(name: str, head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table; the cells are HTML."""
    lines = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return (
        f'<table class="{name}">\n<thead><tr>{"".join(f"<th>{cell}</th>" for cell in head)}</tr>'
        f"</thead>\n<tbody>\n{'\n'.join(f'<tr>{line}</tr>' for line in lines)}\n</tbody>\n</table>"
    )


def said(text: object) -> str:
    """Return what came from elsewhere as HTML."""
    return escape(printable(text))


def on(day: date) -> str:
    """Return a day, in words."""
    return f"{day.day} {day:%B %Y}"


def count(number: int, name: str) -> str:
    """Return a number of things.

    >>> count(1, "field"), count(2000, "field")
    ('1 field', '2,000 fields')
    """
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def share(part: float, whole: float = 1.0) -> str:
    """Return a part as percent, or a dash for none."""
    return f"{part / whole:.1%}" if part and whole else "–"
