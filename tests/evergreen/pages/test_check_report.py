import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evergreen.monitoring.report import CheckReport, DayPerformance, SlicePerformance, TrendDay
from evergreen.pages import check_report as pages
from evergreen.pages.check_report import RUNBOOK, page, since
from evergreen.pages.summary import headline
from tests.support import checks, given
from tests.support.seen import HOSTILE, SHOWN, Seen

pytestmark = pytest.mark.slow

RUNBOOK_FILE = Path(__file__).parents[3] / "docs" / "runbook.md"


@pytest.fixture(scope="module", params=list(checks.STATES))
def report(request: pytest.FixtureRequest) -> CheckReport:
    return checks.STATES[request.param]()


@pytest.fixture(scope="module")
def html(report: CheckReport) -> str:
    return page(report)


def test_every_section_says_something_in_every_state(html: str) -> None:
    assert re.findall(r"<h2>(.*?)</h2>", html) == checks.SECTIONS
    for part in re.findall(r"<section>.*?</section>", html, flags=re.DOTALL):
        said = " ".join(part.split())
        assert re.search(r'<p class="caption">[A-Z0-9]((?!</p>).)+\.</p>', said), part[:200]


def test_the_page_is_well_formed_and_has_no_ids(html: str) -> None:
    assert Seen(html).open == []
    assert not re.search(r'(?<!\w)id="', html)


def test_the_page_fetches_nothing(html: str) -> None:
    assert "://" not in html
    assert not Seen(html).tags & {"script", "link", "img", "iframe", "object", "embed", "a"}
    assert not re.search(r"@import|@font-face", html)
    assert not re.search(r"href=|src=|url\(", html)


def test_the_same_report_gives_the_same_bytes(report: CheckReport, html: str) -> None:
    assert page(report) == html


def test_colours_follow_the_readers_screen() -> None:
    html = page(checks.drifted())

    drawn = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))

    assert "prefers-color-scheme: dark" in html
    assert not re.search(r"#[0-9a-f]{3}|rgb", drawn)
    assert set(re.findall(r"var\(--(\w+)\)", html)) <= set(re.findall(r"--(\w+):", html))


def test_what_came_from_elsewhere_is_shown_as_text() -> None:
    bins = ["a", HOSTILE]
    moved = checks.feature(HOSTILE, 2.0, bins=bins, reference=[9, 1], window=[1, 9], rows=[HOSTILE])
    lone = checks.day(3, slices={HOSTILE: {HOSTILE: SlicePerformance(9, 0.5)}})
    hostile = checks.healthy(
        endpoint=HOSTILE,
        version=HOSTILE,
        versions={HOSTILE: 1},
        set_aside={HOSTILE: 1},
        features=[moved],
        violations=[checks.violation(HOSTILE, "unseen categories", 0.1, 0.0, flagged=True)],
        alarms=[checks.alarm("drift", checks.END, [HOSTILE])],
        performance=checks.performance([lone], labels={HOSTILE: 1}, delays={HOSTILE: 1}),
    )

    seen = Seen(page(hostile))

    assert "script" not in seen.tags
    assert seen.open == []
    assert seen.text.count(SHOWN) >= 12
    assert not [sign for sign in seen.text if not sign.isprintable() and sign != "\n"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "No feature has moved; performance is as expected."),
        (
            {"features": [checks.feature("temp", 0.5)]},
            "1 feature may have moved, as the next check will tell; performance is as expected.",
        ),
        (
            {"confirmed": ["temp"], "alarms": [checks.alarm("drift", checks.END, ["temp"])]},
            "1 feature has moved since 17 March; performance is as expected.",
        ),
        (
            {"confirmed": ["all together"]},
            "How the features go together has moved; performance is as expected.",
        ),
        (
            {"confirmed": ["prediction"], "performance": None},
            "The predictions have moved; without labels, performance is unknown.",
        ),
        (
            {"violations": [checks.violation("", "wrong schema", 0.5, 0.0, flagged=True)]},
            "No feature has moved; requests do not fit the schema; performance is as expected.",
        ),
        (
            {"status": "insufficient data", "rows": 1},
            "1 prediction is too few to judge drift; performance is as expected.",
        ),
    ],
)
def test_the_headline_says_what_matters(changes: dict[str, Any], sentence: str) -> None:
    assert headline(checks.healthy(**changes)) == sentence


def test_the_worst_state_is_all_in_the_headline() -> None:
    assert headline(checks.drifted()) == (
        "2 features and the predictions have moved since 12 March; 1 field breaks the schema; "
        "performance is worse than expected since 14 March."
    )


def test_since_is_the_first_day_of_the_run_that_still_goes_on() -> None:
    days = [0.9, 0.1, 0.3, 0.25]  # of the checks before, the last of them yesterday
    ends = [checks.END - timedelta(days=4 - n) for n in range(4)]
    trend = [
        TrendDay(end, checks.CHAMPION, "steady", {"temp": psi}, [])
        for end, psi in zip(ends, days, strict=True)
    ]

    report = checks.healthy(features=[checks.feature("temp", 0.5)], trend=trend)
    calm = checks.healthy(features=[checks.feature("temp", 0.2)], trend=trend)

    assert since(report, "temp") == "15 March 2013"
    assert since(calm, "temp") == ""
    assert since(report, "unknown") == ""


