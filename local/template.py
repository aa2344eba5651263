"""template.yaml as AWS would deploy it: translated by SAM, with its functions resolved.

Nothing that the template says is written a second time here. What cannot be understood is an error,
so that wiring which is wrong in the template fails on your own machine.
"""

import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse

from evergreen.contract import project_root

ROOT = project_root().parent
TEMPLATE = ROOT / "template.yaml"
REGION: Literal["eu-west-1"] = "eu-west-1"
ACCOUNT = "123456789012"
STACK = "evergreen"

Resource = dict[str, Any]


class TemplateError(Exception):
    """The template says something that does not hold together, or that nobody here understands."""


@dataclass(frozen=True)
class Template:
    """The resources and outputs that a deployment would have, by logical id."""

    resources: dict[str, Resource]
    outputs: dict[str, Any] = field(default_factory=dict)

    def of_type(self, kind: str) -> dict[str, Resource]:
        found = [(name, one) for name, one in self.resources.items() if one["Type"] == kind]
        return {name: resource.get("Properties", {}) for name, resource in found}

    def enabled(self, kind: str) -> dict[str, Resource]:
        """Return the properties of the rules or schedules that are not switched off."""
        found = self.of_type(kind).items()
        return {name: one for name, one in found if one.get("State", "ENABLED") == "ENABLED"}


def load(parameters: Mapping[str, str] | None = None, path: Path = TEMPLATE) -> Template:
    """Translate and resolve a template; parameters override its defaults.

    Raises TemplateError for a reference to nothing, or a function that is not known here.
    """
    return resolve(translate(path), parameters or {})


def translate(path: Path = TEMPLATE) -> dict[str, Any]:
    """Return the CloudFormation template that SAM makes of ours."""
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    logging.getLogger("samtranslator").setLevel(logging.ERROR)  # it would like to send metrics
    source = yaml_parse(path.read_text())
    no_policies: Any = SimpleNamespace(
        load=dict
    )  # that AWS manages: it needs them for none of ours
    validator = SamTemplateValidator(source, no_policies, region=REGION)
    return dict(yaml_parse(validator.get_translated_template_if_valid()))


def resolve(translated: dict[str, Any], parameters: Mapping[str, str]) -> Template:
    """Resolve conditions, references and functions of a translated template."""
    resolver = _Resolver(translated, parameters)
    resources = {
        name: {**resource, "Properties": resolver.value(resource.get("Properties", {}))}
        for name, resource in resolver.deployed(translated["Resources"])
    }
    outputs = resolver.deployed(translated.get("Outputs", {}))
    return Template(resources, {name: resolver.value(one["Value"]) for name, one in outputs})


def physical_name(logical_id: str) -> str:
    """Return the name that a resource gets here; lower case, as buckets need."""
    return f"{STACK}-{logical_id.lower()}"


