"""The API in the words of OpenAPI 3.1: the table of routes, and the schemas that it names.

predict and feedback decode by the same schemas.
"""

from collections.abc import Mapping
from http import HTTPStatus
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
from http_api import bodies, invocations, open_inference, tables
from http_api.dispatch import CODES
from http_api.routes import ROUTES, Route

ABOUT = """Evergreen answers with the champion of an endpoint and takes the outcomes of its answers.

Rows and labels are those that the champions of this moment take.
"""
PLAIN = (400, 404, 413, 415, 503)  # statuses that the Open Inference Protocol answers
OF_GATEWAY = (403, 413, 503)  # which API Gateway answers too, before a function is asked
EXAMPLES = {
    "labels": {"labels": [{"id": "01a2072871c9650410fd45c5f86bb5d7-000", "label": True}]},
    "VersionAsked": {
        "generation": 2, "version": "20130201T080000Z-1537bccf", "reason": "the figures are good",
    },
    "Asked": {"generation": 2, "reason": "an airport is closed"},
}  # fmt: skip
_STRUCTS = (
    Decision, Document, Experiment, Explanation, Replay,
    bodies.Asked, bodies.VersionAsked, bodies.RollbackAsked, bodies.ExperimentAsked,
    bodies.RetrainAsked, invocations.Invocation, open_inference.InferRequest,
    open_inference.OutputTensor, open_inference.TensorMetadata,
)  # fmt: skip
# What a generated client calls an operation, where that is not what it is called here.
_IDS = {
    "invocations": "invoke", "api_version": "getApiVersion", "server": "getServer",
    "live": "isServerLive", "ready": "isServerReady", "model": "getModel",
    "model_ready": "isModelReady", "openapi": "getOpenapi", "endpoints": "listEndpoints",
    "endpoint": "getEndpoint", "versions": "listVersions", "version": "getManifest",
    "report": "getReport", "card": "getCard", "feedback": "sendFeedback",
    "approve": "approveCandidate",
    "reject": "rejectVersion", "promote": "promoteVersion", "pause": "pauseEndpoint",
    "resume": "resumeEndpoint", "experiments": "listExperiments", "show_status": "getStatus",
    "decisions": "listDecisions", "decision": "getDecision", "explained": "explainVersion",
    "prediction": "replayPrediction", "overview": "getOverview",
    "newest_check": "getNewestCheck", "predictions": "searchPredictions",
}  # fmt: skip
_TAGS = {
    "/control": "control", "/v2": "inference", "/ping": "mlflow", "/version": "mlflow",
}  # fmt: skip
STATUS: JsonSchema = {"type": "string", "enum": list(get_args(Status))}
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
    "status": {"$ref": "#/components/schemas/Status"},
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
    schemas = _components(champions)
    for routes in ROUTES.values():
        for key, route in routes.items():
            method, path = key.split(" ")
            name = _id(path, route)
            operation = _operation(name, path, route, champions)
            operation["responses"][str(route.status)] = _answered(name, route, schemas)
            paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Evergreen", "version": "1", "description": ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": _responses(),
            "securitySchemes": {
                "sigv4": {"type": "apiKey", "name": "Authorization", "in": "header"}
            },
        },
        "security": [{"sigv4": []}],
    }


def _id(path: str, route: Route) -> str:
    """Return what an operation is called; of a version in the path of a model by itself."""
    words = route.operation.split("_")
    name = _IDS.get(route.operation, words[0] + "".join(map(str.title, words[1:])))
    return name + "Version" if path.startswith("/v2") and "{version}" in path else name


def _pascal(name: str) -> str:
    return "".join(part[0].upper() + part[1:] for part in name.split("-"))


def _tag(path: str, route: Route) -> str:
    of_body = {"rows": "predictions", "labels": "predictions", "Invocation": "mlflow"}
    of_path = next((tag for start, tag in _TAGS.items() if path.startswith(start)), "registry")
    return of_body.get(route.body or "", of_path) if of_path == "registry" else of_path


def _components(champions: Mapping[str, Manifest]) -> dict[str, JsonSchema]:
    """Return the schemas that shapes and bodies name."""
    found = msgspec.json.schema_components(
        [*_STRUCTS, Capture], ref_template="#/components/schemas/{name}"
    )[1]
    found = {name: _shared(schema) for name, schema in found.items()}
    found |= {"Status": STATUS, "Values": {"type": "object"}}
    recorded = found.pop("Capture")["properties"]
    answered = {name: recorded[name] for name in ("id", "label", "score", "scores", "unseen")}
    found["Prediction"] = _object(**answered) | {"required": ["id", "label", "score"]}
    fault = _object(path=_schema(str), message=_schema(str))
    detail = _object(code={"type": "string", "enum": sorted(CODES)}, message=_schema(str))
    detail["properties"]["faults"] = _list(_schema("Fault"))
    found |= {"Fault": fault, "ErrorDetail": detail, "Error": _object(error=_schema("ErrorDetail"))}
    found |= {
        "PlainError": _object(error=_schema(str)),
        "GatewayError": _object(message=_schema(str)),
    }
    for endpoint, manifest in champions.items():
        name, row = _pascal(endpoint), manifest.schema | {"additionalProperties": False}
        row.pop("title", None)  # the name of a class in somebody's file
        if manifest.golden and not manifest.hidden:
            row["examples"] = [_as_sent(manifest.golden[0][0], manifest.schema)]
        found[f"{name}Row"] = row
        found[f"{name}Rows"] = _rows(_schema(f"{name}Row"), manifest.max_rows)
        found[f"{name}Labels"] = _labels(msgspec.json.schema(KINDS[manifest.problem.kind]))
    return found