def test_the_most_moved_come_first_and_the_prediction_last() -> None:
    names = [each.feature for each in pages.compared(checks.drifted())]

    assert names[:3] == ["temp", "dewp", "humid"]
    assert names[-1] == "prediction"


def test_of_many_features_twenty_are_drawn_and_all_are_in_the_table() -> None:
    many = [checks.feature(f"feature {n}", n / 1000) for n in range(100)]

    html = page(checks.healthy(features=many))

    assert len(re.findall(r'aria-label="Bar chart: shares of rows', html)) == 21
    assert {f"feature {n}" for n in range(100)} <= set(re.findall(r"<td>(feature \d+)</td>", html))


def test_one_feature_and_the_prediction_are_drawn_once_each() -> None:
    html = page(checks.healthy(features=[checks.feature("temp", 0.5)]))

    drawn = re.findall(r'aria-label="Bar chart: shares of rows by (\w+)"', html)

    assert drawn == ["temp", "prediction"]


def test_of_a_sensitive_feature_the_page_says_how_far_it_moved_and_draws_nothing() -> None:
    hidden = msgspec.structs.replace(
        checks.feature("income", 0.5), bins=[], reference=[], window=[]
    )

    html = page(checks.healthy(features=[hidden]))

    assert "<b>income</b>" in html
    assert "shares of rows by income" not in html


def test_each_alarm_names_a_section_that_the_runbook_has() -> None:
    headings = re.findall(r"^## (.+)$", RUNBOOK_FILE.read_text(encoding="utf-8"), flags=re.M)
    html = page(checks.drifted())

    assert set(RUNBOOK.values()) <= {heading.lower().replace(" ", "-") for heading in headings}
    assert [kind for kind, at in RUNBOOK.items() if f"docs/runbook.md#{at}" not in html] == []


@pytest.mark.parametrize(
    "days",
    [
        [],
        [checks.day(0, labelled=0.0, captured=0, estimate=None)],
        [checks.day(3, low=None, high=None, slices={}, calibration=[])],
        [checks.day(3), checks.day(3, version=checks.OLD), checks.day(1, labelled=0.0)],
    ],
    ids=["none", "empty", "one row", "two versions on a day"],
)
def test_any_days_of_performance_can_be_shown(days: list[DayPerformance]) -> None:
    found = checks.performance(days, expected=None, limit=None, labels={}, delays={})

    html = page(checks.healthy(performance=found, set_aside={"not gzip": 0}))

    assert re.findall(r"<h2>(.*?)</h2>", html) == checks.SECTIONS
    assert "nan" not in Seen(html).text


def test_slices_are_the_means_of_the_last_week_with_labels() -> None:
    one, other = SlicePerformance(100, 0.4), SlicePerformance(300, 0.8)
    days = [
        checks.day(16, slices={"carrier": {"UA": SlicePerformance(900, 9.0)}}),
        checks.day(9, slices={"carrier": {"UA": one}}),
        checks.day(8, slices={"carrier": {"UA": other}}),
        checks.day(0, labelled=0.0),
    ]

    html = page(checks.healthy(performance=checks.performance(days)))

    assert "<td>carrier</td><td>UA</td><td>400</td><td>0.700</td>" in html


@pytest.mark.parametrize(("rows", "misfits", "judged"), [(199, 0, 0), (0, 0, 0), (150, 50, 1)])
def test_a_schema_that_was_not_judged_is_not_said_to_be_kept(
    rows: int, misfits: int, judged: bool
) -> None:
    few = checks.healthy(
        status="insufficient data", rows=rows, features=[], set_aside={"wrong schema": misfits}
    )

    text = Seen(page(few)).text

    assert ("no more frequent than in the reference" in " ".join(text.split())) == judged
    assert ("Nothing was judged: that takes 200 predictions in a window." in text) == (not judged)


def test_a_report_read_from_json_gives_the_same_page() -> None:
    report = checks.drifted()

    read = msgspec.json.decode(msgspec.json.encode(report), type=CheckReport)

    assert page(read) == page(report)
    assert given.NAME in page(read)


def test_a_regression_is_shown_in_its_own_metric_and_without_chances() -> None:
    found = checks.STATES["healthy"]()
    assert found.performance is not None
    days = [
        msgspec.structs.replace(day, accuracy=None, estimate=None, calibration=[])
        for day in found.performance.days
    ]
    told = msgspec.structs.replace(
        found.performance,
        days=days,
        metric="relative absolute error",
        bounded_metric="clipped relative error",
    )

    text = Seen(page(msgspec.structs.replace(found, performance=told))).text

    assert "Relative absolute error, lower is better" in text
    assert "had a clipped relative error of 0.151" in text
    assert "Mean relative absolute error of the" in text
    assert "The scores of a regression are no probabilities." in text
    assert "There are no probabilities to estimate it from." in text
    assert "log-loss" not in text.lower()
