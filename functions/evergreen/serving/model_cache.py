"""The versions that a warm function has loaded, which one answers, and how it learns of changes.

The endpoint document is looked at again after ENDPOINT_TTL seconds. A new champion is loaded and
checked before it takes over; while that fails, the old one answers, and where there is none, the
document's rule. A version beside the champion is loaded with its first request; while it fails, the
champion answers. Of more than KEPT_CHAMPIONS endpoints, the one not asked for longest is forgotten.
"""

import math
import os
import time
from collections import OrderedDict
from contextlib import suppress
from functools import cached_property

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from msgspec.structs import replace

from evergreen.aws.telemetry import measure
from evergreen.contract import errors
from evergreen.contract.decoding import RowDecoder
from evergreen.contract.errors import EvergreenError, worded
from evergreen.contract.identifiers import check_endpoint_file, check_endpoint_name, is_version
from evergreen.registry.registry import Registry, Seen
from evergreen.registry.state import Document
from evergreen.serving import traffic_split
from evergreen.serving.model import Model, fetch, runtime
from evergreen.serving.recalibrations import Recalibrations

KEPT_VERSIONS = 4  # besides champions and their challengers; models are small, memory not endless
FAILURES = (EvergreenError, ClientError, BotoCoreError)  # ours, and those of S3


class Served(msgspec.Struct, frozen=True):
    """A version that is ready to answer."""

    model: Model
    decoder: RowDecoder

    @property
    def version(self) -> str:
        """Return the version's id."""
        return self.model.manifest.version


class Chosen(msgspec.Struct, frozen=True):
    """The version that answers a request, and why: see records.Capture. reason: of a failure."""

    served: Served
    variant: str
    failed: str | None = None
    reason: str = ""

    @property
    def version(self) -> str:
        """Return the version's id."""
        return self.served.version


class _Missing(msgspec.Struct, frozen=True):
    """Why a version could not be loaded; its own: not because S3 did not answer for a moment."""

    reason: str
    its_own: bool

    @classmethod
    def of(cls, error: Exception) -> "_Missing":
        return cls(worded(error), not isinstance(error, ClientError | BotoCoreError))


class _Look(msgspec.Struct, frozen=True, dict=True):
    """What the last look at an endpoint document found.

    champion: the document's, or the last that could be loaded. stale: why it is not the document's,
    and whether that is its own fault.
    arms: versions that answer beside the champion, or in its place, by id, or why they cannot be
    loaded; one that failed is tried again at the next look.
    """

    seen: Seen
    checked: float
    champion: Served | None
    fallback: Served | None = None
    stale: str | None = None
    its_own: bool = True
    arms: dict[str, Served | _Missing] = msgspec.field(default_factory=dict)

    @property
    def document(self) -> Document:
        return self.seen.document

    @cached_property
    def shared(self) -> bool:
        return bool(self.document.arms)

    @cached_property
    def first(self) -> Chosen:
        """Return what answers where no arm does."""
        if self.champion:
            return Chosen(self.champion, "champion")
        assert self.fallback  # noqa: S101 - for the type checker: there is no look without both
        failed = self.document.champion if self.its_own else None
        return Chosen(self.fallback, "fallback", failed, self.stale or "")


