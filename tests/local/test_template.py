import copy
import json
import re
from fnmatch import fnmatch
from typing import Any

import pytest
from samcli.yamlhelper import yaml_parse

from local.template import (
    ROOT,
    TEMPLATE,
    Template,
    TemplateError,
    load,
    physical_name,
    resolve,
    translate,
)

TRANSLATED = translate()


def minimal(**properties: Any) -> dict[str, Any]:
    own = {"Type": "AWS::DynamoDB::Table"}  # of a user, of whose type nobody here knows anything
    queue = {"Type": "AWS::SQS::Queue", "Properties": properties}
    return {"Resources": {"Queue": queue, "Own": own}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Fn::Sub": "${AWS::Region}/${Stage}"}, "eu-west-1/test"),
        ({"Fn::Sub": ["${Own}-${!Literal}", {"Own": {"Ref": "Stage"}}]}, "test-${!Literal}"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Stage"}]]}, "a-test"),
        ({"Fn::Select": ["1", ["a", "b"]]}, "b"),
        ({"Fn::If": ["IsTest", "yes", "no"]}, "yes"),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, "arn:aws:sqs:eu-west-1:123456789012:evergreen-queue"),
        (
            {"Fn::GetAtt": ["Own", "Arn"]},
            "arn:aws:dynamodb:eu-west-1:123456789012:table/evergreen-own",
        ),
        ({"Fn::GetAtt": ["Queue", "QueueName"]}, "evergreen-queue"),
        ({"Ref": "Queue"}, "https://sqs.eu-west-1.amazonaws.com/123456789012/evergreen-queue"),
        ([{"Ref": "AWS::NoValue"}, 1], [1]),
    ],
)
def test_each_function_of_cloudformation_is_resolved(value: Any, expected: Any) -> None:
    source = minimal(Value=value) | {
        "Parameters": {"Stage": {"Type": "String", "Default": "test"}},
        "Conditions": {"IsTest": {"Fn::Equals": [{"Ref": "Stage"}, "test"]}},
    }

    assert resolve(source, {}).resources["Queue"]["Properties"]["Value"] == expected


@pytest.mark.parametrize(
    "value",
    [
        {"Ref": "Nowhere"},
        {"Fn::GetAtt": ["Nowhere", "Arn"]},
        {"Fn::GetAtt": ["Queue", "Colour"]},
        {"Fn::Sub": "${Nowhere}"},
        {"Fn::Transform": {}},
        {"Fn::If": ["Nowhere", 1, 2]},
    ],
)
def test_a_reference_to_nothing_is_an_error_that_names_it(value: Any) -> None:
    with pytest.raises(TemplateError, match=r"Nowhere|Colour|Transform"):
        resolve(minimal(Value=value), {})


def test_a_resource_whose_condition_is_false_is_not_deployed_and_cannot_be_named() -> None:
    source = minimal(Value={"Ref": "Other"}) | {"Conditions": {"No": {"Fn::Equals": ["a", "b"]}}}
    source["Resources"]["Other"] = {"Type": "AWS::SQS::Queue", "Condition": "No"}

    with pytest.raises(TemplateError, match="Other is not deployed"):
        resolve(source, {})


def test_an_output_is_resolved_and_one_whose_condition_is_false_is_not_there() -> None:
    source = minimal() | {"Conditions": {"No": {"Fn::Equals": ["a", "b"]}}}
    source["Outputs"] = {
        "Url": {"Value": {"Ref": "Queue"}},
        "Other": {"Value": {"Ref": "Nowhere"}, "Condition": "No"},
    }

    assert resolve(source, {}).outputs == {
        "Url": "https://sqs.eu-west-1.amazonaws.com/123456789012/evergreen-queue"
    }


def test_an_unknown_parameter_is_an_error() -> None:
    with pytest.raises(TemplateError, match="Colour"):
        load({"Colour": "green"})


def test_a_parameter_reaches_the_environment_of_a_function() -> None:
    functions = load({"EndpointTtl": "7"}).of_type("AWS::Lambda::Function")

    assert functions["PredictFunction"]["Environment"]["Variables"]["ENDPOINT_TTL"] == "7"


# What the template promises


QUEUE = "AWS::SQS::Queue"


