"""The roles, permissions and policies of the template, as IAM would decide by them."""

import json
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from evergreen.aws.s3 import Store
from evergreen.registry.manifest import Manifest
from local.cloud.iam_actions import Need, needs
from local.cloud.permissions import (
    Grant,
    Role,
    allowing,
    check_refused,
    grants,
    listed,
    role_grants,
    roles,
)
from local.plane.plane import Plane
from local.template import Template, TemplateError, physical_name, queue_url
from tests.support import given
from tests.support.given import NAME

JSON = {"Content-Type": "application/json"}
ARTIFACTS, DATA = "arn:aws:s3:::evergreen-artifactbucket", "arn:aws:s3:::evergreen-databucket"
HERE = "eu-west-1:123456789012"
STREAM = f"arn:aws:firehose:{HERE}:deliverystream/evergreen"
DEAD_LETTERS = f"arn:aws:sqs:{HERE}:evergreen-deadletterqueue"
OUR_RULE = f"arn:aws:events:{HERE}:rule/evergreen-events/a-rule"
SERVED_BY_LAMBDA = {  # what SAM gives each function beside what the template says
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",  # its log
    "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",  # Tracing: Active
}


def policy(**statement: Any) -> dict[str, Any]:
    return {
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"} | statement]
    }


def is_allowed(action: str, resource: str, *policies: dict[str, Any], **context: str) -> bool:
    found = [grant for one in policies for grant in grants(one)]
    return allowing(found, Need(action, resource, context)) is not None


# The evaluator


@pytest.mark.parametrize(
    ("statement", "action", "resource", "allowed"),
    [
        ({}, "s3:GetObject", "arn:aws:s3:::b/k", True),
        ({}, "s3:PutObject", "arn:aws:s3:::b/k", False),
        ({"Action": "s3:Get*"}, "s3:GetObject", "arn:aws:s3:::b/k", True),
        ({"Action": "S3:getobject"}, "s3:GetObject", "arn:aws:s3:::b/k", True),
        ({"Action": ["s3:PutObject", "s3:GetObject"]}, "s3:GetObject", "arn:aws:s3:::b/k", True),
        ({"Action": "s3:GetObjec?"}, "s3:GetObject", "arn:aws:s3:::b/k", True),
        ({"Resource": "arn:aws:s3:::b/a/*"}, "s3:GetObject", "arn:aws:s3:::b/a/k", True),
        ({"Resource": "arn:aws:s3:::b/a/*"}, "s3:GetObject", "arn:aws:s3:::b/ab/k", False),
        ({"Resource": "arn:aws:s3:::b/a/*"}, "s3:GetObject", "arn:aws:s3:::b/A/k", False),
        (
            {"Resource": "arn:aws:s3:::b/*/m.json"},
            "s3:GetObject",
            "arn:aws:s3:::b/a/v/m.json",
            True,
        ),
        ({"Resource": "arn:aws:s3:::b/*/m.json"}, "s3:GetObject", "arn:aws:s3:::b/a/m.onnx", False),
        ({"Resource": "arn:aws:s3:::b.c/k"}, "s3:GetObject", "arn:aws:s3:::bxc/k", False),
        ({"Resource": "arn:aws:s3:::b"}, "s3:GetObject", "arn:aws:s3:::b/k", False),
        ({"Resource": "arn:*:k"}, "s3:GetObject", "arn:aws:s3:::k", False),
    ],
)
def test_a_statement_allows_the_actions_and_resources_that_it_names_and_no_other(
    statement: dict[str, Any], action: str, resource: str, allowed: bool
) -> None:
    assert is_allowed(action, resource, policy(**statement)) is allowed


def test_what_is_denied_anywhere_is_denied_and_nothing_is_allowed_by_itself() -> None:
    denied = policy(Effect="Deny", Resource="arn:aws:s3:::b/secret/*")

    assert is_allowed("s3:GetObject", "arn:aws:s3:::b/k", policy(), denied)
    assert not is_allowed("s3:GetObject", "arn:aws:s3:::b/secret/k", policy(), denied)
    assert not is_allowed("s3:GetObject", "arn:aws:s3:::b/k", denied)
    assert not is_allowed("s3:GetObject", "arn:aws:s3:::b/k")


