import re
from datetime import date, timedelta
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.monitoring.report import CalibrationBin, DayPerformance
from evergreen.pages import charts
from tests.support import checks

END = checks.END.date()
NUMBER = r"-?\d+(?:\.\d+)?"


def parsed(svg: str, name: str = "*") -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(name))  # noqa: S314 - it is ours


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in parsed(svg, "text")]


def places(svg: str, across: str) -> dict[str, float]:
    """Return where each text stands, by "x" or "y"."""
    return {text.text or "": float(text.get(across, "nan")) for text in parsed(svg, "text")}


def bars(svg: str, colour: str, turn: str = "H", opacity: str = "") -> list[tuple[float, ...]]:
    """Return x, y and the end of all bars of a colour; of upright ones with turn="V"."""
    strokes = [
        path.get("d", "")
        for path in parsed(svg, "path")
        if path.get("stroke") == f"var(--{colour})"
        and path.get("stroke-opacity", "").startswith(opacity)
    ]
    one = rf"M({NUMBER}) ({NUMBER}){turn}({NUMBER})"
    return [tuple(map(float, bar)) for path in strokes for bar in re.findall(one, path)]


def circles(svg: str) -> list[tuple[float, ...]]:
    found = parsed(svg, "circle")
    return [tuple(float(each.get(name, "nan")) for name in ("cx", "cy", "r")) for each in found]


def triangles(svg: str) -> list[float]:
    return [float(x) for x in re.findall(rf"M({NUMBER}) {NUMBER}m-4.5 0h9", svg)]


def known(back: int, **fields: Any) -> DayPerformance:
    """Return what is known of a day, so many before the end."""
    return msgspec.structs.replace(checks.day(back), **fields)


def drawn() -> list[str]:
    """Return one of each chart."""
    days = [checks.day(n) for n in (3, 2, 1)]
    return [
        charts.distribution(["a", "b"], [1, 2], [2, 1], "rows by temp"),
        charts.trend({END - timedelta(days=1): {"temp": 0.3}, END: {}}, [END]),
        charts.losses(days, [END - timedelta(days=1)], "log-loss"),
        charts.accuracies(days),
        charts.calibration([CalibrationBin(9, 0.2, 0.3)]),
    ]


def check_numbers(svg: str) -> None:
    """Check that a chart is well-formed, and that all its coordinates are numbers within it."""
    root, *_ = every = parsed(svg)
    width, height = map(float, root.get("viewBox", "").split()[2:])
    named = [float(value) for each in root.iter() for name, value in each.items()
             if name in {"x", "y", "cx", "cy", "r", "width", "height"}]  # fmt: skip
    paths = " ".join(path.get("d", "") for path in every)
    found = [*named, *map(float, re.findall(NUMBER, paths))]

    assert re.fullmatch(rf"(?:[MLHVhlmz ]|{NUMBER})*", paths)
    assert all(-9 <= number <= max(width, height) for number in found)


def test_the_same_input_gives_the_same_bytes() -> None:
    assert drawn() == drawn()


def test_each_chart_is_one_svg_that_says_what_it_is_and_has_no_ids() -> None:
    for image in drawn():
        assert re.match(r'<svg role="img" aria-label="\w', image)
        assert image.rstrip().endswith("</svg>")
        assert not re.search(r'\bid="|url\(', image)
        check_numbers(image)


def test_a_bar_is_as_long_as_its_share() -> None:
    svg = charts.distribution(["a", "b"], [1, 3], [10, 0], "rows by temp")

    places_of = places(svg, "x")
    zero, whole = places_of["0%"], places_of["100%"]
    reference = [(end - x) / (whole - zero) for x, _, end in bars(svg, "grey")]
    window = [(end - x) / (whole - zero) for x, _, end in bars(svg, "purple")]

    assert reference == pytest.approx([0.25, 0.75], abs=0.001)
    assert window == [1, 0]
    assert {x for colour in ("grey", "purple") for x, _, _ in bars(svg, colour)} == {zero}
    assert [y for _, y, _ in bars(svg, "purple")] == [places(svg, "y")[name] for name in "ab"]
    assert 'aria-label="Bar chart: shares of rows by temp"' in svg


def test_shares_without_a_reference_have_its_colour() -> None:
    svg = charts.distribution(["a", "b"], [], [1, 1], "labels")

    assert len([end for x, _, end in bars(svg, "grey") if end > x]) == 2
    assert bars(svg, "purple") == []


def test_of_many_bins_the_largest_are_shown_and_the_others_added_up() -> None:
    bins, rows = [f"bin {n}" for n in range(1000)], [1] * 1000
    rows[7], rows[30] = 50, 40

    names, shares = charts._fewer(bins, [rows, rows])

    assert len(names) == charts.BINS
    assert {"bin 7", "bin 30", "985 others"} <= set(names)
    assert [sum(each) for each in shares] == pytest.approx([100, 100])


