"""Every route of the API, written once.

http_api answers requests by this table, openapi describes it, and a test compares it with
template.yaml. It names what it needs and imports none of it: predict reads it at each cold start.
"""

from typing import Any

import msgspec


class Route(msgspec.Struct, frozen=True):
    """What answers a request, and what a caller may send and get.

    operation: the name of the handler's function that answers.
    answer: the shape of what it answers: a dict is an object, a list of one shape an array, `str`,
        `int` and `object` (anything) are values, and a text names a schema of the OpenAPI document,
        which may be null where it ends with `?`.
    may: codes of errors besides those of every route. body: the name of its schema; "rows" and
        "labels" are those of the champions. query: the parameters that it takes, and no others.
    plain_errors: the errors are `{"error": message}`.
    """

    operation: str
    summary: str
    answer: Any
    may: tuple[str, ...] = ()
    body: str | None = None
    query: tuple[str, ...] = ()
    status: int = 200
    media: str = "application/json"
    plain_errors: bool = False


def _decides(operation: str, summary: str, body: str, *may: str) -> Route:
    decided = {"endpoint": str, "generation": int, "decision": "Decision"}
    return Route(operation, summary, decided, ("no_champion", "changed", "forbidden", *may), body)


def _scores(operation: str, summary: str, body: str) -> Route:
    answer = {"predictions": ["Prediction"], "endpoint": str, "version": str, "variant": str}
    may, query = ("unknown_version", "no_champion"), ("version", "status")
    return Route(operation, summary, answer, may, body, query)


def _of_v2(operation: str, summary: str, answer: Any, *may: str, body: str | None = None) -> Route:
    return Route(operation, summary, answer, may, body, plain_errors=True)


def _of_model(path: str) -> dict[str, Route]:
    may = ("no_champion", "unknown_version")
    tensors = ["TensorMetadata"]
    about = {"name": str, "versions": [str], "platform": str, "inputs": tensors, "outputs": tensors}
    ready = {"name": str, "ready": object}
    scored = {"model_name": str, "model_version": str, "outputs": ["OutputTensor"]}
    return {
        f"GET {path}": _of_v2("model", "Describe the tensors of a model", about, *may),
        f"GET {path}/ready": _of_v2("model_ready", "Say whether a model is loaded", ready, *may),
        f"POST {path}/infer": _of_v2("infer", "Score tensors", scored, *may, body="InferRequest"),
    }


_CONTROL = "/control/endpoints/{endpoint}"
_VERSIONS = "/endpoints/{endpoint}/versions"
_DECISIONS = {  # by how their paths end
    "approve": _decides("approve", "Promote the candidate", "VersionAsked", "unknown_version"),
    "reject": _decides("reject", "Reject the candidate or the challenger", "VersionAsked"),
    "promote": _decides("promote", "Promote a version at once", "VersionAsked", "unknown_version"),
    "rollback": _decides(
        "roll_back", "Roll back to the previous champion, or to a retired version",
        "RollbackAsked", "unknown_version",
    ),
    "pause": _decides("pause", "Pause triggers and rollout", "Asked"),
    "resume": _decides("resume", "Resume triggers and rollout", "Asked"),
    "experiments": _decides(
        "start_experiment", "Start an A/B test", "ExperimentAsked", "unknown_version"
    ),
    "experiments/stop": _decides("stop_experiment", "Stop the A/B test", "Asked"),
}  # fmt: skip

