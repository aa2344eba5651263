"""The pages for people: short where that was promised, linked, and true of the folders."""

import ast
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from local.template import ROOT

FOLDERS = (ROOT, ROOT / ".github", ROOT / "docs", ROOT / "events", ROOT / "functions")
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *(page for folder in FOLDERS[1:] for page in folder.rglob("*.md")),
        *(page for room in ("local", "benchmarks") for page in (ROOT / room).rglob("*.md")),
    }
)
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
QUOTED = re.compile(r"`([^`]+)`")
FILE = re.compile(r"^[\w.-]+/[\w/.-]+\.(?:py|toml|json|md|yaml|txt)$")
ELSEWHERE = {  # a name that was not taken, one that a reader will make, and an object in a bucket
    "training/train.py", "functions/endpoints/my_problem.py", "drift/ENDPOINT/YYYY-MM-DDTHH.json",
    "events/bodies/ENDPOINT.json", "functions/endpoints/loan_repaid.py",
}  # fmt: skip
BASES = (ROOT, ROOT / "functions", ROOT / "functions" / "evergreen")  # of names of files
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
EVERGREEN = ROOT / "functions" / "evergreen"
WINGS = {path.parent.name for path in EVERGREEN.glob("*/__init__.py")}
MODULES = {
    str(path.relative_to(EVERGREEN).with_suffix(""))
    for wing in WINGS
    for path in (EVERGREEN / wing).rglob("*.py")
    if path.stem != "__init__"
}


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text())


def anchors(page: Path) -> set[str]:
    """Return what a link into the page may name, as GitHub makes it of headings."""
    headings = (heading.lower().replace("`", "") for heading in HEADING.findall(prose(page)))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = [link for link in LINK.findall(prose(page)) if "://" not in link]

    broken = []
    for link in links:
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_begins_with_a_title_and_a_sentence_on_what_it_answers(page: Path) -> None:
    title, empty, first, *_ = page.read_text().splitlines()

    assert title.startswith("# ")
    assert empty == ""
    assert re.match(r"[A-Z`]", first)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = [name for quoted in QUOTED.findall(prose(page)) for name in FILE.findall(quoted)]

    bases = (*BASES, page.parent)
    missing = {name for name in named if not any((base / name).exists() for base in bases)}

    assert missing <= ELSEWHERE


def test_every_page_is_found_from_the_readme() -> None:
    found, left = {ROOT / "README.md"}, [ROOT / "README.md"]
    while left:
        page = left.pop()
        for link in LINK.findall(prose(page)):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target in PAGES and target not in found:
                found.add(target)
                left.append(target)

    assert sorted(set(PAGES) - found) == []


def test_the_readme_stays_under_900_words() -> None:
    assert len((ROOT / "README.md").read_text().split()) < 900


def test_what_the_readme_quotes_of_the_demo_is_what_the_demo_s_page_quotes() -> None:
    block = re.compile(r"(?ms)^```console\nLog-loss by month.*?^```$")
    (short,) = block.findall((ROOT / "README.md").read_text())
    (long,) = block.findall((ROOT / "docs" / "demo.md").read_text())

    lines = [line for line in short.splitlines() if line != "…"]

    assert len(lines) > 5
    assert [line for line in lines if line not in long.splitlines()] == []


def test_the_glossary_is_a_page_and_no_book() -> None:
    words = re.findall(r"^\| ([^|]+) \| ", (ROOT / "docs" / "glossary.md").read_text(), re.M)[1:]

    assert 25 <= len(words) <= 33
    assert len(set(words)) == len(words)


# The wings


def pictured() -> set[tuple[str, str]]:
    """Return the arrows of the picture in docs/architecture.md: who imports whom."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    (picture,) = re.findall(r"(?ms)^```mermaid\n(.*?)^```$", text)
    arrows = set()
    for line in picture.splitlines()[1:]:
        ends = [end.split(" & ") for end in line.strip().split(" --> ")]
        for left, right in pairwise(ends):
            arrows |= {(one, other) for one in left for other in right}
    return arrows


def imported() -> set[tuple[str, str]]:
    """Return which wing imports which, and what the handlers import."""
    found = set()
    for path in (ROOT / "functions").rglob("*.py"):
        within = path.relative_to(EVERGREEN).parts[0] if path.is_relative_to(EVERGREEN) else ""
        if path.parent == ROOT / "functions" / "endpoints" or within == "__init__.py":
            continue
        wing = within or "handlers"
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                if name and name.startswith("evergreen."):
                    found.add((wing, name.split(".")[1]))
    return {(one, other) for one, other in found if one != other}


def reached(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return every pair that arrows lead between, over however many."""
    found = set(arrows)
    while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
        found |= more
    return found


def test_the_picture_shows_every_wing_and_no_import_goes_against_its_arrows() -> None:
    arrows = pictured()

    assert {end for arrow in arrows for end in arrow} == WINGS | {"handlers"}
    assert not [wing for wing in WINGS if (wing, wing) in reached(arrows)]
    assert sorted(imported() - reached(arrows)) == []


def test_every_arrow_of_the_picture_is_an_import_that_no_other_arrows_imply() -> None:
    arrows = pictured()

    assert sorted(arrows - imported()) == []
    assert sorted(arrow for arrow in arrows if arrow in reached(arrows - {arrow})) == []


def test_every_arrow_leads_down_the_layers_that_import_linter_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [
        contract["layers"]
        for contract in contracts["contracts"]
        if contract.get("containers") == ["evergreen"]
    ]
    depth = {wing: at for at, layer in enumerate(layers) for wing in layer.split(" | ")}

    assert set(depth) == WINGS
    for above, below in pictured():
        assert depth[below] > depth.get(above, -1), f"{above} --> {below}"


def test_the_readme_of_the_wings_lists_every_module_and_nothing_else() -> None:
    text = (EVERGREEN / "README.md").read_text()

    listed = {
        f"{wing}/{module}"
        for wing, section in re.findall(r"(?ms)^## (\w+): (.*?)(?=^## |\Z)", text)
        for row in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
        for module in re.findall(r"`([\w/]+)`", row)
    }

    assert sorted(listed ^ MODULES) == []


@pytest.mark.parametrize("room", ["local", "benchmarks"])
def test_the_readme_of_the_rooms_lists_every_room(room: str) -> None:
    listed = set(re.findall(r"^\| `(\w+)/` \|", (ROOT / room / "README.md").read_text(), re.M))

    assert listed == {path.parent.name for path in (ROOT / room).glob("*/__init__.py")}
