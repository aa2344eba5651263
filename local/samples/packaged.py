"""Data that PyPI packages carry, read where they are installed; importing them is not needed."""

import importlib.util
from pathlib import Path


def folder(package: str, name: str) -> Path:
    """Return a folder of an installed package; ModuleNotFoundError says how to install it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is missing: run `make setup`")
    return Path(spec.submodule_search_locations[0]) / name
