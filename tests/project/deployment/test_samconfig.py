"""What `sam deploy` reads here: every environment can be deployed without a question."""

import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from samcli.commands.deploy import command
from samcli.lib.utils import version_checker
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).parents[3]
SAMCONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())
TEMPLATE = yaml_parse((ROOT / "template.yaml").read_text())
ENVIRONMENTS = ["default", "staging", "prod"]
LOG_RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827)


def overrides(environment: str) -> list[str]:
    found: list[str] = SAMCONFIG[environment]["deploy"]["parameters"]["parameter_overrides"]
    return found


def values(environment: str) -> dict[str, str]:
    pairs = (override.partition("=") for override in overrides(environment))
    return {name: value.strip('"') for name, _, value in pairs}


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what gives the arguments with which `sam deploy` would begin, as sam reads them."""

    def arguments(*options: str) -> dict[str, Any]:
        seen: list[Any] = []
        signature = inspect.signature(command.do_cli)
        monkeypatch.setenv("SAM_CLI_TELEMETRY", "0")
        monkeypatch.setattr(version_checker, "_inform_newer_version", lambda: None)
        monkeypatch.setattr(command, "do_cli", lambda *args, **_: seen.extend(args))
        template = ["--template-file", str(ROOT / "template.yaml")]
        result = CliRunner().invoke(command.cli, [*template, *options])
        assert result.exit_code == 0, result.output
        return signature.bind(*seen).arguments

    return arguments


@pytest.mark.parametrize(
    ("environment", "stack", "asks"),
    [
        ("default", "evergreen", True),
        ("staging", "evergreen-staging", False),
        ("prod", "evergreen-prod", False),
    ],
)
def test_sam_reads_all_that_it_needs_and_asks_only_about_a_person_s_own_stack(
    deploy: Any, environment: str, stack: str, asks: bool
) -> None:
    found = deploy("--config-env", environment)

    assert found["stack_name"] == found["s3_prefix"] == stack  # so none uses what another has
    assert found["capabilities"] == ["CAPABILITY_IAM"]
    assert found["resolve_s3"]
    assert found["resolve_image_repos"]
    assert found["confirm_changeset"] == asks
    assert not found["fail_on_empty_changeset"]
    assert found["parameter_overrides"] == values(environment)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_overridden_parameter_is_quoted_and_has_a_value_that_the_template_allows(
    environment: str,
) -> None:
    assert all(re.fullmatch(r'[A-Za-z0-9]+="[^"]*"', one) for one in overrides(environment))
    for name, value in values(environment).items():
        spec = TEMPLATE["Parameters"][name]
        assert re.fullmatch(spec.get("AllowedPattern", ".*"), value), name
        assert value in map(str, spec.get("AllowedValues", [value])), name
        if spec["Type"] == "Number":
            assert int(value) >= spec.get("MinValue", int(value)), name
    assert int(values(environment).get("LogRetentionDays", 30)) in LOG_RETENTIONS


def test_every_parameter_has_a_default_so_that_none_must_be_given() -> None:
    assert all("Default" in spec for spec in TEMPLATE["Parameters"].values())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_is_deployed_is_of_the_architecture_that_is_built(environment: str) -> None:
    built = re.search(r"^ARCHITECTURE \?= (\w+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    default = TEMPLATE["Parameters"]["Architecture"]["Default"]

    assert built is not None
    assert values(environment).get("Architecture", default) == built[1]


def test_the_outputs_are_those_that_the_documents_and_the_workflow_name() -> None:
    assert {"ApiUrl", "ArtifactBucket", "DataBucket"} <= set(TEMPLATE["Outputs"])


def test_only_bus_and_state_machine_have_names_of_our_own_which_are_the_stack_s() -> None:
    named = [
        (resource["Type"], name, value)
        for resource in TEMPLATE["Resources"].values()
        for name, value in resource.get("Properties", {}).items()
        if name.endswith("Name")
        and name != "MetricName"  # what an alarm looks at
        and not (isinstance(value, dict) and {"Ref", "Fn::GetAtt"} & set(value))  # of another
    ]

    assert named == [
        ("AWS::Events::EventBus", "Name", {"Fn::Sub": "${AWS::StackName}-events"}),
        ("AWS::Serverless::StateMachine", "Name", {"Fn::Sub": "${AWS::StackName}-batchmachine"}),
    ]
