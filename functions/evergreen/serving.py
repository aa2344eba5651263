"""The versions that a warm function has loaded, and how it learns of a promotion.

The endpoint document is looked at again after ENDPOINT_TTL seconds, with a conditional GET. A new
champion is loaded and checked before it takes over; while that fails, the old one goes on
answering.
"""

import math
import os
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field, replace

from botocore.exceptions import BotoCoreError, ClientError

from evergreen.errors import (
    EvergreenError,
    ModelUnavailableError,
    NoChampionError,
    UnknownVersionError,
)
from evergreen.known import check_endpoint_file, check_endpoint_name, is_version
from evergreen.model import Model, fetch, runtime
from evergreen.registry import Registry, Seen
from evergreen.schema import RowDecoder

KEPT_VERSIONS = 4  # besides the champions; models are small, memory is not endless
FAILURES = (EvergreenError, ClientError, BotoCoreError)  # ours, and those of S3


@dataclass(frozen=True)
class Served:
    """A version that is ready to answer."""

    model: Model
    decoder: RowDecoder

    @property
    def version(self) -> str:
        """Return the version's id."""
        return self.model.manifest.version


@dataclass(frozen=True)
class _Champion:
    seen: Seen
    served: Served
    checked: float
    stale: str | None = None


@dataclass
class Serving:
    """The loaded versions of one process."""

    registry: Registry
    runtime: str = field(default_factory=lambda: os.environ.get("SERVING_RUNTIME", "onnx"))
    ttl: float = field(default_factory=lambda: float(os.environ.get("ENDPOINT_TTL", "60")))
    _champions: dict[str, _Champion] = field(default_factory=dict)
    _versions: OrderedDict[tuple[str, str], Served] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        runtime(self.runtime)  # imported here, while Lambda initializes, and not by a request

    def champion(self, endpoint: str) -> Served:
        """Return the version that answers for an endpoint now.

        Raises UnknownEndpointError, NoChampionError, and ModelUnavailableError where the champion
        cannot be loaded and no earlier one is warm.
        """
        warm = self._champions.get(endpoint)
        if warm is None:
            self._champions[endpoint] = warm = self._first(endpoint)
        elif time.time() - warm.checked >= self.ttl:
            self._champions[endpoint] = warm = self._refresh(endpoint, warm)
        return warm.served

    def preload(self) -> None:
        """Load every champion that can be loaded; a request for another will say why not."""
        with suppress(*FAILURES):
            for endpoint in self.registry.endpoints():
                with suppress(*FAILURES):
                    self.champion(endpoint)

    def expire(self) -> None:
        """Look for new champions at the next requests, however long ago they were loaded."""
        for endpoint, warm in self._champions.items():
            self._champions[endpoint] = replace(warm, checked=-math.inf)

    def stale(self, endpoint: str) -> str | None:
        """Return why the champion could not be refreshed at the last attempt, or None."""
        warm = self._champions.get(endpoint)
        return warm.stale if warm else None

    def _first(self, endpoint: str) -> _Champion:
        check_endpoint_name(endpoint)
        seen = self.registry.document(endpoint)
        if seen is None:
            check_endpoint_file(endpoint)
            raise NoChampionError(endpoint)
        return _Champion(seen, self._load_champion(endpoint, seen.document.champion), time.time())

    def _refresh(self, endpoint: str, warm: _Champion) -> _Champion:
        now = time.time()
        try:
            seen = self.registry.document_if_changed(endpoint, warm.seen.etag)
            if seen is None:
                return replace(warm, checked=now, stale=None)
            return _Champion(seen, self._load_champion(endpoint, seen.document.champion), now)
        except FAILURES as error:
            return replace(warm, checked=now, stale=str(error))

    def version(self, endpoint: str, version: str) -> Served:
        """Return one version; raises what `champion` does, and UnknownVersionError."""
        check_endpoint_name(endpoint)
        if not is_version(version):
            raise UnknownVersionError(endpoint, version)
        served = self._load(endpoint, version)
        if served is None:
            if self.registry.document(endpoint) is None:
                check_endpoint_file(endpoint)
            raise UnknownVersionError(endpoint, version)
        return served

    def _load_champion(self, endpoint: str, version: str) -> Served:
        served = self._load(endpoint, version)
        if served is None:
            raise ModelUnavailableError(endpoint, version, "its manifest is missing")
        return served

    def _load(self, endpoint: str, version: str) -> Served | None:
        key = (endpoint, version)
        if key in self._versions:
            self._versions.move_to_end(key)
            return self._versions[key]
        manifest = self.registry.manifest(endpoint, version)
        if manifest is None:
            return None
        model = fetch(self.registry, manifest, self.runtime)
        served = Served(model, RowDecoder(manifest.schema))
        self._versions[key] = served
        while len(self._versions) > KEPT_VERSIONS:
            self._versions.popitem(last=False)
        return served
