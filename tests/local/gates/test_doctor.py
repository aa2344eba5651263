"""What `make doctor` says of an account, before anything is deployed to it."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from samcli.lib.bootstrap.companion_stack.data_types import CompanionStack

from local import template
from local.gates import doctor
from local.gates.doctor import ADVICE, MISSING, OK, ROLE, UNKNOWN, Found
from local.template import REGION
from tests.local.test_destroy import QUEUE, create

STACK = "evergreen"
VALUES = doctor.deployed_with("default")
EMPTY: dict[str, Any] = {"Resources": {"Queue": QUEUE}}


@pytest.fixture
def cloudformation() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("cloudformation", region_name=REGION)


class Iam:
    """IAM as far as it is asked, with an identity that may do all but some actions."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.asked = refused, dict[str, list[str]]()

    def get_role(self, RoleName: str) -> dict[str, Any]:  # noqa: N803 - as boto3's
        return {"Role": {"Arn": f"arn:aws:iam::1:role/path/{RoleName}"}}

    def get_paginator(self, _: str) -> "Iam":
        return self

    def paginate(self, **asked: Any) -> "Iam":
        self.asked[asked["ResourceArns"][0]] = self.latest = asked["ActionNames"]
        self.who = asked["PolicySourceArn"]
        return self

    def build_full_result(self) -> dict[str, Any]:
        return {
            "EvaluationResults": [
                {
                    "EvalActionName": one,
                    "EvalDecision": "implicitDeny" if one in self.refused else "allowed",
                }
                for one in self.latest
            ]
        }


class Sts:
    meta = type("", (), {"region_name": REGION})

    def __init__(self, arn: str) -> None:
        self.arn = arn

    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": self.arn, "Account": "1"}


class Settings:
    def __init__(self, free: int) -> None:
        self.free = free

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": {"UnreservedConcurrentExecutions": self.free}}


@pytest.mark.parametrize(
    ("free", "verdict"), [(9, MISSING), (10, ADVICE), (105, ADVICE), (106, OK), (1000, OK)]
)
def test_work_of_the_clock_must_leave_executions_to_requests(free: int, verdict: str) -> None:
    found = doctor.concurrency(Settings(free), VALUES)

    assert found.verdict == verdict
    assert bool(found.way_out) == (verdict != OK)


def test_a_role_is_asked_about_all_that_a_deployment_does_to_the_stack_s_own() -> None:
    iam = Iam("logs:CreateLogDelivery", "iam:PassRole")

    found = doctor.permissions(Sts("arn:aws:sts::1:assumed-role/deployer/me"), iam, STACK)

    assert found.verdict == MISSING
    assert "may not iam:PassRole, logs:CreateLogDelivery" in found.text
    assert str(ROLE.name) in found.way_out
    assert iam.who == "arn:aws:iam::1:role/path/deployer"
    assert "arn:aws:iam::1:role/evergreen-doctor" in iam.asked


def test_who_may_do_everything_misses_nothing() -> None:
    assert doctor.permissions(Sts("arn:aws:iam::1:user/ada"), Iam(), STACK).verdict == OK
    assert doctor.permissions(Sts("arn:aws:iam::1:root"), Iam(), STACK).verdict == ADVICE


def test_a_stack_that_cannot_be_updated_is_in_the_way(
    cloudformation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor.leftovers(cloudformation, STACK) == Found(
        OK, f"the stack {STACK} is not there yet"
    )
    create(cloudformation, STACK, Queue=QUEUE)
    assert doctor.leftovers(cloudformation, STACK).verdict == OK

    monkeypatch.setattr(doctor, "status_of", lambda *_: "ROLLBACK_COMPLETE")

    found = doctor.leftovers(cloudformation, STACK)
    assert (found.verdict, found.way_out) == (MISSING, f"make destroy STACK={STACK}")


def test_image_repositories_alone_are_named(cloudformation: Any) -> None:
    companion = CompanionStack(STACK).stack_name
    create(cloudformation, companion, Queue=QUEUE)

    found = doctor.leftovers(cloudformation, STACK)

    assert (found.verdict, found.way_out) == (ADVICE, f"make destroy STACK={companion}")


def test_what_aws_does_not_say_stops_nothing() -> None:
    def denied(_: str) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Any")

    found = list(doctor.examined(denied, STACK, VALUES))

    assert {one.verdict for one in found} == {UNKNOWN}


@pytest.mark.parametrize(
    "asked",
    [{"TrainMemory": "4096"}, {"SnapStart": "PublishedVersions"}, {"Architecture": "arm64"}],
)
def test_what_is_not_offered_everywhere_is_named_where_it_is_asked_for(
    asked: dict[str, str],
) -> None:
    (found,) = doctor.choices(VALUES | asked)

    assert found.verdict == ADVICE
    assert found.way_out
    assert not list(doctor.choices(VALUES))


def test_the_role_may_do_something_with_each_kind_of_resource_and_deliver_logs() -> None:
    allowed = {a for one in json.loads(ROLE.read_text())["Statement"] for a in one["Action"]}
    services = {action.partition(":")[0] for action in allowed}
    named = {"kinesisfirehose": "firehose", "apigatewayv2": "apigateway", "stepfunctions": "states"}
    resources = template.translate()["Resources"].values()
    kinds = {one["Type"].split("::")[1].lower() for one in resources}

    assert {named.get(kind, kind) for kind in kinds} <= services
    assert {
        "logs:CreateLogDelivery", "logs:PutResourcePolicy", "logs:UpdateLogDelivery",
        "logs:DeleteLogDelivery", "logs:DescribeResourcePolicies", "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
    } <= allowed  # fmt: skip
