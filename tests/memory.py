"""A bucket in memory, for tests that look at many states of it, and captures to lie in it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from evergreen.manifest import Manifest
from evergreen.profiles import Profiles
from evergreen.records import Capture
from evergreen.store import Store, Stored
from tests import given
from tests.given import START

OLD = given.version(1)


@dataclass(frozen=True, eq=False)
class Memory(Store):
    """A bucket that remembers what was asked of it."""

    s3: Any = None
    bucket: str = "memory"
    objects: dict[str, bytes] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def get(self, key: str) -> Stored | None:
        self.read.append(key)
        body = self.objects.get(key)
        return None if body is None else Stored(body, "")

    def put(self, key: str, body: bytes) -> None:
        self.written.append(key)
        self.objects[key] = body

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        self.listed.append(prefix)
        return iter(sorted(key for key in self.objects if key.startswith(prefix) and key > after))

    def forget(self) -> None:
        for asked in (self.listed, self.read, self.written):
            asked.clear()

    def under(self, prefix: str) -> dict[str, bytes]:
        return {key: body for key, body in self.objects.items() if key.startswith(prefix)}


def profiles(memory: Store, manifest: Manifest) -> Profiles:
    """Return the profiles of an endpoint that had a version before."""
    return Profiles(memory, manifest, [OLD, manifest.version])


def deliver(memory: Store, captures: list[Capture], at: datetime = START, name: str = "a") -> None:
    """Put captures where Firehose would."""
    given.deliver(memory, captures, at, name)


def made(manifest: Manifest, number: int, time: datetime = START, **more: Any) -> Capture:
    """Return a capture of a version, no two of which are quite alike."""
    features = given.whole(hour=number % 24, temp=None if number % 5 else float(number % 90))
    plain = given.capture(number, time, features=more.pop("features", features))
    changes = {"version": manifest.version, "score": number % 97 / 97} | more
    return msgspec.structs.replace(plain, **changes)