class Serving(msgspec.Struct, dict=True):
    """The loaded versions of one process."""

    registry: Registry
    runtime: str = msgspec.field(default_factory=lambda: os.environ.get("SERVING_RUNTIME", "onnx"))
    ttl: float = msgspec.field(default_factory=lambda: float(os.environ.get("ENDPOINT_TTL", "60")))
    kept: int = msgspec.field(default_factory=lambda: int(os.environ.get("KEPT_CHAMPIONS", "100")))
    _looks: OrderedDict[str, _Look] = msgspec.field(default_factory=OrderedDict)
    _versions: OrderedDict[tuple[str, str], Served] = msgspec.field(default_factory=OrderedDict)

    @cached_property
    def recalibrations(self) -> Recalibrations:
        """Return the maps of scores that this process has read."""
        return Recalibrations(self.registry)

    def __post_init__(self) -> None:
        runtime(self.runtime)  # imported here, while Lambda initializes, and not by a request

    def champion(self, endpoint: str) -> Chosen:
        """Return the champion of an endpoint, or the rule where no champion can be loaded.

        Raises UnknownEndpointError, NoChampionError, and what loading the champion raises where
        neither an earlier one is warm nor the rule can be loaded.
        """
        return self._look(endpoint).first

    def choose(self, endpoint: str, key: str) -> Chosen:
        """Return the version that answers the requests of a key; raises what `champion` does."""
        champion = self.champion(endpoint)
        look = self._looks[endpoint]
        version = traffic_split.arm(look.document, key) if look.shared else None
        if version is None:
            return champion
        arm = self._beside(endpoint, version)
        if isinstance(arm, _Missing):
            failed = version if arm.its_own else None
            return replace(champion, variant="fallback", failed=failed, reason=arm.reason)
        return Chosen(arm, "ab" if look.document.experiment else "canary")

    def instead(self, endpoint: str, failed: Chosen, reason: str) -> Chosen | None:
        """Return what answers in place of a version that could not: the champion, then the rule.

        None where there is nothing left.
        """
        first = failed.failed or failed.version
        if failed.variant in ("canary", "ab"):
            champion = self.champion(endpoint)
            return replace(champion, variant="fallback", failed=first, reason=reason)
        fallback = self.document(endpoint).fallback
        if fallback is None or fallback == failed.version:
            return None
        rule = self._beside(endpoint, fallback)
        return None if isinstance(rule, _Missing) else Chosen(rule, "fallback", first, reason)

    def _beside(self, endpoint: str, version: str) -> Served | _Missing:
        """Return another version than the champion; one that failed is tried at the next look."""
        arms = self._looks[endpoint].arms
        if version not in arms:
            arms[version] = self._loaded(endpoint, version)
        return arms[version]

    def document(self, endpoint: str) -> Document:
        """Return the endpoint document as it was at the last look; raises what `champion` does."""
        return self._look(endpoint).document

    def preload(self) -> None:
        """Load every champion that can be loaded; a request for another will say why not."""
        with suppress(*FAILURES):
            for endpoint in self.registry.endpoints()[: self.kept]:
                with suppress(*FAILURES):
                    for version in self.document(endpoint).arms:
                        self._looks[endpoint].arms[version] = self._loaded(endpoint, version)

    def expire(self) -> None:
        """Look for new champions at the next requests, however long ago they were loaded."""
        for endpoint, look in self._looks.items():
            self._looks[endpoint] = replace(look, checked=-math.inf)

    def stale(self, endpoint: str) -> str | None:
        """Return why the champion could not be refreshed at the last attempt, or None."""
        look = self._looks.get(endpoint)
        return look.stale if look else None

    def _look(self, endpoint: str) -> _Look:
        look = self._looks.get(endpoint)
        if look is None:
            self._looks[endpoint] = look = self._first(endpoint)
            if len(self._looks) > self.kept:
                measure(self._looks.popitem(last=False)[0], ChampionsForgotten=1)
        elif time.time() - look.checked >= self.ttl:
            self._looks[endpoint] = look = self._refreshed(endpoint, look)
        self._looks.move_to_end(endpoint)
        return look

    def _first(self, endpoint: str) -> _Look:
        check_endpoint_name(endpoint)
        seen = self.registry.document(endpoint)
        if seen is None:
            check_endpoint_file(endpoint)
            raise errors.NoChampionError(endpoint)
        now, document = time.time(), seen.document
        try:
            return _Look(seen, now, self._load_known(endpoint, document.champion))
        except Exception as error:  # whatever it is, the rule can answer
            rule = self._loaded(endpoint, document.fallback) if document.fallback else None
            if not isinstance(rule, Served):
                raise
            missing = _Missing.of(error)
            return _Look(seen, now, None, rule, missing.reason, missing.its_own)

    def _refreshed(self, endpoint: str, look: _Look) -> _Look:
        arms: dict[str, Served | _Missing] = {
            arm: found for arm, found in look.arms.items() if isinstance(found, Served)
        }
        look = replace(look, stale=None, arms=arms)
        try:
            seen = self.registry.document_if_changed(endpoint, look.seen.etag) or look.seen
            if seen.document.generation < look.document.generation:
                raise errors.OldDocumentError(endpoint, seen.document.generation)
            for version in arms.keys() - seen.document.arms:
                del arms[version]
            look = replace(look, seen=seen)
            if look.champion is None or look.champion.version != seen.document.champion:
                look = replace(look, champion=self._load_known(endpoint, seen.document.champion))
        except Exception as error:  # whatever it is, what answered until now can answer
            look = replace(look, stale=worded(error))
        return replace(look, checked=time.time())  # now: the look itself may have taken long

    def version(self, endpoint: str, version: str) -> Served:
        """Return one version; raises what `champion` does, and UnknownVersionError."""
        check_endpoint_name(endpoint)
        if not is_version(version):
            raise errors.UnknownVersionError(endpoint, version)
        served = self._load(endpoint, version)
        if served is None:
            if self.registry.document(endpoint) is None:
                check_endpoint_file(endpoint)
            raise errors.UnknownVersionError(endpoint, version)
        return served

    def _loaded(self, endpoint: str, version: str) -> Served | _Missing:
        try:
            return self._load_known(endpoint, version)
        except Exception as error:  # whatever it is, somebody else can answer
            return _Missing.of(error)

    def _load_known(self, endpoint: str, version: str) -> Served:
        served = self._load(endpoint, version)
        if served is None:
            raise errors.ModelUnavailableError(endpoint, version, "its manifest is missing")
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
        served = Served(model, RowDecoder(manifest.schema, manifest.max_rows))
        self._versions[key] = served
        while len(self._versions) > KEPT_VERSIONS:
            self._versions.popitem(last=False)
        return served
