"""What the built template must be changed in for MiniStack, each with the defect that forces it.

test_changes.py asks MiniStack for each defect: once it has been mended, the change must go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Template = dict[str, Any]

IMAGE = "localhost/evergreen:training"  # sam pushes nothing that has a registry already


@dataclass(frozen=True)
class Change:
    """A change of the template as it is written, given also what SAM translates it to."""

    why: str
    make: Callable[[Template, Template], None]


def without_metric_math(template: Template, _: Template) -> None:
    for name, resource in list(template["Resources"].items()):
        if resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]:
            del template["Resources"][name]


def with_routes(template: Template, translated: Template) -> None:
    """Write the routes of the API's body as resources, under the same authorizer."""
    body = translated["Resources"]["Api"]["Properties"]["Body"]
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            integration = operation["x-amazon-apigateway-integration"]
            name = "".join(filter(str.isalnum, f"Made{method}{path}".title()))
            template["Resources"][f"{name}Integration"] = {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": "Api"},
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": integration["uri"],
                    "PayloadFormatVersion": integration["payloadFormatVersion"],
                },
            }
            template["Resources"][f"{name}Route"] = {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": "Api"},
                    "RouteKey": f"{method.upper()} {path}",
                    "Target": {"Fn::Sub": f"integrations/${{{name}Integration}}"},
                    "AuthorizationType": "AWS_IAM" if operation.get("security") else "NONE",
                },
            }


def with_tagged_images(template: Template, _: Template) -> None:
    for resource in template["Resources"].values():
        if "ImageUri" in resource.get("Properties", {}):
            resource["Properties"]["ImageUri"] = IMAGE


def with_numbers(template: Template, _: Template) -> None:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            scaling = resource["Properties"]["ScalingConfig"]
            parameter = template["Parameters"][scaling["MaximumConcurrency"]["Ref"]]
            scaling["MaximumConcurrency"] = parameter["Default"]


CHANGES = {
    "numbers": Change("a Number parameter is text to it, which it compares", with_numbers),
    "images": Change("its ECR names AWS as the registry to log in to", with_tagged_images),
    "metric math": Change("its CloudFormation refuses alarms with Metrics", without_metric_math),
    "routes": Change("its CloudFormation ignores the Body of an HTTP API", with_routes),
}


def changed(template: Template, translated: Template) -> Template:
    for change in CHANGES.values():
        change.make(template, translated)
    return template