def key_id(logical_id: str) -> str:
    """Return the id of a KMS key, which is a UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, physical_name(logical_id)))


def queue_url(name: str) -> str:
    """Return the URL of a queue."""
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"


_ARNS = {  # of the types that do not write it as most services do
    "AWS::S3::Bucket": "s3:::{own}",
    "AWS::Lambda::Function": "lambda:{here}:function:{own}",
    "AWS::KinesisFirehose::DeliveryStream": "firehose:{here}:deliverystream/{own}",
    "AWS::SQS::Queue": "sqs:{here}:{own}",
    "AWS::SNS::Topic": "sns:{here}:{own}",
    "AWS::StepFunctions::StateMachine": "states:{here}:stateMachine:{own}",
    "AWS::Events::EventBus": "events:{here}:event-bus/{own}",
    "AWS::IAM::Role": f"iam::{ACCOUNT}:role/{{own}}",
    "AWS::KMS::Key": "kms:{here}:key/{key}",
    "AWS::Logs::LogGroup": "logs:{here}:log-group:{own}:*",
}
_NOTHING = object()


class _Resolver:
    def __init__(self, translated: dict[str, Any], parameters: Mapping[str, str]) -> None:
        self.resources = translated["Resources"]
        self.conditions = translated.get("Conditions", {})
        declared = translated.get("Parameters", {})
        if unknown := set(parameters) - set(declared):
            raise TemplateError(f"the template has no parameter {', '.join(sorted(unknown))}")
        self.refs = {
            name: parameters.get(name, one.get("Default")) for name, one in declared.items()
        }
        self.refs |= {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::StackName": STACK}
        self.refs |= {"AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com"}

    def deployed(self, parts: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, part in parts.items():
            if "Condition" not in part or self.condition(part["Condition"]):
                yield name, part

    def condition(self, name: str) -> bool:
        if name not in self.conditions:
            raise TemplateError(f"there is no condition {name}")
        return bool(self.value(self.conditions[name]))

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self.value, value) if item is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((key, argument),) = value.items()
            if key in ("Ref", "Condition") or key.startswith("Fn::"):
                return self.call(key, argument)
        resolved = {key: self.value(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not _NOTHING}

    def call(self, function: str, argument: Any) -> Any:
        calls: dict[str, Callable[[], Any]] = {
            "Ref": lambda: self.ref(argument),
            "Fn::GetAtt": lambda: self.attribute(
                *(argument.split(".", 1) if isinstance(argument, str) else argument)
            ),
            "Fn::Sub": lambda: self.substitute(argument),
            "Fn::Join": lambda: argument[0].join(map(str, self.value(argument[1]))),
            "Fn::Select": lambda: self.value(argument[1])[int(argument[0])],
            "Fn::If": lambda: self.value(argument[1 if self.condition(argument[0]) else 2]),
            "Fn::Equals": lambda: len(set(map(str, self.value(argument)))) == 1,
            "Fn::Not": lambda: not self.value(argument)[0],
            "Fn::And": lambda: all(self.value(argument)),
            "Fn::Or": lambda: any(self.value(argument)),
            "Condition": lambda: self.condition(argument),
        }
        if function not in calls:
            raise TemplateError(f"{function} is not known here")
        return calls[function]()

    def ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NOTHING
        if name in self.refs:
            return self.refs[name]
        self.known(name)
        match self.resources[name]["Type"]:
            case "AWS::SQS::Queue":
                return queue_url(physical_name(name))
            case "AWS::KMS::Key":
                return key_id(name)
            case "AWS::SNS::Topic" | "AWS::StepFunctions::StateMachine":
                return self.attribute(name, "Arn")
            case "AWS::Lambda::Alias":
                alias = self.resources[name]["Properties"]
                return f"{self.attribute(alias['FunctionName']['Ref'], 'Arn')}:{alias['Name']}"
        return physical_name(name)

    def attribute(self, name: str, attribute: str) -> str:
        self.known(name)
        kind, own = self.resources[name]["Type"], physical_name(name)
        match kind, attribute:
            case _, "Arn":
                service, what = kind.lower().split("::")[-2:]
                usual = f"{service}:{{here}}:{what}/{{own}}"  # of a resource of your own
                names = {"here": f"{REGION}:{ACCOUNT}", "own": own, "key": key_id(name)}
                return "arn:aws:" + _ARNS.get(kind, usual).format_map(names)
            case "AWS::SQS::Queue", "QueueName":
                return own
            case "AWS::Lambda::Version", "Version":
                return "1"
            case "AWS::ApiGatewayV2::Api", "ApiEndpoint":
                return f"https://{own}.execute-api.{REGION}.amazonaws.com"
        raise TemplateError(f"{name} is a {kind}, whose attribute {attribute} is not known here")

    def substitute(self, argument: Any) -> str:
        text, own = argument if isinstance(argument, list) else (argument, {})
        values = {name: self.value(item) for name, item in own.items()}

        def replacement(match: re.Match[str]) -> str:
            if (name := match[1]) in values:
                return str(values[name])
            if "." in name:
                return self.attribute(*name.split(".", 1))
            return str(self.ref(name))

        return re.sub(r"\$\{([^!}]+)\}", replacement, text)

    def known(self, name: str) -> None:
        if name not in self.resources:
            raise TemplateError(f"there is no resource or parameter {name}")
        if (condition := self.resources[name].get("Condition")) and not self.condition(condition):
            raise TemplateError(f"{name} is not deployed under these parameters ({condition})")
