"""Loads the files in endpoints/, by name: `flight_delay.py` is the endpoint `flight-delay`."""

import hashlib
import importlib

from evergreen.contract import project_root
from evergreen.contract.endpoint import Endpoint, check_endpoint
from evergreen.contract.errors import EndpointFileError
from evergreen.contract.identifiers import check_endpoint_file, check_endpoint_name, endpoint_file


def names() -> list[str]:
    """Return the names of all endpoints that have a file."""
    files = sorted((project_root() / "endpoints").glob("[!_]*.py"))
    return [file.stem.replace("_", "-") for file in files]


def load(name: str) -> Endpoint:
    """Return an endpoint.

    Raises UnknownEndpointError where it has no file, EndpointFileError where that is faulty.
    """
    check_endpoint_name(name)
    check_endpoint_file(name)
    try:
        module = importlib.import_module(f"endpoints.{endpoint_file(name).stem}")
        endpoint = getattr(module, "endpoint", None)
        check_endpoint(name, endpoint)
    except EndpointFileError:
        raise
    except Exception as error:  # it is the user's file, and may raise whatever it likes
        raise EndpointFileError(name, f"{type(error).__name__}: {error}") from error
    assert isinstance(endpoint, Endpoint)  # noqa: S101 - for the type checker; check_endpoint raised
    return endpoint


def code(name: str) -> str:
    """Return the SHA-256 of all code that a version of this endpoint is made with."""
    evergreen = project_root() / "evergreen"
    machinery = sorted([*evergreen.rglob("*.py"), *evergreen.rglob("*.jinja")])  # of its card
    digest = hashlib.sha256()
    for file in [endpoint_file(name), *machinery]:
        digest.update(file.read_bytes())
    return digest.hexdigest()
