"""The defences, how each is removed, and a test that must fail without: mutations.toml."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Mutation:
    """A defence that is removed by replacing a text, unique in its file, by another.

    promise: the section of docs/promises.md that it is for. test: the id that pytest takes.
    """

    defence: str
    promise: int
    file: str
    old: str
    new: str
    test: str


MUTATIONS = [Mutation(**found) for found in tomllib.loads(FILE.read_text())["mutation"]]
