import shlex
from collections.abc import Callable, Sequence
from typing import Any

import boto3
import pytest
from moto import mock_aws
from samcli.lib.bootstrap.companion_stack.data_types import CompanionStack

from local import destroy
from local.aws import CREDENTIALS
from local.destroy import DestroyError, Resource, Stack
from local.template import ROOT, translate

NAME = "evergreen-staging"
REGION = CREDENTIALS["AWS_DEFAULT_REGION"]
TEMPLATE = """
Resources:
  DataBucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
  DeadLetterQueue:
    Type: AWS::SQS::Queue
"""
IMAGES = "{Resources: {TrainRepo: {Type: AWS::SQS::Queue}}}"  # any resource will do


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield boto3.client("cloudformation")


@pytest.fixture
def bucket(cloudformation: Any) -> str:
    """Create the stack and return the name of its bucket."""
    cloudformation.create_stack(StackName=NAME, TemplateBody=TEMPLATE)
    found = cloudformation.describe_stack_resource(StackName=NAME, LogicalResourceId="DataBucket")
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


@pytest.fixture
def commands() -> list[Sequence[str]]:
    return []


@pytest.fixture
def sam(cloudformation: Any, commands: list[Sequence[str]]) -> destroy.Run:
    """Return what stands for the program: it deletes the stack that it is told to."""

    def run(command: Sequence[str]) -> int:
        commands.append(command)
        cloudformation.delete_stack(StackName=command[command.index("--stack-name") + 1])
        return 0

    return run


def typing(answer: str) -> Callable[[str], str]:
    return lambda _: answer


def delete(cloudformation: Any, run: destroy.Run, prompt: destroy.Prompt | None = None) -> None:
    destroy.destroy(cloudformation, NAME, "staging", run=run, prompt=prompt)


# Deleting


