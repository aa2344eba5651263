"""What a training run finds in the registry, and what its record says."""

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import msgspec

from evergreen.captures.examples import Examples, utc
from evergreen.contract.problem import Kind
from evergreen.contract.schema import JsonSchema
from evergreen.registry.manifest import FALLBACK, Manifest
from evergreen.registry.registry import Registry, Seen
from evergreen.registry.run_claims import Run
from evergreen.registry.state import Document
from evergreen.serving import model
from evergreen.serving.model import Model

DATA = ("sha256", "rows", "start", "end")  # what is recorded of the data of a run


def written_by(run: Run, name: str, registry: Registry) -> Manifest | None:
    """Return the version that an earlier attempt at this run wrote, apart from its fallback."""
    newer = takewhile(lambda found: found.created >= run.at, manifests(name, registry))
    own = (found for found in newer if found.lineage.run == run.run)
    return next((found for found in own if found.candidate != FALLBACK), None)


def manifests(name: str, registry: Registry) -> Iterator[Manifest]:
    """Yield the manifests of all versions, newest first."""
    found = (registry.manifest(name, version) for version in reversed(registry.versions(name)))
    return (manifest for manifest in found if manifest)


def in_flight(registry: Registry, document: Document) -> str | None:
    """Return why another candidate must wait; one that is stale waits in vain and stops nobody."""
    if document.challenger:
        return f"{document.challenger.version} is being compared with the champion"
    waiting = document.candidate
    manifest = registry.manifest(document.endpoint, waiting) if waiting else None
    if manifest is None or manifest.lineage.previous != document.champion:
        return None
    return f"{waiting} waits: approve or reject it first"


def data_of(examples: Examples) -> dict[str, Any]:
    """Return what a run's record says of the data: which rows, and their hash."""
    start, end = utc(examples.times[0]), utc(examples.times[-1])
    return dict(zip(DATA, (examples.sha256(), len(examples), start, end), strict=True))


def made_from_same(last: Manifest | None, made_from: tuple[Any, ...], runtime: str) -> bool:
    """Say whether a training would be from what the last one was from, for the same runtime.

    made_from: the hashes of data and code, and the versions of libraries.
    """
    if last is None or model.artifact_of(last.kind, runtime) not in last.artifacts:
        return False
    return made_from == (last.lineage.data_sha256, last.lineage.code_sha256, last.libraries)


def champion_of(name: str, registry: Registry, seen: Seen | None, runtime: str) -> Model | None:
    """Return the champion to beat; one that cannot be loaded must not be replaced unseen."""
    if seen is None:
        return None
    manifest = registry.known(name, seen.document.champion)
    if model.artifact_of(manifest.kind, runtime) not in manifest.artifacts:
        runtime = "sklearn"  # every model has its pipeline
    return model.fetch(registry, manifest, runtime, to_serve=False)


def needs_fallback(registry: Registry, seen: Seen | None, schema: JsonSchema, kind: Kind) -> bool:
    """Say whether the rule that answers without a model is missing, or is for other requests."""
    if seen is None or seen.document.fallback is None:
        return True
    found = registry.manifest(seen.document.endpoint, seen.document.fallback)
    return found is None or (found.schema, found.problem.kind) != (schema, kind)


def described(run: Run, version: Manifest) -> Run:
    """Return the record of a run with what it made, so that it can be read without the manifest.

    Its data too: an attempt that finds the version of an earlier one has read none.
    """
    metrics, made_from = version.metrics, version.lineage
    best = next((each for each in metrics.candidates if each.loss == metrics.loss), None)
    return msgspec.structs.replace(
        run,
        data={name: getattr(made_from, f"data_{name}") for name in DATA},
        code_sha256=made_from.code_sha256,
        libraries=version.libraries,
        previous=made_from.previous,
        candidate=version.candidate,
        parameters=best.parameters if best else {},
        metrics={"metric": version.problem.metric} | metrics.figures,
        gates=metrics.gates,
    )
