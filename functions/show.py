"""Show the registry: the routes of predict that only read.

GET /openapi.json, /endpoints, /endpoints/{endpoint}, and /versions below that: see http_api.routes.
"""

from contextlib import suppress
from typing import Any, get_args

import bootstrap
from evergreen.contract import errors
from evergreen.contract.errors import EvergreenError, Fault, InvalidRequestError
from evergreen.contract.identifiers import check_endpoint_file, check_endpoint_name, is_version
from evergreen.registry.manifest import Manifest
from evergreen.registry.state import Document, Status
from evergreen.serving.model import REPORT, kinds
from http_api.dispatch import Answer, Request, answer, described, each, page_of

STATUSES = get_args(Status)
_OF_CHAMPION = ("metrics", "lineage", "schema", "max_rows")
PAGE = {  # a version's page is a file of ours that asks for nothing, and may do nothing
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}


def openapi(_: Request) -> Answer:
    """Describe the API, with the rows and labels that the champions of now take."""
    from http_api import openapi  # no other request needs what it imports

    registry = bootstrap.registry()

    def manifest(name: str) -> Manifest | None:
        with suppress(EvergreenError):  # what cannot be read has no rows to show
            if seen := registry.document(name):
                return registry.known(name, seen.document.champion)
        return None

    found = each(manifest, registry.endpoints())
    return answer(200, openapi.description({one.endpoint: one for one in found if one}))


def endpoints(request: Request) -> Answer:
    """List the endpoints that have a champion; one whose document is corrupt hides no other."""
    registry = bootstrap.registry()

    def listed(name: str) -> dict[str, Any]:
        try:
            seen = registry.document(name)
        except EvergreenError as error:
            return {"endpoint": name, "error": described(error)}
        return {"endpoint": name} | (_state(seen.document) if seen else {})

    names, end = page_of(request, registry.endpoints())
    return answer(200, {"endpoints": each(listed, names), "next": end})


def _state(document: Document) -> dict[str, Any]:
    names = ("champion", "since", "generation", "challenger", "experiment", "fallback", "paused")
    return {name: getattr(document, name) for name in names}


def endpoint(request: Request) -> Answer:
    """Show who is champion, since when, on which figures, who else is in play, and who was."""
    endpoint = request.parameters["endpoint"]
    check_endpoint_name(endpoint)
    registry = bootstrap.registry()
    seen = registry.document(endpoint)
    if seen is None:
        check_endpoint_file(endpoint)
        raise errors.NoChampionError(endpoint)
    manifest = registry.manifest(endpoint, seen.document.champion)
    body = {"endpoint": endpoint} | _state(seen.document) | {"statuses": seen.document.statuses}
    body |= {name: getattr(manifest, name, None) for name in _OF_CHAMPION}
    return answer(200, body | {"history": registry.history(seen.document)})


def versions(request: Request) -> Answer:
    """List the versions of an endpoint with status and kind, oldest first."""
    endpoint = request.parameters["endpoint"]
    check_endpoint_name(endpoint)
    wanted = status_of(request.query) if "status" in request.query else None
    registry = bootstrap.registry()
    found, seen = kinds(registry, endpoint), registry.document(endpoint)
    if not found and not seen:
        check_endpoint_file(endpoint)
    statuses = seen.document.statuses if seen else {}
    listed = [
        {"version": version, "status": statuses.get(version), "kind": kind}
        for version, kind in found.items()
        if wanted in (None, statuses.get(version))
    ]
    return answer(200, {"endpoint": endpoint, "versions": listed})


def version(request: Request) -> Answer:
    """Show the manifest of a version, without the long parts that only machines read."""
    manifest, hidden = _manifest(request), ("reference", "golden")
    shown = [name for name in manifest.__struct_fields__ if name not in hidden]
    return answer(200, {name: getattr(manifest, name) for name in shown})


def report(request: Request) -> Answer:
    """Show the page of a version."""
    manifest = _manifest(request)
    if REPORT not in manifest.artifacts:
        raise errors.NoReportError(manifest.endpoint, manifest.version)
    body = bootstrap.registry().artifact(manifest, REPORT).decode()
    return {"statusCode": 200, "headers": PAGE, "body": body}


def card(request: Request) -> Answer:
    """Show the model card of a version, as Hugging Face has it."""
    from http_api import model_card  # no prediction needs it

    manifest = _manifest(request)
    about = f"/endpoints/{manifest.endpoint}/versions/{manifest.version}/report"
    headers = {"content-type": "text/markdown; charset=utf-8", "x-content-type-options": "nosniff"}
    return {"statusCode": 200, "headers": headers, "body": model_card.card(manifest, about)}


def _manifest(request: Request) -> Manifest:
    endpoint, version = request.parameters["endpoint"], request.parameters["version"]
    check_endpoint_name(endpoint)
    manifest = bootstrap.registry().manifest(endpoint, version) if is_version(version) else None
    if manifest is None:
        raise errors.UnknownVersionError(endpoint, version)
    return manifest


def status_of(query: dict[str, str]) -> str:
    """Return the status that a query asks for. Raises InvalidRequestError for one there is not."""
    status = query["status"]
    if status not in STATUSES:
        raise InvalidRequestError([Fault("?status", f"is none of {', '.join(STATUSES)}")])
    return status