@pytest.mark.parametrize(("level", "count"), [("1", 6), ("2", 12), ("3", 12), ("4", 12)])
def test_there_is_a_dead_letter_queue_behind_every_target(level: str, count: int) -> None:
    template = resolve(TRANSLATED, {"MaturityLevel": level})
    schedules = template.of_type("AWS::Scheduler::Schedule").values()
    rules = template.of_type("AWS::Events::Rule").values()
    targets = [schedule["Target"] for schedule in schedules]
    started = {target["Arn"].rpartition(":")[2] for target in targets}
    targets += [target for rule in rules for target in rule["Targets"]]
    work = {physical_name(name): queue for name, queue in template.of_type(QUEUE).items()}
    del work[physical_name("DeadLetterQueue")]
    configs = template.of_type("AWS::Lambda::EventInvokeConfig").values()
    kept = {
        config["FunctionName"]: config["DestinationConfig"]["OnFailure"]["Destination"]
        for config in configs
    }

    assert len(targets) == count
    machine = physical_name("BatchMachine")  # which has none, and fails in the sight of an alarm
    assert {target["Arn"].rpartition(":")[2] for target in targets} == {*started, *work, machine}
    assert started <= set(kept)
    arns = [*kept.values(), *(target["DeadLetterConfig"]["Arn"] for target in targets)]
    arns += [queue["RedrivePolicy"]["deadLetterTargetArn"] for queue in work.values()]
    assert {arn.rpartition(":")[2] for arn in arns} == {physical_name("DeadLetterQueue")}


MAPPING = "AWS::Lambda::EventSourceMapping"


@pytest.mark.parametrize("level", ["1", "4"])
def test_each_queue_is_read_by_one_function_which_it_waits_for(level: str) -> None:
    template = resolve(TRANSLATED, {"MaturityLevel": level})
    functions = {
        physical_name(name): function
        for name, function in template.of_type("AWS::Lambda::Function").items()
    }
    queues = {name: queue for name, queue in template.of_type(QUEUE).items() if "Dead" not in name}

    read = template.of_type(MAPPING)

    assert set(read) == {f"{name}Reader" for name in queues}
    for name, queue in queues.items():
        mapping = read[f"{name}Reader"]
        assert mapping["EventSourceArn"].endswith(f":{physical_name(name)}")
        assert mapping["BatchSize"] == 1  # as functions/scheduled.py takes them
        timeout = int(functions[mapping["FunctionName"]]["Timeout"])
        assert int(queue["VisibilityTimeout"]) == 6 * timeout


def test_how_many_endpoints_are_handled_at_the_same_time_are_parameters() -> None:
    asked = {"TrainConcurrency": "7", "CheckConcurrency": "5", "RolloutConcurrency": "3"}

    found = resolve(TRANSLATED, asked).of_type(MAPPING)

    assert {name: one["ScalingConfig"]["MaximumConcurrency"] for name, one in found.items()} == {
        f"{name.removesuffix('Concurrency')}QueueReader": value for name, value in asked.items()
    }


def test_each_function_logs_to_a_group_that_says_how_long_and_runs_the_python_of_the_tests(
    template: Template,
) -> None:
    version = (ROOT / ".python-version").read_text().strip()
    groups = {physical_name(name) for name in template.of_type("AWS::Logs::LogGroup")}

    for name, function in template.of_type("AWS::Lambda::Function").items():
        assert function["LoggingConfig"]["LogGroup"] in groups, name
        if function.get("PackageType") == "Image":
            file = ROOT / template.resources[name]["Metadata"]["Dockerfile"]
            (runs,) = re.findall(r"^FROM .*/python:([\d.]+)$", file.read_text(), re.MULTILINE)
        else:
            runs = function["Runtime"].removeprefix("python")
        assert runs == version, name


def test_each_function_behind_the_api_ends_before_that_gives_up(template: Template) -> None:
    (api,) = template.of_type("AWS::ApiGatewayV2::Api").values()
    asked = json.dumps(api["Body"])

    longest = {
        name: function["Timeout"]
        for name, function in template.of_type("AWS::Lambda::Function").items()
        if f":{physical_name(name)}" in asked
    }

    assert len(longest) == 3
    assert max(longest.values()) <= 29  # seconds, of the API's 30


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("AWS::S3::Bucket", "BucketName"),
        ("AWS::Lambda::Function", "FunctionName"),
        ("AWS::SQS::Queue", "QueueName"),
        ("AWS::Scheduler::Schedule", "Name"),
        ("AWS::Events::Rule", "Name"),
        ("AWS::KinesisFirehose::DeliveryStream", "DeliveryStreamName"),
        ("AWS::IAM::Role", "RoleName"),
        ("AWS::Logs::LogGroup", "LogGroupName"),
        ("AWS::CloudWatch::Alarm", "AlarmName"),
        ("AWS::CloudWatch::Dashboard", "DashboardName"),
        ("AWS::SNS::Topic", "TopicName"),
    ],
)
def test_nothing_has_a_physical_name(template: Template, kind: str, name: str) -> None:
    found = template.of_type(kind)

    assert found
    assert [logical for logical, properties in found.items() if name in properties] == []


