"""Each change for MiniStack is still needed: once its defect is mended, the change must go."""

import json
from typing import Any

from tests.deploy.changes import CHANGES
from tests.deploy.deployment import eventually
from tests.deploy.emulator import Emulator

ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "lambda.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
    },
}


def created(emulator: Emulator, name: str, resources: dict[str, Any], **numbers: str) -> str:
    """Create a small stack, with Number parameters, and return why it failed, or nothing."""
    client = emulator.client("cloudformation")
    declared = {each: {"Type": "Number"} for each in numbers}
    client.create_stack(
        StackName=name,
        TemplateBody=json.dumps({"Resources": resources, "Parameters": declared}),
        Parameters=[{"ParameterKey": each, "ParameterValue": is_} for each, is_ in numbers.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    try:
        client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    except Exception:
        events = client.describe_stack_events(StackName=name)["StackEvents"]
        return " ".join(one.get("ResourceStatusReason", "") for one in events)
    return ""


def physical(emulator: Emulator, stack: str, logical: str) -> str:
    found = emulator.client("cloudformation").describe_stack_resource(
        StackName=stack, LogicalResourceId=logical
    )
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


def test_each_change_has_a_test_here() -> None:
    tested = {name for name in globals() if name.startswith("test_still_")}

    assert tested == {f"test_still_{name.replace(' ', '_')}" for name in CHANGES}


def test_still_metric_math(emulator: Emulator) -> None:
    metric = {"Namespace": "N", "MetricName": "M"}
    stat = {"Metric": metric, "Stat": "Sum", "Period": 60}
    alarm = {
        "Metrics": [
            {"Id": "a", "Expression": "2 * b"},
            {"Id": "b", "ReturnData": False, "MetricStat": stat},
        ],
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }  # fmt: skip

    why = created(
        emulator, "math", {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm}}
    )

    assert "metric math" in why


def test_still_routes(emulator: Emulator) -> None:
    info = {"title": "t", "version": "1"}
    body = {"openapi": "3.0.1", "info": info, "paths": {"/a": {"get": {}}}}
    api = {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Body": body}}

    assert created(emulator, "body", {"Api": api}) == ""

    asked = emulator.client("apigatewayv2").get_routes(ApiId=physical(emulator, "body", "Api"))
    assert asked["Items"] == []


def test_still_images(emulator: Emulator) -> None:
    (found,) = emulator.client("ecr").get_authorization_token()["authorizationData"]

    assert found["proxyEndpoint"].endswith(".amazonaws.com")


def test_still_numbers(emulator: Emulator) -> None:
    function = {
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Code": {"ZipFile": "def handler(event, context): pass"},
    }
    reader = {
        "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
        "FunctionName": {"Ref": "Function"},
        "ScalingConfig": {"MaximumConcurrency": {"Ref": "Most"}},
    }

    created(
        emulator,
        "numbers",
        {
            "Role": ROLE,
            "Queue": {"Type": "AWS::SQS::Queue"},
            "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
            "Reader": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": reader},
        },
        Most="2",
    )

    try:
        assert eventually(lambda: "'>=' not supported" in emulator.log.read_text())
    finally:  # the fault keeps every queue from being read
        emulator.client("cloudformation").delete_stack(StackName="numbers")
