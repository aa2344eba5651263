import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evergreen.monitoring.ecusum.comparisons import LINE, SKILL
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


KNOWN = (
    "Nothing was promised of the model: log-loss 0.498 (0.485 to 0.512) in the 7 days to 11 March."
)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "No feature has moved."),
        (
            {"features": [checks.feature("temp", 0.5)]},
            "1 feature may have moved, as the next check will tell.",
        ),
        (
            {"confirmed": ["temp"], "alarms": [checks.alarm("drift", checks.END, ["temp"])]},
            "1 feature has moved since 17 March, and the predictions have not.",
        ),
        (
            {"confirmed": ["all together"], "prediction": None},
            "How the features go together has moved.",
        ),
        ({"confirmed": ["prediction"]}, "The predictions have moved."),
        (
            {"violations": [checks.violation("", "wrong schema", 0.5, 0.0, flagged=True)]},
            "No feature has moved; requests do not fit the schema.",
        ),
        ({"status": "insufficient data", "rows": 1}, "1 prediction is too few to judge drift."),
    ],
)
def test_the_headline_says_what_moved(changes: dict[str, Any], sentence: str) -> None:
    assert headline(checks.healthy(**changes)) == f"{KNOWN} {sentence}"


def lately(
    losses: Sequence[float], *, constant: float | None = 0.56, labelled: float = 1.0, **more: Any
) -> CheckReport:
    """Return a check whose closed days until yesterday lost so much."""
    days = []
    for number, loss in enumerate(reversed(losses), 1):
        told = round(900 * labelled)
        day = checks.day(number, closed=True, captured=900)
        days.append(msgspec.structs.replace(day, labelled=told, loss=loss, constant=constant))
    found = checks.performance(days[::-1], **({"promised": 0.5, "constant": 0.56} | more))
    alarms = [checks.alarm("performance", checks.END, more["about"])] if "about" in more else []
    return checks.healthy(performance=found, alarms=alarms)