def _shared(schema: Any) -> Any:
    """Return a schema with one name for statuses of versions, and one for objects of any values."""
    match schema:
        case {"enum": names} if sorted(filter(None, names)) == sorted(STATUS["enum"]):
            status = _schema("Status")
            return {"anyOf": [status, {"type": "null"}]} if None in names else status
        case {"type": "object"} if not schema.keys() & {"properties", "additionalProperties"}:
            return {name: each for name, each in schema.items() if name == "default"} | _schema(
                "Values"
            )
        case dict():
            return {name: _shared(each) for name, each in schema.items()}
        case list():
            return [_shared(each) for each in schema]
    return schema


def _as_sent(row: Mapping[str, Any], schema: JsonSchema) -> dict[str, Any]:
    """Return a row of a manifest as a caller sends it: models read 5 as 5.0, true as 1.0."""
    casts = {"integer": int, "boolean": bool}
    specs = schema["properties"]
    return {
        name: casts.get(tables.kind_of(specs[name]), lambda each: each)(value)
        for name, value in row.items()
        if value is not None and value != ""
    }


def _rows(row: JsonSchema, most: int = MAX_ROWS) -> JsonSchema:
    key = {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_KEY_LENGTH}
    instances = _list(row) | {"minItems": 1, "maxItems": most}
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
    some = [_schema(f"{_pascal(endpoint)}{name.title()}") for endpoint in champions]
    return {"anyOf": some} if some else general[name]


def _operation(name: str, path: str, route: Route, champions: Mapping[str, Any]) -> dict[str, Any]:
    of_path = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    parameters = [
        {"name": each, "in": "path", "required": True, "schema": _PARAMETERS[each]}
        for each in of_path
    ] + [{"name": each, "in": "query", "schema": _PARAMETERS[each]} for each in route.query]
    may = {"invalid_request", "too_large", "unavailable", *route.may}
    may |= {"unknown_endpoint"} if of_path else set()
    may |= {"unsigned"} if path.startswith("/control/") else set()
    may |= {"wrong_content_type"} if route.body else set()
    answers: dict[str, Any] = {str(route.status): {}}  # which comes first
    for status in sorted({CODES[code] for code in may}):
        response = _response(status, plain=route.plain_errors)
        answers[str(status)] = {"$ref": f"#/components/responses/{response}"}
    operation: dict[str, Any] = {
        "operationId": name,
        "tags": [_tag(path, route)],
        "summary": route.summary,
        "responses": answers,
    }
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        content: dict[str, JsonSchema] = {
            "application/json": {"schema": _body(route.body, champions)}
        }
        if route.body in EXAMPLES:
            content["application/json"]["example"] = EXAMPLES[route.body]
        if route.body == "Invocation":
            content["text/csv"] = {"schema": _schema(str)}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _answered(name: str, route: Route, schemas: dict[str, JsonSchema]) -> dict[str, Any]:
    """Return an answer that is no error; an object gets a name, and equal ones have the same."""
    schema = _schema(route.answer)
    if isinstance(route.answer, dict):
        same = [each for each, other in schemas.items() if other == schema]
        named = same[0] if same else _pascal(name) + "Answer"
        schemas[named] = schema
        schema = _schema(named)
    return {"description": route.summary, "content": {route.media: {"schema": schema}}}


def _response(status: int, *, plain: bool) -> str:
    return f"{'Plain' if plain else ''}{HTTPStatus(status).phrase.title().replace(' ', '')}"


def _responses() -> dict[str, Any]:
    """Return an answer for each status of an error, as an object and as plain text."""
    return {
        _response(status, plain=plain): {
            "description": " or ".join(sorted(code for code in CODES if CODES[code] == status)),
            "content": {"application/json": {"schema": _error(status, plain=plain)}},
        }
        for status in sorted(set(CODES.values()))
        for plain in ((False, True) if status in PLAIN else (False,))
    }


def _error(status: int, *, plain: bool) -> JsonSchema:
    ours = _schema(f"{'Plain' * plain}Error")
    return {"anyOf": [ours, _schema("GatewayError")]} if status in OF_GATEWAY else ours