def test_predict_writes_nothing_to_s3(template: Template) -> None:
    assert set(granted(template, "PredictFunction")) == {
        "s3:GetObject",
        "s3:ListBucket",
        "firehose:PutRecordBatch",
        "kms:VerifyMac",
    }


CONTROL = "/control/endpoints/{endpoint}"
ACTIONS = {
    "retrain", "approve", "reject", "promote", "rollback", "pause", "resume", "experiments",
    "experiments/stop",
}  # fmt: skip
VIEWS = {
    "status", "experiments", "decisions", "decisions/{generation}", "explain", "predictions/{id}",
    "check", "predictions",
}  # fmt: skip


def test_what_people_decide_lies_under_control_and_nothing_else_does(template: Template) -> None:
    (api,) = template.of_type("AWS::ApiGatewayV2::Api").values()
    asked = {
        (method, path, spec["x-amazon-apigateway-integration"]["uri"])
        for path, methods in api["Body"]["paths"].items()
        for method, spec in methods.items()
    }

    controlled = {(method, path) for method, path, uri in asked if "controlfunction" in uri}
    also = {("post", f"{CONTROL}/predict")}  # which predict answers

    assert controlled == {
        *(("post", f"{CONTROL}/{action}") for action in ACTIONS),
        *(("get", f"{CONTROL}/{view}") for view in VIEWS),
        ("get", "/control/endpoints"),
    }
    assert controlled | also == {(m, path) for m, path, _ in asked if path.startswith("/control")}


def policies() -> list[list[str]]:
    """Return the routes that each policy of docs/deploying.md lets its holder ask, as patterns."""
    text = (ROOT / "docs" / "deploying.md").read_text().partition("## Who may do what")[2]
    blocks = [
        json.loads(block)
        for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)
        if "execute-api" in block
    ]
    return [
        [resource.partition("/$default/")[2] for resource in block["Statement"][0]["Resource"]]
        for block in blocks
    ]


def test_callers_may_ask_everything_but_what_is_for_people_who_decide(template: Template) -> None:
    (api,) = template.of_type("AWS::ApiGatewayV2::Api").values()
    paths = api["Body"]["paths"]
    routes = {f"{method.upper()}{path}" for path, methods in paths.items() for method in methods}
    for_people = {route for route in routes if "/control/" in route}

    callers, people = (
        {route for route in routes if any(fnmatch(route, pattern) for pattern in patterns)}
        for patterns in policies()[:2]  # the third is of those who bring data
    )

    assert callers == routes - for_people
    assert for_people <= people
    assert not {route for route in people if route.startswith("POST") and route not in for_people}


