"""The views of the console: what they say in each state, and that they are safe to show."""

import json
import re
from datetime import UTC, timedelta, timezone
from typing import Any

import msgspec
import pytest

from evergreen.pages.console.views import Door, render
from evergreen.pages.summary import headline
from tests.support import checks, given
from tests.support.given import NAME, NOW
from tests.support.seen import HOSTILE, SHOWN, Seen

DOOR = Door(acts=True, now=NOW, zone=timezone(timedelta(hours=2)))
CLOSED = Door(acts=False, now=NOW, zone=UTC)
ONE, TWO = given.version(1), given.version(2)
KNOWN = (
    *("time", "since", "started", "told", "end", "start", "day"),
    *("statuses", "report", "query", "action", "ask"),
)


def plain(found: Any) -> Any:
    """Return what the API makes of it."""
    return json.loads(msgspec.json.encode(found))


def poisoned(found: Any) -> Any:
    """Return the same with something hostile in each text but times and what the code knows."""
    match found:
        case str():
            return found + HOSTILE
        case list():
            return [poisoned(each) for each in found]
        case dict():
            return {name: each if name in KNOWN else poisoned(each) for name, each in found.items()}
    return found


def document(**more: Any) -> dict[str, Any]:
    found: dict[str, Any] = plain(given.document(ONE))
    return found | {"statuses": {ONE: "champion", TWO: "candidate"}} | more


def endpoint(**more: Any) -> dict[str, Any]:
    return {
        "endpoint": NAME,
        "document": document(),
        "run": None,
        "trouble": "",
        "done": False,
        "says": "All is well.",
        "level": 3,
        "waits": ["candidate waits"],
        "coming": None,
        "cards": [],
        "status": None,
        "started": None,
        "running": None,
    } | more


def card(version: str) -> dict[str, Any]:
    metrics = {"loss": 0.5, "rows": 10, "improvement": 0.1, "improvement_lower": 0.05}
    lineage = {"fitted_rows": 99}
    return {"version": version, "candidate": "forest", "metrics": metrics, "lineage": lineage}


CANARY = {"version": TWO, "stage": "canary", "share": 0.25, "started": NOW.isoformat()}
BY_DAY = [{"day": f"2013-02-0{day}", "rows": 50, "gain": 0.01 * day} for day in range(1, 5)]
GAIN = {"days": 4, "rows": 200, "gain": 0.025, "lower": 0.01, "upper": 0.04, "by_day": BY_DAY}
RUN = {"run": "a-run", "outcome": None, "reason": "", "version": None, "started": NOW.isoformat()}
CHECK = {"report": plain(checks.drifted()), "says": headline(checks.drifted()), "level": 3}
ROW: dict[str, Any] = {
    "id": given.prediction_id(1),
    "time": NOW.isoformat(),
    "version": ONE,
    "ms": 3.5,
    "variant": "champion",
    "score": 0.75,
    "label": "late",
    "failed": TWO,
    "told": None,
    "outcome": "on time",
    "disputed": True,
    "fresh": False,
}
EXPERIMENT = {
    "id": "e1",
    "control": ONE,
    "treatment": TWO,
    "hypothesis": "better",
    "end": NOW.isoformat(),
}
NEW = {"requests": 30, "rows": 60}
RUNNING = {
    "standing": {"rows": [0, 0], "labelled": [0, 0]},
    "uncounted": {"since": NOW.isoformat(), "control": NEW, "treatment": NEW},
}
FIELDS = {"generation": "2", "version": TWO, "reason": "because"}
ACT = {
    "endpoint": NAME,
    "action": "approve",
    "sentence": "It becomes champion.",
    "fields": FIELDS,
    "ask": ["reason"],
}
ASKED = dict.fromkeys(("id", "day", "days", "version", "label", "only"), "")
DECISION = plain(given.document(ONE).last)
STEPS = [{"step": "capture", "text": "asked"}, {"step": "replayed", "text": "the same"}]
LISTED = {"end": NOW.isoformat(), "alarms": [{"kind": "drift"}]}

VIEWS: dict[str, tuple[str, dict[str, Any]]] = {
    "endpoints": (
        "endpoints",
        {
            "endpoints": [
                {"endpoint": NAME, "document": document(), "check": LISTED, "says": "It moved."},
                {"endpoint": "other", "error": {"message": "its document is corrupt"}},
            ],
            "next": "other",
            "level": 3,
        },
    ),
    "no endpoint": ("endpoints", {"endpoints": [], "next": None, "level": 3}),
    "a candidate": ("endpoint", endpoint(cards=[card(ONE), card(TWO)])),
    "a canary": (
        "endpoint",
        endpoint(
            document=document(challenger=CANARY, statuses={ONE: "champion", TWO: "canary"}),
            status={"evidence": {"comparison": GAIN}},
        ),
    ),
    "a training": ("endpoint", endpoint(run=RUN, started=NOW)),
    "nothing trained": ("endpoint", endpoint(document=None, says=None)),
    "paused": ("endpoint", endpoint(document=document(paused="a strike"), done=True)),
    "quality": ("quality", CHECK | {"endpoint": NAME, "decisions": [DECISION]}),
    "drift": ("drift", CHECK | {"endpoint": NAME}),
    "no check": ("drift", {"endpoint": NAME, "report": None, "says": None, "level": 3}),
    "level 1": ("quality", {"endpoint": NAME, "report": None, "says": None, "level": 1}),
    "decisions": ("decisions", {"endpoint": NAME, "decisions": [DECISION], "older": 2}),
    "explain": (
        "explain",
        {"endpoint": NAME, "version": ONE, "serves": True, "paragraphs": ["Because."]},
    ),
    "requests": (
        "requests",
        {"endpoint": NAME, "predictions": [ROW], "next": ROW["id"], "asked": ASKED, "query": ""},
    ),
    "no requests": (
        "requests",
        {"endpoint": NAME, "predictions": [], "next": None, "asked": ASKED, "query": ""},
    ),
    "request": (
        "request",
        {
            "endpoint": NAME,
            "id": ROW["id"],
            "found": ROW,
            "replay": {"identical": True, "steps": STEPS},
        },
    ),
    "an experiment": (
        "endpoint",
        endpoint(document=document(experiment=EXPERIMENT), running=RUNNING),
    ),
    "a question": ("act", ACT | {"sure": False}),
    "the last question": ("act", ACT | {"sure": True}),
    "unknown request": (
        "request",
        {"endpoint": NAME, "id": ROW["id"], "found": None, "replay": None},
    ),
}


