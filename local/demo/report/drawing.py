"""What the demo's figures share: matplotlib as SVG, whose colours follow the reader's screen."""

import io
import re
import warnings
from html import escape
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from evergreen.pages.html import printable

# Okabe and Ito's colours, which the colour-blind can tell apart.
INK, MUTED, RULE, PAPER = "#1b1f23", "#5e666e", "#d9dde1", "#ffffff"
ORANGE, GREY, GREEN, PURPLE, BLUE = "#d55e00", "#6b7278", "#009e73", "#b0509a", "#0072b2"
# On the page a colour is a variable, which has another value on a dark screen.
VARIABLES = {
    INK: "ink", MUTED: "muted", RULE: "rule", PAPER: "paper", ORANGE: "orange", GREY: "grey",
    GREEN: "green", PURPLE: "purple", BLUE: "blue",
}  # fmt: skip
STYLE = {
    "svg.fonttype": "none",  # text stays text, in a font of the reader's
    "svg.hashsalt": "evergreen",  # ids that are the same in each run
    "text.parse_math": False,  # a dollar is a dollar
    "font.family": "DejaVu Sans", "font.size": 13, "text.color": INK, "lines.linewidth": 1.8,
    "axes.edgecolor": RULE, "axes.axisbelow": True, "grid.color": RULE, "xtick.color": RULE,
    "axes.spines.left": False, "axes.spines.right": False, "axes.spines.top": False,
    "xtick.major.size": 0, "ytick.major.size": 0, "xtick.minor.size": 5,
    "xtick.labelcolor": MUTED, "ytick.labelcolor": MUTED, "legend.labelcolor": MUTED,
}  # fmt: skip
WIDTH = 960 / 72  # inches; an SVG has 72 units to the inch


def svg(drawn: Figure, name: str, label: str) -> Markup:
    """Return a figure as SVG for a page: no prolog, its own ids, colours by variable.

    Its texts are escaped by matplotlib; nothing else that a page shows is taken for HTML.
    """
    file = io.StringIO()
    none = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():  # the reader's font has the glyphs that this one lacks
        warnings.filterwarnings("ignore", r"Glyph .* missing from (current )?font")
        drawn.set(facecolor="none", edgecolor="none")
        for axes in drawn.axes:
            axes.patch.set(facecolor="none", edgecolor="none")
        FigureCanvasSVG(drawn).print_svg(file, metadata=none)  # savefig draws all twice
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.S)
    text = re.sub(r'((?<!\w)id="|href="#|url\(#)', rf"\1{name}-", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    named = f'<svg role="img" aria-label="{escape(printable(label))}"'
    return Markup(text.replace("<svg", named, 1))  # noqa: S704 - see above


def beside(
    axes: Axes, y: float, text: str, colour: str, *, data: bool = False, **font: Any
) -> None:
    """Write a text to the right of the axes, at a height in data or in parts of the axes."""
    transform = axes.get_yaxis_transform() if data else axes.transAxes
    axes.text(1.012, y, printable(text), color=colour, va="center", transform=transform, **font)
