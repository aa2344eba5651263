"""How a file in endpoints/ is found and hashed, what may be a candidate, and what its page says."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

import endpoints.flight_delay as flight_delay
from evergreen.contract import endpoint_files
from evergreen.contract.endpoint import Policy
from evergreen.contract.errors import EndpointFileError, UnknownEndpointError
from evergreen.contract.rule import Rule
from evergreen.serving.external import External
from local.template import ROOT
from tests.contract.test_endpoints import (
    test_each_of_its_candidates_fits_and_has_a_twin_that_agrees as check_candidates,
)
from tests.support import given

PAGE = ROOT / "docs" / "endpoints.md"


def test_the_hash_of_its_code_is_the_same_twice() -> None:
    assert endpoint_files.code(given.NAME) == endpoint_files.code(given.NAME)
    assert len(endpoint_files.code(given.NAME)) == 64


def test_the_hash_of_its_code_is_another_when_a_template_of_its_card_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_files, "project_root", lambda: tmp_path)
    template = tmp_path / "evergreen" / "pages" / "templates" / "card.html.jinja"
    template.parent.mkdir(parents=True)
    hashes = []

    for text in ("<h1>one</h1>", "<h1>another</h1>"):
        template.write_text(text)
        hashes.append(endpoint_files.code(given.NAME))

    assert hashes[0] != hashes[1]


@pytest.mark.parametrize("odd", ["other", "", "../evergreen/aws", "__init__", "flight_delay"])
def test_a_name_without_a_file_is_unknown(odd: str) -> None:
    with pytest.raises(UnknownEndpointError):
        endpoint_files.load(odd)


def test_a_file_that_cannot_be_imported_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: str) -> None:
        raise SyntaxError("invalid syntax (flight_delay.py, line 3)")

    monkeypatch.setattr("importlib.import_module", broken)

    with pytest.raises(EndpointFileError, match=r"endpoints/flight_delay.py: SyntaxError"):
        endpoint_files.load("flight-delay")


@pytest.mark.parametrize(
    "candidate", [Rule(), External(url="https://vendor.example/score", rule=Rule())]
)
def test_a_rule_and_a_service_may_be_candidates(
    candidate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = dataclasses.replace(
        flight_delay.endpoint, candidates=lambda _: {"it": candidate}, search={}
    )
    monkeypatch.setattr(flight_delay, "endpoint", endpoint)

    check_candidates(given.NAME)


def test_the_page_on_endpoints_gives_the_defaults_of_the_policy() -> None:
    rows = (line.split("|")[1:3] for line in PAGE.read_text().splitlines() if line[:3] == "| `")
    said: dict[str, str] = {}
    for names, values in rows:
        found = re.findall(r"`(\w+)`", names)
        said |= dict(zip(found, [values] if len(found) == 1 else values.split(","), strict=True))

    for field in dataclasses.fields(Policy):
        shown = said[field.name].strip(" `").replace(",000", "000")
        default = "four times `margin" if field.default is None else field.default
        assert shown in (str(default), f"{default:g}" if isinstance(default, float) else ""), shown