# By the file of the Lambda function, and by method and path, as API Gateway names a route.
ROUTES: dict[str, dict[str, Route]] = {
    "predict": {
        "POST /endpoints/{endpoint}/predict": _scores("predict", "Score rows", "rows"),
        f"POST {_CONTROL}/predict": _scores(
            "predict_any", "Score rows with any version, also one that was rejected", "rows"
        ),
        "POST /endpoints/{endpoint}/invocations": _scores(
            "invocations", "Score a table as MLflow sends it", "Invocation"
        ),
        "GET /ping": Route("ping", "Say that the API answers", str, media="text/plain"),
        "GET /version": Route("api_version", "Say which version it is", str, media="text/plain"),
        "GET /v2": _of_v2(
            "server", "Describe the server", {"name": str, "version": str, "extensions": [str]}
        ),
        "GET /v2/health/live": _of_v2("live", "Say that the server lives", {"live": object}),
        "GET /v2/health/ready": _of_v2("ready", "Say that models can be read", {"ready": object}),
        **_of_model("/v2/models/{endpoint}"),
        **_of_model("/v2/models/{endpoint}/versions/{version}"),
        "GET /openapi.json": Route("openapi", "Describe the API", object),
        "GET /endpoints": Route(
            "endpoints", "List the endpoints", {"endpoints": [{"endpoint": str}], "next": object},
            query=("limit", "next"),
        ),
        "GET /endpoints/{endpoint}": Route(
            "endpoint", "Show an endpoint",
            dict.fromkeys(("endpoint", "champion"), str) | {"statuses": object}
            | {"history": ["Decision"], "schema": object, "max_rows": object}, ("no_champion",),
        ),
        f"GET {_VERSIONS}": Route(
            "versions", "List the versions of an endpoint",
            {"endpoint": str, "versions": [{"version": str, "status": object, "kind": object}]},
            query=("status",),
        ),
        f"GET {_VERSIONS}/{{version}}": Route(
            "version", "Show the manifest of a version",
            dict.fromkeys(("endpoint", "version", "schema", "metrics"), object),
            ("unknown_version",),
        ),
        f"GET {_VERSIONS}/{{version}}/report": Route(
            "report", "Show the page of a version", str, ("unknown_version", "no_report"),
            media="text/html",
        ),
        f"GET {_VERSIONS}/{{version}}/card": Route(
            "card", "Show the model card of a version", str, ("unknown_version",),
            media="text/markdown",
        ),
    },
    "feedback": {
        "POST /endpoints/{endpoint}/feedback": Route(
            "feedback", "Record the outcomes of predictions",
            {"endpoint": str, "accepted": int, "repeated": int, "conflicting": [str]},
            body="labels", status=202,
        ),
    },
    "control": {
        "GET /control/endpoints": Route(
            "overview", "List the endpoints with what their last checks found",
            {"endpoints": [{"endpoint": str}], "next": object, "level": int, "time": str},
            query=("limit", "next"),
        ),
        f"POST {_CONTROL}/retrain": Route(
            "retrain", "Ask for a training run", {"endpoint": str, "time": str, "run": str},
            body="RetrainAsked", status=202,
        ),
        **{f"POST {_CONTROL}/{path}": route for path, route in _DECISIONS.items()},
        f"GET {_CONTROL}/experiments": Route(
            "experiments", "Show the A/B test that runs, and those before it",
            {"endpoint": str, "running": object, "past": [object]}, ("no_champion",),
        ),
        f"GET {_CONTROL}/status": Route(
            "show_status", "Show the evidence so far, and what happens next",
            {"document": "Document?"}, ("no_champion",),
            query=("evidence", "run", "uploaded", "batch"),
        ),
        f"GET {_CONTROL}/decisions": Route(
            "decisions", "List the last decisions", {"endpoint": str, "decisions": ["Decision"]},
            may=("no_champion",), query=("limit",),
        ),
        f"GET {_CONTROL}/decisions/{{generation}}": Route(
            "decision", "Show one decision", "Decision", may=("no_champion", "unknown_decision"),
        ),
        f"GET {_CONTROL}/explain": Route(
            "explained", "Explain why a version serves", "Explanation",
            ("no_champion", "unknown_version"), query=("version",),
        ),
        f"GET {_CONTROL}/check": Route(
            "newest_check", "Show the newest check",
            {"endpoint": str, "report": object, "says": object, "level": int},
        ),
        f"GET {_CONTROL}/predictions": Route(
            "predictions", "Search the recorded predictions, newest first",
            {"endpoint": str, "predictions": [{"id": str}], "next": object},
            query=("until", "days", "limit", "id", "before", "version", "label", "only"),
        ),
        f"GET {_CONTROL}/predictions/{{id}}": Route(
            "prediction", "Replay a prediction", "Replay", may=("unknown_prediction",)
        ),
    },
}  # fmt: skip
