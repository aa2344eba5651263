"""Versions beside the champion, for tests of what becomes of them."""

from typing import Any

import msgspec

from evergreen.registry import transitions
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry
from evergreen.registry.state import Document
from evergreen.registry.transitions import Change
from evergreen.training.train_version import Trained
from tests.support.given import NAME, NOW

ONE, TWO, THREE, FOUR = (f"20130201T{n:02d}0000Z-{n:08x}" for n in (1, 2, 3, 4))


def written(
    registry: Registry, trained: Trained, name: str, previous: str = ONE, **changed: Any
) -> Manifest:
    """Write a version that was compared with `previous`."""
    lineage = msgspec.structs.replace(trained.manifest.lineage, previous=previous)
    manifest = msgspec.structs.replace(trained.manifest, version=name, lineage=lineage, **changed)
    registry.write_version(manifest, trained.artifacts)
    return manifest


def entered(
    registry: Registry, trained: Trained, name: str, previous: str = ONE, **changed: Any
) -> Manifest:
    """Write a version, and enter it as the candidate."""
    manifest = written(registry, trained, name, previous, **changed)
    move(registry, "candidate entered", name)
    return manifest


def move(registry: Registry, kind: Any, name: str, **more: Any) -> Document:
    """Change the endpoint's document, or make its first."""
    seen, time = registry.document(NAME), more.pop("time", NOW)
    change = Change(type=kind, version=name, by="a test", reason="given", **more)
    if seen is None:
        found = transitions.first(NAME, change, time)
    else:
        found = transitions.apply(seen.document, change, time, seen.document.generation)
    registry.write_document(found, seen)
    return found


def document(registry: Registry) -> Document:
    """Return the endpoint's document."""
    seen = registry.document(NAME)
    assert seen
    return seen.document
