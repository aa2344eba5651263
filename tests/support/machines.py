"""The state machine of the template, run by moto's interpreter over the plane's functions."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import boto3
from moto.core.config import default_user_config
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.eval import (
    resource_eval_s3,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils

import bootstrap
from local.plane.plane import Plane
from local.template import physical_name


@contextmanager
def interpreted(plane: Plane) -> Iterator[None]:
    """Let moto run state machines, whose tasks the plane's functions do."""

    def invoke(parameters: dict[str, Any], **_: Any) -> dict[str, Any]:
        (function,) = (
            name
            for name in plane.template.of_type("AWS::Lambda::Function")
            if parameters["FunctionName"].endswith(f":{physical_name(name)}")
        )
        try:
            return {"Payload": plane.invoke(function, json.loads(parameters["Payload"]))}
        except Exception as error:
            said = {"errorType": type(error).__name__, "errorMessage": str(error)}
            raise lambda_eval_utils.LambdaFunctionErrorException(
                "Unhandled", json.dumps(said)
            ) from error

    own = {"stepfunctions": {"execute_state_machine": True}}
    with (
        patch.dict(default_user_config, own),
        patch.object(lambda_eval_utils, "_invoke_lambda_function", invoke),
        patch.object(resource_eval_s3, "boto_client_for", lambda **_: bootstrap.s3()),
    ):
        yield


def execute(plane: Plane, event: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return how an execution of the template's state machine ends, and its history."""
    (spec,) = plane.template.of_type("AWS::StepFunctions::StateMachine").values()
    definition = spec["DefinitionString"]
    for name, value in spec["DefinitionSubstitutions"].items():
        definition = definition.replace(f"${{{name}}}", str(value))
    client = boto3.client("stepfunctions")
    machine = client.create_state_machine(
        name="batch", definition=definition, roleArn=spec["RoleArn"]
    )["stateMachineArn"]
    started = client.start_execution(stateMachineArn=machine, input=json.dumps(event))
    arn = started["executionArn"]
    while (found := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
        threading.Event().wait(0.02)
    history: list[Any] = client.get_execution_history(executionArn=arn)["events"]
    return found["status"], history
