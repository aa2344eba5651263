"""The OpenAPI document, beside the template, the handlers and the errors that it describes."""

import json
from typing import Any

import pytest

from evergreen.aws.s3 import Store
from evergreen.contract.decoding import RowDecoder
from evergreen.registry.manifest import Manifest
from evergreen.training.train_version import Trained
from http_api import openapi
from http_api.dispatch import ANSWERS
from http_api.routes import ROUTES
from local.plane.plane import Plane
from tests.support import given
from tests.support.given import NAME


def operations(document: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


@pytest.fixture
def described(trained: Trained) -> dict[str, Any]:
    return openapi.description({NAME: trained.manifest})


def test_its_routes_and_queries_are_those_of_the_table(described: dict[str, Any]) -> None:
    found = {
        key: tuple(
            each["name"] for each in operation.get("parameters", []) if each["in"] == "query"
        )
        for key, operation in operations(described).items()
    }

    assert found == {key: route.query for own in ROUTES.values() for key, route in own.items()}


def test_each_code_of_an_error_stands_at_its_status(described: dict[str, Any]) -> None:
    found = {
        (code, int(status))
        for operation in operations(described).values()
        for status, answer in operation["responses"].items()
        if int(status) >= 400
        for code in answer["description"].split(" or ")
    }

    assert found == {(code, status) for status, code in ANSWERS.values()} | {("unavailable", 503)}


def test_rows_and_labels_are_those_of_the_champions(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    row = schemas[f"{NAME}-rows"]["properties"]["instances"]["items"]

    assert RowDecoder(row).decode(given.body()).instances == [given.whole()]
    assert schemas[f"{NAME}-labels"]["properties"]["labels"]["items"]["properties"]["label"] == {
        "type": "boolean"
    }


@pytest.mark.parametrize("champions", [0, 1, 2])
def test_what_it_refers_to_is_there(trained: Trained, champions: int) -> None:
    known = {f"endpoint-{n}": trained.manifest for n in range(champions)}

    document = openapi.description(known)

    text = json.dumps(document)
    named = {part.partition('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}
    assert named
    assert named == set(document["components"]["schemas"])


def test_it_is_served_before_there_is_a_champion(plane: Plane) -> None:
    answer = plane.request("GET", "/openapi.json")

    assert (answer.status, answer.json()["openapi"]) == (200, "3.1.0")


def test_an_endpoint_that_cannot_be_read_hides_no_route(
    plane: Plane, champion: Manifest, artifacts: Store
) -> None:
    artifacts.put(f"endpoints/{NAME}.json", b"{")

    answer = plane.request("GET", "/openapi.json")

    assert answer.status == 200
    assert f"{NAME}-rows" not in answer.body
    assert "/endpoints/{endpoint}/predict" in answer.body
