"""Every method on every path: what the template lets in, and what the served API answers."""

import http.client
import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

import control
import feedback
import predict
from evergreen.registry.manifest import Manifest
from http_api.dispatch import MAX_BYTES
from http_api.routes import ROUTES
from local.plane.gateway import Answer
from local.plane.plane import Plane
from local.template import ACCOUNT, REGION, Template, physical_name, resolve, translate
from tests.support import given

DECLARED = sorted(route for routes in ROUTES.values() for route in routes)
PATHS = sorted({route.partition(" ")[2] for route in DECLARED})
METHODS = (
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "ANY",
    "get", "post", "X-FORGOTTEN",
)  # fmt: skip
ELSEWHERE = (
    "/", "/$default", "/control", "/control/endpoints", "/endpoints/", "/Endpoints",
    "/endpoints//predict", "/endpoints/a/predict/", "/endpoints/a/b/c/d/e",
)  # fmt: skip
TRANSLATED = translate()
JSON = {"Content-Type": "application/json"}
ASKED = {"endpoint": given.NAME, "version": given.version(1), "generation": "1",
         "id": given.prediction_id(1)}  # fmt: skip


def filled(path: str) -> str:
    return path.format(**ASKED)


def body_of(template: Template) -> dict[str, Any]:
    (api,) = template.of_type("AWS::ApiGatewayV2::Api").values()
    return dict(api["Body"])


def methods_of(template: Template) -> dict[str, dict[str, Any]]:
    """Return what the API has at each method and path."""
    paths = body_of(template)["paths"]
    return {
        f"{m.upper()} {path}": spec for path, found in paths.items() for m, spec in found.items()
    }


# The template


@pytest.fixture(scope="module", params=["1", "2", "3", "4"])
def at_level(request: pytest.FixtureRequest) -> Template:
    return resolve(TRANSLATED, {"MaturityLevel": request.param})


def test_the_routes_of_the_template_are_those_of_the_table_and_no_others(
    at_level: Template,
) -> None:
    wired = {
        name: sorted(
            route
            for route, spec in methods_of(at_level).items()
            if physical_name(f"{name.title()}Function")
            in spec["x-amazon-apigateway-integration"]["uri"]
        )
        for name in ROUTES
    }

    assert wired == {name: sorted(routes) for name, routes in ROUTES.items()}
    assert sorted(methods_of(at_level)) == DECLARED
    assert {route.partition(" ")[0] for route in DECLARED} == {"GET", "POST"}  # and neither ANY
    assert all(path.startswith("/") for path in PATHS)  # nor $default


def test_each_function_has_an_operation_for_each_of_its_routes_and_no_other() -> None:
    handlers = {"predict": predict, "feedback": feedback, "control": control}

    assert {name: sorted(handler.OPERATIONS) for name, handler in handlers.items()} == {
        name: sorted({route.operation for route in routes.values()})
        for name, routes in ROUTES.items()
    }


def test_every_route_asks_for_a_signature_and_none_says_otherwise(at_level: Template) -> None:
    scheme = body_of(at_level)["components"]["securitySchemes"]

    assert [spec["security"] for spec in methods_of(at_level).values()] == (
        [[{"AWS_IAM": []}]] * len(DECLARED)
    )
    assert {name: found["x-amazon-apigateway-authtype"] for name, found in scheme.items()} == {
        "AWS_IAM": "awsSigv4"
    }


def test_with_an_issuer_every_route_asks_for_a_token_whose_scope_keeps_control_apart() -> None:
    taking = resolve(TRANSLATED, {"JwtIssuer": "https://issuer.example.org", "JwtAudience": "us"})
    scheme = body_of(taking)["components"]["securitySchemes"]["Jwt"]

    for route, spec in methods_of(taking).items():
        scope = "evergreen/decide" if " /control" in route else "evergreen/ask"
        assert spec["security"] == [{"Jwt": [scope]}], route
    assert scheme["x-amazon-apigateway-authorizer"] == {
        "type": "jwt",
        "identitySource": "$request.header.Authorization",
        "jwtConfiguration": {"issuer": "https://issuer.example.org", "audience": ["us"]},
    }


