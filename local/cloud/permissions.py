"""What IAM would say to each call of a function: its role in the template, evaluated.

The local stack asks before each call, so a role that lacks something fails here and not on AWS; and
a role notes which of its grants were used, so that a test can find those that are too many. What a
policy says that is not understood here is an error, and never a permission.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local.cloud.iam_actions import Need, bucket_of, needs
from local.template import Template, TemplateError, physical_name

ABSENT = {"NoSuchKey", "404"}
ALWAYS = {"aws:SecureTransport": "true"}
_CALL = "_make_api_call"  # of botocore's clients, through which every call goes
_NEEDED = {"Effect", "Action", "Resource"}
_KNOWN = _NEEDED | {"Sid", "Principal", "Condition"}
_KEYS = {"aws:SecureTransport", "aws:SourceAccount", "aws:SourceArn", "s3:prefix", "s3:delimiter"}
_OF_A_ROLE = {"AssumeRolePolicyDocument", "ManagedPolicyArns", "Policies", "Tags"}


@dataclass(frozen=True)
class Grant:
    """One action on one pattern of resources, as one statement allows or denies it."""

    effect: str
    action: str
    resource: str
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    def matches(self, need: Need) -> bool:
        """Say whether this is about a need; a key that the request lacks meets no condition."""
        context = {**ALWAYS, **need.context}
        return (
            fnmatchcase(need.action.lower(), self.action.lower())
            and _arn_like(self.resource, need.resource)
            and all(
                key in context and any(_OPERATORS[operator](one, context[key]) for one in values)
                for operator, key, values in self.conditions
            )
        )


def grants(policy: Mapping[str, Any], principal: Mapping[str, str] | None = None) -> list[Grant]:
    """Return the grants of a policy document.

    principal: whom the policy of a resource must be about, such as {"Service":
    "events.amazonaws.com"}; the policy of a role names nobody. Raises TemplateError for what is
    not understood.
    """
    found = []
    for statement in listed(policy["Statement"]):
        if odd := (set(statement) - _KNOWN) | (_NEEDED - set(statement)):
            raise TemplateError(f"a policy has or lacks {', '.join(sorted(odd))}: not known here")
        if statement["Effect"] not in ("Allow", "Deny"):
            raise TemplateError(f"a policy has the effect {statement['Effect']}")
        if not _is_about(statement.get("Principal"), principal):
            continue
        conditions = tuple(_conditions(statement.get("Condition", {})))
        found += [
            Grant(statement["Effect"], action, _plain(resource), conditions)
            for action in listed(statement["Action"])
            for resource in listed(statement["Resource"])
        ]
    return found


def allowing(found: Iterable[Grant], need: Need) -> Grant | None:
    """Return the first grant that allows a need, or None where there is none, or it is denied."""
    about = [grant for grant in found if grant.matches(need)]
    if not about or any(grant.effect == "Deny" for grant in about):
        return None
    return about[0]


@dataclass(frozen=True)
class Role:
    """What a function may do, which of its grants it has used, and what it was refused."""

    name: str
    grants: tuple[Grant, ...]
    used: set[Grant] = field(default_factory=set)
    refused: list[Need] = field(default_factory=list)
    _about: dict[str, list[Grant]] = field(default_factory=dict, init=False)  # by action

    def check(self, need: Need, operation: str) -> None:
        """Raise what AWS answers where a need is not allowed; else note the grant that allows it.

        Raises ClientError with the code AccessDenied, or what it is called outside S3.
        """
        if need.action not in self._about:
            action = need.action.lower()
            about = [one for one in self.grants if fnmatchcase(action, one.action.lower())]
            self._about[need.action] = about
        if (grant := allowing(self._about[need.action], need)) is None:
            self.refused.append(need)
            code = "AccessDenied" if need.action.startswith("s3:") else "AccessDeniedException"
            message = f"the role of {self.name} may not {need.action} on {need.resource}"
            answer: Any = {"Error": {"Code": code, "Message": message}}
            raise ClientError(answer | {"ResponseMetadata": {"HTTPStatusCode": 403}}, operation)
        self.used.add(grant)

    @contextmanager
    def assumed(self) -> Iterator[None]:
        """Check each call that this thread makes to AWS meanwhile.

        A call that is made within another is not the function's: it is of what plays AWS.
        """
        thread, within = threading.get_ident(), False
        unchecked = vars(BaseClient)[_CALL]

        def call(client: Any, operation: str, params: dict[str, Any]) -> Any:
            nonlocal within
            if within or threading.get_ident() != thread:
                return unchecked(client, operation, params)
            for need in needs(client.meta.service_model.service_name, operation, params):
                self.check(need, operation)
            within = True
            try:
                return unchecked(client, operation, params)
            except ClientError as error:
                if operation == "GetObject" and error.response["Error"]["Code"] in ABSENT:
                    # Who may not list a bucket is not told either that an object is not there.
                    self.check(Need("s3:ListBucket", bucket_of(params)), operation)
                raise
            finally:
                within = False

        setattr(BaseClient, _CALL, call)  # patch.object takes five times as long
        try:
            yield
        finally:
            setattr(BaseClient, _CALL, unchecked)


def roles(template: Template) -> dict[str, Role]:
    """Return the role of each function of a template, by the function's logical id."""
    made = {physical_name(name): role for name, role in role_grants(template).items()}
    return {
        function: Role(function, made[properties["Role"].rpartition("/")[2]])
        for function, properties in template.of_type("AWS::Lambda::Function").items()
    }


