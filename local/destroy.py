"""Delete a stack, and say what stays: what the template retains, and how to end that too.

sam deletes the stack, the image repositories that it made for it and what it uploaded for it; the
rest of this file asks before and looks after.
"""

import argparse
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from samcli.lib.bootstrap.companion_stack.data_types import CompanionStack
from samcli.yamlhelper import yaml_parse

from local.template import ROOT

SAMCONFIG = ROOT / "samconfig.toml"
SAM = Path(sys.executable).parent / "sam"
RETAINED = {"Retain", "RetainExceptOnCreate"}
BUCKET, BUCKET_POLICY = "AWS::S3::Bucket", "AWS::S3::BucketPolicy"
# SAM has them retained, for aliases; with the function they are deleted all the same.
GO_WITH_THEIR_OWNER = {"AWS::Lambda::Version"}

Run = Callable[[Sequence[str]], int]
Prompt = Callable[[str], str]


class DestroyError(Exception):
    """Nothing can be deleted, or something is left, and the message says what to do."""


def main() -> None:
    """Ask, delete, and say what stays."""
    parser = argparse.ArgumentParser(prog="make destroy", description=__doc__)
    parser.add_argument("--config-env", default="default", help="of samconfig.toml")
    parser.add_argument("--stack", help="another stack than that of the environment")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    arguments = parser.parse_args()
    try:
        environment = environment_of(arguments.config_env, SAMCONFIG.read_text())
        session = boto3.session.Session(
            profile_name=environment.get("profile"), region_name=environment.get("region")
        )
        destroy(
            session.client("cloudformation"),
            arguments.stack or stack_name_of(arguments.config_env, environment),
            arguments.config_env,
            run=lambda command: subprocess.run(command, check=False).returncode,
            prompt=None if arguments.yes else input,
        )
    except DestroyError as error:
        sys.exit(str(error))
    except (ClientError, BotoCoreError) as error:
        sys.exit(
            f"{error}\nAWS_PROFILE, or credentials and AWS_DEFAULT_REGION, must be the stack's."
        )


def environment_of(name: str, samconfig: str) -> dict[str, Any]:
    """Return what samconfig.toml says of an environment, to all commands and to `sam deploy`.

    Raises DestroyError for one that it does not have.
    """
    try:
        config = tomllib.loads(samconfig)
    except tomllib.TOMLDecodeError as error:
        raise DestroyError(f"samconfig.toml cannot be read: {error}") from error
    environments = {key: value for key, value in config.items() if isinstance(value, dict)}
    if name not in environments:
        raise DestroyError(
            f"samconfig.toml has no environment {name!r}: CONFIG_ENV is one of "
            + ", ".join(environments)
        )
    merged: dict[str, Any] = {}
    for command in ("global", "deploy"):
        merged |= environments[name].get(command, {}).get("parameters", {})
    return merged


def stack_name_of(config_env: str, environment: Mapping[str, Any]) -> str:
    """Return the name of an environment's stack."""
    if "stack_name" not in environment:
        raise DestroyError(f"samconfig.toml names no stack for {config_env}: STACK=name")
    return str(environment["stack_name"])


# What there is


@dataclass(frozen=True)
class Resource:
    """A resource of a stack."""

    logical: str
    physical: str
    kind: str
    retained: bool
    failure: str | None = None


@dataclass(frozen=True)
class Stack:
    """A stack that exists."""

    name: str
    status: str
    protected: bool
    resources: tuple[Resource, ...]

    @property
    def retained(self) -> list[Resource]:
        """Return what stays when the stack is deleted."""
        return [resource for resource in self.resources if resource.retained]

    @property
    def buckets(self) -> list[str]:
        """Return the names of the buckets that stay."""
        return [resource.physical for resource in self.retained if resource.kind == BUCKET]


def stack_of(cloudformation: Any, name: str) -> Stack | None:
    """Return a stack as it is, or None if there is no such stack."""
    try:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if f"Stack with id {name} does not exist" in str(error):
            return None
        raise
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    summaries = [summary for page in pages for summary in page["StackResourceSummaries"]]
    body = cloudformation.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
    template = body if isinstance(body, dict) else yaml_parse(body)
    return Stack(
        name,
        found["StackStatus"],
        found.get("EnableTerminationProtection", False),
        resources_of(summaries, template),
    )


def resources_of(
    summaries: Iterable[Mapping[str, Any]], template: Mapping[str, Any]
) -> tuple[Resource, ...]:
    """Return the resources that a stack has, with what its template says of their deletion."""
    declared = template.get("Resources", {})
    return tuple(
        Resource(
            summary["LogicalResourceId"],
            summary["PhysicalResourceId"],
            summary["ResourceType"],
            summary["ResourceType"] not in GO_WITH_THEIR_OWNER
            and declared.get(summary["LogicalResourceId"], {}).get("DeletionPolicy") in RETAINED,
            summary.get("ResourceStatusReason")
            if summary["ResourceStatus"] == "DELETE_FAILED"
            else None,
        )
        for summary in summaries
        if summary.get("PhysicalResourceId") and summary["ResourceStatus"] != "DELETE_COMPLETE"
    )


# What is done


