import re
from datetime import timedelta

import matplotlib as mpl
import pytest

from evergreen.monitoring.report import CalibrationBin
from evergreen.pages import charts, html, svg
from tests.support import checks


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>(.*?)</text>", svg)


def drawn() -> list[str]:
    """Return one of each figure."""
    days, end = [checks.day(n) for n in (3, 2, 1)], checks.END.date()
    return [
        charts.distribution(["a", "b"], [1, 2], [2, 1], "bins", "bars"),
        charts.trend({end - timedelta(days=1): {"temp": 0.3}, end: {}}, [end]),
        charts.losses(days, [end - timedelta(days=1)], "log-loss"),
        charts.accuracies(days),
        charts.calibration([CalibrationBin(9, 0.2, 0.3)]),
    ]


def test_the_same_input_gives_the_same_bytes_and_leaves_matplotlib_as_it_was() -> None:
    before = dict(mpl.rcParams)

    assert drawn() == drawn()
    assert dict(mpl.rcParams) == before


def test_each_figure_is_one_svg_that_says_what_it_is() -> None:
    for image in drawn():
        assert re.match(r'<svg role="img" aria-label="\w', image)
        assert image.rstrip().endswith("</svg>")
        assert "<metadata" not in image


def test_a_bar_is_as_long_as_its_share() -> None:
    svg = charts.distribution(["a", "b"], [1, 3], [10, 0], "bins", "bars")

    reference, window = re.findall(r'<path d="(M[^"]*)"[^>]*style="fill: var\(--(?:gre|purp)', svg)
    lengths = [
        [float(x) for x in re.findall(r"[ML] ([\d.]+)", path)] for path in (reference, window)
    ]
    (a, b), (whole, none) = [
        [max(xs[n : n + 4]) - min(xs[n : n + 4]) for n in (0, 4)] for xs in lengths
    ]

    assert a / whole == pytest.approx(0.25, abs=0.001)
    assert b / whole == pytest.approx(0.75, abs=0.001)
    assert none == 0
    assert texts(svg) == ["0%", "50%", "100%", "a", "b"]


def test_of_many_bins_the_largest_are_shown_and_the_others_added_up() -> None:
    bins, rows = [f"bin {n}" for n in range(40)], [1] * 40
    rows[7], rows[30] = 50, 40

    names, shares = charts._fewer(bins, [rows, rows])

    assert len(names) == charts.BINS
    assert {"bin 7", "bin 30", "25 others"} <= set(names)
    assert shares.sum(axis=1) == pytest.approx([1, 1])


def test_a_window_without_rows_is_drawn_and_adds_up_to_nothing() -> None:
    bins = [f"bin {n}" for n in range(40)]

    _, shares = charts._fewer(bins, [[1] * 40, [0] * 40])

    assert shares.sum(axis=1) == pytest.approx([1, 0])
    assert "<svg" in charts.distribution(bins, [1] * 40, [0] * 40, "bins", "bars")
    assert "<svg" in charts.distribution(["any"], [0], [0], "bins", "bars")


def test_texts_are_shown_as_they_are_or_cut() -> None:
    hostile = '<b>& $x$ "\x00\n飛'
    svg = charts.distribution([hostile, "x" * 500], [1, 2], [2, 1], "bins", f'"{hostile}"')

    assert "<b>" not in svg
    assert "&lt;b&gt;&amp; $x$" in svg
    assert "\x00" not in svg
    assert "x" * 20 not in svg
    assert 'aria-label="&quot;' in svg


@pytest.mark.parametrize("days", [1, 2, 90])
def test_the_time_axis_has_few_days_and_always_the_last(days: int) -> None:
    end = checks.END.date()
    psi = {end - timedelta(days=n): {"temp": 0.3} for n in range(days)}

    found = [text for text in texts(charts.trend(psi, [])) if re.fullmatch(r"\d+ \w{3}", text)]

    assert "17 Mar" in found
    assert len(found) == min(days, 9)


def test_alarms_are_drawn_where_there_are_any() -> None:
    day = checks.END.date()

    assert "▼ alarm" in texts(charts.trend({day: {"temp": 0.3}}, [day]))
    assert "▼ alarm" not in texts(charts.trend({day: {"temp": 0.3}}, []))


def test_a_band_bears_the_version_that_answered_most() -> None:
    days = [checks.day(2, version="one"), checks.day(1, version="rare", captured=1),
            checks.day(1, version="two")]  # fmt: skip

    found = texts(charts.losses(days, [], "log-loss"))

    assert {"one", "two"} <= set(found)
    assert "rare" not in found


def test_a_control_sign_is_a_space() -> None:
    assert html.printable("a\x00b\u202ec") == "a b c"
    assert svg.short("abcdef", 4) == "abc…"
