"""Your endpoints: one file each. `flight_delay.py` is the endpoint `flight-delay`."""

import hashlib
import importlib
from pathlib import Path

from evergreen.endpoint import Endpoint, check_endpoint
from evergreen.errors import EndpointFileError, UnknownEndpointError
from evergreen.known import is_endpoint


def names() -> list[str]:
    """Return the names of all endpoints that have a file here."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    return [file.stem.replace("_", "-") for file in files]


def load(name: str) -> Endpoint:
    """Return an endpoint.

    Raises UnknownEndpointError where it has no file, EndpointFileError where that is faulty.
    """
    if not is_endpoint(name) or name not in names():
        raise UnknownEndpointError(name)
    try:
        module = importlib.import_module(f"endpoints.{name.replace('-', '_')}")
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
    functions = Path(__file__).parent.parent
    own = functions / "endpoints" / f"{name.replace('-', '_')}.py"
    digest = hashlib.sha256()
    for file in [own, *sorted((functions / "evergreen").glob("*.py"))]:
        digest.update(file.read_bytes())
    return digest.hexdigest()
