"""The OpenAPI document, beside the template, the handlers and the errors that it describes."""

import json
import re
from typing import Any

import msgspec
import pytest

from evergreen.aws.s3 import Store
from evergreen.contract.decoding import RowDecoder
from evergreen.registry.manifest import Manifest
from evergreen.training.train_version import Trained
from http_api import bodies, openapi
from http_api.dispatch import ANSWERS
from http_api.routes import ROUTES
from local.plane import limits
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
    responses = described["components"]["responses"]
    found = {
        (code, int(status))
        for operation in operations(described).values()
        for status, answer in operation["responses"].items()
        if int(status) >= 400
        for code in responses[answer["$ref"].rpartition("/")[2]]["description"].split(" or ")
    }

    assert found == {(code, status) for status, code in ANSWERS.values()} | {("unavailable", 503)}
    codes = described["components"]["schemas"]["ErrorDetail"]["properties"]["code"]["enum"]
    assert set(codes) == {code for code, _ in found}


def test_each_operation_reads_as_a_verb_and_no_two_have_one_name(described: dict[str, Any]) -> None:
    found = [operation["operationId"] for operation in operations(described).values()]

    assert len(set(found)) == len(found)
    assert {"predict", "sendFeedback", "approveCandidate", "infer", "rollBack"} <= set(found)
    assert [name for name in found if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name)] == []


def test_its_examples_are_what_the_api_takes(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    (example,) = schemas["FlightDelayRow"]["examples"]

    row = RowDecoder(schemas["FlightDelayRow"]).decode(given.body(example)).instances[0]
    assert {name: row[name] for name in example} == example
    for body, text in openapi.EXAMPLES.items():
        if body != "labels":
            assert bodies.decoded(json.dumps(text).encode(), getattr(bodies, body))


def test_no_example_shows_a_row_that_has_a_sensitive_field(trained: Trained) -> None:
    hidden = msgspec.structs.replace(trained.manifest.reference["carrier"], hidden=True)
    reference = trained.manifest.reference | {"carrier": hidden}
    manifest = msgspec.structs.replace(trained.manifest, reference=reference)

    found = openapi.description({NAME: manifest})["components"]["schemas"]["FlightDelayRow"]

    assert "examples" not in found


def test_rows_and_labels_are_those_of_the_champions(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    row = schemas["FlightDelayRow"]

    assert schemas["FlightDelayRows"]["properties"]["instances"]["items"] == {
        "$ref": "#/components/schemas/FlightDelayRow"
    }
    assert RowDecoder(row).decode(given.body()).instances == [given.whole()]
    assert schemas["FlightDelayLabels"]["properties"]["labels"]["items"]["properties"]["label"] == {
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
    parts = text.split('"$ref": "#/components/responses/')[1:]
    assert {part.partition('"')[0] for part in parts} == set(document["components"]["responses"])


def test_it_is_served_before_there_is_a_champion(plane: Plane) -> None:
    answer = plane.request("GET", "/openapi.json")

    assert (answer.status, answer.json()["openapi"]) == (200, "3.1.0")


@pytest.mark.parametrize(
    "route", [f"POST /v2/models/{NAME}/infer", f"POST /endpoints/{NAME}/predict"]
)
def test_what_api_gateway_refuses_itself_stands_there_too(
    plane: Plane, described: dict[str, Any], route: str
) -> None:
    body = b" " * (limits.REQUEST_BYTES + 1)

    method, path = route.split()
    answer = plane.request(method, path, body)

    assert answer.status == 413
    named = operations(described)[route.replace(NAME, "{endpoint}")]["responses"]["413"][
        "$ref"
    ].rpartition("/")[2]
    content = described["components"]["responses"][named]["content"]["application/json"]
    names = [each["$ref"].rpartition("/")[2] for each in content["schema"]["anyOf"]]
    required = [described["components"]["schemas"][name]["required"] for name in names]
    assert list(answer.json()) in required


def test_an_endpoint_that_cannot_be_read_hides_no_route(
    plane: Plane, champion: Manifest, artifacts: Store
) -> None:
    artifacts.put(f"endpoints/{NAME}.json", b"{")

    answer = plane.request("GET", "/openapi.json")

    assert answer.status == 200
    assert "FlightDelayRow" not in answer.body
    assert "/endpoints/{endpoint}/predict" in answer.body