def granted(template: Template, function: str) -> dict[str, set[str]]:
    """Return the resources that a function may touch, as suffixes of their ARNs, by action."""
    found: dict[str, set[str]] = {}
    for policy in template.of_type("AWS::IAM::Role")[f"{function}Role"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            for action in _listed(statement["Action"]):
                resources = {one.rpartition(":")[2] for one in _listed(statement["Resource"])}
                found.setdefault(action, set()).update(resources)
    return found


@pytest.mark.parametrize("function", ["RolloutFunction", "ControlFunction"])
def test_who_promotes_can_change_no_model_no_capture_and_no_label(
    template: Template, function: str
) -> None:
    written = granted(template, function)["s3:PutObject"]

    maps = {"evergreen-artifactbucket/recalibrations/*"} if function == "RolloutFunction" else set()
    kept = {"evergreen-artifactbucket/endpoints/*", "evergreen-databucket/evidence/*"}
    assert written == kept | maps


def test_a_training_sees_whether_the_data_is_broken(template: Template) -> None:
    assert "evergreen-databucket/drift/*" in granted(template, "TrainFunction")["s3:GetObject"]


def test_all_that_is_derived_from_captures_expires_with_them(template: Template) -> None:
    bucket = template.of_type("AWS::S3::Bucket")["DataBucket"]
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    written = {
        resource.partition("/")[2].removesuffix("*")
        for function in ("CompactFunction", "CheckFunction", "RolloutFunction", "ControlFunction")
        for resource in granted(template, function)["s3:PutObject"]
        if resource.startswith("evergreen-databucket/")
    }

    assert written == {
        "arrivals/", "rows/", "outcomes/", "hours/", "drift/", "quarantine/", "evidence/",
    }  # fmt: skip
    for prefix in written:
        rule = rules[prefix.removesuffix("/")]
        assert (rule["Prefix"], rule["ExpirationInDays"]) == (
            prefix, rules["captures"]["ExpirationInDays"],
        )  # fmt: skip


def test_work_that_nobody_waits_for_leaves_some_of_a_new_account_s_ten_executions_to_requests(
    template: Template,
) -> None:
    functions = template.of_type("AWS::Lambda::Function").values()
    mappings = template.of_type(MAPPING).values()

    at_once = sum(int(one["ScalingConfig"]["MaximumConcurrency"]) for one in mappings)

    assert not [one for one in functions if "ReservedConcurrentExecutions" in one]
    assert at_once == 6
    assert "checks, trainings and ticks take six at most" in (
        (ROOT / "docs" / "deploying.md").read_text().replace("\n   ", " ")
    )


HTTP = ("PredictFunction", "FeedbackFunction")


@pytest.mark.parametrize(
    ("parameters", "layer"),
    [({}, "OnnxLayer"), ({"ServingRuntime": "onnx"}, "OnnxLayer"),
     ({"ServingRuntime": "sklearn"}, "SklearnLayer")],
    ids=str,
)  # fmt: skip
def test_the_http_functions_have_the_layer_of_their_runtime_and_no_other_is_deployed(
    parameters: dict[str, str], layer: str
) -> None:
    found = resolve(TRANSLATED, parameters)

    (name,) = found.of_type("AWS::Lambda::LayerVersion")
    functions = found.of_type("AWS::Lambda::Function")
    layers = {name: f["Layers"] for name, f in functions.items() if "Layers" in f}
    assert name.startswith(layer)
    assert layers == {function: [f"evergreen-{name.lower()}"] for function in HTTP}


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_layers_and_functions_are_for_the_same_processor(architecture: str) -> None:
    found = resolve(TRANSLATED, {"Architecture": architecture})

    (layer,) = found.of_type("AWS::Lambda::LayerVersion").values()
    functions = found.of_type("AWS::Lambda::Function").values()
    assert layer["CompatibleArchitectures"] == [architecture]
    assert all(function["Architectures"] == [architecture] for function in functions)


@pytest.mark.parametrize("applies_on", ["None", "PublishedVersions"])
def test_snapshots_are_of_published_versions_and_requests_go_to_these(applies_on: str) -> None:
    found = resolve(TRANSLATED, {"SnapStart": applies_on})

    functions = found.of_type("AWS::Lambda::Function")
    snapshots = {name: f["SnapStart"] for name, f in functions.items() if "SnapStart" in f}
    assert snapshots == {name: {"ApplyOn": applies_on} for name in HTTP}
    aliases = {name: f"{name}Aliaslive" for name in HTTP}
    assert set(found.of_type("AWS::Lambda::Alias")) == set(aliases.values())
    (api,) = found.of_type("AWS::ApiGatewayV2::Api").values()
    methods = [spec for path in api["Body"]["paths"].values() for spec in path.values()]
    asked = {
        m["x-amazon-apigateway-integration"]["uri"].partition("/functions/")[2] for m in methods
    }
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:evergreen"
    assert asked == {
        *(f"{arn}-{name.lower()}:live/invocations" for name in HTTP),
        f"{arn}-controlfunction/invocations",
    }


def shared(resources: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what sam writes into while it builds and two resources have in common."""
    written = [
        (name, part, resource[part])
        for name, resource in resources.items()
        for part in ("Metadata", "Properties")
        if part in resource
    ]
    return [
        (f"{name}.{part}", f"{other}.{another}")
        for index, (name, part, value) in enumerate(written)
        for other, another, same in written[:index]
        if value is same
    ]


def test_no_two_resources_share_what_sam_writes_into_while_it_builds() -> None:
    """With one Metadata for both layers, it built the second from the folder of the first."""
    assert shared(yaml_parse(TEMPLATE.read_text())["Resources"]) == []


def test_what_an_alias_shares_is_seen() -> None:
    source = "A: {Metadata: &m {x: 1}, Properties: &p {y: 1}}\nB: {Metadata: *m, Properties: *p}"

    found = shared(yaml_parse(source))

    assert found == [("B.Metadata", "A.Metadata"), ("B.Properties", "A.Properties")]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_translating_leaves_the_template_as_it_is() -> None:
    before = copy.deepcopy(TRANSLATED)

    resolve(TRANSLATED, {"Seed": "1"})

    assert before == TRANSLATED


def test_a_function_that_nobody_waits_for_is_patient_and_one_of_requests_is_not() -> None:
    template = load({"MaturityLevel": "4"})
    apis = json.dumps(template.of_type("AWS::ApiGatewayV2::Api"))

    found = {
        name: function["Environment"]["Variables"].get("AWS_MAX_ATTEMPTS")
        for name, function in template.of_type("AWS::Lambda::Function").items()
    }

    assert found == {name: None if f":{physical_name(name)}" in apis else "8" for name in found}
    assert None in found.values()
