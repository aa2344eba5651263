"""What figures for pages share: matplotlib as SVG, whose colours follow the reader's screen."""

import io
import re
import warnings
from datetime import date
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from evergreen.monitoring.drift import MAJOR, MODERATE
from evergreen.pages.html import printable

# Okabe and Ito's colours, which the colour-blind can tell apart.
INK, MUTED, RULE, PAPER = "#1b1f23", "#5e666e", "#d9dde1", "#ffffff"
ORANGE, GREY, GREEN, PURPLE, BLUE = "#d55e00", "#6b7278", "#009e73", "#b0509a", "#0072b2"
HEAT = "#b0509b"  # on a dark screen too
# On the page a colour is a variable, which has another value on a dark screen.
VARIABLES = {
    INK: "ink", MUTED: "muted", RULE: "rule", PAPER: "paper", ORANGE: "orange", GREY: "grey",
    GREEN: "green", PURPLE: "purple", BLUE: "blue",
}  # fmt: skip
STEPS = (MODERATE, MAJOR, 1.0, 3.0)  # of the corrected PSI, nats
OPACITIES = (0.05, 0.2, 0.45, 0.7, 1.0)  # below, between and above the steps
UNKNOWN = (0.5, 0.5, 0.5, 0.25)  # too few rows
STYLE = {
    "svg.fonttype": "none",  # text stays text, in a font of the reader's
    "svg.hashsalt": "evergreen",  # ids that are the same in each run
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "text.parse_math": False,  # a dollar is a dollar
    "text.color": INK,
    "lines.linewidth": 1.8,
    "axes.edgecolor": RULE,
    "axes.axisbelow": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 5,
    "xtick.color": RULE,
    "legend.labelcolor": MUTED,
}
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


def draw_heat(
    axes: Axes, psi: dict[date, dict[str, float]], features: list[str], left: float
) -> None:
    """Draw a row for each feature and a column for each day from `left`, stronger where it drifted.

    psi: by day and feature; where there is none, there were too few rows.
    """
    first = min(psi)
    days = (max(psi) - first).days + 1
    cells = np.full((max(len(features), 1), days, 4), UNKNOWN)
    for day, values in psi.items():
        for feature, value in values.items():
            opacity = OPACITIES[int(np.digitize(value, STEPS))]
            cells[features.index(feature), (day - first).days] = to_rgba(HEAT, opacity)
    extent = (left, left + days, len(cells) - 0.5, -0.5)
    axes.imshow(cells, aspect="auto", interpolation="none", extent=extent)
    axes.set_yticks(range(len(features)), [short(feature, 20) for feature in features])
    axes.hlines(np.arange(len(cells) - 1) + 0.5, left, left + days, PAPER, linewidth=1.5)
    keys = [Patch(facecolor=to_rgba(HEAT, opacity), edgecolor=RULE) for opacity in OPACITIES]
    between = [f"{low:g} to {high:g}" for low, high in pairwise(STEPS)]
    names = [f"below {STEPS[0]:g}", *between, f"{STEPS[-1]:g} and more", "too few rows"]
    keys.append(Patch(facecolor=UNKNOWN, edgecolor=RULE))
    axes.legend(keys, names, title="corrected PSI", alignment="left", frameon=False,
                loc="upper left", bbox_to_anchor=(1.0, 0.95), handlelength=1.2)  # fmt: skip


def short(text: str, length: int) -> str:
    """Return a text that is not too long, and can be shown."""
    text = printable(text)
    return text if len(text) <= length else text[: length - 1] + "…"
