import builtins
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace as Fake
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from samcli.lib.bootstrap.companion_stack.data_types import CompanionStack

from local import destroy
from local.cloud.resources import CREDENTIALS
from local.destroy import StackError
from local.template import translate

pytestmark = pytest.mark.slow

NAME = "evergreen-staging"
COMPANION = CompanionStack(NAME).stack_name
REGION = CREDENTIALS["AWS_DEFAULT_REGION"]
QUEUE = {"Type": "AWS::SQS::Queue"}
BUCKET = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"}


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Play AWS, without a stack."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield boto3.client("cloudformation")


@pytest.fixture
def bucket(cloudformation: Any) -> str:
    """Create the stack and return the name of its bucket."""
    create(cloudformation, NAME, Queue=QUEUE, Bucket=BUCKET)
    return str(boto3.client("s3").list_buckets()["Buckets"][0]["Name"])


@pytest.fixture
def commands(cloudformation: Any, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Let sam delete only the stack that it is told to, and return what was run."""
    seen = []

    def run(command: Sequence[str], **_: Any) -> Any:
        seen.append(command)
        cloudformation.delete_stack(StackName=command[command.index("--stack-name") + 1])
        return Fake(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def create(cloudformation: Any, name: str, **resources: Any) -> None:
    cloudformation.create_stack(
        StackName=name, TemplateBody=yaml.safe_dump({"Resources": resources})
    )


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["destroy", "--config-env", "staging", *arguments])
    destroy.main()


# Deleting


def test_the_stack_of_the_environment_goes_and_the_bucket_stays_and_is_named(
    bucket: str,
    commands: list[Sequence[str]],
    cloudformation: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(builtins, "input", lambda _: f"{NAME} ")

    run(monkeypatch)

    ((program, *options),) = commands
    before, _, after = capsys.readouterr().out.partition("is deleted.")
    assert destroy.status_of(cloudformation, NAME) is None
    assert program.endswith(".venv/bin/sam")
    assert options[:2] == ["delete", "--no-prompts"]
    assert options[2:] == ["--stack-name", NAME, "--region", REGION, "--config-env", "staging"]
    assert "1 AWS::SQS::Queue" in before.partition("These stay")[0]
    assert bucket in before.partition("These stay")[2]
    assert "TLS-only policies go" in before
    assert destroy.empty_and_delete(bucket, REGION) in after


@pytest.mark.parametrize("answer", ["", "y", "yes", "evergreen", None])
def test_nothing_is_deleted_unless_somebody_types_the_name(
    bucket: str, commands: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    def ask(_: str) -> str:
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr(builtins, "input", ask)

    with pytest.raises(SystemExit, match="Nothing was deleted"):
        run(monkeypatch)

    assert commands == []


def test_the_printed_command_deletes_a_bucket_with_all_versions_in_it(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = boto3.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"old", b"new"):
        s3.put_object(Bucket=bucket, Key="models/a", Body=body)
    s3.delete_object(Bucket=bucket, Key="models/a")

    program, option, code = shlex.split(destroy.empty_and_delete(bucket, REGION))
    exec(code.replace("; b.delete()", ""), {})  # noqa: S102 - it is what we tell people to run
    left = s3.list_object_versions(Bucket=bucket)
    exec(code, {})  # noqa: S102 - as above

    assert (program, option) == (".venv/bin/python", "-c")
    assert not {"Versions", "DeleteMarkers"} & set(left)
    assert s3.list_buckets()["Buckets"] == []


# What cannot be deleted, or is left


def test_a_stack_that_does_not_exist_is_an_error_that_names_what_a_broken_deployment_left(
    commands: list[Sequence[str]], cloudformation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match=f"no stack {NAME} in {REGION}$"):
        run(monkeypatch, "--yes")
    create(cloudformation, COMPANION, Queue=QUEUE)
    with pytest.raises(SystemExit, match=f"make destroy STACK={COMPANION}$"):
        run(monkeypatch, "--yes")
    assert commands == []

    run(monkeypatch, "--yes", "--stack", COMPANION)

    assert destroy.status_of(cloudformation, COMPANION) is None


@pytest.mark.parametrize(
    ("status", "told", "tried"),
    [("UPDATE_IN_PROGRESS", "wait", 0), ("REVIEW_IN_PROGRESS", "sam delete ended", 1)],
)
def test_a_stack_that_is_being_changed_is_left_alone_and_one_never_made_is_not(
    bucket: str,
    commands: list[Sequence[str]],
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    told: str,
    tried: int,
) -> None:
    monkeypatch.setattr(destroy, "status_of", lambda *_: status)

    with pytest.raises(SystemExit, match=told):
        run(monkeypatch, "--yes")

    assert len(commands) == tried


@pytest.mark.parametrize(("code", "left"), [(0, NAME), (1, NAME), (1, "no stack"), (0, COMPANION)])
def test_a_failure_of_sam_or_a_stack_that_is_still_there_is_an_error(
    bucket: str,
    cloudformation: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
    left: str,
) -> None:
    def sam(*_: Any, **__: Any) -> Any:
        if left != NAME:
            cloudformation.delete_stack(StackName=NAME)
        return Fake(returncode=code)

    monkeypatch.setattr(subprocess, "run", sam)
    if left == COMPANION:
        create(cloudformation, COMPANION, Queue=QUEUE)

    with pytest.raises(SystemExit, match=f"ended with {code}, and left {left}\\."):
        run(monkeypatch, "--yes")

    assert (f"{bucket} stays" in capsys.readouterr().out) == (left != NAME)


@pytest.mark.parametrize("name", ["production", "version"])
def test_an_environment_that_samconfig_does_not_have_is_an_error(name: str) -> None:
    with pytest.raises(StackError, match=f"no environment '{name}'"):
        destroy.parameters_of(name)


def test_what_deploy_says_stands_over_what_all_commands_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destroy, "ROOT", tmp_path)
    text = "[one.global.parameters]\nregion = 'a'\n[one.deploy.parameters]\nregion = 'b'\n"
    (tmp_path / "samconfig.toml").write_text(text)

    assert destroy.parameters_of("one") == {"region": "b"}


# What stays


def test_of_our_template_what_holds_data_or_proves_it_stays() -> None:
    template = translate()
    keys = ("LogicalResourceId", "PhysicalResourceId", "ResourceType", "ResourceStatus")
    summaries = [
        dict(zip(keys, (name, name, resource["Type"], "CREATE_COMPLETE"), strict=True))
        for name, resource in template["Resources"].items()
    ]
    gone = dict(
        zip(keys, ("DataBucket", "gone", "AWS::S3::Bucket", "DELETE_COMPLETE"), strict=True)
    )
    pages = Fake(build_full_result=lambda: {"StackResourceSummaries": [*summaries, gone]})
    cloudformation = Fake(
        get_template=lambda **_: {"TemplateBody": template},
        get_paginator=lambda _: Fake(paginate=lambda **_: pages),
    )

    found = destroy.resources_of(cloudformation, NAME)

    assert len(found) == len(summaries)
    assert {one.name for one in found if one.retained} == {
        "ArtifactBucket", "DataBucket", "DeadLetterQueue", "ManifestKey",
    }  # fmt: skip


def test_what_is_retained_and_no_bucket_or_key_is_named_without_a_command() -> None:
    said = destroy.farewell(NAME, REGION, [destroy.Resource("AWS::SQS::Queue", "a-queue", True)])

    assert said.endswith("AWS::SQS::Queue a-queue stays.")


def test_the_printed_command_deletes_a_key_after_a_week(cloudformation: Any) -> None:
    kms = boto3.client("kms")
    key = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
    command = destroy.schedule_deletion(key, REGION)

    said = destroy.farewell(NAME, REGION, [destroy.Resource("AWS::KMS::Key", key, True)])
    exec(shlex.split(command)[2], {})  # noqa: S102 - it is what we tell people to run

    assert command in said
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
