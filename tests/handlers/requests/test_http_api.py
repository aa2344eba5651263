"""What the HTTP functions make of the events of an HTTP API, payload format 2.0."""

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.contract.decoding import payload_bytes
from evergreen.contract.errors import InvalidRequestError, WrongContentTypeError
from http_api.dispatch import Answer, Request, answer, operations, respond
from http_api.routes import ROUTES, Route
from local.plane.plane import Plane
from local.plane.process import Context
from tests.handlers.requests.test_predict import example

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def without(event: dict[str, Any], how: str) -> dict[str, Any]:
    """Return an event without what may be missing; sam local sends null in its place."""
    names = ("headers", "pathParameters", "queryStringParameters", "body", "isBase64Encoded")
    if how == "null":
        return event | dict.fromkeys(names)
    return {name: value for name, value in event.items() if name not in names}


# Routes


@pytest.mark.parametrize("key", ["$default", "GET /", "POST /endpoints", "get /endpoints"])
@pytest.mark.parametrize("function", ROUTES)
def test_a_route_that_nobody_has_written_is_not_found(
    plane: Plane, function: str, key: str
) -> None:
    found = plane.invoke(f"{function.title()}Function", example("predict") | {"routeKey": key})

    assert found["statusCode"] == 404
    assert json.loads(found["body"])["error"]["code"] == "unknown_route"


def answered(body: str) -> tuple[int, str]:
    def show(_: Request) -> Answer:
        return {"statusCode": 200, "headers": {}, "body": body}

    event = example("endpoints")
    routes = {event["routeKey"]: Route("show", "Show", str)}
    found = respond(routes, operations(show), event, Context("any", 128, "an id"))
    return found["statusCode"], found["body"]


@pytest.mark.parametrize("text", ['"', "\\", "\n", "\x01", "é", "x"])
def test_an_answer_that_lambda_would_not_hand_on_is_one_that_says_so(text: str) -> None:
    size = payload_bytes(text) - 2  # as Lambda's runtime writes it
    most, over = 5_900_000 // size, 6_000_001 // size + 1

    assert answered(text * most) == (200, text * most)
    status, body = answered(text * over)

    assert (status, json.loads(body)["error"]["code"]) == (413, "too_large")
    assert "bytes of answer are over the limit of 6,000,000" in body


# Requests


@pytest.mark.parametrize("how", ["null", "absent"])
def test_what_a_request_does_not_have_is_empty(how: str) -> None:
    request = Request(without(example("predict"), how))

    assert (request.parameters, request.query) == ({}, {})
    with pytest.raises(WrongContentTypeError, match="''"):
        request.json_body()


@pytest.mark.parametrize("how", ["null", "absent"])
def test_the_endpoints_are_listed_without_headers_parameters_or_a_query(
    plane: Plane, how: str
) -> None:
    found = plane.invoke("PredictFunction", without(example("endpoints"), how))

    assert (found["statusCode"], json.loads(found["body"])["endpoints"]) == (200, [])


@pytest.mark.parametrize("name", ["content-type", "Content-Type", "CONTENT-TYPE"])
def test_the_name_of_a_header_has_any_case(name: str) -> None:
    event = example("predict") | {"headers": {"accept": "*/*", name: "application/json"}}

    assert Request(event).json_body() == event["body"].encode()


@pytest.mark.parametrize("body", [None, ""])
def test_no_body_is_an_empty_one(body: str | None) -> None:
    assert Request(example("predict") | {"body": body}).json_body() == b""


@hypothesis_given(st.binary())
def test_a_body_in_base64_is_decoded(body: bytes) -> None:
    event = example("predict") | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}

    assert Request(event).json_body() == body


@pytest.mark.parametrize("body", ["a", "é"])
def test_a_body_that_is_not_in_the_base64_that_it_claims_is_refused(body: str) -> None:
    with pytest.raises(InvalidRequestError, match="not base64"):
        Request(example("predict") | {"body": body, "isBase64Encoded": True}).json_body()


@pytest.mark.parametrize("function", ROUTES)
def test_no_route_takes_a_parameter_that_it_does_not_know(function: str) -> None:
    for key, route in ROUTES[function].items():
        query = dict.fromkeys(route.query, "x")
        event: dict[str, Any] = {"routeKey": key, "queryStringParameters": query}
        asked = ROUTES[function], {route.operation: lambda _: answer(200, {})}, event

        assert respond(*asked, Context("any", 128, "an id"))["statusCode"] == 200
        query["source"] = "s3://bucket/model"
        assert respond(*asked, Context("any", 128, "an id"))["statusCode"] == 400


# The time of a request


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Kolkata"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> datetime:
    return Request({"requestContext": {"time": text, "timeEpoch": 1}}).time


@hypothesis_given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_the_time_of_a_request_is_read_as_api_gateway_writes_it(moment: datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    text = f"{moment:%d}/{MONTHS[moment.month - 1]}/{moment:%Y:%H:%M:%S} +0000"

    assert at(text) == moment
    assert at(text).tzinfo is UTC


def test_the_time_of_a_request_does_not_depend_on_where_the_clock_stands(zone: str) -> None:
    assert at("12/Mar/2020:19:03:58 +0000") == datetime(2020, 3, 12, 19, 3, 58, tzinfo=UTC)


# Answers


def test_a_value_that_is_no_number_does_not_leave_as_one() -> None:
    assert json.loads(answer(200, {"score": float("nan")})["body"]) == {"score": None}


def test_an_error_that_is_nobodys_is_not_hidden_in_an_answer() -> None:
    """Lambda counts it as an error of the function, and API Gateway answers 500."""

    def broken(_: Request) -> Answer:
        raise ZeroDivisionError

    routes, event = {"GET /": Route("broken", "Fail", str)}, {"routeKey": "GET /"}

    with pytest.raises(ZeroDivisionError):
        respond(routes, operations(broken), event, Context("predict", 1024, "an id"))
