"""What a person decides in the console: which questions a form asks, and what it then sends."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes
from itertools import islice
from typing import Any

from cli import consequences
from cli.api import Api, RefusedError

Fields = dict[str, str]
REASON = ("reason", "Why? It stays in the history.", "")


@dataclass(frozen=True)
class Action:
    """A decision; route: what the API calls it. questions: name, text and what usually is said."""

    title: str
    route: str
    questions: tuple[tuple[str, str, str], ...] = (REASON,)


EXPERIMENT = (
    ("share", "Share of the requests that each new arm gets, from 0 to 1", "0.2"),
    ("hypothesis", "What is it to show?", ""),
    ("min_rows", "Labelled rows that each arm must have", "1000"),
    ("days", "For how many days, at most", "30"),
    ("promote", "Promote the treatment if it wins", ""),
    REASON,
)  # fmt: skip
ACTIONS = {
    "approve": Action("Approve the candidate", "approve"),
    "reject": Action("Reject the version", "reject"),
    "promote": Action("Promote the version now", "promote"),
    "rollback": Action("Roll back", "rollback"),
    "pause": Action("Pause the endpoint", "pause"),
    "resume": Action("Resume the endpoint", "resume"),
    "experiment-start": Action("Start an experiment", "experiments", EXPERIMENT),
    "experiment-stop": Action("Stop the experiment", "experiments/stop"),
    "retrain": Action("Ask for a training", "retrain", ()),
    "upload": Action("Upload a training file", "upload", ()),
}
FIELDS = ("generation", "version", *(name for name, _, _ in EXPERIMENT))


def form(api: Api, name: str, action: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the form of an action: its questions, or, once they are answered, the last one."""
    chosen = ACTIONS[action]
    status = api.get("control", "endpoints", name, "status", evidence="no", run="newest")
    document = status["document"]
    fields = {key: given[key] for key in FIELDS if given.get(key, "").strip()}
    fields.setdefault("generation", str(document["generation"]) if document else "0")
    known = {"champion": "nothing"} if document is None else document
    said = consequences.of(chosen.route, known, fields.get("version"))
    asks = [question[0] for question in chosen.questions]
    return {
        "title": chosen.title,
        "sentence": f"{said[0].upper()}{said[1:]}.",
        "questions": [(key, text, fields.get(key, usual)) for key, text, usual in chosen.questions],
        "ask": asks,
        "fields": fields,
        "file": action == "upload",
        "sure": all(key in fields for key in asks if key != "promote"),
    }


def decide(api: Api, name: str, action: str, given: Fields) -> None:
    """Ask the API for what was decided. Raises RefusedError and UnreachableError."""
    route, body = ACTIONS[action].route, dict[str, Any]({})
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
