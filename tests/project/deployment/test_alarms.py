"""Every alarm of the template comes and goes, as CloudWatch's rules say of what it sees."""

from typing import Any

import pytest

from tests.project.deployment.test_levels import A_DAY, ALARMS, AN_HOUR, SILENCE
from tests.support.alarms import EXTRA, expressed, states

DAILY = [name for name, a in ALARMS.items() if a.get("DatapointsToAlarm") == 1]
SILENT = {name: a["MetricName"] for name, a in ALARMS.items() if a.get("MetricName") in SILENCE}


def value(alarm: dict[str, Any], *, breaching: bool) -> float:
    below = alarm["ComparisonOperator"] == "LessThanThreshold"
    threshold = float(alarm["Threshold"])
    return threshold + (1 if breaching != below else -1)


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_comes_when_its_metric_breaches_and_goes_when_it_does_not(name: str) -> None:
    alarm = ALARMS[name]
    periods = alarm["EvaluationPeriods"]
    bad, good = value(alarm, breaching=True), value(alarm, breaching=False)

    seen = states(alarm, [good] * periods + [bad] * periods + [good] * periods)

    assert seen[periods - 1] == "OK"
    assert seen[2 * periods - 1] == "ALARM"
    assert seen[-1] == "OK"


@pytest.mark.parametrize("name", SILENT)
def test_a_job_that_falls_silent_is_noticed_and_one_that_runs_is_not(name: str) -> None:
    alarm, (hours, between) = ALARMS[name], SILENCE[SILENT[name]]
    running = ([1.0] + [None] * (between - 1)) * 4

    seen = states(alarm, running + [None] * (hours + EXTRA) + [1.0])

    assert "ALARM" not in seen[hours : len(running)]
    assert seen[-2:] == ["ALARM", "OK"]


@pytest.mark.parametrize("name", DAILY)
def test_a_finding_of_a_day_lasts_until_the_next_check_says_otherwise(name: str) -> None:
    alarm = ALARMS[name]
    bad, good = value(alarm, breaching=True), value(alarm, breaching=False)
    day = A_DAY // AN_HOUR

    seen = states(alarm, [bad, *[None] * (day - 1), good, *[None] * (2 * EXTRA + day)])

    assert set(seen[: day + 1]) == {"ALARM"}
    assert seen[-1] == "OK"


@pytest.mark.parametrize("name", ["RequestsFailAlarm", "RequestsRefusedAlarm"])
def test_of_requests_a_share_counts_and_silence_is_no_fault(name: str) -> None:
    alarm = ALARMS[name]
    part = "failed" if name == "RequestsFailAlarm" else "refused"

    def share(some: float | None, requests: float | None) -> float | None:
        return expressed(alarm, {part: some, "requests": requests})

    one_of_ten, one_of_a_thousand, nobody = share(1, 10), share(1, 1000), share(None, None)

    assert states(alarm, [one_of_ten] * 3)[-1] == "ALARM"
    assert states(alarm, [one_of_a_thousand] * 3)[-1] == "OK"
    assert states(alarm, [nobody] * 3)[-1] == "OK"


@pytest.mark.parametrize("name", [n for n, a in ALARMS.items() if "Metrics" in a])
def test_one_metric_of_several_is_enough_and_nobody_is_needed_to_write_the_others(
    name: str,
) -> None:
    alarm = ALARMS[name]
    ids = [one["Id"] for one in alarm["Metrics"] if "MetricStat" in one]
    written = {ids[0]: float(alarm["Threshold"]) + 1, **dict.fromkeys(ids[1:])}
    if alarm["Metrics"][0]["Expression"].startswith("100 *"):
        written |= {"requests": 1.0}

    found = expressed(alarm, written)

    assert found is not None
    assert found > float(alarm["Threshold"])
