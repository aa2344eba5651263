"""What must hold for every resource of the template as it is deployed, and no scanner looks at.

What checkov and cfn-lint find is not asked for again: seeded.yaml shows them a fault of each kind.
A rule takes the resolved template of one level and yields what breaks it: a logical id, and what
to do. A type that is not known here is a finding too, so that nothing new goes unlooked at.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from local.cloud.permissions import listed
from local.template import ACCOUNT, Resource, Template, physical_name

Found = Iterator[tuple[str, str]]

BUCKET, QUEUE, TOPIC = "AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic"
FUNCTION, PERMISSION, ROLE = "AWS::Lambda::Function", "AWS::Lambda::Permission", "AWS::IAM::Role"
STREAM, KEY = "AWS::KinesisFirehose::DeliveryStream", "AWS::KMS::Key"
KNOWN = {
    BUCKET, QUEUE, TOPIC, FUNCTION, PERMISSION, ROLE, STREAM, KEY,
    f"{BUCKET}Policy", f"{QUEUE}Policy", f"{TOPIC}Policy",
    # what a scanner or a test looks at
    "AWS::ApiGatewayV2::Stage", "AWS::Events::Rule", "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping", "AWS::Logs::LogGroup", "AWS::Scheduler::Schedule",
    # and what needs nothing
    "AWS::ApiGatewayV2::Api", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard",
    "AWS::Events::EventBus", "AWS::Lambda::Alias", "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Version", "AWS::Logs::MetricFilter", "AWS::SNS::Subscription",
    "AWS::StepFunctions::StateMachine",
}  # fmt: skip

ENCRYPTION = {  # one of these properties of each type
    BUCKET: ("BucketEncryption",),
    QUEUE: ("SqsManagedSseEnabled", "KmsMasterKeyId"),
    STREAM: ("DeliveryStreamEncryptionConfigurationInput",),
}
POLICIES = {  # the property of its policy that names it, and what that must deny
    BUCKET: ("Bucket", "s3:*"),
    QUEUE: ("Queues", "sqs:*"),
    TOPIC: ("Topics", "sns:Publish"),
}
RETAINING = ("DeletionPolicy", "UpdateReplacePolicy")
LONGEST_IN_A_QUEUE = 1_209_600  # seconds: what SQS allows, 14 days
SECRET_NAME = re.compile(r"passw|secret|token|credential|private_?key|api_?key", re.IGNORECASE)
SECRET = re.compile(
    r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"  # an access key of AWS
    r"|-----BEGIN"
    r"|\bgh[a-z]_\w{36}"  # a token of GitHub
    r"|://[^/\s:]+:[^/\s@]+@"  # a password in a URL
)


def known_type(template: Template) -> Found:
    """Each type is one that these rules were written for; a function's URL is none of them."""
    for name, resource in template.resources.items():
        if resource["Type"] not in KNOWN:
            said = f"no rule knows {resource['Type']}"
            yield name, f"{said}: say in exceptions.toml that you looked at it"


def unsilenced(template: Template) -> Found:
    """No resource silences a scanner: exceptions.toml does, with a reason, and while it must."""
    for name, resource in template.resources.items():
        if {"cfn-lint", "checkov", "cfn_nag"} & set(resource.get("Metadata", {})):
            yield name, "silences a scanner in its Metadata: say it in local/exceptions.toml"


def encrypted(template: Template) -> Found:
    """What keeps data keeps it encrypted."""
    for kind, properties in ENCRYPTION.items():
        for name, spec in template.of_type(kind).items():
            if not any(spec.get(one) for one in properties):
                yield name, f"is not encrypted: give it {' or '.join(properties)}"


def tls_only(template: Template) -> Found:
    """A policy denies what does not come over TLS."""
    for kind, (named, action) in POLICIES.items():
        for name in template.of_type(kind):
            denied = {
                resource
                for policy in template.of_type(f"{kind}Policy").values()
                if any(one.endswith(physical_name(name)) for one in listed(policy[named]))
                for statement in policy["PolicyDocument"]["Statement"]
                if statement["Effect"] == "Deny"
                and statement["Principal"] == "*"
                and listed(statement["Action"]) == [action]
                and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
                for resource in listed(statement["Resource"])
            }
            own = physical_name(name)
            whole = [own, f"{own}/*"] if kind == BUCKET else [own]
            if not all(any(arn.endswith(end) for arn in denied) for end in whole):
                yield name, f"answers without TLS: deny {action} where aws:SecureTransport is false"