WEEK = [0.48, 0.52, 0.5, 0.5, 0.5, 0.5, 0.5]
TRAIN = "First look for broken data and wrong labels, then train on newer data."
AGAINST = "in the 7 days to 16 March, against 0.500 on its holdout and 0.560 of a constant"
BAD: dict[str, Any] = {"status": "degraded"}
HEADLINES: dict[str, tuple[CheckReport | Any, str]] = {
    "no check of labels": (
        checks.healthy(performance=None),
        "Without labels, performance is unknown.",
    ),
    "no labels ever": (
        lately([0.5] * 3, labelled=0.0, status="no labels"),
        "Without labels, performance is unknown: 2,700 predictions wait for one.",
    ),
    "labels stopped": (
        checks.healthy(performance=checks.performance(
            [checks.day(9, version=checks.CHAMPION), checks.day(1, labelled=0.0, closed=True)],
            status="no labels")),
        "Without labels since 8 March, performance is unknown: 937 predictions wait for one.",
    ),
    "none is due": (
        checks.healthy(performance=checks.performance([checks.day(1, closed=False)])),
        "Performance is unknown until the labels of a whole day are due, on 24 March.",
    ),
    "one day": (
        lately([0.5]),
        "Too few days have their labels to judge the model: log-loss 0.500 on 16 March, against "
        "0.500 on its holdout and 0.560 of a constant.",
    ),
    "as promised": (
        lately(WEEK),
        f"The model does as its holdout promised: log-loss 0.500 (0.489 to 0.511) {AGAINST}.",
    ),
    "as promised, by a third of the labels": (
        lately(WEEK, labelled=1 / 3),
        "The model does as its holdout promised, as far as labels tell: 66.7% are missing: "
        f"log-loss 0.500 (0.489 to 0.511) {AGAINST}.",
    ),
    "worse, and no alarm": (
        lately([loss + 0.03 for loss in WEEK]),
        "The model is worse than on its holdout, by too little for an alarm: log-loss 0.530 "
        f"(0.519 to 0.541) {AGAINST}.",
    ),
    "near a constant": (
        lately([loss + 0.07 for loss in WEEK]),
        f"The model may be no better than a constant: log-loss 0.570 (0.559 to 0.581) {AGAINST}. "
        f"{TRAIN}",
    ),
    "worse than a constant": (
        lately([*WEEK, 0.9, *[0.9] * 13], **BAD, about=[SKILL, "Brier score"]),
        "The model is worse than a constant since 4 March: log-loss 0.900 (0.900 to 0.900) "
        f"{AGAINST}. {TRAIN}",
    ),
    "half of the skill": (
        lately([loss + 0.04 for loss in WEEK], **BAD, about=[SKILL]),
        "Half of the model\u2019s skill is gone since 17 March: log-loss 0.540 (0.529 to 0.551) "
        f"{AGAINST}. {TRAIN}",
    ),
    "uncalibrated": (
        lately([loss + 0.04 for loss in WEEK], **BAD, about=[LINE]),
        "The model needs recalibration since 17 March: log-loss 0.540 (0.529 to 0.551) "
        f"{AGAINST}. First see whether its calibration is off for all, then recalibrate or train "
        "it.",
    ),
    "a jump": (
        lately([loss + 0.04 for loss in WEEK], **BAD, about=["Brier score"]),
        f"The model has become worse since 17 March: log-loss 0.540 (0.529 to 0.551) {AGAINST}. "
        f"{TRAIN}",
    ),
    "of an older report": (
        lately(WEEK, constant=None, promised=None),
        "Nothing was promised of the model: log-loss 0.500 (0.489 to 0.511) in the 7 days to "
        "16 March.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("state", HEADLINES)
def test_the_headline_says_how_good_the_model_is_and_what_to_do(state: str) -> None:
    report, sentence = HEADLINES[state]

    assert headline(report) == f"{sentence} No feature has moved."


@pytest.mark.parametrize("state", [state for state in HEADLINES if state != "as promised"])
def test_only_evidence_of_it_lets_the_headline_say_that_all_is_well(state: str) -> None:
    assert "as its holdout promised:" not in headline(HEADLINES[state][0])


def test_the_worst_state_is_all_in_the_headline() -> None:
    assert headline(checks.drifted()) == (
        "The model has become worse since 14 March: log-loss 0.603 (0.470 to 0.736) in the 7 days "
        f"to 11 March. {TRAIN} 2 features and the predictions have moved since 12 March; 1 field "
        "breaks the schema."
    )


@pytest.mark.parametrize(("about", "said"), [([LINE], "recalibrate"), ([SKILL, LINE], "train")])
def test_an_alarm_says_what_to_do_first(about: list[str], said: str) -> None:
    found = checks.healthy(alarms=[checks.alarm("performance", checks.END, about)])

    assert pages.first(found.alarms[0]) in Seen(page(found)).text
    assert said in pages.first(found.alarms[0])


def test_features_come_by_what_their_move_means_for_the_scores() -> None:
    moved = [
        checks.feature("temp", 2.0, influence=0.01),
        checks.feature("hour", 0.3, influence=0.5),
        checks.feature("dest", 0.4, influence=0.1),
    ]

    found = pages.compared(checks.healthy(features=moved, prediction=None))

    assert [each.feature for each in found] == ["hour", "dest", "temp"]


def test_the_page_says_what_recalibration_is_worth() -> None:
    days = [
        msgspec.structs.replace(checks.day(n, closed=True), raw=0.6, mixed=0.5, loss=0.6)
        for n in (3, 2, 1)
    ]
    told = checks.performance(days, line=(-0.25, 0.75))

    text = " ".join(Seen(page(checks.healthy(performance=told))).text.split())

    assert "an intercept of -0.25 and a slope of 0.75" in text
    assert (
        "In 3 days with labels the scores of the model lost 0.600, and 0.500 recalibrated" in text
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
