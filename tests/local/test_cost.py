"""docs/cost.md says what the template costs."""

import re
from dataclasses import replace

import pytest

from local import cost, marked
from local.template import ROOT, Template, load

LEVELS = {level: load({"MaturityLevel": level}) for level in cost.LEVELS}
FULL = LEVELS["4"]
OCCASIONAL = {  # written when something happens, by functions that are paid for by what happens
    "CaptureFailed", "RefreshFailed", "RequestsFailed", "LabelsAccepted", "LabelsConflicting",
    "ArmFailed", "FallbackAnswered", "ExternalFailed", "ExternalCost", "RolledBack",
    "BrokenVersions", "ChampionsForgotten", "RecalibrationFailed",
}  # fmt: skip


def without(template: Template, name: str) -> Template:
    assert name in template.resources
    return replace(template, resources={k: v for k, v in template.resources.items() if k != name})


def test_the_document_is_what_the_script_prints() -> None:
    text = cost.DOCUMENT.read_text()

    assert written(text) == cost.tables(LEVELS), "run `make cost`"


@pytest.mark.parametrize("level", LEVELS)
def test_the_page_of_a_level_says_what_the_script_reckons_for_it(level: str) -> None:
    text = cost.PAGES[level].read_text()

    assert written(text) == cost.sentence(LEVELS[level]), "run `make cost`"


def written(text: str) -> str:
    return text.partition(marked.begin("make cost"))[2].partition(marked.END)[0].strip()


def test_the_metrics_that_are_counted_are_those_that_functions_write() -> None:
    files = [path.read_text() for path in (ROOT / "functions").rglob("*.py")]
    code = "\n".join(text for text in files if re.search(r"import .*\bmeasure", text))
    found = re.findall(r'\b([A-Z][a-z]\w+)=[^=]|"([A-Z][a-z]\w+)"(?::|\] =)', code)

    counted = {name or quoted for name, quoted in found} - OCCASIONAL

    assert counted == {
        *cost.BY_CHECKS, *cost.BY_PREDICTIONS, *cost.BY_TICKS, *cost.OF_RUNS.values(),
    }  # fmt: skip


def test_the_first_level_costs_its_images_and_its_key_until_somebody_asks() -> None:
    paid = {item: dollars for item, dollars in cost.idle(LEVELS["1"]).items() if dollars}

    queues = "their queues, mostly asked in vain"
    assert set(paid) == {queues, "images in their repositories", "key that signs manifests"}
    assert paid["key that signs manifests"] == 1.00


@pytest.mark.parametrize(
    ("name", "dollars"), [("DriftAlarm", 0.10), ("FunctionsFailAlarm", 0.80), ("Dashboard", 3.00)]
)
def test_an_alarm_costs_what_its_metrics_do_and_a_dashboard_is_one(
    name: str, dollars: float
) -> None:
    saved = sum(cost.idle(FULL).values()) - sum(cost.idle(without(FULL, name)).values())

    assert saved == pytest.approx(dollars)


def test_runs_are_counted_from_the_schedules_that_are_enabled() -> None:
    hourly, daily = load({"MaturityLevel": "2"}), load({"CompactSchedule": "cron(20 4 * * ? *)"})
    item = "their schedules"

    assert cost.idle(hourly)[item] == pytest.approx((720 + 720 + 30) / 1e6)
    assert cost.idle(FULL)[item] == pytest.approx((720 + 720 + 30 + 30) / 1e6)
    assert cost.idle(daily)[item] == pytest.approx((30 + 720 + 30 + 30) / 1e6)


def test_a_run_is_paid_for_by_its_memory_and_seconds() -> None:
    found = cost.idle(LEVELS["2"])["scheduled invocations in Lambda"]

    gigabyte_seconds = (720 * 15 + 720 * 20 + 30 * 65) * 3008 / 1024
    assert found == pytest.approx(gigabyte_seconds * 0.0000166667 + 1470 * 0.20 / 1e6)


def test_a_queue_is_asked_all_the_time_whether_there_is_anything_in_it_or_not() -> None:
    item = "their queues, mostly asked in vain"

    assert cost.idle(LEVELS["1"])[item] == pytest.approx(0.26)
    assert cost.idle(FULL)[item] == pytest.approx(3 * 0.26)


def test_a_metric_is_paid_for_in_the_hours_in_which_it_is_written() -> None:
    found = cost.idle(LEVELS["2"])

    assert found["metrics of the scheduled functions"] == pytest.approx(0.30 + 0.30 + 0.30 / 24)
    half_of_the_hours = 2 * 0.30 / 2  # of one metric, for the stack and for the endpoint
    assert found["metrics of a candidate or challenger"] == pytest.approx(half_of_the_hours)
    once_a_day = 2 * len(cost.BY_CHECKS) * 0.30 / 24  # for the stack and for the endpoint
    assert found["metrics of one endpoint, hours in which they are written"] == pytest.approx(
        once_a_day
    )


def test_a_million_predictions_are_a_dollar_of_api_and_firehose_counts_five_kilobytes_each() -> (
    None
):
    found = cost.traffic(FULL)

    assert found["HTTP API"] == pytest.approx(1.00)
    assert found["Firehose, in steps of 5 KB"] == pytest.approx(1e6 * 5 / 1024**2 * 0.029)


def test_without_captures_nothing_is_paid_for_them() -> None:
    found = cost.traffic(LEVELS["1"])

    assert {item for item, dollars in found.items() if not dollars} == {
        "Firehose, in steps of 5 KB",
        "captures written to S3",
        "captures kept, once the first expire",
    }
