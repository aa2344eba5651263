"""The examples in the documentation of functions/ and local/ are true."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {ROOT / "functions": ROOT / "functions", ROOT / "local": ROOT}  # and where imports begin
MODULES = [
    ".".join(path.relative_to(start).with_suffix("").parts)
    for folder, start in FOLDERS.items()
    for path in sorted(folder.rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_do_what_they_say(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))

    assert found.attempted
    assert not found.failed
