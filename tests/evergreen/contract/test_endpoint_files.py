"""Files in endpoints/: which there are, and each fault of one with its line."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import endpoints
from evergreen.contract import endpoint_checks, endpoint_files, identifiers
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.errors import EndpointFileError

GOOD = '''\
"""An endpoint."""
import msgspec
from typing import Annotated
from evergreen import Endpoint, Policy

class Row(msgspec.Struct, forbid_unknown_fields=True):
    x: Annotated[float, msgspec.Meta(description="a number")]

endpoint = Endpoint(
    row=Row,
    examples=lambda table: table,
    candidates=lambda seed: {"it": Model()},
    target="is late",
    policy=Policy(schedule="weekly", alpha=0.1),
)

class Model:
    def fit(self, *_):
        return self
'''
Write = Callable[[str], object]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Let the file of the endpoint `mine` hold a text."""
    folder = tmp_path / "endpoints"
    folder.mkdir()
    for module in (identifiers, endpoint_checks, endpoint_files):
        monkeypatch.setattr(module, "project_root", lambda: tmp_path)
    monkeypatch.setattr(endpoints, "__path__", [str(folder)])
    yield lambda text: (folder / "mine.py").write_text(text)
    sys.modules.pop("endpoints.mine", None)


def said(text: str, write: Write) -> list[str]:
    write(text)
    with pytest.raises(EndpointFileError) as raised:
        endpoint_files.load("mine")
    return str(raised.value).splitlines()


def test_a_good_file_is_an_endpoint(write: Write) -> None:
    write(GOOD)

    assert endpoint_files.names() == ["mine"]
    assert isinstance(endpoint_files.load("mine"), Endpoint)


@pytest.mark.parametrize(
    ("old", "new", "faults"),
    [
        ("target=", "tarqet=", [":13: Endpoint has no argument `tarqet`: did you mean `target`?"]),
        (
            'schedule="weekly", alpha=0.1',
            'schedule="montly", alpha=0.7, holdout=3',
            [":14: Policy has no argument `holdout`: did you mean `holdout_days`?"],
        ),
        (
            'schedule="weekly", alpha=0.1',
            'schedule="montly", alpha=0.7',
            [
                ":14: policy.schedule is 'montly': invalid enum value 'montly'",
                ":14: policy.alpha is 0.7: expected `float` < 0.5",
            ],
        ),
        (
            "policy=",
            "zzz=1, policy=",
            [":14: Endpoint has no argument `zzz`: it has row, examples"],
        ),
        ("row=Row,", "row=Row", [":10: SyntaxError: invalid syntax. Perhaps you forgot a comma?"]),
    ],
    ids=["misspelt", "unknown", "values", "nothing like it", "syntax"],
)
def test_what_shows_before_an_import_is_said_without_it_and_with_its_line(
    old: str, new: str, faults: list[str], write: Write
) -> None:
    found = said(GOOD.replace(old, new), write)

    assert "endpoints.mine" not in sys.modules
    assert len(found) == len(faults)
    for line, fault in zip(found, faults, strict=True):
        assert line.startswith(f"endpoints/mine.py{fault}")


def test_the_faults_of_an_endpoint_are_said_together_each_with_its_line(write: Write) -> None:
    broken = (
        GOOD.replace('"a number"', '""')
        .replace('"is late"', "str()")
        .replace('"it": Model()', '"it": Modell()')
        .replace("alpha=0.1", "alpha=float(1)")
    )

    assert said(broken, write) == [
        "endpoints/mine.py:13: `target` must say what is predicted",
        "endpoints/mine.py:14: policy.alpha is 1.0: expected `float` < 0.5",
        "endpoints/mine.py:7: field `x` has no description",
        "endpoints/mine.py:12: `candidates` raised NameError: name 'Modell' is not defined",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import msgspec\nimport not_installed_here\n", ":2: ModuleNotFoundError: No module named"),
        ("x = 1\n\nraise SystemExit(3)\n", ":3: SystemExit: 3"),
        ("from evergreen import Endpint\n", ":1: ImportError: cannot import name 'Endpint'"),
        ("endpoints = 1\n", ": define `endpoint = Endpoint(...)` at the top level"),
    ],
)
def test_an_error_of_the_file_itself_has_the_line_where_it_was_raised(
    text: str, fault: str, write: Write
) -> None:
    (found,) = said(text, write)

    assert found.startswith(f"endpoints/mine.py{fault}")
