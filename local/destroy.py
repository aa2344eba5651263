"""Delete a stack, and say what stays: what the template retains, and how to end that too.

sam deletes the stack, the image repositories that it made for it and what it uploaded for it; this
file asks before, and looks after.
"""

import argparse
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from samcli.lib.bootstrap.companion_stack.data_types import CompanionStack
from samcli.yamlhelper import yaml_parse

from local import command_line
from local.template import ROOT

SAM = Path(sys.executable).parent / "sam"
RETAINED = {"Retain", "RetainExceptOnCreate"}
BUCKET = "AWS::S3::Bucket"
KEY = "AWS::KMS::Key"
VERSION = "AWS::Lambda::Version"  # SAM has it retained, for aliases; it goes with its function


class StackError(Exception):
    """Nothing can be deleted or sent, or something is left; the message says what to do."""


def main() -> None:
    """Ask, delete, and say what stays."""
    arguments = arguments_of("destroy", __doc__)
    try:
        session, name = stack_of(arguments)
        client = session.client("cloudformation")
        destroy(client, name, arguments.config_env, confirmed=arguments.yes)
    except (StackError, ClientError, BotoCoreError) as error:
        sys.exit(str(error))


def arguments_of(name: str, description: str | None) -> argparse.Namespace:
    """Read the options of a command that changes a stack."""
    parser = command_line.parser(f"local.{name}", description, f"make {name} CONFIG_ENV=staging")
    parser.add_argument("--config-env", default="default", help="environment of samconfig.toml")
    parser.add_argument("--stack", help="name of another stack")
    parser.add_argument("--yes", action="store_true", help="do not ask first")
    return parser.parse_args()


def stack_of(arguments: argparse.Namespace) -> tuple[boto3.Session, str]:
    """Return where the stack that was asked for is, and its name."""
    said = parameters_of(arguments.config_env)
    session = boto3.Session(profile_name=said.get("profile"), region_name=said.get("region"))
    return session, arguments.stack or said["stack_name"]


def parameters_of(config_env: str) -> dict[str, Any]:
    """Return what samconfig.toml says of an environment, to all commands and to `sam deploy`."""
    environment = tomllib.loads((ROOT / "samconfig.toml").read_text()).get(config_env)
    if not isinstance(environment, dict):
        raise StackError(f"samconfig.toml has no environment {config_env!r}: CONFIG_ENV=staging")
    shared, deploy = environment.get("global", {}), environment.get("deploy", {})
    return {**shared.get("parameters", {}), **deploy.get("parameters", {})}


@dataclass(frozen=True)
class Resource:
    """A resource of a stack, by the name that it has in AWS."""

    kind: str
    name: str
    retained: bool


def status_of(cloudformation: Any, name: str) -> str | None:
    """Return what a stack is, such as CREATE_COMPLETE, or None if there is no such stack."""
    try:
        return str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
    except ClientError as error:
        if f"Stack with id {name} does not exist" in str(error):
            return None
        raise


def resources_of(cloudformation: Any, name: str) -> list[Resource]:
    """Return what a stack has, with what its template says of the end of that."""
    body = cloudformation.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
    template = body if isinstance(body, dict) else yaml_parse(body) or {}
    declared = template.get("Resources", {})
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    found = []
    for one in pages.build_full_result()["StackResourceSummaries"]:
        kind, physical = one["ResourceType"], one.get("PhysicalResourceId")
        policy = declared.get(one["LogicalResourceId"], {}).get("DeletionPolicy")
        if physical and one["ResourceStatus"] != "DELETE_COMPLETE":
            found.append(Resource(kind, physical, policy in RETAINED and kind != VERSION))
    return found


def destroy(cloudformation: Any, name: str, config_env: str, *, confirmed: bool) -> None:
    """Show what would go and what would stay, ask, delete, and show what stayed.

    Raises StackError if there is no such stack, it may not be deleted, or it is not gone after.
    """
    region = cloudformation.meta.region_name
    companion = CompanionStack(name).stack_name  # of the image repositories
    if (status := status_of(cloudformation, name)) is None:
        left = f"; make destroy STACK={companion}" if status_of(cloudformation, companion) else ""
        raise StackError(f"There is no stack {name} in {region}{left}")
    if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
        raise StackError(f"{name} is {status}: wait until that has ended")
    resources = resources_of(cloudformation, name)
    print(plan(name, region, resources), flush=True)
    if not confirmed:
        confirm(name)
    options = ["--stack-name", name, "--region", region, "--config-env", config_env]
    code = subprocess.run([str(SAM), "delete", "--no-prompts", *options], check=False).returncode
    remaining = [stack for stack in (name, companion) if status_of(cloudformation, stack)]
    if name not in remaining:
        print(farewell(name, region, resources))
    if code or remaining:
        raise StackError(
            f"sam delete ended with {code}, and left {', '.join(remaining) or 'no stack'}.\n"
            "Its messages, or the events of the stack, say why: mend that, and run this again."
        )


def confirm(name: str) -> None:
    """Raise StackError unless a person types the stack's name."""
    if (said := typed(f"Type {name} to delete it: ", "Nothing was deleted")) != name:
        raise StackError(f"Nothing was deleted: {said!r} is not {name!r}.")


def typed(question: str, otherwise: str) -> str:
    """Return what a person answers; StackError where nobody is there."""
    try:
        return input(question).strip()
    except EOFError:
        raise StackError(f"{otherwise}: nobody is here to ask (YES=1).") from None


def plan(name: str, region: str, resources: list[Resource]) -> str:
    """Return what will be deleted and what will stay."""
    going = Counter(one.kind for one in resources if not one.retained)
    lines = [f"The stack {name} in {region} will be deleted, with its images and uploads:\n"]
    lines += [f"  {count} {kind}" for kind, count in sorted(going.items())]
    lines += ["\nThese stay, because the template retains them:\n"]
    lines += [f"  {one.kind} {one.name}" for one in resources if one.retained]
    lines += ["\nTheir TLS-only policies go with the stack: requests without TLS will pass.\n"]
    return "\n".join(lines)


def farewell(name: str, region: str, resources: list[Resource]) -> str:
    """Return what is left, and the commands that end that for good."""
    lines = [f"\n{name} is deleted."]
    for one in resources:
        if one.retained:
            lines.append(f"\n{one.kind} {one.name} stays.")
        if one.retained and one.kind == BUCKET:
            lines += ["What deletes it and all versions of what is in it, for good:\n"]
            lines += [empty_and_delete(one.name, region)]
        if one.retained and one.kind == KEY:
            lines += ["It costs $1 a month; without it the stack's models cannot be loaded:\n"]
            lines += [schedule_deletion(one.name, region)]
    return "\n".join(lines)


def empty_and_delete(bucket: str, region: str) -> str:
    """Return a command that deletes every version in a bucket, and then the bucket."""
    said = f'b = boto3.resource("s3", "{region}").Bucket("{bucket}")'
    return f".venv/bin/python -c 'import boto3; {said}; b.object_versions.delete(); b.delete()'"


def schedule_deletion(key: str, region: str) -> str:
    """Return a command that deletes a key after seven days, the least that KMS takes."""
    said = f'schedule_key_deletion(KeyId="{key}", PendingWindowInDays=7)'
    return f""".venv/bin/python -c 'import boto3; boto3.client("kms", "{region}").{said}'"""


if __name__ == "__main__":
    main()