@pytest.mark.parametrize("door", [DOOR, CLOSED], ids=["acts", "shows"])
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_well_formed_small_and_does_nothing_by_itself(name: str, door: Door) -> None:
    html = str(render(*VIEWS[name], "auto", door))
    seen = Seen(html)

    assert seen.open == []
    assert not seen.tags & {"script", "iframe", "object", "link", "img", "use"}
    assert not [one for one in seen.attributes if one[1].startswith("on")]
    assert len(html) < 100_000
    assert "<h1>" in html


@pytest.mark.parametrize("name", VIEWS)
def test_whatever_the_api_says_is_shown_as_text(name: str) -> None:
    view, data = VIEWS[name]
    seen = Seen(str(render(view, poisoned(data), "auto", DOOR)))

    assert seen.open == []
    assert "script" not in seen.tags
    assert not [one for one in seen.attributes if one[1].startswith("on")]
    assert HOSTILE not in seen.text


def test_a_hostile_reason_is_read_as_it_was_written() -> None:
    data = {"endpoint": NAME, "decisions": [DECISION | {"reason": HOSTILE}], "older": None}

    assert SHOWN in Seen(str(render("decisions", data, "auto", DOOR))).text


def test_where_nobody_may_act_a_view_says_the_command() -> None:
    html = render("endpoint", endpoint(), "auto", CLOSED)

    assert f"evergreen approve {NAME} {TWO}" in html
    assert "/act/" not in html


def test_an_action_names_the_generation_that_is_looked_at() -> None:
    html = render("endpoint", endpoint(document=document(generation=7)), "auto", DOOR)

    assert f"/act/approve?generation=7&amp;version={TWO}" in html


def test_a_canary_shows_how_far_it_is_and_the_table_of_its_gain() -> None:
    html = render(*VIEWS["a canary"], "auto", DOOR)

    assert "<b>25 % of requests ✓</b>" in html
    assert "<li>50 %</li>" in html
    assert html.count("<td>2013-02-0") == len(BY_DAY)


def test_an_experiment_shows_what_is_not_counted_yet() -> None:
    html = render(*VIEWS["an experiment"], "auto", DOOR)

    assert html.count("<td>30 requests, 60 rows</td>") == 2


def test_a_time_is_that_of_the_reader_with_utc_on_hover() -> None:
    shown = DOOR.when("2013-02-01T23:30:00Z")

    assert ">2 Feb 2013 01:30</time>" in shown
    assert 'title="2013-02-01 23:30:00 UTC"' in shown


@pytest.mark.parametrize(
    ("hours", "said"), [(0.5, "less than an hour"), (1, "1 hour"), (47, "1 day"), (49, "2 days")]
)
def test_an_age_is_said_in_words(hours: float, said: str) -> None:
    assert DOOR.age(NOW - timedelta(hours=hours)) == said


def test_each_chart_has_a_name_and_its_table() -> None:
    for name in ("quality", "drift", "a canary"):
        html = render(*VIEWS[name], "auto", DOOR)

        assert len(re.findall("<svg[^>]*aria-label", html)) == html.count("<svg") > 0
        assert "<details>" in html


def test_a_check_that_another_evergreen_wrote_is_none() -> None:
    html = render("drift", CHECK | {"endpoint": NAME, "report": {"rows": 3}}, "auto", DOOR)

    assert "No check has looked at" in html


def test_the_first_page_of_an_empty_stack_says_what_to_do() -> None:
    assert "evergreen upload ENDPOINT" in render(*VIEWS["no endpoint"], "auto", DOOR)


def test_a_training_that_runs_shows_how_far_it_may_be() -> None:
    door = Door(acts=True, now=NOW + timedelta(minutes=3), zone=UTC)

    assert 'max="15" value="3.0"' in render(*VIEWS["a training"], "auto", door)


def test_contrast_is_aa_in_the_light_and_in_the_dark() -> None:
    page = render("shell", {**SHELL}, "auto", DOOR)
    light, dark = (dict(re.findall(r"--(\w+): (#\w+)", part)) for part in page.split("@media")[:2])

    for colours in (light, dark):
        paper = _luminance(colours["paper"])
        for name in ("ink", "muted", "orange", "green", "purple", "blue", "grey"):
            low, high = sorted([paper, _luminance(colours[name])])
            assert (high + 0.05) / (low + 0.05) >= 4.5, name


SHELL = {"fragment": "", "title": "x", "endpoint": "", "tab": "", "stack": "here"}


def _luminance(colour: str) -> float:
    """Source: WCAG 2.2, relative luminance."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * each for each in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
