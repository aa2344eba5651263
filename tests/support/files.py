"""Training files that stand in memory, and what a training reads in them."""

from collections.abc import Mapping
from typing import Any, cast

from evergreen.aws.s3 import Store, Stored
from evergreen.captures.conversion import cells
from evergreen.contract.files import PLAIN, Files
from evergreen.training.tables import table

FOLDER = "training/test"


class Memory:
    """A bucket that has nothing but these objects."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.objects = {f"{FOLDER}/{name}": body for name, body in objects.items()}

    def get(self, key: str, most: int) -> Stored | None:
        found = self.objects.get(key)
        return None if found is None else Stored(found[:most], "")


def read(
    objects: Mapping[str, bytes] | bytes, types: Mapping[str, type], files: Files = PLAIN
) -> table.Table | None:
    """Return the table in some files, or in one that is `a.csv`."""
    memory = Memory({"a.csv": objects} if isinstance(objects, bytes) else objects)
    return table.read(cast(Store, memory), list(memory.objects), types, files, types)


def columns(
    objects: Mapping[str, bytes] | bytes, types: Mapping[str, type], files: Files = PLAIN
) -> dict[str, list[Any]]:
    """Return the same as lists of plain values, None where one is missing."""
    found = read(objects, types, files)
    if found is None:
        return {}
    lists = {str(name): cells(found.frame[name]) for name in found.frame}
    return {
        name: [None if value != value else value for value in list(values)]
        for name, values in lists.items()
    }
