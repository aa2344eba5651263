"""The layers hold what predict and feedback need of botocore, and nothing else of it."""

import ast
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore
import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.session import Session

from evergreen.aws.s3 import Store
from evergreen.captures.records import send
from local.plane.process import CODE
from local.template import ROOT, Template, physical_name
from tests.support import given

DATA = Path(botocore.__file__).parent / "data"
OTHERS = ("sqs", "sts")
SERVICES = ("s3", "kms", "firehose")
SHAPES_WITHIN = ("member", "key", "value")  # of a list, and of a map
ONLY_IN_TRAINING = {"put_object", "generate_mac"}


@pytest.fixture(scope="module")
def trim() -> SimpleNamespace:
    """Return the script of the layers, of which nothing must be left in their folder."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / "layers" / "serving" / "trim.py")))


@pytest.fixture(scope="module")
def trimmed(trim: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data of botocore, as it is of four services, after it was trimmed."""
    folder = tmp_path_factory.mktemp("data")
    for file in DATA.glob("*.json"):
        shutil.copy(file, folder)
    for service in (*SERVICES, *OTHERS):
        shutil.copytree(DATA / service, folder / service)
    trim.main(folder)
    return folder


@pytest.fixture
def session(trimmed: Path) -> Any:
    """Return a session that knows of AWS what the layers do."""
    found = Session()
    loader = Loader(extra_search_paths=[str(trimmed)], include_default_search_paths=False)
    found.register_component("data_loader", loader)
    return found


def calls(service: str) -> set[str]:
    """Return the methods of a client that our code calls, and what it pages through."""
    found: set[str] = set()
    for file in CODE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            client = ast.unparse(node.func.value).rpartition(".")[2].removesuffix("()")
            if client == service and node.func.attr == "get_paginator":
                found |= {ast.literal_eval(argument) for argument in node.args}
            elif client == service:
                found.add(node.func.attr)
    return found


# What is kept


@pytest.mark.parametrize("service", SERVICES)
def test_the_operations_that_are_kept_are_those_that_a_request_may_lead_to(
    trim: SimpleNamespace, service: str
) -> None:
    kept = {xform_name(operation) for operation in trim.CALLED[service]}

    assert kept == calls(service) - ONLY_IN_TRAINING


@pytest.mark.parametrize("function", ["PredictFunction", "FeedbackFunction"])
def test_no_other_operation_is_allowed_by_a_role(
    trim: SimpleNamespace, template: Template, function: str
) -> None:
    (policy,) = template.of_type("AWS::IAM::Role")[f"{function}Role"]["Policies"]
    allowed = {statement["Action"] for statement in policy["PolicyDocument"]["Statement"]}

    operations = [f"{service}:{name}" for service, names in trim.CALLED.items() for name in names]

    assert allowed == {name.replace("s3:ListObjectsV2", "s3:ListBucket") for name in operations}


def test_no_other_service_is_left(session: Any, trimmed: Path) -> None:
    assert sorted(session.get_available_services()) == sorted(SERVICES)
    assert sorted(path.name for path in trimmed.iterdir() if path.is_dir()) == sorted(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_trimmed_client_has_the_operations_that_are_called_and_no_other(
    trim: SimpleNamespace, session: Any, service: str
) -> None:
    client = session.create_client(service, region_name="eu-west-1")

    assert sorted(client.meta.method_to_api_mapping.values()) == sorted(trim.CALLED[service])


@pytest.mark.parametrize("service", SERVICES)
def test_a_trimmed_operation_has_the_shapes_that_it_had_and_no_other_is_left(
    trim: SimpleNamespace, session: Any, service: str
) -> None:
    model, whole = (found.get_service_model(service) for found in (session, Session()))
    waiting = [
        shape
        for operation in map(whole.operation_model, trim.CALLED[service])
        for shape in (operation.input_shape, operation.output_shape, *operation.error_shapes)
    ]
    needed: set[str] = set()
    while waiting:
        shape = waiting.pop()
        if shape.name not in needed:
            needed.add(shape.name)
            waiting += getattr(shape, "members", {}).values()
            waiting += [getattr(shape, name) for name in SHAPES_WITHIN if hasattr(shape, name)]

    assert set(model.shape_names) == needed


@pytest.mark.parametrize("service", SERVICES)
def test_a_trimmed_client_has_the_address_of_every_partition(session: Any, service: str) -> None:
    whole = Session()
    partitions = whole.get_available_partitions()
    regions = {name: whole.get_available_regions(service, name) for name in partitions}

    def addresses(found: Any) -> list[str]:
        names = [region for listed in regions.values() for region in listed[:1]]
        clients = [found.create_client(service, region_name=name) for name in names]
        return [client.meta.endpoint_url for client in clients]

    assert regions["aws"]
    assert addresses(session) == addresses(whole)
    assert regions == {name: session.get_available_regions(service, name) for name in partitions}


# What it can do


def told(client: Any, **asked: str) -> dict[str, Any]:
    """Return what is told of an object, without what differs from one call to the next."""
    return dict(client.get_object(**asked)) | {"ResponseMetadata": None, "Body": None}


def test_a_trimmed_client_reads_what_the_whole_one_does(bucket: Store, session: Any) -> None:
    store = Store(session.create_client("s3"), bucket.bucket)
    bucket.put("a/1.json", b"one")

    found = store.get("a/1.json")

    assert found is not None
    assert (found.body, store.get("a/2.json")) == (b"one", None)
    assert store.changed("a/1.json", found.etag) is None
    assert store.changed("a/1.json", '"another"') == found
    asked = {"Bucket": bucket.bucket, "Key": "a/1.json"}
    assert told(store.s3, **asked) == told(bucket.s3, **asked)


def test_a_trimmed_client_lists_page_by_page_what_the_whole_one_does(
    bucket: Store, session: Any
) -> None:
    store = Store(session.create_client("s3"), bucket.bucket)
    for number in range(5):
        bucket.put(f"a/{number}/x.json", b"")

    pages = store.s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket.bucket, Prefix="a/", PaginationConfig={"PageSize": 2}
    )

    keys = [[item["Key"][2] for item in page["Contents"]] for page in pages]
    assert keys == [["0", "1"], ["2", "3"], ["4"]]
    assert list(store.keys("a/", "a/2")) == list(bucket.keys("a/", "a/2")) != []
    assert list(store.names("a/")) == [f"{number}/" for number in range(5)]


def test_a_trimmed_client_sends_what_firehose_delivers(data: Store, session: Any) -> None:
    stream = physical_name("LabelStream")

    send(session.create_client("firehose"), stream, [given.label(n) for n in range(40)])

    delivered = [data.get(key) for key in data.keys("labels/")]
    assert sum(found.body.count(b"\n") for found in delivered if found) == 40
