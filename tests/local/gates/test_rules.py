"""Each rule for the template finds what breaks it, and only what breaks it."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from local.gates.rules import RULES
from local.template import resolve, translate

TRANSLATED = translate()
Resources = dict[str, Any]
Break = Callable[[Resources], Any]


def broken(rule: str, mutate: Break | None = None, level: str = "4") -> set[str]:
    """Return the logical ids that break a rule, after a change of the translated template."""
    translated = copy.deepcopy(TRANSLATED)
    if mutate:
        mutate(translated["Resources"])
    return {name for name, _ in RULES[rule](resolve(translated, {"MaturityLevel": level}))}


def properties(resources: Resources, name: str) -> Any:
    return resources[name].setdefault("Properties", {})


def without(name: str, key: str) -> Break:
    """Return a change that takes a property away."""
    return lambda resources: properties(resources, name).pop(key)


def given(name: str, **values: Any) -> Break:
    """Return a change that gives a resource properties."""
    return lambda resources: properties(resources, name).update(values)


def another(name: str, kind: str, **values: Any) -> Break:
    """Return a change that adds a resource."""
    return lambda resources: resources.update({name: {"Type": kind, "Properties": values}})


def allowed(name: str, **statement: Any) -> Break:
    """Return a change that lets a role do one thing more."""
    document = {"Statement": [{"Effect": "Allow", **statement}]}
    policy = {"PolicyName": "more", "PolicyDocument": document}
    return lambda resources: properties(resources, name).setdefault("Policies", []).append(policy)


def first_statement(name: str, key: str = "PolicyDocument", **values: Any) -> Break:
    """Return a change of the first statement of a policy."""
    return lambda r: properties(r, name)[key]["Statement"][0].update(values)


def last_statement(name: str, **values: Any) -> Break:
    """Return a change of the last statement of a policy, which denies what comes without TLS."""
    return lambda r: properties(r, name)["PolicyDocument"]["Statement"][-1].update(values)


def in_environment(name: str, value: str) -> Break:
    """Return a change that tells predict something more."""
    return lambda r: properties(r, "PredictFunction")["Environment"]["Variables"].update(
        {name: value}
    )


def retained(name: str, key: str, value: str) -> Break:
    return lambda resources: resources[name].update({key: value})


OBJECTS = "arn:aws:s3:::evergreen-artifactbucket/models/*"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:evergreen-elsewhere"
PERMISSION = {"Action": "lambda:InvokeFunction", "FunctionName": {"Ref": "TrainFunction"}}
BREAKS: list[tuple[str, str, Break]] = [
    ("known-type", "Url", another("Url", "AWS::Lambda::Url", AuthType="NONE")),
    ("known-type", "Table", another("Table", "AWS::DynamoDB::Table")),
    ("unsilenced", "DataBucket", lambda r: r["DataBucket"].update(
        Metadata={"checkov": {"skip": [{"id": "CKV_AWS_18", "comment": "hush"}]}})),
    ("unsilenced", "ManifestKey", lambda r: r["ManifestKey"].update(
        Metadata={"cfn-lint": {"config": {"ignore_checks": ["ES6000"]}}})),
    ("encrypted", "DataBucket", without("DataBucket", "BucketEncryption")),
    ("encrypted", "DeadLetterQueue", given("DeadLetterQueue", SqsManagedSseEnabled=False)),
    ("encrypted", "LabelStream", without(
        "LabelStream", "DeliveryStreamEncryptionConfigurationInput")),
    ("tls-only", "DataBucket", lambda resources: resources.pop("DataBucketPolicy")),
    ("tls-only", "DataBucket", last_statement("DataBucketPolicy", Action="s3:GetObject")),
    ("tls-only", "DataBucket", last_statement("DataBucketPolicy", Effect="Allow")),
    ("tls-only", "DataBucket", last_statement(
        "DataBucketPolicy", Resource={"Fn::GetAtt": ["DataBucket", "Arn"]})),
    ("tls-only", "ArtifactBucket", last_statement(
        "ArtifactBucketPolicy", Condition={"Bool": {"aws:SecureTransport": "true"}})),
    ("tls-only", "DeadLetterQueue", last_statement(
        "DeadLetterQueuePolicy", Principal={"Service": "events.amazonaws.com"})),
    ("tls-only", "AlarmTopic", last_statement("AlarmTopicPolicy", Condition={})),
    ("private", "DeadLetterQueuePolicy", first_statement("DeadLetterQueuePolicy", Principal="*")),
    ("private", "AlarmTopicPolicy", first_statement(
        "AlarmTopicPolicy", Principal={"AWS": ["*"]})),
    ("private", "AlarmTopicPolicy", first_statement("AlarmTopicPolicy", NotPrincipal="x")),
    ("private", "ManifestKey", first_statement("ManifestKey", "KeyPolicy", Principal="*")),
    ("private", "ManifestKey", first_statement(
        "ManifestKey", "KeyPolicy", Principal={"AWS": "arn:aws:iam::999999999999:root"})),
    ("private", "DeliveryRole", first_statement(
        "DeliveryRole", "AssumeRolePolicyDocument", Principal={"AWS": "999999999999"})),
    ("private", "DeliveryRole", first_statement(
        "DeliveryRole", "AssumeRolePolicyDocument", Principal={"AWS": "*"})),
    ("private", "All", another(
        "All", "AWS::Lambda::Permission", **PERMISSION, Principal="*", SourceArn="arn:aws:x")),
    ("private", "Any", another(
        "Any", "AWS::Lambda::Permission", **PERMISSION, Principal="events.amazonaws.com")),
    ("kept-as-long-as-said", "DataBucket", retained("DataBucket", "DeletionPolicy", "Delete")),
    ("kept-as-long-as-said", "ManifestKey", retained(
        "ManifestKey", "UpdateReplacePolicy", "Delete")),
    ("kept-as-long-as-said", "DataBucket", without("DataBucket", "LifecycleConfiguration")),
    ("kept-as-long-as-said", "DeadLetterQueue", given(
        "DeadLetterQueue", MessageRetentionPeriod=345_600)),
    ("scoped", "TrainFunctionRole", allowed(
        "TrainFunctionRole", Action="s3:Get*", Resource=OBJECTS)),
    ("scoped", "TrainFunctionRole", allowed(
        "TrainFunctionRole", NotAction="s3:PutObject", Resource=OBJECTS)),
    ("scoped", "TrainFunctionRole", allowed(
        "TrainFunctionRole", Action="s3:GetObject", Resource="*")),
    ("scoped", "TrainFunctionRole", allowed(
        "TrainFunctionRole", Action="s3:GetObject", NotResource=OBJECTS)),
    ("scoped", "TrainFunctionRole", allowed(
        "TrainFunctionRole", Action="s3:GetObject", Resource="arn:aws:s3:::bucket/*")),
    ("scoped", "TrainFunctionRole", allowed(
        "TrainFunctionRole", Action="s3:ListBucket", Resource="arn:aws:s3:::*")),
    ("scoped", "PredictFunctionRole", allowed(
        "PredictFunctionRole", Action="kms:VerifyMac",
        Resource="arn:aws:kms:eu-west-1:123456789012:key/*")),
    ("scoped", "PredictFunctionRole", allowed(
        "PredictFunctionRole", Action="firehose:PutRecordBatch",
        Resource="arn:aws:firehose:*:*:deliverystream/one")),
    ("policies-of-our-own", "DeliveryRole", given(
        "DeliveryRole", ManagedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"])),
    ("no-secrets", "PredictFunction", in_environment("DB_PASSWORD", "hunter2")),
    ("no-secrets", "PredictFunction", in_environment("URL", "https://me:hunter2@example.com")),
    ("no-secrets", "AlarmTopic", given("AlarmTopic", DisplayName="AKIA" + "A" * 16)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "name", "mutate"),
    BREAKS,
    ids=[f"{rule}-{name}-{number}" for number, (rule, name, _) in enumerate(BREAKS)],
)
def test_a_template_that_breaks_a_rule_is_found_where_it_does(
    rule: str, name: str, mutate: Break
) -> None:
    assert name in broken(rule, mutate) - broken(rule)


def test_every_rule_is_seen_to_find_something() -> None:
    assert {rule for rule, _, _ in BREAKS} == set(RULES)


@pytest.mark.parametrize("level", ["1", "2", "3"])
def test_a_rule_that_the_fourth_level_keeps_is_kept_at_every_level(level: str) -> None:
    assert all(broken(rule, level=level) <= broken(rule) for rule in RULES)


@pytest.mark.parametrize(
    ("rule", "mutate"),
    [
        ("no-secrets", in_environment("DB_PASSWORD", "{{resolve:secretsmanager:mine}}")),
        ("private", another("Own", "AWS::Lambda::Permission", **PERMISSION,
            Principal="events.amazonaws.com", SourceAccount="123456789012")),
    ],
    ids=["a secret kept elsewhere", "a named account"],
)  # fmt: skip
def test_another_way_to_keep_a_rule_keeps_it(rule: str, mutate: Break) -> None:
    assert broken(rule, mutate) == broken(rule)
