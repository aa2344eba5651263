"""Each promise of docs/promises.md links to tests that are there; each fails without a defence."""

import ast
import re
from functools import cache

import pytest

from local.template import ROOT
from tests.mutation.mutations import MUTATIONS, Mutation

PAGE = (ROOT / "docs" / "promises.md").read_text()
SECTIONS = {  # by number
    int(number): text for number, text in re.findall(r"(?ms)^## (\d+)\. (.*?)(?=^## |\Z)", PAGE)
}
LINK = re.compile(r"\[([^\]`]+)\]\(\.\./(tests/[\w/]+\.py)\)")
NAMED = {  # the defences that there must be
    "nonce", "generation", "hash", "signature", "gate", "claim", "deduplication",
    "dead-letter queue", "authorizer", "body cap",
}  # fmt: skip


@cache
def defined_in(path: str) -> frozenset[str]:
    nodes = ast.walk(ast.parse((ROOT / path).read_text()))
    return frozenset(
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def linked(number: int) -> set[str]:
    """Return the ids of the tests that a section links to."""
    return {
        f"{path}::test_{'_'.join(words.split())}" for words, path in LINK.findall(SECTIONS[number])
    }


def named(mutation: Mutation) -> str:
    """Return the id of a mutation's test, without its parameters."""
    return mutation.test.partition("[")[0]


def test_there_is_a_section_for_each_promise() -> None:
    assert list(SECTIONS) == list(range(1, 20))


@pytest.mark.parametrize("number", SECTIONS)
def test_every_test_that_is_linked_is_there(number: int) -> None:
    found = linked(number)

    assert found
    assert [
        test for test in found if test.split("::")[1] not in defined_in(test.split("::")[0])
    ] == []


def test_every_test_that_is_linked_fails_without_a_defence_and_every_such_test_is_linked() -> None:
    page = {test for number in SECTIONS for test in linked(number)}

    assert {named(mutation) for mutation in MUTATIONS} == page


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.defence)
def test_a_defence_can_be_removed(mutation: Mutation) -> None:
    whole = (ROOT / mutation.file).read_text()

    assert whole.count(mutation.old) == 1
    changed = whole.replace(mutation.old, mutation.new)
    if mutation.file.endswith(".py"):
        ast.parse(changed)


def test_the_defences_that_matter_most_are_among_them() -> None:
    names = [mutation.defence for mutation in MUTATIONS]

    assert len(names) == len(set(names))
    assert set(names) >= NAMED