def test_the_stack_goes_and_what_it_retains_stays_and_is_named(
    cloudformation: Any,
    bucket: str,
    sam: destroy.Run,
    commands: list[Sequence[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    delete(cloudformation, sam, typing(NAME))

    before, _, after = capsys.readouterr().out.partition("is deleted.")
    assert destroy.stack_of(cloudformation, NAME) is None
    assert [found["Name"] for found in boto3.client("s3").list_buckets()["Buckets"]] == [bucket]
    assert f"AWS::S3::Bucket: DataBucket ({bucket})" in before.partition("These stay")[2]
    assert "AWS::SQS::Queue: DeadLetterQueue" in before.partition("These stay")[0]
    assert bucket in after


def test_sam_is_told_the_stack_the_region_and_the_environment_and_asks_nothing(
    cloudformation: Any, bucket: str, sam: destroy.Run, commands: list[Sequence[str]]
) -> None:
    delete(cloudformation, sam)

    ((program, *options),) = commands
    assert program.endswith(".venv/bin/sam")
    assert options[:2] == ["delete", "--no-prompts"]
    assert options[2:] == ["--stack-name", NAME, "--region", REGION, "--config-env", "staging"]


@pytest.mark.parametrize("answer", ["", "y", "yes", "evergreen"])
def test_nothing_is_deleted_unless_the_name_is_typed(
    cloudformation: Any,
    bucket: str,
    sam: destroy.Run,
    commands: list[Sequence[str]],
    answer: str,
) -> None:
    with pytest.raises(DestroyError, match="Nothing was deleted"):
        delete(cloudformation, sam, typing(answer))

    assert commands == []


def test_where_nobody_can_be_asked_nothing_is_deleted(
    cloudformation: Any, bucket: str, sam: destroy.Run, commands: list[Sequence[str]]
) -> None:
    def absent(question: str) -> str:
        raise EOFError

    with pytest.raises(DestroyError, match="YES=1"):
        delete(cloudformation, sam, absent)

    assert commands == []


def test_the_image_repositories_of_the_stack_are_announced_too(
    cloudformation: Any, bucket: str, sam: destroy.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    companion = CompanionStack(NAME).stack_name
    cloudformation.create_stack(StackName=companion, TemplateBody=IMAGES)

    delete(cloudformation, sam)

    assert f"{companion}, with every image" in capsys.readouterr().out


def test_the_printed_command_deletes_a_bucket_with_all_versions_in_it(
    cloudformation: Any, bucket: str, sam: destroy.Run
) -> None:
    s3 = boto3.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"old", b"new"):
        s3.put_object(Bucket=bucket, Key="models/a", Body=body)
    s3.delete_object(Bucket=bucket, Key="models/a")
    delete(cloudformation, sam)

    program, option, code = shlex.split(destroy.empty_and_delete(bucket, REGION))
    emptying = code.replace("; b.delete()", "")
    exec(emptying, {})  # noqa: S102 - it is what we tell people to run
    left = s3.list_object_versions(Bucket=bucket)
    exec(code, {})  # noqa: S102

    assert (program, option) == (".venv/bin/python", "-c")
    assert not {"Versions", "DeleteMarkers"} & set(left)
    assert s3.list_buckets()["Buckets"] == []


# What cannot be deleted


def test_a_stack_that_does_not_exist_is_an_error_that_names_the_region(
    cloudformation: Any, sam: destroy.Run, commands: list[Sequence[str]]
) -> None:
    with pytest.raises(DestroyError, match=f"no stack {NAME} in {REGION}"):
        delete(cloudformation, sam)

    assert commands == []


def test_what_a_broken_deployment_left_is_named_with_how_to_delete_it(
    cloudformation: Any, sam: destroy.Run
) -> None:
    companion = CompanionStack(NAME).stack_name
    cloudformation.create_stack(StackName=companion, TemplateBody=IMAGES)

    with pytest.raises(DestroyError, match=f"make destroy STACK={companion}"):
        delete(cloudformation, sam)


@pytest.mark.parametrize(
    ("status", "protected", "told"),
    [
        ("CREATE_COMPLETE", True, "--no-enable-termination-protection"),
        ("UPDATE_IN_PROGRESS", False, "wait"),
        ("DELETE_IN_PROGRESS", False, "wait"),
    ],
)
def test_a_stack_that_may_not_go_now_is_left_alone(status: str, protected: bool, told: str) -> None:
    with pytest.raises(DestroyError, match=told):
        destroy.check_may_go(Stack(NAME, status, protected, ()))


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
def test_a_stack_at_rest_may_go(status: str) -> None:
    destroy.check_may_go(Stack(NAME, status, False, ()))


@pytest.mark.parametrize("code", [0, 1])
def test_a_stack_that_is_still_there_afterwards_is_an_error_whatever_sam_said(
    cloudformation: Any, bucket: str, code: int
) -> None:
    with pytest.raises(DestroyError, match=f"not gone; sam ended with {code}"):
        delete(cloudformation, lambda _: code)


def test_what_could_not_be_deleted_is_named_with_the_reason() -> None:
    left = Stack(
        NAME, "DELETE_FAILED", False, (Resource("Queue", "q", "AWS::SQS::Queue", False, "denied"),)
    )

    assert "Queue: denied" in destroy.unfinished(NAME, 1, left)


def test_a_failure_of_sam_is_told_though_the_stack_is_gone(
    cloudformation: Any, bucket: str, sam: destroy.Run
) -> None:
    with pytest.raises(DestroyError, match="sam ended with 1"):
        delete(cloudformation, lambda command: sam(command) or 1)


# What stays


def summary(logical: str, kind: str, status: str = "CREATE_COMPLETE") -> dict[str, str]:
    return {
        "LogicalResourceId": logical,
        "PhysicalResourceId": logical.lower(),
        "ResourceType": kind,
        "ResourceStatus": status,
        "ResourceStatusReason": "a reason",
    }


def deployed() -> Stack:
    template = translate()
    summaries = [summary(name, one["Type"]) for name, one in template["Resources"].items()]
    return Stack(NAME, "CREATE_COMPLETE", False, destroy.resources_of(summaries, template))


def test_of_our_template_only_the_two_buckets_stay() -> None:
    assert {one.logical for one in deployed().retained} == {"ArtifactBucket", "DataBucket"}


def test_that_the_buckets_lose_their_policies_is_said_before() -> None:
    assert "without TLS will no longer be refused" in destroy.plan(deployed(), None, REGION)


def test_the_versions_of_a_function_go_with_it_whatever_their_policy_says() -> None:
    template = {"Resources": {"Version": {"DeletionPolicy": "Retain"}}}

    (version,) = destroy.resources_of([summary("Version", "AWS::Lambda::Version")], template)

    assert not version.retained


@pytest.mark.parametrize(
    ("policy", "retained"),
    [({"DeletionPolicy": "RetainExceptOnCreate"}, True), ({"DeletionPolicy": "Delete"}, False)],
)
def test_the_policy_of_a_resource_says_whether_it_stays(
    policy: dict[str, str], retained: bool
) -> None:
    template = {"Resources": {"Key": policy}}

    (key,) = destroy.resources_of([summary("Key", "AWS::KMS::Key")], template)

    assert key.retained == retained


def test_what_is_retained_and_no_bucket_is_named_too() -> None:
    key = Resource("Key", "a-key", "AWS::KMS::Key", True)

    said = destroy.farewell(Stack(NAME, "CREATE_COMPLETE", False, (key,)), REGION)

    assert "AWS::KMS::Key a-key stays too" in said


def test_what_is_deleted_already_is_not_counted() -> None:
    summaries = [summary("Queue", "AWS::SQS::Queue", "DELETE_COMPLETE")]

    assert destroy.resources_of(summaries, {}) == ()


# Which stack


def test_every_environment_of_ours_names_a_stack() -> None:
    text = (ROOT / "samconfig.toml").read_text()

    names = [
        destroy.stack_name_of(name, destroy.environment_of(name, text))
        for name in ("default", "staging", "prod")
    ]

    assert names == ["evergreen", "evergreen-staging", "evergreen-prod"]


def test_what_deploy_says_stands_over_what_all_commands_share() -> None:
    text = """
    [one.global.parameters]
    region = "eu-west-1"
    stack_name = "a"
    [one.deploy.parameters]
    stack_name = "b"
    """

    assert destroy.environment_of("one", text) == {"region": "eu-west-1", "stack_name": "b"}


def test_an_unknown_environment_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(DestroyError, match="default, staging, prod"):
        destroy.environment_of("production", (ROOT / "samconfig.toml").read_text())


def test_an_environment_without_a_stack_asks_for_one() -> None:
    with pytest.raises(DestroyError, match="STACK=name"):
        destroy.stack_name_of("one", {})


def test_a_samconfig_that_is_no_toml_is_an_error() -> None:
    with pytest.raises(DestroyError, match="cannot be read"):
        destroy.environment_of("default", "[")
