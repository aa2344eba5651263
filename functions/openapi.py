"""The API in the words of OpenAPI 3.1: its routes, what they take, and what they answer.

Rows and labels are those that the champions of the moment take; predict and feedback decode by the
same schemas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import msgspec

from evergreen.captures.records import Capture
from evergreen.contract import identifiers
from evergreen.contract.problem import KINDS, Problem
from evergreen.contract.schema import MAX_KEY_LENGTH, MAX_ROWS, JsonSchema
from evergreen.registry.explain import Explanation
from evergreen.registry.state import Decision, Document, Experiment, Status
from evergreen.rollout import requests
from evergreen.serving.replay import Replay

TEXT: JsonSchema = {"type": "string"}
TEXTS: JsonSchema = {"type": "array", "items": TEXT}
NUMBER: JsonSchema = {"type": "integer", "minimum": 0}
ANY: JsonSchema = {}
_STRUCTS = (Decision, Document, Experiment, Explanation, Replay)
_BODIES = (
    requests.Asked,
    requests.VersionAsked,
    requests.RollbackAsked,
    requests.ExperimentAsked,
    requests.RetrainAsked,
)
_SHAPES: dict[str, JsonSchema] = {
    name: {"type": "string", "pattern": f"^{pattern.pattern}$"}
    for name, pattern in {
        "endpoint": identifiers.ENDPOINT,
        "version": identifiers.VERSION,
        "id": identifiers.PREDICTION,
        "run": identifiers.RUN,
    }.items()
} | {
    "generation": {"type": "integer", "minimum": 1},
    "limit": {"type": "integer", "minimum": 1, "maximum": 500},
    "status": {"type": "string", "enum": list(get_args(Status))},
    "evidence": {"type": "string", "enum": ["yes", "no"]},
}


@dataclass(frozen=True)
class Route:
    """What a route does and answers; may: codes of errors besides those of every route."""

    summary: str
    answer: JsonSchema
    may: tuple[str, ...] = ()
    body: JsonSchema | None = None
    status: int = 200
    media: str = "application/json"


def _ref(kind: type) -> JsonSchema:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _object(**properties: JsonSchema) -> JsonSchema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(of: JsonSchema) -> JsonSchema:
    return {"type": "array", "items": of}


_DECIDED = _object(endpoint=TEXT, generation=NUMBER, decision=_ref(Decision))
_STATE = _object(endpoint=TEXT)  # with an error where the document cannot be read
_MADE = ("no_champion", "changed", "forbidden")
_CONTROL = "/control/endpoints/{endpoint}"


def _routes(rows: JsonSchema, labels: JsonSchema) -> dict[str, Route]:
    """Return the routes; rows, labels: the bodies of predict and feedback."""
    answers = {
        name: spec
        for name, spec in msgspec.json.schema_components([Capture])[1]["Capture"][
            "properties"
        ].items()
        if name in ("id", "label", "score", "scores", "unseen")
    }
    prediction = _object(**answers) | {"required": ["id", "label", "score"]}
    predictions = _object(predictions=_list(prediction), endpoint=TEXT, version=TEXT, variant=TEXT)
    taken = _object(endpoint=TEXT, accepted=NUMBER, repeated=NUMBER, conflicting=TEXTS)
    named = _object(version=TEXT, status=ANY, kind=ANY)
    shown = _object(
        endpoint=TEXT, champion=TEXT, statuses=ANY, schema=ANY, history=_list(_ref(Decision))
    )
    manifest = _object(**dict.fromkeys(("endpoint", "version", "schema", "metrics"), ANY))

    def decides(summary: str, body: type, *may: str) -> Route:
        return Route(summary, _DECIDED, (*_MADE, *may), _ref(body))

    return {
        "GET /openapi.json": Route("Describe the API", _object(openapi=TEXT, paths=ANY)),
        "POST /endpoints/{endpoint}/predict": Route(
            "Score rows", predictions, ("unknown_version", "no_champion"), rows
        ),
        "POST /endpoints/{endpoint}/feedback": Route(
            "Take the outcomes of predictions", taken, (), labels, 202
        ),
        "GET /endpoints": Route("List the endpoints", _object(endpoints=_list(_STATE))),
        "GET /endpoints/{endpoint}": Route("Show an endpoint", shown, ("no_champion",)),
        "GET /endpoints/{endpoint}/versions": Route(
            "List versions", _object(endpoint=TEXT, versions=_list(named))
        ),
        "GET /endpoints/{endpoint}/versions/{version}": Route(
            "Show the manifest of a version", manifest, ("unknown_version",)
        ),
        "GET /endpoints/{endpoint}/versions/{version}/report": Route(
            "Show the page of a version", TEXT, ("unknown_version", "no_report"), media="text/html"
        ),
        f"POST {_CONTROL}/retrain": Route(
            "Ask for a training",
            _object(endpoint=TEXT, time=TEXT, run=TEXT),
            (),
            _ref(requests.RetrainAsked),
            202,
        ),
        f"POST {_CONTROL}/approve": decides(
            "Promote the candidate", requests.VersionAsked, "unknown_version"
        ),
        f"POST {_CONTROL}/reject": decides("Reject a version", requests.VersionAsked),
        f"POST {_CONTROL}/promote": decides(
            "Promote a version", requests.VersionAsked, "unknown_version"
        ),
        f"POST {_CONTROL}/rollback": decides(
            "Return to a version", requests.RollbackAsked, "unknown_version"
        ),
        f"POST {_CONTROL}/pause": decides("Stop triggers and rollout", requests.Asked),
        f"POST {_CONTROL}/resume": decides("Let them go on", requests.Asked),
        f"POST {_CONTROL}/experiments": decides(
            "Begin an A/B test", requests.ExperimentAsked, "unknown_version"
        ),
        f"POST {_CONTROL}/experiments/stop": decides("End the A/B test", requests.Asked),
        f"GET {_CONTROL}/experiments": Route(
            "Show A/B tests", _object(endpoint=TEXT, running=ANY, past=_list(ANY)), ("no_champion",)
        ),
        f"GET {_CONTROL}/status": Route(
            "Show what goes on", _object(document=_ref(Document)), ("no_champion",)
        ),
        f"GET {_CONTROL}/decisions": Route(
            "List decisions", _object(endpoint=TEXT, decisions=_list(_ref(Decision))),
            ("no_champion",),
        ),
        f"GET {_CONTROL}/decisions/{{generation}}": Route(
            "Show a decision", _ref(Decision), ("no_champion", "unknown_decision")
        ),
        f"GET {_CONTROL}/explain": Route(
            "Say why a version serves", _ref(Explanation), ("no_champion", "unknown_version")
        ),
        f"GET {_CONTROL}/predictions/{{id}}": Route(
            "Replay a prediction", _ref(Replay), ("unknown_prediction",)
        ),
    }  # fmt: skip


def description(
    champions: Mapping[str, tuple[JsonSchema, Problem]],
    codes: Mapping[str, int],
    queries: Mapping[str, tuple[str, ...]],
) -> dict[str, Any]:
    """Return the OpenAPI document.

    champions: the schema of a row and the problem of each endpoint's champion. codes: the status of
    each code of an error. queries: the query parameters of routes, by `METHOD /path`.
    """
    schemas = msgspec.json.schema_components(
        [*_STRUCTS, *_BODIES], ref_template="#/components/schemas/{name}"
    )[1]
    for endpoint, (schema, problem) in champions.items():
        schemas[f"{endpoint}-rows"] = _rows(schema)
        schemas[f"{endpoint}-labels"] = _labels(msgspec.json.schema(KINDS[problem.kind]))

    def of_champions(what: str, general: JsonSchema) -> JsonSchema:
        some = [{"$ref": f"#/components/schemas/{name}-{what}"} for name in champions]
        return {"anyOf": some} if some else general

    routes = _routes(
        of_champions("rows", _rows({"type": "object"})), of_champions("labels", _labels(ANY))
    )
    paths: dict[str, dict[str, Any]] = {}
    for key, route in routes.items():
        method, path = key.split(" ")
        paths.setdefault(path, {})[method.lower()] = _operation(
            path, route, queries.get(key, ()), codes
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Evergreen", "version": "1", "description": __doc__},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "sigv4": {"type": "apiKey", "name": "Authorization", "in": "header"}
            },
        },
        "security": [{"sigv4": []}],
    }


def _rows(row: JsonSchema) -> JsonSchema:
    key = {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_KEY_LENGTH}
    closed = row | {"additionalProperties": False} if "properties" in row else row
    instances = _list(closed) | {"minItems": 1, "maxItems": MAX_ROWS}
    found = _object(instances=instances, key=key)
    return found | {"required": ["instances"], "additionalProperties": False}


def _labels(label: JsonSchema) -> JsonSchema:
    one = _object(id=_SHAPES["id"], label=label) | {"additionalProperties": False}
    labels = _list(one) | {"minItems": 1, "maxItems": MAX_ROWS}
    return _object(labels=labels) | {"additionalProperties": False}


def _operation(
    path: str, route: Route, queries: tuple[str, ...], codes: Mapping[str, int]
) -> dict[str, Any]:
    of_path = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _SHAPES[name]} for name in of_path
    ] + [{"name": name, "in": "query", "schema": _SHAPES[name]} for name in queries]
    may = {"invalid_request", *route.may}
    may |= {"unknown_endpoint"} if of_path else set()
    may |= {"too_large", "wrong_content_type"} if route.body else set()
    may |= {code for code, status in codes.items() if status == 503 and code != "no_champion"}
    content = {route.media: {"schema": route.answer}}
    answers = {str(route.status): {"description": route.summary, "content": content}}
    for status in sorted({codes[code] for code in may}):
        answers[str(status)] = _error(sorted(code for code in may if codes[code] == status))
    operation: dict[str, Any] = {"summary": route.summary, "responses": answers}
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        content = {"application/json": {"schema": route.body}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _error(codes: list[str]) -> dict[str, Any]:
    fault = _object(path=TEXT, message=TEXT)
    error = _object(code={"enum": codes}, message=TEXT)
    error["properties"]["faults"] = _list(fault)
    return {
        "description": " or ".join(codes),
        "content": {"application/json": {"schema": _object(error=error)}},
    }
