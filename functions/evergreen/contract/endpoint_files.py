"""Loads the files in endpoints/, by name: `flight_delay.py` is the endpoint `flight-delay`.

A file is read before it is imported, which takes seconds where it imports scikit-learn: a misspelt
argument, or a value that no policy may have, is found at once.
"""

import ast
import hashlib
import importlib
from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from evergreen.contract import project_root
from evergreen.contract.endpoint import Endpoint, Policy
from evergreen.contract.endpoint_checks import check_endpoint, faults_of_policy, raised
from evergreen.contract.errors import EndpointFileError, Fault
from evergreen.contract.identifiers import check_endpoint_file, check_endpoint_name, endpoint_file

_KINDS: dict[str, type[Any]] = {"Endpoint": Endpoint, "Policy": Policy}


def names() -> list[str]:
    """Return the names of all endpoints that have a file."""
    files = sorted((project_root() / "endpoints").glob("[!_]*.py"))
    return [file.stem.replace("_", "-") for file in files]


def load(name: str) -> Endpoint:
    """Return an endpoint.

    Raises UnknownEndpointError where it has no file, EndpointFileError where that is faulty.
    """
    lines = read(name)
    try:
        module = importlib.import_module(f"endpoints.{endpoint_file(name).stem}")
    except (Exception, SystemExit) as error:  # it is the user's, and may raise whatever it likes
        raise EndpointFileError(name, raised(error)) from error
    endpoint = getattr(module, "endpoint", None)
    try:
        check_endpoint(name, endpoint)
    except EndpointFileError as error:
        found = (Fault(str(lines.get(each.path, each.path)), each.message) for each in error.faults)
        raise EndpointFileError(name, *found) from error.__cause__
    assert isinstance(endpoint, Endpoint)  # noqa: S101 - for the type checker; check_endpoint raised
    return endpoint


def read(name: str) -> dict[str, int]:
    """Return in which line each argument and field of an endpoint stands, without importing it.

    Raises as `load` does for what shows without that.
    """
    check_endpoint_name(name)
    check_endpoint_file(name)
    file = endpoint_file(name)
    lines, faults = _read(file.read_bytes())
    if faults:
        raise EndpointFileError(name, *faults)
    return lines


@lru_cache(maxsize=64)
def _read(source: bytes) -> tuple[dict[str, int], list[Fault]]:
    """Return the lines of arguments and fields, and what is wrong with the calls that have them."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        said = f"SyntaxError: {error.msg}: {(error.text or '').strip()}"
        return {}, [Fault(str(error.lineno), said)]
    nodes = list(ast.walk(tree))
    ours = {
        alias.asname or alias.name: _KINDS[alias.name]
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("evergreen")
        for alias in node.names
        if alias.name in _KINDS
    }
    lines: dict[str, int] = {}
    faults: list[Fault] = []
    for node in nodes:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            lines[f"row.{node.target.id}"] = node.lineno
        if isinstance(node, ast.Call) and (kind := ours.get(getattr(node.func, "id", ""))):
            prefix = "policy." if kind is Policy else ""
            lines |= {f"{prefix}{each.arg}": each.lineno for each in node.keywords}
            faults += _of_call(node, kind)
    return lines, faults


def _of_call(call: ast.Call, kind: type[Any]) -> Iterator[Fault]:
    """Yield what is wrong with how an Endpoint or a Policy is made."""
    known = {each.name: each for each in fields(kind)}
    given = {each.arg: each for each in call.keywords if each.arg}
    whole = len(given) == len(call.keywords)  # and nothing comes by **
    for name, argument in given.items():
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(known)}"
            yield Fault(str(argument.lineno), f"{kind.__name__} has no argument `{name}`: {hint}")
    if kind is Policy and whole and set(given) <= set(known):
        try:
            values = {name: ast.literal_eval(each.value) for name, each in given.items()}
        except (ValueError, TypeError):  # it is to be computed first
            return
        for fault in faults_of_policy(Policy(**values)):
            at = given.get(fault.path.removeprefix("policy."), call)
            yield Fault(str(at.lineno), fault.message)


def code(name: str) -> str:
    """Return the SHA-256 of all code that a version of this endpoint is made with."""
    evergreen = project_root() / "evergreen"
    machinery = sorted([*evergreen.rglob("*.py"), *evergreen.rglob("*.jinja")])  # of its card
    digest = hashlib.sha256()
    for file in [endpoint_file(name), *machinery]:
        digest.update(file.read_bytes())
    return digest.hexdigest()