@pytest.mark.parametrize(
    ("condition", "found", "allowed"),
    [
        ({"StringEquals": {"s3:prefix": "a/"}}, {"s3:prefix": "a/"}, True),
        ({"StringEquals": {"s3:prefix": "a/"}}, {"s3:prefix": "a/b"}, False),
        ({"StringLike": {"s3:prefix": ["x/*", "a/*"]}}, {"s3:prefix": "a/b"}, True),
        ({"StringLike": {"s3:prefix": "a/*"}}, {"s3:prefix": "b/a/"}, False),
        ({"StringLike": {"s3:prefix": "*"}}, {}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, {}, True),
        ({"Bool": {"aws:SecureTransport": True}}, {"aws:SecureTransport": "false"}, False),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:events:*:1:rule/*"}},
         {"aws:SourceArn": "arn:aws:events:eu:1:rule/bus/r"}, True),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:events:*:1:rule/*"}},
         {"aws:SourceArn": "arn:aws:events:eu:2:rule/r"}, False),
        ({"StringEquals": {"s3:prefix": "a/", "s3:delimiter": "/"}}, {"s3:prefix": "a/"}, False),
    ],
    ids=str,
)  # fmt: skip
def test_every_condition_must_be_met_and_is_not_by_a_key_that_a_request_lacks(
    condition: dict[str, Any], found: dict[str, str], allowed: bool
) -> None:
    assert is_allowed("s3:GetObject", "arn:aws:s3:::b", policy(Condition=condition), **found) is (
        allowed
    )


@pytest.mark.parametrize(
    "statement",
    [
        {"NotAction": "s3:*"},
        {"NotResource": "*"},
        {"NotPrincipal": "*"},
        {"Principal": "*"},
        {"Effect": "Maybe"},
        {"Resource": "arn:aws:s3:::b/${aws:username}/*"},
        {"Condition": {"StringNotEquals": {"s3:prefix": "a"}}},
        {"Condition": {"StringLikeIfExists": {"s3:prefix": "a"}}},
        {"Condition": {"ForAnyValue:StringEquals": {"s3:prefix": "a"}}},
        {"Condition": {"Null": {"s3:prefix": "true"}}},
        {"Condition": {"StringEquals": {"aws:PrincipalTag/team": "a"}}},
    ],
    ids=str,
)
def test_what_a_policy_says_that_is_not_understood_is_an_error(statement: dict[str, Any]) -> None:
    with pytest.raises(TemplateError):
        grants(policy(**statement))


def test_a_statement_without_a_resource_is_an_error() -> None:
    with pytest.raises(TemplateError, match="Resource"):
        grants({"Statement": {"Effect": "Allow", "Action": "s3:GetObject"}})


def test_a_role_with_a_boundary_is_an_error_as_that_would_have_to_be_evaluated(
    template: Template,
) -> None:
    role = template.resources["PredictFunctionRole"]
    bounded = role | {"Properties": role["Properties"] | {"PermissionsBoundary": "arn:aws:iam::x"}}

    with pytest.raises(TemplateError, match="PermissionsBoundary"):
        roles(replace(template, resources={"PredictFunctionRole": bounded}))


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("s3", "DeleteObject", {"Bucket": "b", "Key": "k"}),
        ("s3", "PutObject", {"Bucket": "b", "Key": "k", "Tagging": "a=b"}),
        ("s3", "PutObject", {"Bucket": "b", "Key": "k", "ACL": "public-read"}),
        ("s3", "GetObject", {"Bucket": "b", "Key": "k", "VersionId": "1"}),
        ("dynamodb", "GetItem", {}),
    ],
)
def test_a_call_whose_needs_are_not_known_is_an_error_and_never_allowed(
    service: str, operation: str, params: dict[str, Any]
) -> None:
    with pytest.raises(TemplateError, match="not known"):
        needs(service, operation, params)


def test_a_write_in_place_of_what_was_read_needs_to_read_too_and_a_listing_names_its_prefix() -> (
    None
):
    place = {"Bucket": "b", "Key": "k"}

    replaced = needs("s3", "PutObject", place | {"Body": b"", "IfMatch": "e"})
    created = needs("s3", "PutObject", place | {"Body": b"", "IfNoneMatch": "*"})
    (seen,) = needs("s3", "ListObjectsV2", {"Bucket": "b", "Prefix": "a/"})

    assert [need.action for need in replaced] == ["s3:PutObject", "s3:GetObject"]
    assert [need.action for need in created] == ["s3:PutObject"]
    assert (seen.resource, seen.context) == ("arn:aws:s3:::b", {"s3:prefix": "a/"})


# In the local stack


def without(template: Template, function: str, action: str, resource: str = "") -> Template:
    """Return a template whose role of a function lacks an action, on resources that end so."""
    name = f"{function}Role"
    found = json.loads(json.dumps(template.resources))
    before = json.dumps(found)
    for one in found[name]["Properties"]["Policies"]:
        statements = one["PolicyDocument"]["Statement"]
        for statement in statements:
            if action in listed(statement["Action"]):
                kept = [arn for arn in listed(statement["Resource"]) if not arn.endswith(resource)]
                statement["Resource"] = kept
    assert json.dumps(found) != before
    return replace(template, resources=found)


PREDICT = ("POST", f"/endpoints/{NAME}/predict", given.body(), JSON)
LABELS = {"labels": [{"id": given.prediction_id(1), "label": True}]}
FEEDBACK = ("POST", f"/endpoints/{NAME}/feedback", json.dumps(LABELS).encode(), JSON)


@pytest.mark.parametrize(
    ("function", "action", "resource", "request_"),
    [
        ("PredictFunction", "s3:GetObject", "/models/*", PREDICT),
        ("PredictFunction", "s3:GetObject", "/endpoints/*", PREDICT),
        ("PredictFunction", "kms:VerifyMac", "", PREDICT),
        ("FeedbackFunction", "s3:GetObject", "/manifest.json", FEEDBACK),
        ("FeedbackFunction", "firehose:PutRecordBatch", "", FEEDBACK),
        ("ControlFunction", "events:PutEvents", "",
         ("POST", f"/control/endpoints/{NAME}/retrain", b"{}", JSON)),
    ],
)  # fmt: skip
def test_a_function_whose_role_lacks_a_grant_is_refused_as_on_aws(
    champion: Manifest, template: Template, function: str, action: str, resource: str, request_: Any
) -> None:
    whole, lacking = Plane(template), Plane(without(template, function, action, resource))

    refused = lacking.request(*request_)
    answered = whole.request(*request_)

    assert (refused.status, answered.status // 100) == (503, 2)
    assert {need.action for need in lacking.roles[function].refused} == {action}


def test_what_a_function_goes_on_without_is_an_error_at_the_end(
    champion: Manifest, template: Template
) -> None:
    plane = Plane(without(template, "PredictFunction", "firehose:PutRecordBatch"))

    answer = plane.request(*PREDICT)

    assert answer.status == 200
    with pytest.raises(TemplateError, match="PredictFunction: firehose:PutRecordBatch on arn"):
        check_refused(plane.roles)


def test_who_may_not_list_a_bucket_is_not_told_that_an_object_is_not_there(
    plane: Plane, template: Template
) -> None:
    lacking = Plane(without(template, "FeedbackFunction", "s3:ListBucket"))

    assert lacking.request(*FEEDBACK).status == 503
    assert plane.request(*FEEDBACK).status == 202  # there is no champion yet: any label may come


def test_calls_that_are_not_a_functions_are_not_asked_about(artifacts: Store) -> None:
    client = boto3.client("s3")
    nobody = Role("Nobody", ())

    def write(**_: Any) -> None:
        boto3.client("sqs").list_queues()

    everything = replace(nobody, grants=(Grant("Allow", "s3:PutObject", "*"),))
    client.meta.events.register_first("before-send.s3.PutObject", write)
    with everything.assumed():
        client.put_object(Bucket=artifacts.bucket, Key="k", Body=b"")
    client.meta.events.unregister("before-send.s3.PutObject", write)
    with nobody.assumed(), pytest.raises(ClientError, match="AccessDenied"):
        client.put_object(Bucket=artifacts.bucket, Key="k", Body=b"")
    client.put_object(Bucket=artifacts.bucket, Key="k", Body=b"")


# What no function may do


NEVER = {
    "PredictFunction": [
        ("s3:PutObject", f"{ARTIFACTS}/models/a/v/model.onnx"),
        ("s3:PutObject", f"{ARTIFACTS}/endpoints/a.json"),
        ("s3:GetObject", f"{DATA}/captures/2013/x"),
        ("kms:GenerateMac", "key"),
        ("events:PutEvents", f"arn:aws:events:{HERE}:event-bus/evergreen-events"),
    ],
    "FeedbackFunction": [
        ("s3:GetObject", f"{ARTIFACTS}/models/a/v/model.onnx"),
        ("s3:GetObject", f"{ARTIFACTS}/models/a/v/model.joblib"),
        ("s3:PutObject", f"{ARTIFACTS}/endpoints/a.json"),
        ("firehose:PutRecordBatch", f"{STREAM}-capturestream"),
        ("kms:GenerateMac", "key"),
    ],
    "BatchFunction": [
        ("s3:PutObject", f"{ARTIFACTS}/models/a/v/model.onnx"),
        ("s3:PutObject", f"{ARTIFACTS}/endpoints/a.json"),
        ("s3:PutObject", f"{DATA}/batch/in/a/x.csv"),
        ("s3:PutObject", f"{DATA}/captures/2013/x"),
        ("s3:GetObject", f"{DATA}/training/a/x"),
        ("kms:GenerateMac", "key"),
    ],
    "CompactFunction": [
        ("s3:PutObject", f"{ARTIFACTS}/models/a/v/manifest.json"),
        ("s3:PutObject", f"{DATA}/captures/2013/x"),
        ("s3:PutObject", f"{DATA}/labels/2013/x"),
        ("s3:GetObject", f"{DATA}/training/a/x"),
        ("kms:GenerateMac", "key"),
    ],
    "CheckFunction": [
        ("s3:PutObject", f"{DATA}/rows/a/x"),
        ("s3:PutObject", f"{ARTIFACTS}/models/a/v/model.onnx"),
        ("s3:PutObject", f"{ARTIFACTS}/endpoints/a.json"),
        ("s3:PutObject", f"{DATA}/captures/2013/x"),
        ("s3:PutObject", f"{DATA}/evidence/a/x"),
        ("kms:GenerateMac", "key"),
    ],
    "TrainFunction": [
        ("s3:PutObject", f"{DATA}/captures/2013/x"),
        ("s3:PutObject", f"{DATA}/labels/2013/x"),
        ("s3:PutObject", f"{DATA}/training/a/x"),
        ("s3:PutObject", f"{DATA}/drift/a/x"),
        ("kms:VerifyMac", "key"),
    ],
    "RolloutFunction": [
        ("s3:PutObject", f"{ARTIFACTS}/models/a/v/model.onnx"),
        ("s3:PutObject", f"{DATA}/captures/2013/x"),
        ("s3:GetObject", f"{DATA}/training/a/x"),
        ("kms:VerifyMac", "key"),
    ],
    "ControlFunction": [
        ("s3:PutObject", f"{ARTIFACTS}/models/a/v/model.onnx"),
        ("s3:PutObject", f"{ARTIFACTS}/runs/a/x"),
        ("s3:PutObject", f"{DATA}/labels/2013/x"),
        ("s3:GetObject", f"{DATA}/training/a/x"),
        ("kms:VerifyMac", "key"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("function", "action", "resource"),
    [(function, *never) for function, all_ in NEVER.items() for never in all_],
)
def test_a_role_does_not_allow_what_its_function_has_no_business_with(
    template: Template, function: str, action: str, resource: str
) -> None:
    role = roles(template)[function]
    if resource == "key":
        resource = template.of_type("AWS::Lambda::Function")[function]["Environment"]["Variables"][
            "MANIFEST_KEY"
        ]

    assert allowing(role.grants, Need(action, resource)) is None


def test_every_function_has_a_list_of_what_it_may_never_do(template: Template) -> None:
    assert set(NEVER) == set(roles(template))


DESTRUCTIVE = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutBucketPolicy",
               "s3:PutBucketVersioning", "kms:ScheduleKeyDeletion", "iam:PassRole",
               "sts:AssumeRole", "lambda:UpdateFunctionCode")  # fmt: skip


@pytest.mark.parametrize("action", DESTRUCTIVE)
def test_no_role_deletes_anything_or_changes_the_stack(template: Template, action: str) -> None:
    all_ = [grant for found in role_grants(template).values() for grant in found]

    assert [
        grant for grant in all_ if replace(grant, resource="*").matches(Need(action, "a"))
    ] == []
    assert not [grant for grant in all_ if "*" in grant.action or grant.resource == "*"]


# Roles of services, and who may invoke a function


def service_of(role: dict[str, Any]) -> str:
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    (service,) = listed(statement["Principal"]["Service"])
    assert listed(statement["Action"]) == ["sts:AssumeRole"]
    assert set(statement["Principal"]) == {"Service"}
    return str(service)


def test_a_role_is_for_one_service_and_has_no_policy_of_aws_but_for_log_and_traces(
    template: Template,
) -> None:
    found = template.of_type("AWS::IAM::Role")
    functions = {f"{name}Role" for name in template.of_type("AWS::Lambda::Function")}
    schedules = {f"{name}Role" for name in template.of_type("AWS::Scheduler::Schedule")}

    services = {name: service_of(role) for name, role in found.items()}

    assert services == {
        **dict.fromkeys(functions, "lambda.amazonaws.com"),
        **dict.fromkeys(schedules, "scheduler.amazonaws.com"),
        "BatchMachineFilePutRole": "events.amazonaws.com",
        "BatchRole": "states.amazonaws.com",
        "DeliveryRole": "firehose.amazonaws.com",
    }
    for name, role in found.items():
        managed = set(role.get("ManagedPolicyArns", ()))
        assert managed == (SERVED_BY_LAMBDA if name in functions else set()), name


def test_a_schedule_may_invoke_its_function_send_dead_letters_and_nothing_else(
    template: Template,
) -> None:
    allowed = role_grants(template)
    schedules = template.of_type("AWS::Scheduler::Schedule")

    assert schedules
    for name, schedule in schedules.items():
        assert schedule["Target"]["RoleArn"].endswith(physical_name(f"{name}Role"))
        assert set(allowed[f"{name}Role"]) == {
            Grant("Allow", "lambda:InvokeFunction", schedule["Target"]["Arn"]),
            Grant("Allow", "sqs:SendMessage", schedule["Target"]["DeadLetterConfig"]["Arn"]),
        }


def test_firehose_may_write_where_the_streams_say_and_nowhere_else(template: Template) -> None:
    streams = template.of_type("AWS::KinesisFirehose::DeliveryStream").values()
    said = [stream["ExtendedS3DestinationConfiguration"] for stream in streams]
    prefixes = {s[kind].partition("!")[0] for s in said for kind in ("Prefix", "ErrorOutputPrefix")}
    allowed = role_grants(template)["DeliveryRole"]

    written = {
        prefix
        for prefix in (*prefixes, "training/", "days/", "drift/", "captures", "")
        if allowing(allowed, Need("s3:PutObject", f"{DATA}/{prefix}2013/x"))
    }

    assert written == prefixes == {"captures/", "labels/", "failed/captures/", "failed/labels/"}
    assert not allowing(allowed, Need("s3:PutObject", f"{ARTIFACTS}/captures/x"))
    assert not allowing(allowed, Need("s3:GetObject", f"{DATA}/captures/x"))


def invokers(template: Template) -> list[tuple[str, str, str]]:
    """Return who may invoke what, and from where: principal, function or alias, source."""
    return [
        (one["Principal"], one["FunctionName"], one.get("SourceArn", "anywhere"))
        for one in template.of_type("AWS::Lambda::Permission").values()
    ]


def test_a_rule_writes_to_queues_and_may_invoke_no_function(template: Template) -> None:
    rules = template.of_type("AWS::Events::Rule").values()

    targets = {target["Arn"].split(":")[2] for rule in rules for target in rule["Targets"]}

    assert targets == {"sqs", "states"}
    assert "events.amazonaws.com" not in {principal for principal, _, _ in invokers(template)}


def test_every_route_may_invoke_its_function_and_no_other_route_may(template: Template) -> None:
    api = f"arn:aws:execute-api:{HERE}:{physical_name('Api')}/*/"
    wanted = set()
    for path, methods in template.of_type("AWS::ApiGatewayV2::Api")["Api"]["Body"]["paths"].items():
        for method, spec in methods.items():
            uri = spec["x-amazon-apigateway-integration"]["uri"]
            invoked = uri.partition("/functions/")[2].removesuffix("/invocations")
            wanted.add((invoked, f"{api}{method.upper()}{given_path(path)}"))

    found = [one for one in invokers(template) if one[0] != "events.amazonaws.com"]

    assert {principal for principal, _, _ in found} == {"apigateway.amazonaws.com"}
    assert {(invoked_arn(name), source) for _, name, source in found} == wanted


def given_path(path: str) -> str:
    return "/".join("*" if part.startswith("{") else part for part in path.split("/"))


def invoked_arn(name: str) -> str:
    return name if name.startswith("arn:") else f"arn:aws:lambda:{HERE}:function:{name}"


@pytest.mark.parametrize(
    ("source", "allowed"),
    [(OUR_RULE, True), (OUR_RULE.replace("123456789012", "999999999999"), False), (None, False)],
)
@pytest.mark.parametrize("queue", ["DeadLetter", "Check", "Train", "Rollout"])
def test_only_rules_of_this_account_may_send_to_a_queue(
    template: Template, queue: str, source: str | None, allowed: bool
) -> None:
    found = template.of_type("AWS::SQS::QueuePolicy")[f"{queue}QueuePolicy"]
    sent = grants(found["PolicyDocument"], {"Service": "events.amazonaws.com"})
    others = grants(found["PolicyDocument"], {"Service": "s3.amazonaws.com"})
    arn = f"arn:aws:sqs:{HERE}:{physical_name(f'{queue}Queue')}"
    need = Need("sqs:SendMessage", arn, {"aws:SourceArn": source} if source else {})

    assert found["Queues"] == [queue_url(physical_name(f"{queue}Queue"))]
    assert (allowing(sent, need) is not None) is allowed
    assert allowing(others, need) is None


@pytest.mark.parametrize("secure", ["true", "false"])
@pytest.mark.parametrize("name", ["ArtifactBucket", "DataBucket"])
def test_a_bucket_refuses_what_does_not_come_over_tls_whoever_sends_it(
    template: Template, name: str, secure: str
) -> None:
    found = template.of_type("AWS::S3::BucketPolicy")[f"{name}Policy"]["PolicyDocument"]
    anybody = Grant("Allow", "*", "*")
    bucket = f"arn:aws:s3:::{physical_name(name)}"

    answers = [
        allowing([anybody, *grants(found, {"AWS": "anybody"})], Need(action, resource, context))
        for action, resource in (("s3:GetObject", f"{bucket}/a/b"), ("s3:ListBucket", bucket))
        for context in [{"aws:SecureTransport": secure}]
    ]

    assert [answer is not None for answer in answers] == [secure == "true"] * 2


def test_the_key_leaves_it_to_the_roles_of_this_account(template: Template) -> None:
    (key,) = template.of_type("AWS::KMS::Key").values()

    mine = grants(key["KeyPolicy"], {"AWS": "arn:aws:iam::123456789012:root"})
    others = grants(key["KeyPolicy"], {"AWS": "arn:aws:iam::999999999999:root"})

    assert (len(mine), others) == (1, [])