def test_every_route_hands_its_function_the_whole_request_in_format_2(at_level: Template) -> None:
    found = [spec["x-amazon-apigateway-integration"] for spec in methods_of(at_level).values()]

    assert {(one["type"], one["payloadFormatVersion"]) for one in found} == {("aws_proxy", "2.0")}


def test_every_route_is_throttled_and_none_has_limits_of_its_own(at_level: Template) -> None:
    (stage,) = at_level.of_type("AWS::ApiGatewayV2::Stage").values()
    throttle = stage["DefaultRouteSettings"]

    assert 0 < throttle["ThrottlingRateLimit"] <= throttle["ThrottlingBurstLimit"] <= 1_000
    assert "RouteSettings" not in stage
    assert stage["StageName"] == "$default"


def test_nothing_of_the_template_adds_a_route_or_lets_browsers_of_other_sites_in(
    at_level: Template,
) -> None:
    kinds = {resource["Type"] for resource in at_level.resources.values()}
    (api,) = at_level.of_type("AWS::ApiGatewayV2::Api").values()

    assert {kind for kind in kinds if "ApiGateway" in kind} == {
        "AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage",
    }  # fmt: skip
    assert not {"CorsConfiguration", "RouteKey", "Target", "CredentialsArn"} & set(api)
    assert not [key for key in body_of(at_level) if "cors" in key.lower()]
    assert "AWS::Lambda::Url" not in kinds  # a way in beside the API
    assert not [
        one
        for one in at_level.of_type("AWS::Lambda::Permission").values()
        if one["Principal"] not in ("apigateway.amazonaws.com", "events.amazonaws.com")
    ]


def test_no_route_of_the_api_is_allowed_to_be_invoked_by_another_api(at_level: Template) -> None:
    ours = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{physical_name('Api')}/"
    sources = [
        one["SourceArn"]
        for one in at_level.of_type("AWS::Lambda::Permission").values()
        if one["Principal"] == "apigateway.amazonaws.com"
    ]

    assert len(sources) == len(DECLARED)
    assert all(source.startswith(ours) for source in sources)


# The served API


@pytest.fixture
def asked(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the routes that a function is asked for, which then answers nothing of interest."""
    found: list[str] = []

    def answer(_: str, event: dict[str, Any]) -> Answer:
        found.append(event["routeKey"])
        return Answer(200, {}, "{}")

    monkeypatch.setattr(plane, "_answer", answer)
    return found


@pytest.fixture
def client(url: str) -> Iterator[http.client.HTTPConnection]:
    found = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    yield found
    found.close()


def test_a_method_reaches_a_function_only_on_the_paths_that_declare_it(
    asked: list[str], client: http.client.HTTPConnection
) -> None:
    """501 is the server's own word for a method that nobody knows; API Gateway says 404."""
    for method, path in product(METHODS, (*PATHS, *ELSEWHERE)):
        asked.clear()
        client.request(method, filled(path), headers={"Content-Length": "0"})
        answer = client.getresponse()
        answer.read()

        declared = f"{method} {path}" in DECLARED
        assert asked == ([f"{method} {path}"] if declared else []), (method, path)
        assert answer.status in ((200,) if declared else (404, 405, 501)), (method, path)


LARGE = json.dumps({"instances": ["x" * MAX_BYTES]}).encode()
POSTED = [route.partition(" ")[2] for route in DECLARED if route.startswith("POST")]


@pytest.mark.parametrize("body", [LARGE, b"\xff" * (MAX_BYTES + 1)], ids=["text", "binary"])
@pytest.mark.parametrize("path", POSTED)
def test_a_body_over_the_cap_is_refused_on_every_route_that_takes_one(
    champion: Manifest, client: http.client.HTTPConnection, path: str, body: bytes
) -> None:
    client.request("POST", filled(path), body, JSON)
    answer = client.getresponse()

    assert answer.status == 413
    assert "are over the limit of" in answer.read().decode()


@pytest.mark.parametrize("path", POSTED)
def test_a_body_of_the_largest_size_is_read(
    champion: Manifest, client: http.client.HTTPConnection, path: str
) -> None:
    body = b'{"no such field": "' + b"x" * (MAX_BYTES - 21) + b'"}'
    assert len(body) == MAX_BYTES

    client.request("POST", filled(path), body, JSON)
    answer = client.getresponse()

    assert answer.status == 400
    assert "in the request" in answer.read().decode()