def check_refused(roles: Mapping[str, Role]) -> None:
    """Raise TemplateError where a function was refused a call, also if it went on without it."""
    needs = ((role.name, need) for role in roles.values() for need in role.refused)
    if found := {f"{name}: {need.action} on {need.resource}" for name, need in needs}:
        raise TemplateError(f"roles in template.yaml lack grants: {'; '.join(sorted(found))}")


def role_grants(template: Template) -> dict[str, tuple[Grant, ...]]:
    """Return the grants of each role of a template, but those of policies that AWS manages."""
    found = {}
    for name, role in template.of_type("AWS::IAM::Role").items():
        if odd := set(role) - _OF_A_ROLE:
            raise TemplateError(f"{name} has {', '.join(sorted(odd))}: not known here")
        policies = [policy["PolicyDocument"] for policy in role.get("Policies", ())]
        found[name] = tuple(grant for one in policies for grant in grants(one))
    return found


def listed(value: Any) -> list[Any]:
    """Return what a policy gives as one thing or as a list of them."""
    return value if isinstance(value, list) else [value]


def _plain(resource: str) -> str:
    if "${" in resource or "[" in resource:
        raise TemplateError(f"{resource} has a variable of IAM or a bracket: not known here")
    return resource


def _is_about(named: Any, principal: Mapping[str, str] | None) -> bool:
    if (principal is None) != (named is None):
        raise TemplateError("the policy of a role names nobody, that of a resource somebody")
    wanted = (principal or {}).items()
    return named in (None, "*") or any(who in listed(named.get(kind, [])) for kind, who in wanted)


def _conditions(said: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for operator, keys in said.items():
        if operator not in _OPERATORS:
            raise TemplateError(f"a policy has the condition {operator}, not known here")
        for key, values in keys.items():
            if key not in _KEYS:
                raise TemplateError(f"a policy has a condition on {key}, not known here")
            yield operator, key, tuple(_plain(str(value)) for value in listed(values))


def _arn_like(pattern: str, arn: str) -> bool:
    """Say whether an ARN is like a pattern, whose wildcards reach over a colon in its last part."""
    parts = pattern.split(":", 5)
    found = arn.split(":", len(parts) - 1)
    return len(found) == len(parts) and all(map(fnmatchcase, found, parts))


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, found: wanted == found,
    "StringLike": lambda wanted, found: fnmatchcase(found, wanted),
    "ArnLike": _arn_like,
    "Bool": lambda wanted, found: wanted.lower() == found.lower(),
}
