"""Ask an account whether a stack can be deployed there, before anything is changed.

Each line says what was found, and a line that is not ok says how to get what is missing. What the
account does not tell to who asks is unknown, which stops nothing.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from samcli.lib.bootstrap.companion_stack.data_types import CompanionStack

from local import command_line
from local.destroy import StackError, parameters_of, stack_of, status_of
from local.template import ROOT, translate

ROLE = ROOT / "local" / "deploying-role.json"
FOR_REQUESTS = 4  # executions, beside the most that work of the clock takes
FOR_CALLERS = 100  # below it the first busy hour is refused
NEW_ACCOUNT_MB = 3008  # of memory, which AWS allows to a new account; it lists that quota nowhere
OK, ADVICE, MISSING, UNKNOWN = "ok", "advice", "missing", "unknown"
STUCK = ("ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS", "CREATE_FAILED", "DELETE_FAILED")


@dataclass(frozen=True)
class Found:
    """What was found; way_out: how to get what is missing."""

    verdict: str
    text: str
    way_out: str = ""


def main() -> None:
    """Ask, and end with 1 if something is missing."""
    parser = command_line.parser("local.gates.doctor", __doc__, "make doctor CONFIG_ENV=staging")
    parser.add_argument("--config-env", default="default", help="environment of samconfig.toml")
    parser.add_argument("--stack", help="name of another stack")
    arguments = parser.parse_args()
    try:
        session, name = stack_of(arguments)
        values = deployed_with(arguments.config_env)
        client: Any = session.client  # of any service
        found = list(examined(client, name, values))
    except StackError as error:
        sys.exit(str(error))
    except BotoCoreError as error:  # no region, no credentials, no answer
        sys.exit(f"AWS cannot be asked ({error}): set AWS_PROFILE, or AWS_REGION and credentials")
    for one in found:
        print(f"{one.verdict:<8} {one.text}" + (f"\n{'':8} → {one.way_out}" if one.way_out else ""))
    sys.exit(1 if any(one.verdict == MISSING for one in found) else 0)


def deployed_with(config_env: str) -> dict[str, str]:
    """Return the parameters with which an environment is deployed, the template's defaults too."""
    values = {name: str(one.get("Default")) for name, one in translate()["Parameters"].items()}
    for override in parameters_of(config_env).get("parameter_overrides", ()):
        name, _, value = override.partition("=")
        values[name] = value.strip('"')
    return values


def examined(client: Callable[[str], Any], stack: str, values: dict[str, str]) -> Iterator[Found]:
    """Yield what each examination finds; what AWS refuses to tell is unknown."""
    looks: list[Callable[[], Found]] = [
        lambda: identity(client("sts")),
        lambda: concurrency(client("lambda"), values),
        lambda: permissions(client("sts"), client("iam"), stack),
        lambda: leftovers(client("cloudformation"), stack),
    ]
    for look in looks:
        try:
            yield look()
        except ClientError as error:
            yield Found(UNKNOWN, f"AWS does not say: {error}")
    yield from choices(values)


def identity(sts: Any) -> Found:
    """Return who deploys, and where to."""
    who = sts.get_caller_identity()
    return Found(OK, f"{who['Arn']} deploys to {sts.meta.region_name} of {who['Account']}")


def concurrency(lambda_: Any, values: dict[str, str]) -> Found:
    """Return whether enough functions may run at the same time, of those that nobody reserved."""
    free = lambda_.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    work = sum(int(values[f"{kind}Concurrency"]) for kind in ("Train", "Check", "Rollout"))
    text = f"{free} executions at the same time; checks, trainings and ticks take {work} at most"
    quota = "Service Quotas, AWS Lambda, Concurrent executions: ask for 1,000, which is free"
    if free < work + FOR_REQUESTS:
        return Found(MISSING, text, f"{quota}, or lower TrainConcurrency and its like")
    if free < work + FOR_CALLERS:
        return Found(ADVICE, text, f"enough to begin; before callers come: {quota}")
    return Found(OK, text)


def permissions(sts: Any, iam: Any, stack: str) -> Found:
    """Return whether IAM would let this identity do what a deployment does, to what it does it."""
    who = sts.get_caller_identity()
    if (arn := who["Arn"]).endswith(":root"):
        return Found(ADVICE, "the account's root may do everything", "deploy with a role instead")
    if ":assumed-role/" in arn:
        arn = iam.get_role(RoleName=arn.split("/")[1])["Role"]["Arn"]
    names = {"REGION": sts.meta.region_name, "ACCOUNT": who["Account"], "STACK": stack}
    found = []
    for statement in json.loads(ROLE.read_text())["Statement"]:
        asked = {"PolicySourceArn": arn, "ActionNames": statement["Action"]}
        asked["ResourceArns"] = [example(statement["Resource"], names)]
        pages = iam.get_paginator("simulate_principal_policy").paginate(**asked)
        found += pages.build_full_result()["EvaluationResults"]
    if refused := [one["EvalActionName"] for one in found if one["EvalDecision"] != "allowed"]:
        way_out = f"give it the policy in {ROLE.relative_to(ROOT)}, see docs/deploying.md"
        return Found(MISSING, f"{arn} may not {', '.join(refused)}", way_out)
    return Found(OK, f"{arn} may do the {len(found)} actions that a deployment takes")


def example(resource: str | list[str], names: dict[str, str]) -> str:
    """Return a resource of this stack that the first pattern of a statement is for."""
    pattern = resource if isinstance(resource, str) else resource[0]
    if pattern == "*":
        return pattern
    return re.sub("|".join(names), lambda found: names[found[0]], pattern).replace("*", "-doctor")


def leftovers(cloudformation: Any, stack: str) -> Found:
    """Return whether what an earlier deployment left is in the way."""
    status = status_of(cloudformation, stack)
    companion = CompanionStack(stack).stack_name
    if status in STUCK:
        text = f"the stack {stack} is {status}, and cannot be updated"
        return Found(MISSING, text, f"make destroy STACK={stack}")
    if status is None and status_of(cloudformation, companion):
        way_out = f"make destroy STACK={companion}"
        return Found(ADVICE, f"{companion} is left of an earlier deployment", way_out)
    return Found(OK, f"the stack {stack} is {status or 'not there yet'}")


def choices(values: dict[str, str]) -> Iterator[Found]:
    """Yield what AWS does not offer everywhere, where an environment asks for it."""
    if (memory := int(values["TrainMemory"])) > NEW_ACCOUNT_MB:
        way_out = f"AWS lists no such quota: ask its support, or take {NEW_ACCOUNT_MB}"
        said = f"TrainMemory is {memory} MB; a new account may be refused more than"
        yield Found(ADVICE, f"{said} {NEW_ACCOUNT_MB}", way_out)
    if values["SnapStart"] != "None":
        where = "the page of Lambda SnapStart lists the regions; each published version is billed"
        yield Found(ADVICE, "SnapStart for Python is not in every region", where)
    if values["Architecture"] == "arm64":
        doubt = "ONNX Runtime has ended at import there; deploy to staging and ask for a prediction"
        yield Found(ADVICE, "nobody has run this on Lambda's arm64", doubt)


if __name__ == "__main__":
    main()
