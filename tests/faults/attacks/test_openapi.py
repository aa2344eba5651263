"""The served API against its own OpenAPI document, with what the document allows and what not."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as hypothesis_given
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)

from evergreen.aws.s3 import Store
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry
from http_api import openapi
from http_api.routes import ROUTES
from local.plane.plane import Plane
from tests.support import candidates
from tests.support.given import NAME, prediction_id
from tests.support.registries import registry_of

BOUNDED = settings(
    max_examples=12, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
CONFORMS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
QUERIES = {key for own in ROUTES.values() for key, route in own.items() if route.query}
TABLES = ("/infer", "/invocations")  # the document does not say which columns a table has
OPERATIONS = [
    (method.upper(), path)
    for path, methods in openapi.description({})["paths"].items()
    for method in methods
]


@pytest.fixture
def registry(candidate: Manifest, artifacts: Store) -> Registry:
    return registry_of(artifacts)


def known(case: Case[Any], registry: Registry) -> None:
    """Let a request be about what there is; its shape stays that of the document.

    5.0 is an integer to JSON Schema and none to us, as docs/api.md says.
    """
    case.body = without_points(case.body)
    if "endpoint" in case.path_parameters:
        case.path_parameters["endpoint"] = NAME
    for place in (case.path_parameters, case.query, case.body):
        if not isinstance(place, dict):
            continue
        if "version" in place:
            place["version"] = candidates.TWO
            place.pop("status", None)  # which may not stand beside it
        if "id" in place:
            place["id"] = prediction_id(1)  # or it is of the future
        if "treatment" in place:
            place |= {"treatment": candidates.TWO, "control": None}
        if "generation" in place:
            place["generation"] = candidates.document(registry).generation


def without_points(value: Any) -> Any:
    match value:
        case dict():
            return {name: without_points(each) for name, each in value.items()}
        case list():
            return [without_points(each) for each in value]
        case float() if value.is_integer():
            return int(value)
    return value


@pytest.fixture
def document(plane: Plane, candidate: Manifest) -> dict[str, Any]:
    """Return what is served, but for the signature, which nobody is asked for here."""
    found = plane.request("GET", "/openapi.json").json()
    del found["security"], found["components"]["securitySchemes"]
    return dict(found)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_the_document_allows_is_answered_as_it_says(
    url: str, registry: Registry, document: dict[str, Any], method: str, path: str
) -> None:
    operation = schemathesis.openapi.from_dict(document)[path][method]

    @BOUNDED
    @hypothesis_given(case=operation.as_strategy())
    def ask(case: Case[Any]) -> None:
        known(case, registry)
        response = case.call(base_url=url)
        more = [] if path.endswith(TABLES) else [positive_data_acceptance]
        case.validate_response(response, checks=[*CONFORMS, *more])

    ask()


@pytest.mark.parametrize(("method", "path"), [each for each in OPERATIONS if "{" in each[1]])
def test_a_path_that_the_document_does_not_allow_is_refused_as_it_says(
    url: str, document: dict[str, Any], method: str, path: str
) -> None:
    refused(url, schemathesis.openapi.from_dict(document)[path][method])


@pytest.mark.parametrize(
    ("method", "path"),
    [each for each in OPERATIONS if each[0] == "POST" or " ".join(each) in QUERIES],
)
def test_a_body_or_query_that_the_document_does_not_allow_is_refused_as_it_says(
    url: str, document: dict[str, Any], method: str, path: str
) -> None:
    refused(
        url,
        schemathesis.openapi.from_dict(document)[path][method],
        path_parameters={"endpoint": NAME},
    )


def refused(url: str, operation: APIOperation[Any, Any, Any, Any], **fixed: Any) -> None:
    statuses: set[int] = set()

    @BOUNDED
    @hypothesis_given(case=operation.as_strategy(GenerationMode.NEGATIVE, **fixed))
    def ask(case: Case[Any]) -> None:
        response = case.call(base_url=url)
        too_large = response.status_code == 413  # which is a refusal, and not known as one there
        more = [] if too_large else [negative_data_rejection]
        case.validate_response(response, checks=[*CONFORMS, *more])
        statuses.add(response.status_code)

    ask()

    assert statuses <= {400, 404, 409, 413, 415}
