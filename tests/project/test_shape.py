"""The project can be held in one's head: small folders, short files, functions of a screen."""

import ast
from collections import Counter
from pathlib import Path

from local.template import ROOT

FILES = [
    path
    for folder in ("functions", "local", "cli", "benchmarks", "layers")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
MODULES = 12  # in a folder, besides its __init__
LINES = 300  # in a file
SCREEN = 60  # lines of a function
ARGUMENTS = 8


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


def test_no_folder_holds_more_than_a_dozen_modules() -> None:
    held = Counter(path.parent for path in FILES if path.stem not in ("__init__", "__main__"))

    assert {str(folder): count for folder, count in held.items() if count > MODULES} == {}


def test_no_file_is_longer_than_three_hundred_lines() -> None:
    lines = {str(path): len(path.read_text().splitlines()) for path in FILES}

    assert {path: count for path, count in lines.items() if count > LINES} == {}


def test_a_function_fits_a_screen_and_takes_few_arguments() -> None:
    found = [(path, node) for path in FILES for node in functions(path)]

    long = [
        f"{path.name} {node.name}"
        for path, node in found
        if (node.end_lineno or 0) - node.lineno >= SCREEN
        or len(node.args.args) + len(node.args.kwonlyargs) > ARGUMENTS
    ]

    assert long == []
