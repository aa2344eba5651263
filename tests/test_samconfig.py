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

ROOT = Path(__file__).parent.parent
SAMCONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())
TEMPLATE = yaml_parse((ROOT / "template.yaml").read_text())
ENVIRONMENTS = ["default", "staging", "prod"]
LOG_RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827)
REQUIRED_NAMES = {"AWS::Events::EventBus": "Name"}  # a bus cannot do without


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


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_sam_has_no_question_about_an_environment_that_a_machine_deploys(
    deploy: Any, environment: str
) -> None:
    found = deploy("--config-env", environment)

    assert found["stack_name"] == f"evergreen-{environment}"
    assert found["capabilities"] == ["CAPABILITY_IAM"]
    assert found["resolve_s3"]
    assert found["resolve_image_repos"]
    assert not found["confirm_changeset"]
    assert not found["fail_on_empty_changeset"]
    assert not found["guided"]


def test_only_a_person_s_own_stack_asks_before_it_changes(deploy: Any) -> None:
    found = deploy()

    assert found["confirm_changeset"]
    assert found["stack_name"] == "evergreen"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_sam_reads_the_overridden_parameters_as_they_are_meant(
    deploy: Any, environment: str
) -> None:
    assert deploy("--config-env", environment)["parameter_overrides"] == values(environment)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_overridden_value_is_quoted(environment: str) -> None:
    assert all(re.fullmatch(r'[A-Za-z0-9]+="[^"]*"', one) for one in overrides(environment))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_overridden_parameter_is_one_of_the_template_with_a_value_that_it_allows(
    environment: str,
) -> None:
    for name, value in values(environment).items():
        spec = TEMPLATE["Parameters"][name]
        assert re.fullmatch(spec.get("AllowedPattern", ".*"), value), name
        assert value in map(str, spec.get("AllowedValues", [value])), name
        if spec["Type"] == "Number":
            assert int(value) >= spec.get("MinValue", int(value)), name
    assert int(values(environment).get("LogRetentionDays", 30)) in LOG_RETENTIONS


def test_no_environment_uses_what_another_has() -> None:
    stacks = [SAMCONFIG[name]["global"]["parameters"]["stack_name"] for name in ENVIRONMENTS]
    prefixes = [SAMCONFIG[name]["deploy"]["parameters"]["s3_prefix"] for name in ENVIRONMENTS]

    assert len(set(stacks)) == 3
    assert prefixes == stacks


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_is_built_and_validated_alike(environment: str) -> None:
    assert SAMCONFIG[environment]["build"]["parameters"] == {"cached": True, "parallel": True}
    assert SAMCONFIG[environment]["validate"]["parameters"] == {"lint": True}


def test_every_parameter_has_a_default_so_that_none_must_be_given() -> None:
    assert all("Default" in spec for spec in TEMPLATE["Parameters"].values())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_is_deployed_is_of_the_architecture_that_is_built(environment: str) -> None:
    built = re.search(r"^ARCHITECTURE \?= (\w+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    default = TEMPLATE["Parameters"]["Architecture"]["Default"]

    assert built is not None
    assert values(environment).get("Architecture", default) == built[1]


def test_the_outputs_are_those_that_the_documents_name() -> None:
    assert {"ApiUrl", "ArtifactBucket", "DataBucket"} <= set(TEMPLATE["Outputs"])


def test_nothing_has_a_physical_name_of_our_own() -> None:
    named = [
        (logical, name)
        for logical, resource in TEMPLATE["Resources"].items()
        for name, value in resource.get("Properties", {}).items()
        if name.endswith("Name")
        and not (isinstance(value, dict) and {"Ref", "Fn::GetAtt"} & set(value))  # of another
        and REQUIRED_NAMES.get(resource["Type"]) != name
    ]

    assert named == []


def test_the_name_of_the_bus_is_the_stack_s() -> None:
    buses = [one for one in TEMPLATE["Resources"].values() if one["Type"] in REQUIRED_NAMES]

    assert [bus["Properties"]["Name"] for bus in buses] == [{"Fn::Sub": "${AWS::StackName}-events"}]
