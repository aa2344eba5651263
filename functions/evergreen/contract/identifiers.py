"""Which names may stand in a path or query, checked before they become part of a key."""

import re
from pathlib import Path

from evergreen.contract import project_root
from evergreen.contract.errors import UnknownEndpointError

VERSION = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
ENDPOINT = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PREDICTION = re.compile(r"[0-9a-f]{32}-[0-9]{3}")
RUN = re.compile(r"[0-9A-Za-z-]{1,80}")  # a training run, or how its name begins

SECOND = re.compile(r"[0-9]{8}T[0-9]{6}Z")  # a time, as names of runs begin


def is_version(text: str) -> bool:
    """Say whether a text has the form of a version id; anything else must not reach a key."""
    return VERSION.fullmatch(text) is not None


def is_endpoint(text: str) -> bool:
    """Say whether a text has the form of an endpoint's name, such as `flight-delay`."""
    return len(text) <= 63 and ENDPOINT.fullmatch(text) is not None


def check_endpoint_name(text: str) -> None:
    """Raise UnknownEndpointError unless the text is a name that an endpoint may have."""
    if not is_endpoint(text):
        raise UnknownEndpointError(text)


def endpoint_file(endpoint: str) -> Path:
    """Return where the file of an endpoint is, or would be."""
    return project_root() / "endpoints" / f"{endpoint.replace('-', '_')}.py"


def check_endpoint_file(endpoint: str) -> None:
    """Raise UnknownEndpointError unless the endpoint has a file, which is not imported."""
    if not endpoint_file(endpoint).is_file():
        raise UnknownEndpointError(endpoint)
