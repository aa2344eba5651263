"""What each maturity level deploys, and that every alarm can fire and says what to do."""

import json
import re
import shlex
from typing import Any

import pytest

from cli import main as cli
from local.template import ROOT, Template, resolve, translate

TRANSLATED = translate()
# Resolving is a test too: it fails where a level names what it does not deploy.
LEVELS = {level: resolve(TRANSLATED, {"MaturityLevel": level}) for level in "1234"}
FULL = LEVELS["4"]

ALARM, DASHBOARD = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"
ALARMS = LEVELS["3"].of_type(ALARM) | FULL.of_type(ALARM)  # each level has one of its own
WATCHING = (ALARM, DASHBOARD, "AWS::SNS::Topic", "AWS::SNS::TopicPolicy")
TOPIC = "arn:aws:sns:eu-west-1:123456789012:evergreen-alarmtopic"
A_WEEK, A_DAY, AN_HOUR = 604_800, 86_400, 3_600  # seconds


def metrics(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the metrics that an alarm looks at, each with its namespace, name and period."""
    if "MetricName" in alarm:
        return [alarm]
    stats = [metric["MetricStat"] for metric in alarm["Metrics"] if "MetricStat" in metric]
    return [stat["Metric"] | {"Period": stat["Period"]} for stat in stats]


# Levels


def test_the_first_level_serves_and_trains_on_demand_and_nothing_watches() -> None:
    found = LEVELS["1"]

    assert set(found.of_type("AWS::Lambda::Function")) == {
        "PredictFunction", "FeedbackFunction", "TrainFunction", "ControlFunction",
        "BatchFunction",
    }  # fmt: skip
    assert set(found.of_type("AWS::KinesisFirehose::DeliveryStream")) == {"LabelStream"}
    assert not [kind for kind in WATCHING if found.of_type(kind)]
    assert {"DataBucket", "ArtifactBucket", "DeadLetterQueue", "EventBus"} <= set(found.resources)
    assert not [name for name in found.resources if "Check" in name or "Alarm" in name]
    assert set(found.outputs) == {
        "ApiUrl", "ArtifactBucket", "DataBucket", "EventBus", "ManifestKey",
    }  # fmt: skip


@pytest.mark.parametrize("level", ["2", "3", "4"])
def test_from_the_second_level_on_everything_watches(level: str) -> None:
    found = LEVELS[level]

    assert set(found.of_type("AWS::KinesisFirehose::DeliveryStream")) == {
        "CaptureStream", "LabelStream",
    }  # fmt: skip
    assert {"CheckFunction", "RolloutFunction"} <= set(found.of_type("AWS::Lambda::Function"))
    assert "RolloutFunctionTick" in found.enabled("AWS::Scheduler::Schedule")
    assert all(found.of_type(kind) for kind in WATCHING)
    assert {"AlarmTopic", "DashboardUrl"} <= set(found.outputs)


BY_ITSELF = {
    "TrainFunctionDaily", "TrainFunctionDriftDetected", "TrainFunctionPerformanceDegraded",
}  # fmt: skip


@pytest.mark.parametrize(("level", "by_itself"), [("1", 0), ("2", 0), ("3", 3), ("4", 3)])
def test_from_the_third_level_on_training_starts_by_itself(level: str, by_itself: int) -> None:
    found = LEVELS[level]

    enabled = {*found.enabled("AWS::Events::Rule"), *found.enabled("AWS::Scheduler::Schedule")}
    assert len(enabled & BY_ITSELF) == by_itself
    assert {"TrainFunctionRetrainRequested", "TrainFunctionDataUploaded"} <= enabled
    assert ("TrainingsMissedAlarm" in found.of_type(ALARM)) == bool(by_itself)


@pytest.mark.parametrize("level", ["2", "3", "4"])
def test_only_at_the_fourth_level_worse_answers_start_the_rollout(level: str) -> None:
    found = LEVELS[level]

    alarms, rules = found.of_type(ALARM), found.enabled("AWS::Events::Rule")
    assert ("RolloutFunctionPerformanceDegraded" in rules) == (level == "4")
    assert ("RolledBackAlarm" in alarms) == (level == "4")
    assert "ApprovalWaitsAlarm" in alarms  # at level 4 of candidates that cannot be compared


@pytest.mark.parametrize("level", LEVELS)
def test_who_decides_is_told_the_level(level: str) -> None:
    functions = LEVELS[level].of_type("AWS::Lambda::Function")

    told = {
        name: properties["Environment"]["Variables"].get("MATURITY_LEVEL")
        for name, properties in functions.items()
    }

    deciding = {"ControlFunction", "RolloutFunction"} & set(functions)
    assert {name for name, said in told.items() if said is not None} == deciding
    assert {told[name] for name in deciding} == {level}


@pytest.mark.parametrize("level", LEVELS)
def test_the_page_of_a_level_names_its_functions_and_counts_its_alarms(level: str) -> None:
    page = (ROOT / "docs" / f"level-{level}.md").read_text()

    functions = set(re.findall(r"^\| (\w+) \| (?!what)", page, re.MULTILINE))
    counted = re.search(r"\b(\d+) alarms,", page)

    deployed = LEVELS[level].of_type("AWS::Lambda::Function")
    assert functions == {name.removesuffix("Function").lower() for name in deployed}
    assert counted
    assert int(counted[1]) == len(LEVELS[level].of_type(ALARM))


@pytest.mark.parametrize("page", ["runbook.md", *(f"level-{level}.md" for level in LEVELS)])
def test_a_command_that_a_page_names_is_understood_by_the_command_line(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()

    named = re.findall(r"\.venv/bin/evergreen ([^`\n]+)", text)

    assert named
    for command in named:
        assert cli.parser().parse_args(shlex.split(command, comments=True)).command


@pytest.mark.parametrize(("level", "captures"), [("1", "off"), ("2", "on"), ("4", "on")])
def test_predictions_are_captured_where_there_is_a_stream_for_them(
    level: str, captures: str
) -> None:
    predict = LEVELS[level].of_type("AWS::Lambda::Function")["PredictFunction"]

    variables = predict["Environment"]["Variables"]
    assert variables["CAPTURE"] == captures
    assert bool(variables["CAPTURE_STREAM"]) == (captures == "on")


@pytest.mark.parametrize("level", LEVELS)
def test_every_function_logs_to_a_group_with_retention(level: str) -> None:
    groups = LEVELS[level].of_type("AWS::Logs::LogGroup")
    functions = LEVELS[level].of_type("AWS::Lambda::Function")

    assert all(int(group["RetentionInDays"]) > 0 for group in groups.values())
    kept = {f"evergreen-{name.lower()}" for name in groups}
    assert {function["LoggingConfig"]["LogGroup"] for function in functions.values()} <= kept


def test_two_stacks_of_an_account_share_no_metrics() -> None:
    functions = TRANSLATED["Resources"]

    services = [
        resource["Properties"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        for resource in functions.values()
        if resource["Type"] == "AWS::Lambda::Function"
    ]

    assert services == [{"Ref": "AWS::StackName"}] * 8


# Alarms


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_goes_to_the_topic_and_says_where_the_runbook_says_what_to_do(name: str) -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    headings = re.findall(r"^## (.+)$", runbook, re.MULTILINE)
    sections = {heading.lower().replace(" ", "-") for heading in headings}

    alarm = ALARMS[name]

    assert alarm["AlarmActions"] == [TOPIC]
    section = re.search(r" docs/runbook\.md#([a-z-]+)$", alarm["AlarmDescription"])
    assert section
    assert section[1] in sections


def test_the_runbook_begins_with_a_table_of_all_its_sections() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    headings = re.findall(r"^##+ (.+)$", runbook, re.MULTILINE)

    listed = re.findall(r"\[[^]]+\]\(#([a-z-]+)\)", runbook.partition("```")[0])

    assert sorted(listed) == sorted(heading.lower().replace(" ", "-") for heading in headings)


def test_every_section_of_the_runbook_is_of_an_alarm() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)

    described = {alarm["AlarmDescription"].partition("#")[2] for alarm in ALARMS.values()}

    assert {heading.lower().replace(" ", "-") for heading in headings} == described


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_looks_at_metrics_that_our_code_writes_or_aws(alarm: str) -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "functions").rglob("*.py"))

    for metric in metrics(ALARMS[alarm]):
        if metric["Namespace"] == "Evergreen/evergreen":
            assert metric["MetricName"] in FULL.resources  # a filter of that name writes it
            continue
        (dimension,) = metric["Dimensions"]
        if metric["Namespace"] == "Evergreen":
            name = metric["MetricName"]
            assert re.search(rf'\b{name}=|"{name}"(:|\] =)', code), f"{name} is written nowhere"
            assert dimension == {"Name": "service", "Value": "evergreen"}
        else:
            assert metric["Namespace"].startswith("AWS/")
            own = dimension["Value"].rpartition(":")[2].removeprefix("evergreen-")
            assert own in map(str.lower, FULL.resources)


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_says_what_missing_data_means_and_looks_no_further_than_cloudwatch_can(
    name: str,
) -> None:
    alarm = ALARMS[name]

    assert alarm["TreatMissingData"] in ("breaching", "notBreaching", "ignore")
    for metric in metrics(alarm):
        longest = A_WEEK if metric["Period"] >= AN_HOUR else A_DAY
        assert metric["Period"] * alarm["EvaluationPeriods"] <= longest


SILENCE = {  # the hours after which it is noticed, and between two runs
    "ChecksRun": (26, 24), "CompactionsRun": (3, 1), "TicksRun": (3, 1), "TrainingsAsked": (26, 24),
}  # fmt: skip
FINDINGS = {
    "DriftAlarm", "SchemaAlarm", "PerformanceAlarm", "ModelAgeDays", "UnseenShare", "SetAside",
    "CandidateWaitsDays", "BrokenVersions",
}  # fmt: skip


def test_a_run_that_did_not_happen_alarms_after_two_that_should_have_been_or_a_day() -> None:
    found = {a["MetricName"]: a for a in ALARMS.values() if a.get("MetricName") in SILENCE}

    assert set(found) == set(SILENCE)
    for metric, alarm in found.items():
        hours, between = SILENCE[metric]
        assert alarm["TreatMissingData"] == "breaching"
        assert "DatapointsToAlarm" not in alarm  # all of them
        assert (alarm["EvaluationPeriods"], alarm["Period"]) == (hours, AN_HOUR)
        assert hours > between
        assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)


def test_a_finding_of_the_daily_check_lasts_until_the_next_and_its_absence_is_no_finding() -> None:
    found = {a["MetricName"]: a for a in ALARMS.values() if a.get("MetricName") in FINDINGS}

    assert set(found) == FINDINGS
    for alarm in found.values():
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["Statistic"] == "Maximum"  # of the endpoints
        assert alarm["DatapointsToAlarm"] == 1
        assert alarm["Period"] * alarm["EvaluationPeriods"] > A_DAY


def test_the_largest_age_of_a_model_is_a_parameter() -> None:
    found = resolve(TRANSLATED, {"MaxModelAgeDays": "90"}).of_type(ALARM)

    assert ALARMS["ModelTooOldAlarm"]["Threshold"] == 45
    assert found["ModelTooOldAlarm"]["Threshold"] == "90"


def test_function_errors_are_those_of_all_functions() -> None:
    seen = {m["Dimensions"][0]["Value"] for m in metrics(ALARMS["FunctionsFailAlarm"])}

    assert seen == {f"evergreen-{name.lower()}" for name in FULL.of_type("AWS::Lambda::Function")}


def test_only_cloudwatch_of_this_account_may_write_to_the_topic_and_only_over_tls() -> None:
    (policy,) = FULL.of_type("AWS::SNS::TopicPolicy").values()
    allowed, denied = policy["PolicyDocument"]["Statement"]

    assert policy["Topics"] == [TOPIC]
    assert allowed["Effect"] == "Allow"
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize(
    ("parameters", "addresses"),
    [
        ({}, []),
        ({"AlarmEmail": "me@example.com"}, ["me@example.com"]),
        ({"AlarmEmail": "me@example.com", "MaturityLevel": "1"}, []),
    ],
    ids=str,
)
def test_an_address_gets_the_alarms_if_there_is_one(
    parameters: dict[str, str], addresses: list[str]
) -> None:
    found = resolve(TRANSLATED, parameters).of_type("AWS::SNS::Subscription").values()

    assert [subscription["Endpoint"] for subscription in found] == addresses
    assert all(subscription["TopicArn"] == TOPIC for subscription in found)


# Dashboard


def widgets(template: Template) -> dict[str, dict[str, Any]]:
    (dashboard,) = template.of_type(DASHBOARD).values()
    found = json.loads(dashboard["DashboardBody"])["widgets"]
    return {widget["properties"]["title"]: widget for widget in found}


def test_the_dashboard_shows_what_the_stack_does() -> None:
    found = widgets(FULL)

    assert set(found) == {
        "Traffic", "Latency", "Errors", "Drift by feature", "Performance", "Model age", "Versions",
        "Waiting", "Decisions",
    }  # fmt: skip
    assert all(widget["properties"]["region"] == "eu-west-1" for widget in found.values())


@pytest.mark.parametrize("title", ["Drift by feature", "Versions", "Decisions"])
def test_features_and_versions_come_from_the_log_and_are_no_metrics(title: str) -> None:
    widget = widgets(FULL)[title]

    assert widget["type"] == "log"
    assert widget["properties"]["query"].startswith("SOURCE 'evergreen-functionloggroup' | ")


@pytest.mark.parametrize("title", ["Drift by feature", "Decisions"])
def test_the_lines_that_the_dashboard_looks_for_are_logged(title: str) -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "functions").rglob("*.py"))

    (message,) = re.findall(
        r"\| filter message = '([^']+)'", widgets(FULL)[title]["properties"]["query"]
    )

    assert re.search(rf'logger\.info\(\s*"{message}"', code)


@pytest.mark.parametrize("title", ["Performance", "Model age", "Waiting"])
def test_figures_of_endpoints_are_found_by_search_as_the_template_cannot_name_them(
    title: str,
) -> None:
    for (metric,) in widgets(FULL)[title]["properties"]["metrics"]:
        assert re.fullmatch(
            r"SEARCH\('\{Evergreen,service,endpoint\} service=\"evergreen\" MetricName=\"\w+\"', "
            r"'(Average|Maximum)', 86400\)",
            metric["expression"],
        )