def private(template: Template) -> Found:
    """Nobody outside this account may touch a resource or take a role."""
    for name, resource in template.resources.items():
        for statement in statements(resource):
            if statement["Effect"] == "Allow" and (
                "NotPrincipal" in statement
                or any(map(is_foreign, principals(statement["Principal"])))
            ):
                yield name, "lets others in: name a principal of this account, or a service"
    for name, permission in template.of_type(PERMISSION).items():
        service = permission["Principal"].endswith(".amazonaws.com")
        if not service or not {"SourceArn", "SourceAccount"} & set(permission):
            yield name, "lets others invoke: name a service as Principal, and its SourceArn"


def kept_as_long_as_said(template: Template) -> Found:
    """State outlives the stack, and what was overwritten does not stay for ever."""
    for kind in (BUCKET, KEY):
        for name in template.of_type(kind):
            policies = [template.resources[name].get(one) for one in RETAINING]
            if policies not in (["Retain"] * 2, ["RetainExceptOnCreate", "Retain"]):
                said = f"set {' and '.join(RETAINING)}: Retain"
                yield name, f"would be deleted with the stack: {said}"
    for name, bucket in template.of_type(BUCKET).items():
        rules = bucket.get("LifecycleConfiguration", {}).get("Rules", [])
        ending = {key for rule in rules if rule["Status"] == "Enabled" for key in rule}
        if not {"NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"} <= ending:
            yield name, "keeps old versions or half uploads for ever: set LifecycleConfiguration"
    for name, queue in template.of_type(QUEUE).items():
        if int(queue.get("MessageRetentionPeriod", 0)) < LONGEST_IN_A_QUEUE:
            yield name, f"forgets early: set MessageRetentionPeriod to {LONGEST_IN_A_QUEUE}"


def scoped(template: Template) -> Found:
    """A role names each action, and the resources it is for."""
    for name, role in template.of_type(ROLE).items():
        for statement in granted(role):
            if any("*" in action for action in listed(statement.get("Action", "*"))):
                yield name, "may do what no list says: name each action"
            if any(map(is_wide, listed(statement.get("Resource", "*")))):
                yield name, "may touch everything of a kind: name its resources"


def policies_of_our_own(template: Template) -> Found:
    """A role has no policy that stands elsewhere, and could grow there."""
    for name, role in template.of_type(ROLE).items():
        for arn in role.get("ManagedPolicyArns", ()):
            yield name, f"has {arn.rpartition('/')[2]}, whose resources are '*': write a policy"


def no_secrets(template: Template) -> Found:
    """No secret stands in the template, nor in the environment of a function."""
    for name, resource in template.resources.items():
        for key, value in strings(resource.get("Properties", {})):
            hidden = value.startswith("{{resolve:")
            if SECRET.search(value) or (SECRET_NAME.search(key) and value and not hidden):
                yield name, f"says a secret in {key}: let Secrets Manager keep it"


RULES: dict[str, Callable[[Template], Found]] = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        known_type, unsilenced, encrypted, tls_only, private, kept_as_long_as_said, scoped,
        policies_of_our_own, no_secrets,
    )
}  # fmt: skip


def granted(role: Resource) -> Iterator[Resource]:
    """Yield the statements by which a role may do something."""
    for policy in role.get("Policies", ()):
        statements = policy["PolicyDocument"]["Statement"]
        yield from (one for one in statements if one["Effect"] == "Allow")


def statements(resource: Resource) -> Iterator[Resource]:
    """Yield the statements of the policies that say who may touch a resource."""
    for key in ("PolicyDocument", "KeyPolicy", "AssumeRolePolicyDocument"):
        yield from resource["Properties"].get(key, {}).get("Statement", [])


def principals(named: Any) -> list[str]:
    """Return whom a statement is about, without the kinds that they are of."""
    if isinstance(named, dict):
        return [one for several in named.values() for one in listed(several)]
    return listed(named)


def is_foreign(principal: str) -> bool:
    """Return whether a principal is neither a service of AWS nor in this account."""
    own = rf"[a-z-]+\.amazonaws\.com|{ACCOUNT}|arn:aws:(iam|sts)::{ACCOUNT}:[^*]+"
    return re.fullmatch(own, principal) is None


def is_wide(resource: str) -> bool:
    """Return whether an ARN is of everything of a kind, or of all of a bucket."""
    *place, what = resource.split(":", 5)
    wide = r"[^/:*]*[/:]?\*" if place[2:3] != ["s3"] else r"\*.*|[^/]*\*[^/]*(/.*)?|[^/]*/\*"
    return "*" in "".join(place) or re.fullmatch(wide, what) is not None


def strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text within a value, with the name that it stands under."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict | list):
        named = value.items() if isinstance(value, dict) else ((key, item) for item in value)
        for name, item in named:
            yield from strings(item, str(name))