@pytest.mark.parametrize("bins", [1, 40])
def test_a_window_without_rows_is_drawn_and_adds_up_to_nothing(bins: int) -> None:
    names = [f"bin {n}" for n in range(bins)]

    svg = charts.distribution(names, [1] * bins, [0] * bins, "rows")

    check_numbers(svg)
    assert {end - x for x, _, end in bars(svg, "purple")} == {0}
    check_numbers(charts.distribution(names, [0] * bins, [0] * bins, "rows"))


def test_texts_are_shown_as_they_are_or_cut() -> None:
    hostile = '<b>& $x$ "\x00\n飛'

    svg = charts.distribution([hostile, "x" * 500], [1, 2], [2, 1], hostile)

    assert "<b>" not in svg
    assert '<b>& $x$ "  飛' in texts(svg)
    assert f"{'x' * 19}…" in texts(svg)
    assert "shares of &lt;b&gt;&amp; $x$ &#34;  飛" in svg


@pytest.mark.parametrize(("days", "named"), [(1, 1), (2, 2), (7, 7), (90, 7)])
def test_the_time_axis_has_few_days_and_always_the_last(days: int, named: int) -> None:
    psi = {END - timedelta(days=n): {"temp": 0.3} for n in range(days)}

    found = [text for text in texts(charts.trend(psi, [])) if re.fullmatch(r"\d+ \w{3}", text)]

    assert found[-1] == "17 Mar"
    assert len(found) == named


def test_a_strip_is_as_dark_as_the_feature_moved_and_as_long_as_it_did() -> None:
    moved = {0: 0.1, 1: 0.99, 2: 0.25, 4: 7.0}  # by days before the end; one is missing
    psi = {END - timedelta(days=back): {"temp": value} for back, value in moved.items()}
    psi[END]["a"] = 0.0

    svg = charts.trend(psi, [])

    x, y = places(svg, "x"), places(svg, "y")
    day = x["17 Mar"] - x["16 Mar"]
    shades = ("0.05", "0.2", "0.45", "0.7", "1.0", "0.25")
    strips = {
        shade: [
            ((start - x["13 Mar"]) / day, (end - x["13 Mar"]) / day)
            for start, at, end in bars(svg, "grey" if shade == "0.25" else "purple", "H", shade)
            if at == y["temp"]
        ]
        for shade in shades
    }
    expected = {"1.0": (-0.5, 0.5), "0.25": (0.5, 1.5), "0.45": (1.5, 3.5), "0.2": (3.5, 4.5)}
    assert {shade: found for shade, found in strips.items() if found} == {
        shade: [pytest.approx(run, abs=0.01)] for shade, run in expected.items()
    }
    assert [at for _, at, _ in bars(svg, "purple", "H", "0.05")] == [y["a"]]
    whole = [at for start, _, end in bars(svg, "purple") for at in (start, end)]
    assert (min(whole), max(whole)) == charts.WIDE


def test_without_any_psi_there_is_no_trend() -> None:
    assert charts.trend({END: {}}, [END]) == ""


def test_alarms_stand_at_their_days_and_those_of_other_days_nowhere() -> None:
    yesterday, before = END - timedelta(days=1), END - timedelta(days=9)
    psi = {day: {"temp": 0.3} for day in (yesterday, END)}
    days = [checks.day(1), checks.day(0)]

    for svg in (charts.trend(psi, [before, END]), charts.losses(days, [before, END], "log-loss")):
        assert triangles(svg) == [places(svg, "x")["17 Mar"]]
        assert "▼ alarm" in texts(svg)
    for svg in (charts.trend(psi, [before]), charts.losses(days, [], "log-loss")):
        assert triangles(svg) == []
        assert "▼ alarm" not in texts(svg)


def test_a_loss_stands_at_its_day_and_value_below_it_the_share_that_has_labels() -> None:
    days = [
        known(2, captured=10, labelled=10, loss=-0.5, low=-1.0, high=0.25),
        known(1, captured=10, labelled=0, loss=None, low=None, high=None),
        known(0, captured=10, labelled=5, loss=1.0, low=0.5, high=1.5),
    ]

    svg = charts.losses(days, [], "log-loss")

    x, y = places(svg, "x"), places(svg, "y")
    unit = y["0.0"] - y["0.5"]
    assert [cx for cx, _, _ in circles(svg)] == [x["15 Mar"], x["17 Mar"]]
    assert [(y["0.0"] - cy) / unit / 2 for _, cy, _ in circles(svg)] == pytest.approx(
        [-0.5, 1.0], abs=0.01
    )
    assert bars(svg, "green", "V") == [
        (x["15 Mar"], y["−1.0"], pytest.approx(y["0.5"] + unit / 2, abs=0.1)),
        (x["17 Mar"], y["0.5"], y["1.5"]),
    ]
    height = y["0%"] - y["100%"]
    shares = {at: (start - end) / height for at, start, end in bars(svg, "grey", "V")}
    assert shares == pytest.approx({x["15 Mar"]: 1, x["16 Mar"]: 0, x["17 Mar"]: 0.5}, abs=0.01)


