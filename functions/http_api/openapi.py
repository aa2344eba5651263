"""The API in the words of OpenAPI 3.1: the table of routes, and the schemas that it names.

predict and feedback decode by the same schemas.
"""

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from evergreen.captures.records import Capture
from evergreen.captures.search import LABEL, LAST_SECOND, MOST_DAYS, Only
from evergreen.contract import identifiers
from evergreen.contract.decoding import MAX_KEY_LENGTH, MAX_ROWS
from evergreen.contract.problem import KINDS
from evergreen.contract.schema import JsonSchema
from evergreen.registry.explain import Explanation
from evergreen.registry.manifest import Manifest
from evergreen.registry.state import Decision, Document, Experiment, Status
from evergreen.serving.replay import Replay
from http_api import bodies, invocations, open_inference
from http_api.dispatch import CODES
from http_api.routes import ROUTES, Route

ABOUT = """Evergreen answers with the champion of an endpoint and takes the outcomes of its answers.

Rows and labels are those that the champions of this moment take.
"""
_STRUCTS = (
    Decision, Document, Experiment, Explanation, Replay,
    bodies.Asked, bodies.VersionAsked, bodies.RollbackAsked, bodies.ExperimentAsked,
    bodies.RetrainAsked, invocations.Invocation, open_inference.InferRequest,
    open_inference.OutputTensor,
)  # fmt: skip
_VALUES: dict[type, JsonSchema] = {
    str: {"type": "string"},
    int: {"type": "integer", "minimum": 0},
    object: {},
}
_PARAMETERS: dict[str, JsonSchema] = {
    name: {"type": "string", "pattern": f"^{pattern.pattern}$"}
    for name, pattern in {
        "endpoint": identifiers.ENDPOINT,
        "next": identifiers.ENDPOINT,
        "version": identifiers.VERSION,
        "id": identifiers.PREDICTION,
        "run": identifiers.RUN,
        "uploaded": identifiers.SECOND,
    }.items()
} | {
    "generation": {"type": "integer", "minimum": 1},
    "limit": {"type": "integer", "minimum": 1, "maximum": 500},
    "status": {"type": "string", "enum": list(get_args(Status))},
    "evidence": {"type": "string", "enum": ["yes", "no"]},
    "batch": {"type": "string", "pattern": r"^[\w.-]{1,400}$"},
    "until": {"type": "integer", "minimum": 1, "maximum": LAST_SECOND},
    "before": {"type": "string", "pattern": f"^{identifiers.PREDICTION.pattern}$"},
    "days": {"type": "integer", "minimum": 1, "maximum": MOST_DAYS},
    "label": {"type": "string", "pattern": f"^{LABEL.pattern}$"},
    "only": {"type": "string", "enum": list(get_args(Only))},
}


def _schema(shape: Any) -> JsonSchema:
    """Return the JSON Schema of a shape as the routes have it."""
    match shape:
        case str() if shape.endswith("?"):
            return {"anyOf": [_schema(shape[:-1]), {"type": "null"}]}
        case str():
            return {"$ref": f"#/components/schemas/{shape}"}
        case dict():
            return _object(**{name: _schema(each) for name, each in shape.items()})
        case [each]:
            return _list(_schema(each))
    return _VALUES[shape]


def _object(**properties: JsonSchema) -> JsonSchema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(of: JsonSchema) -> JsonSchema:
    return {"type": "array", "items": of}


def description(champions: Mapping[str, Manifest]) -> dict[str, Any]:
    """Return the OpenAPI document; champions: the manifest of each endpoint's."""
    paths: dict[str, dict[str, Any]] = {}
    for routes in ROUTES.values():
        for key, route in routes.items():
            method, path = key.split(" ")
            paths.setdefault(path, {})[method.lower()] = _operation(path, route, champions)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Evergreen", "version": "1", "description": ABOUT},
        "paths": paths,
        "components": {
            "schemas": _components(champions),
            "securitySchemes": {
                "sigv4": {"type": "apiKey", "name": "Authorization", "in": "header"}
            },
        },
        "security": [{"sigv4": []}],
    }


def _components(champions: Mapping[str, Manifest]) -> dict[str, JsonSchema]:
    """Return the schemas that shapes and bodies name."""
    found = msgspec.json.schema_components(
        [*_STRUCTS, Capture], ref_template="#/components/schemas/{name}"
    )[1]
    recorded = found.pop("Capture")["properties"]
    answered = {name: recorded[name] for name in ("id", "label", "score", "scores", "unseen")}
    found["Prediction"] = _object(**answered) | {"required": ["id", "label", "score"]}
    for endpoint, manifest in champions.items():
        found[f"{endpoint}-rows"] = _rows(manifest.schema, manifest.max_rows)
        found[f"{endpoint}-labels"] = _labels(msgspec.json.schema(KINDS[manifest.problem.kind]))
    return found


def _rows(row: JsonSchema, most: int = MAX_ROWS) -> JsonSchema:
    key = {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_KEY_LENGTH}
    closed = row | {"additionalProperties": False} if "properties" in row else row
    instances = _list(closed) | {"minItems": 1, "maxItems": most}
    found = _object(instances=instances, key=key)
    return found | {"required": ["instances"], "additionalProperties": False}


def _labels(label: JsonSchema) -> JsonSchema:
    one = _object(id=_PARAMETERS["id"], label=label) | {"additionalProperties": False}
    labels = _list(one) | {"minItems": 1, "maxItems": MAX_ROWS}
    return _object(labels=labels) | {"additionalProperties": False}


def _body(name: str, champions: Mapping[str, Any]) -> JsonSchema:
    """Return the schema of a body: of rows and labels any champion's, or one of no endpoint."""
    general = {"rows": _rows({"type": "object"}), "labels": _labels({})}
    if name not in general:
        return _schema(name)
    some = [_schema(f"{endpoint}-{name}") for endpoint in champions]
    return {"anyOf": some} if some else general[name]


def _operation(path: str, route: Route, champions: Mapping[str, Any]) -> dict[str, Any]:
    of_path = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]}
        for name in of_path
    ] + [{"name": name, "in": "query", "schema": _PARAMETERS[name]} for name in route.query]
    may = {"invalid_request", "too_large", *route.may}
    may |= {"unknown_endpoint"} if of_path else set()
    may |= {"wrong_content_type"} if route.body else set()
    may |= {code for code, status in CODES.items() if status == 503 and code != "no_champion"}
    content = {route.media: {"schema": _schema(route.answer)}}
    answers = {str(route.status): {"description": route.summary, "content": content}}
    for status in sorted({CODES[code] for code in may}):
        codes = sorted(code for code in may if CODES[code] == status)
        answers[str(status)] = _error(codes, plain=route.plain_errors)
    operation: dict[str, Any] = {"summary": route.summary, "responses": answers}
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        content = {"application/json": {"schema": _body(route.body, champions)}}
        if route.body == "Invocation":
            content["text/csv"] = {"schema": _schema(str)}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _error(codes: list[str], *, plain: bool) -> dict[str, Any]:
    error = _schema(str) if plain else _object(code={"enum": codes}, message=_schema(str))
    if not plain:
        error["properties"]["faults"] = _schema([{"path": str, "message": str}])
    return {
        "description": " or ".join(codes),
        "content": {"application/json": {"schema": _object(error=error)}},
    }
