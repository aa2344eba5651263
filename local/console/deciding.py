"""What a person decides in the console: which questions a form asks, and what it then sends."""

import re
from collections.abc import Mapping
from email import message_from_bytes
from itertools import islice
from typing import Any

from cli import consequences
from cli.api import Api, RefusedError

Fields = dict[str, str]


EXPERIMENT = ("share", "hypothesis", "min_rows", "days", "promote", "reason")
ACTIONS = {  # what the API calls each
    **{name: name for name in ("approve", "reject", "promote", "rollback", "pause", "resume")},
    "experiment-start": "experiments",
    "experiment-stop": "experiments/stop",
    "retrain": "retrain",
    "upload": "upload",
}
FIELDS = ("generation", "version", *EXPERIMENT)


def form(api: Api, name: str, action: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the form of an action: its questions, or, once they are answered, the last one."""
    status = api.get("control", "endpoints", name, "status", evidence="no", run="newest")
    document = status["document"] or {"champion": "nothing", "generation": 0, "statuses": {}}
    fields = {key: given[key] for key in FIELDS if given.get(key, "").strip()}
    fields.setdefault("generation", str(document["generation"]))
    if action in ("approve", "reject", "promote", "experiment-start") and "version" not in fields:
        raise RefusedError(400, "", "no version is named: choose one on the endpoint's page")
    said = consequences.of(ACTIONS[action], document, fields.get("version"))
    asks = {"retrain": (), "upload": (), "experiment-start": EXPERIMENT}.get(action, ("reason",))
    return {
        "action": action,
        "sentence": f"{said[0].upper()}{said[1:]}.",
        "ask": asks,
        "fields": fields,
        "sure": all(key in fields for key in asks if key != "promote"),
    }


def decide(api: Api, name: str, action: str, given: Fields) -> None:
    """Ask the API for what was decided. Raises RefusedError and UnreachableError."""
    route, body = ACTIONS[action], dict[str, Any]({})
    if route != "retrain":
        body = {key: given[key] for key in ("version", "reason") if given.get(key)}
        body["generation"] = _number(given, "generation", int)
    if route == "experiments":
        body |= {"treatment": body.pop("version", ""), "hypothesis": given.get("hypothesis", "")}
        body |= {"promote": given.get("promote") == "yes"}
        body |= {"share": _number(given, "share", float), "days": _number(given, "days", float)}
        body |= {"min_rows": _number(given, "min_rows", int)}
    api.post("control", "endpoints", name, *route.split("/"), **body)


def _number[Number: (int, float)](given: Fields, name: str, kind: type[Number]) -> Number:
    try:
        return kind(given.get(name, ""))
    except ValueError as error:
        raise RefusedError(400, "", f"{name} is no number: {given.get(name)!r}") from error


def odd(file: str) -> str:
    """Return what is wrong with the name of a file, or an empty text."""
    good = re.fullmatch(r"[\w.-]{1,200}", file, re.ASCII)
    return "" if good else f"{file!r} is no name for it: use letters, digits, _, . and -"


def file_of(content_type: str, body: bytes) -> tuple[Fields, str, bytes]:
    """Return the fields of a form with a file, and the file's name and content."""
    fields, name, content = Fields(), "", b""
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    for part in islice(message_from_bytes(head + body).walk(), 1, None):
        payload = bytes(part.get_payload(decode=True) or b"")
        if named := part.get_filename():
            name, content = named.replace("\\", "/").rpartition("/")[2], payload
        else:
            field = part.get_param("name", header="content-disposition")
            fields[str(field)] = payload.decode(errors="replace")
    return fields, name, content
