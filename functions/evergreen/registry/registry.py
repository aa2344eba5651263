"""The model registry: versions, endpoint documents, their history and training runs, in one bucket.

    models/{endpoint}/{version}/model.onnx, model.joblib, manifest.json    written once
    endpoints/{endpoint}.json                                              compare-and-set
    endpoints/{endpoint}/history/{generation}.json                         written once
    recalibrations/{endpoint}/{version}/{day}.json                         written once
    runs/{endpoint}/{run}.json                                             see registry.run_claims

All but history and runs are sealed (see aws.signing), and not decoded before that was checked.

Writes go artifact, manifest, document, history: a crash at any point leaves the old champion or the
new one. The history line of a generation is written once the decision has been announced; where a
crash left it out, the next one to `settle` the document announces the decision and writes it.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta

import msgspec

from evergreen.aws.s3 import Store, Stored
from evergreen.aws.signing import Seal
from evergreen.contract import errors
from evergreen.registry.manifest import FORMAT, Artifact, Manifest
from evergreen.registry.recalibration import Recalibration
from evergreen.registry.state import Decision, Document
from evergreen.registry.stored_json import MOST_BYTES, encode, read
from evergreen.registry.transitions import Change, apply

Announce = Callable[[Decision], None]
# Made here, by one thread: two that make msgspec's first decoder of a type at once may crash.
DOCUMENT = msgspec.json.Decoder(Document)
DECISION = msgspec.json.Decoder(Decision)
MANIFEST = msgspec.json.Decoder(Manifest)
RECALIBRATION = msgspec.json.Decoder(Recalibration)
FRESH = timedelta(days=3)  # until a map is too old to be served

_HISTORY = re.compile(r"/([0-9]{6,})\.json$")  # the end of a decision's key
_document_key = "endpoints/{}.json".format
_history_prefix = "endpoints/{}/history/".format
_history_key = "endpoints/{}/history/{:06d}.json".format
_maps = "recalibrations/{}/{}/".format
_folder = "models/{}/{}".format
_manifest_key = "models/{}/{}/manifest.json".format


class Seen(msgspec.Struct, frozen=True):
    """An endpoint document as it was read, with the ETag that its replacement must name."""

    document: Document
    etag: str


class Registry(msgspec.Struct, frozen=True):
    """Reads and writes the artifact bucket; documents and manifests are sealed."""

    store: Store
    seal: Seal

    # Documents

    def endpoints(self) -> list[str]:
        """Return the names of all endpoints that have a document."""
        names = self.store.names("endpoints/")
        return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))

    def document(self, endpoint: str) -> Seen | None:
        """Return the endpoint's document, or None where nothing has been promoted yet.

        Raises CorruptDocumentError where it is not as one of this stack's functions wrote it.
        """
        return self._seen(endpoint, self.store.get(_document_key(endpoint), MOST_BYTES))

    def document_if_changed(self, endpoint: str, etag: str) -> Seen | None:
        """Return the endpoint's document if it is no longer the one with `etag`."""
        return self._seen(endpoint, self.store.changed(_document_key(endpoint), etag, MOST_BYTES))

    def _seen(self, endpoint: str, stored: Stored | None) -> Seen | None:
        if stored is None:
            return None
        key = _document_key(endpoint)
        if (body := self.seal.open(key, stored.body)) is None:
            raise errors.CorruptDocumentError(key, "it is not as this stack wrote it")
        return Seen(read(key, body, DOCUMENT), stored.etag)

    def write_document(
        self, document: Document, seen: Seen | None, announce: Announce = lambda _: None
    ) -> None:
        """Put a document in place of the one that was seen (None: there was none).

        announce: tells others of a decision; once for each, and again only after a crash.
        Raises DocumentChangedError where another writer was faster; the loser has changed nothing.
        """
        if seen is not None:
            self.settle(seen.document, announce)
        elif next(self.store.keys(_history_prefix(document.endpoint)), None):
            if self.document(document.endpoint):
                raise errors.DocumentChangedError(document.endpoint, 0)
            raise errors.OldDocumentError(document.endpoint, 0)  # it has been deleted
        key = _document_key(document.endpoint)
        body = self.seal.seal(key, encode(document))
        won = self.store.replace(key, body, seen.etag) if seen else self.store.create(key, body)
        if not won and not self._was_written(document):
            raise errors.DocumentChangedError(document.endpoint, document.generation - 1)
        self._told(document, announce)

    def change(
        self, seen: Seen, change: Change, time: datetime, announce: Announce = lambda _: None
    ) -> Document:
        """Change a document as `evergreen.registry.transitions` allows, write it and return it.

        With a champion comes the rule that stands in for it: another could not answer its requests.
        """
        if change.type in ("promoted", "rolled back"):
            manifest = self.manifest(seen.document.endpoint, change.version)
            rule = manifest.fallback if manifest else None
            change = msgspec.structs.replace(change, fallback=rule)
        changed = apply(seen.document, change, time, seen.document.generation)
        self.write_document(changed, seen, announce)
        return changed

    def settle(self, document: Document, announce: Announce) -> None:
        """Announce the last decision and keep it in the history, unless that has been done.

        Raises OldDocumentError where the history goes on after the document, and
        DocumentChangedError where that is because another writer has been faster.
        """
        endpoint, generation = document.endpoint, document.generation
        if self._told(document, announce) <= generation:
            return
        now = self.document(endpoint)
        if now and now.document.generation > generation:
            raise errors.DocumentChangedError(endpoint, generation)
        raise errors.OldDocumentError(endpoint, generation)

    def _told(self, document: Document, announce: Announce) -> int:
        """Announce and keep what has not been, and return the newest generation of the history."""
        endpoint, generation = document.endpoint, document.generation
        before = _history_key(endpoint, generation - 1)
        keys = self.store.keys(_history_prefix(endpoint), after=before)
        told = [int(found[1]) for found in map(_HISTORY.search, keys) if found]
        if not told:
            announce(document.last)
            self.store.create(_history_key(endpoint, generation), encode(document.last))
        return max(told, default=generation)

    def _was_written(self, document: Document) -> bool:
        """Say whether a document stood there, and the next one has already been put in its place.

        Its writer settled ours first. Before that the document itself says whose it is: two may
        have decided alike at the same moment, but not with the same nonce.
        """
        now, generation = self.document(document.endpoint), document.generation
        passed = now is not None and now.document.generation > generation
        return passed and self.decision(document.endpoint, generation) == document.last

    def decision(self, endpoint: str, generation: int) -> Decision | None:
        """Return the decision that made a generation of an endpoint's document."""
        key = _history_key(endpoint, generation)
        stored = self.store.get(key, MOST_BYTES)
        return read(key, stored.body, DECISION) if stored else None

    def history(self, document: Document, newest: int = 50) -> list[Decision]:
        """Return the last decisions that led to a document, oldest first."""
        made = range(max(1, document.generation - newest), document.generation)
        earlier = (self.decision(document.endpoint, generation) for generation in made)
        return [*filter(None, earlier), document.last]

    # Versions

    def versions(self, endpoint: str) -> list[str]:
        """Return the ids of all versions of an endpoint, oldest first."""
        return sorted(name.rstrip("/") for name in self.store.names(f"models/{endpoint}/"))

    def write_version(self, manifest: Manifest, artifacts: dict[str, bytes]) -> None:
        """Write a version's artifacts and then its manifest; none of them can be written again."""
        folder = _folder(manifest.endpoint, manifest.version)
        for name, body in artifacts.items():
            self._create(manifest, f"{folder}/{name}", body)
        key = _manifest_key(manifest.endpoint, manifest.version)
        self._create(manifest, key, self.seal.seal(key, encode(manifest)))

    def _create(self, manifest: Manifest, key: str, body: bytes) -> None:
        if not self.store.create(key, body):
            raise manifest.unavailable(f"{key} exists already with other content")

    def manifest(self, endpoint: str, version: str) -> Manifest | None:
        """Return the manifest of a version, or None where there is no such version.

        Raises ModelUnavailableError where it is not as this stack's training wrote it.
        """
        key = _manifest_key(endpoint, version)
        stored = self.store.get(key, MOST_BYTES)
        if stored is None:
            return None
        try:
            if (body := self.seal.open(key, stored.body)) is None:
                raise ValueError("is not as this stack's training wrote it")
            manifest = MANIFEST.decode(body)
            if (manifest.endpoint, manifest.version) != (endpoint, version):
                raise ValueError(f"is that of {manifest.endpoint} {manifest.version}")
            if manifest.format != FORMAT:
                raise ValueError(f"has format {manifest.format}, not {FORMAT}")
        except ValueError as error:  # of which DecodeError is one
            said = "cannot be read: " if isinstance(error, msgspec.DecodeError) else ""
            raise errors.ModelUnavailableError(
                endpoint, version, f"its manifest {said}{error}"
            ) from error
        return manifest

    def manifest_sha256(self, endpoint: str, version: str) -> str | None:
        """Return the hash of a version's manifest as it stands there, or None."""
        stored = self.store.get(_manifest_key(endpoint, version))
        return fingerprint(stored.body).sha256 if stored else None

    def known(self, endpoint: str, version: str) -> Manifest:
        """Return the manifest of a version that there should be, or raise ModelUnavailableError."""
        if (manifest := self.manifest(endpoint, version)) is None:
            raise errors.ModelUnavailableError(endpoint, version, "its manifest is missing")
        return manifest

    def artifact(self, manifest: Manifest, name: str) -> bytes:
        """Return the bytes of an artifact, after checking their size and hash."""
        folder, said = _folder(manifest.endpoint, manifest.version), manifest.artifacts.get(name)
        # One byte more than there should be tells that it is too large: it may be of any size.
        stored = self.store.get(f"{folder}/{name}", said.bytes + 1) if said else None
        if stored is None or said is None:
            raise manifest.unavailable(f"{name} is missing")
        found = fingerprint(stored.body)
        if found != said:
            there = f"{found.bytes} bytes with SHA-256 {found.sha256}"
            wanted = f"{said.bytes} with {said.sha256}"
            raise errors.CorruptArtifactError(
                manifest.endpoint, manifest.version, name, there, wanted
            )
        return stored.body

    # Recalibrations

    def write_recalibration(self, found: Recalibration) -> None:
        """Write the map of a version for a day; where there is one, that stays."""
        key = f"{_maps(found.endpoint, found.version)}{found.day}.json"
        self.store.create(key, self.seal.seal(key, encode(found)))

    def recalibration(self, endpoint: str, version: str, day: date) -> Recalibration | None:
        """Return the map of a version for a day, or None where there is none.

        Raises CorruptDocumentError where it is not as one of this stack's functions wrote it.
        """
        key = f"{_maps(endpoint, version)}{day}.json"
        if (stored := self.store.get(key, MOST_BYTES)) is None:
            return None
        body = self.seal.open(key, stored.body)
        found = read(key, body, RECALIBRATION) if body else None
        if found is None or (found.endpoint, found.version, found.day) != (endpoint, version, day):
            raise errors.CorruptDocumentError(key, "it is not as this stack wrote it")
        return found

    def newest_recalibration(self, endpoint: str, version: str, day: date) -> Recalibration | None:
        """Return the map to serve on a day: the newest until then that is fresh, or None."""
        folder = _maps(endpoint, version)
        keys = self.store.keys(folder, after=f"{folder}{day - FRESH}.json")
        if (
            newest := max((key for key in keys if key <= f"{folder}{day}.json"), default=None)
        ) is None:
            return None
        return self.recalibration(endpoint, version, date.fromisoformat(newest[len(folder) : -5]))


def fingerprint(body: bytes) -> Artifact:
    """Return the size and hash by which an artifact is known."""
    return Artifact(bytes=len(body), sha256=hashlib.sha256(body).hexdigest())
