"""What each view of the console shows, as the API answers it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.api import Api, RefusedError, UnreachableError

Query = Mapping[str, str]
PAGE = 20  # decisions on a page
MOST = 500  # decisions that the API lists
BESIDE = ("candidate", "shadow", "canary", "ab")
FILTERS = ("version", "label", "only", "before")


def endpoints(api: Api, query: Query) -> Any:
    """Return a page of all endpoints."""
    after = {"next": query["next"]} if query.get("next") else {}
    return api.get("control", "endpoints", limit="50", **after)


def endpoint(api: Api, name: str, query: Query) -> dict[str, Any]:
    """Return how an endpoint stands, and the manifests of its versions in play."""
    trouble, path = "", ("control", "endpoints", name)
    try:
        status = api.get(*path, "status", run="newest")
    except UnreachableError as error:  # of the evidence: the document itself may be had
        trouble = f"What it waits for cannot be told now: {error}"
        status = api.get(*path, "status", run="newest", evidence="no")
    check, document = api.get(*path, "check"), status["document"]
    cards, run, running = [], status["run"], None
    statuses = document["statuses"].items() if document else ()
    beside = [version for version, stage in statuses if stage in BESIDE]
    for version in [document["champion"], *beside] if document else ():
        try:
            cards.append(api.get("endpoints", name, "versions", version))
        except (RefusedError, UnreachableError) as error:
            trouble = trouble or str(error)
    if document and document["experiment"]:
        running = api.get(*path, "experiments")["running"]
    return {
        "status": status,
        "document": document,
        "run": run,
        "cards": cards,
        "trouble": trouble,
        "says": check["says"],
        "level": check["level"],
        "done": "done" in query,
        "waits": status.get("waits") or [],
        "coming": status.get("next"),
        "started": run and datetime.fromisoformat(run["started"]),
        "running": running,
    }


def check(api: Api, name: str, _: Query) -> Any:
    """Return the newest check."""
    return api.get("control", "endpoints", name, "check")


def quality(api: Api, name: str, query: Query) -> Any:
    """Return the newest check, and the decisions that changed the champion."""
    return check(api, name, query) | {"decisions": _decisions(api, name, 100)}


def _decisions(api: Api, name: str, limit: int) -> list[Any]:
    try:
        found = api.get("control", "endpoints", name, "decisions", limit=str(limit))
    except UnreachableError:  # nothing has been trained, as a rule
        return []
    return list(found["decisions"])


def decisions(api: Api, name: str, query: Query) -> dict[str, Any]:
    """Return a page of decisions, newest first."""
    page = min(int(query["page"]), MOST // PAGE) if query.get("page", "").isdecimal() else 1
    found = _decisions(api, name, min(PAGE * page + 1, MOST))[::-1]
    older = page + 1 if len(found) > PAGE * page else None
    return {"decisions": found[PAGE * (page - 1) : PAGE * page], "older": older}


def explain(api: Api, name: str, query: Query) -> Any:
    """Return why a version serves, or not."""
    of = {"version": query["version"]} if query.get("version") else {}
    return api.get("control", "endpoints", name, "explain", **of)


def requests(api: Api, name: str, query: Query) -> dict[str, Any]:
    """Return the recorded predictions that a form asks for, and the form as it was filled in."""
    asked = {key: query.get(key, "").strip() for key in ("id", "day", "days", *FILTERS)}
    wanted = {key: asked[key] for key in ("id", "days", *FILTERS) if asked[key]}
    if asked["day"]:
        try:
            day = datetime.fromisoformat(asked["day"]).astimezone() + timedelta(days=1)
        except ValueError as error:
            said = f"{asked['day']} is no day, such as 2013-02-01"
            raise RefusedError(400, "", said, "invalid_request") from error
        wanted["until"] = str(int(day.timestamp()))
    found = api.get("control", "endpoints", name, "predictions", **wanted)
    return dict(found) | {"asked": asked}


def request(api: Api, name: str, prediction: str, *, again: bool) -> dict[str, Any]:
    """Return one prediction as it was recorded, and its replay if that is asked for."""
    path = ("control", "endpoints", name, "predictions")
    found = api.get(*path, id=prediction)["predictions"]
    replay = api.get(*path, prediction) if again else None
    return {"id": prediction, "found": found[0] if found else None, "replay": replay}


VIEWS: dict[str, Callable[[Api, str, Query], Any]] = {
    "": endpoint,
    "quality": quality,
    "drift": check,
    "decisions": decisions,
    "explain": explain,
    "requests": requests,
}


def now() -> datetime:
    """Return the time by the clock of this machine, which `make serve` moves with its own."""
    return datetime.now(UTC)