def destroy(
    cloudformation: Any, name: str, config_env: str, *, run: Run, prompt: Prompt | None
) -> None:
    """Show what would go and what would stay, ask, delete, and show what stayed.

    run: runs a command and returns its exit code. prompt: asks a person; None for nobody to ask.
    Raises DestroyError if there is no such stack, it may not be deleted, or it is not gone after.
    """
    region = cloudformation.meta.region_name
    companion = CompanionStack(name).stack_name
    stack = stack_of(cloudformation, name)
    images = stack_of(cloudformation, companion)
    if stack is None:
        raise DestroyError(absent(name, region, companion if images else None))
    check_may_go(stack)
    print(plan(stack, images, region), flush=True)
    if prompt is not None:
        confirm(name, prompt)
    options = ["--stack-name", name, "--region", region, "--config-env", config_env]
    code = run([str(SAM), "delete", "--no-prompts", *options])
    left = stack_of(cloudformation, name)
    if code or left:
        raise DestroyError(unfinished(name, code, left))
    print(farewell(stack, region))


def check_may_go(stack: Stack) -> None:
    """Raise DestroyError if CloudFormation would refuse to delete a stack."""
    if stack.protected:
        raise DestroyError(
            f"{stack.name} is protected from deletion; to lift that:\n"
            "aws cloudformation update-termination-protection "
            f"--no-enable-termination-protection --stack-name {stack.name}"
        )
    if stack.status.endswith("_IN_PROGRESS") and stack.status != "REVIEW_IN_PROGRESS":
        raise DestroyError(f"{stack.name} is {stack.status}: wait until that has ended")


def confirm(name: str, prompt: Prompt) -> None:
    """Raise DestroyError unless a person types the stack's name."""
    try:
        typed = prompt(f"Type {name} to delete it: ")
    except EOFError:
        raise DestroyError(
            "Nothing was deleted: nobody is here to be asked, and YES=1 skips the question."
        ) from None
    if typed.strip() != name:
        raise DestroyError(f"Nothing was deleted: {typed.strip()!r} is not {name!r}.")


# What is said


def plan(stack: Stack, images: Stack | None, region: str) -> str:
    """Return what will be deleted and what will stay."""
    lines = [f"The stack {stack.name} in {region} will be deleted, with", ""]
    lines += _by_kind(resource for resource in stack.resources if not resource.retained)
    if images:
        lines += [
            "",
            f"and {images.name}, with every image in its repositories:",
            "",
            *_by_kind(images.resources),
        ]
    lines += ["", "and what sam uploaded for it. These stay, because the template retains them:"]
    lines += ["", *(_by_kind(stack.retained) or ["  nothing"])]
    if notes := _notes(stack):
        lines += ["", *notes]
    return "\n".join(lines) + "\n"


def _by_kind(resources: Iterable[Resource]) -> list[str]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for resource in resources:
        name = f"{resource.logical} ({resource.physical})" if resource.retained else None
        kinds[resource.kind].append(name or resource.logical)
    return [f"  {kind}: {', '.join(sorted(kinds[kind]))}" for kind in sorted(kinds)]


def _notes(stack: Stack) -> list[str]:
    policies = [one for one in stack.resources if one.kind == BUCKET_POLICY and not one.retained]
    if not stack.buckets or not policies:
        return []
    return [
        "Their bucket policies go with the stack: requests without TLS will no longer be refused.",
        "They stay encrypted, versioned and closed to the public, and their lifecycle rules go on.",
    ]


def farewell(stack: Stack, region: str) -> str:
    """Return what is left, and the commands that end that for good."""
    lines = [f"\n{stack.name} is deleted."]
    if stack.buckets:
        lines += ["These buckets stay, with all their versions:", ""]
        lines += [f"  {name}" for name in stack.buckets]
        lines += ["", "What deletes them and all that is in them, for good:", ""]
        lines += [empty_and_delete(name, region) for name in stack.buckets]
        lines += [""]
    lines += [
        f"{one.kind} {one.physical} stays too: delete it by hand."
        for one in stack.retained
        if one.kind != BUCKET
    ]
    lines += [
        "sam's own bucket (stack aws-sam-cli-managed-default) serves all stacks of the region and "
        "stays, with old versions of what it held for this one.",
        "CloudWatch's metrics and X-Ray's traces cannot be deleted; AWS lets them expire.",
    ]
    return "\n".join(lines)


def empty_and_delete(bucket: str, region: str) -> str:
    """Return a command that deletes every version in a bucket, and then the bucket."""
    return (
        f'.venv/bin/python -c \'import boto3; b = boto3.resource("s3", "{region}")'
        f'.Bucket("{bucket}"); b.object_versions.delete(); b.delete()\''
    )


def absent(name: str, region: str, companion: str | None) -> str:
    """Return what to do where there is no such stack."""
    if companion:
        return (
            f"There is no stack {name} in {region}, but a deployment that broke off left its image "
            f"repositories: make destroy STACK={companion}"
        )
    return (
        f"There is no stack {name} in {region}: STACK=name or CONFIG_ENV=staging for another one, "
        "AWS_DEFAULT_REGION or AWS_PROFILE for another region or account."
    )


def unfinished(name: str, code: int, left: Stack | None) -> str:
    """Return what is left of a stack that is not gone."""
    if left is None:
        return (
            f"The stack {name} is deleted, but sam ended with {code}: its messages above say what "
            "it could not delete."
        )
    failed = [f"  {one.logical}: {one.failure}" for one in left.resources if one.failure]
    return "\n".join(
        [
            f"{name} is {left.status} and not gone; sam ended with {code}.",
            *failed,
            "Mend that, and run this again.",
        ]
    )


if __name__ == "__main__":
    main()