def test_days_stand_below_each_other_in_all_wide_charts() -> None:
    days = [checks.day(n) for n in (5, 4, 3)]
    psi = {day.day: {"temp": 0.3} for day in days}

    axes = [
        {name: x for name, x in places(svg, "x").items() if name.endswith("Mar")}
        for svg in (charts.trend(psi, []), charts.losses(days, [], "m"), charts.accuracies(days))
    ]

    assert axes[0] == axes[1] == axes[2]
    assert len(axes[0]) == 3


def test_accuracies_are_those_of_the_day_by_all_its_versions() -> None:
    days = [
        known(0, captured=1, labelled=1, accuracy=1.0, estimate=0.8),
        known(0, captured=3, labelled=3, accuracy=0.6, estimate=None),
    ]

    svg = charts.accuracies(days)

    x, y = places(svg, "x"), places(svg, "y")
    assert circles(svg) == [(x["17 Mar"], y["80%"], 2.5), (x["17 Mar"], y["70%"], 2.5)]


def test_the_axis_of_accuracies_ends_where_they_must() -> None:
    svg = charts.accuracies([known(n, accuracy=float(n), estimate=float(n)) for n in (1, 0)])

    shares = [text for text in texts(svg) if text.endswith("%")]

    assert (shares[0], shares[-1]) == ("0%", "100%")


def test_a_band_bears_the_version_that_answered_most() -> None:
    days = [checks.day(2, version="one"), checks.day(1, version="rare", captured=1),
            checks.day(1, version="two")]  # fmt: skip

    found = texts(charts.losses(days, [], "log-loss"))

    assert {"one", "two"} <= set(found)
    assert "rare" not in found


def test_a_long_metric_is_broken_into_lines_that_fit() -> None:
    found = texts(charts.losses([checks.day(1)], [], "relative absolute error of a\x00long name"))

    assert found[found.index("relative absolute") + 1] == "error of a long…"


def test_a_tenth_stands_at_its_score_and_share_larger_the_more_rows_it_has() -> None:
    tenths = [CalibrationBin(100, 0.2, 0.4), CalibrationBin(0, 0.0, 0.0), CalibrationBin(400, 1, 1)]

    svg = charts.calibration(tenths)

    (ends,) = re.findall(rf'd="M({NUMBER}) ({NUMBER})L({NUMBER}) ({NUMBER})"', svg)
    left, bottom, right, top = map(float, ends)
    (few, many) = circles(svg)  # and none for the tenth without rows
    assert few[0] == pytest.approx(left + 0.2 * (right - left), abs=0.1)
    assert few[1] == pytest.approx(bottom + 0.4 * (top - bottom), abs=0.1)
    assert many[:2] == (right, top)
    assert (many[2] / few[2]) ** 2 == pytest.approx((15 + 120) / (15 + 30), rel=0.05)
    check_numbers(charts.calibration([]))


VALUES = st.none() | st.floats() | st.sampled_from([0.0, 0.5, -0.0])
DAYS = st.lists(
    st.builds(
        lambda back, version, captured, labelled, loss, low, high, share: known(
            back, version=version, captured=captured, labelled=min(labelled, captured), loss=loss,
            low=low, high=high, accuracy=share, estimate=share,
        ),
        st.integers(0, 400), st.sampled_from(["one", "two"]), st.integers(0, 9), st.integers(0, 9),
        VALUES, VALUES, VALUES, st.sampled_from([None, 0.0, 0.7, 1.0, float("nan")]),
    ),
    min_size=1,
    max_size=9,
)  # fmt: skip


@given(DAYS)
def test_whatever_the_days_hold_is_drawn_within_the_chart(days: list[DayPerformance]) -> None:
    in_order = sorted(days, key=lambda day: day.day)

    check_numbers(charts.losses(in_order, [day.day for day in days], "r²"))
    check_numbers(charts.accuracies(in_order))


@given(
    st.dictionaries(
        st.dates(date(2013, 1, 1), date(2013, 6, 1)),
        st.dictionaries(st.sampled_from(["temp", "dewp"]), st.floats(), min_size=1),
        min_size=1,
    )
)
def test_any_psi_is_drawn_within_the_chart(psi: dict[date, dict[str, float]]) -> None:
    check_numbers(charts.trend(psi, list(psi)))
