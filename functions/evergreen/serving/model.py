"""A model version that is loaded, by the runtime that the stack serves with.

Nothing gets here before registry.Registry.artifact has checked its size and hash.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from evergreen.contract.errors import EvergreenError, worded
from evergreen.contract.schema import Score, columns_of, short, texts_of
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry

ONNX = "model.onnx"
JOBLIB = "model.joblib"
REFERENCE = "reference.json.gz"  # rows of the training data, for a drift check
RULE = "rule.json"
EXTERNAL = "external.json"
REPORT = "report.html"
ARTIFACTS = {"onnx": ONNX, "sklearn": JOBLIB}  # of a model, what each ServingRuntime serves
OTHERS = {"rule": RULE, "external": EXTERNAL}  # of the other kinds, which need no library
GOLDEN_TOLERANCE = 1e-5  # float32 arithmetic on another processor; of numbers over 1 their share


class Model(msgspec.Struct, frozen=True, dict=True):
    """A loaded version: scores columns of rows.

    instead: what scores them while `scores` raises ExternalError, as only a service does.
    """

    manifest: Manifest
    scores: Score
    instead: Score | None = None

    def scores_of(self, rows: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float64]:
        """Return the same for plain rows."""
        return self.scores(columns_of(self.manifest.schema, rows, self._texts))

    def scores_instead(self, rows: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float64]:
        """Return scores of plain rows by the rule of a service that fails."""
        if self.instead is None:
            raise TypeError(f"{self.manifest.version} asks no service")
        return self.instead(columns_of(self.manifest.schema, rows, self._texts))

    def unseen(self, rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
        """Return, for each row, the fields whose category the training data did not have."""

        def new(text: str, seen: frozenset[str]) -> bool:
            return text not in seen and short(text) not in seen

        known = self._known.items()
        return [[field for field, seen in known if new(row[field] or "", seen)] for row in rows]

    @cached_property
    def _texts(self) -> dict[str, bool]:
        return texts_of(self.manifest.schema)

    @cached_property
    def _known(self) -> dict[str, frozenset[str]]:
        return self.manifest.categories


def runtime(name: str) -> Any:
    """Return the module of a ServingRuntime, of which a deployment has one, or of another kind."""
    return import_module(f"evergreen.serving.runtime_{name}")


def artifact_of(kind: str, serving_runtime: str) -> str:
    """Return which artifact of a version of a kind is served under a ServingRuntime."""
    return OTHERS.get(kind) or ARTIFACTS[serving_runtime]


def kinds(registry: Registry, endpoint: str) -> dict[str, str]:
    """Return the kind of every version of an endpoint, oldest first, from one listing."""
    found: dict[str, str] = {}
    written, by_artifact = [], {artifact: kind for kind, artifact in OTHERS.items()}
    for key in registry.store.keys(f"models/{endpoint}/"):
        _, _, version, name = key.split("/", 3)
        found[version] = by_artifact.get(name, found.get(version, "model"))
        if name == "manifest.json":  # the last that is written: without it there is no version
            written.append(version)
    return {version: found[version] for version in written}


def load(
    manifest: Manifest, body: bytes, serving_runtime: str = "onnx", *, to_serve: bool = True
) -> Model:
    """Load a version from the bytes of its artifact and replay its golden rows.

    to_serve: whether it will answer callers; if not, it may be of other versions of the libraries
    as long as its golden rows score the same. Raises ModelUnavailableError where the runtime cannot
    read it or answers differently than in training.
    """
    external = manifest.kind == "external"
    found = runtime(serving_runtime if manifest.kind == "model" else manifest.kind)
    try:
        if to_serve:
            found.check(manifest)
        instead = found.instead(body) if external else None
        model = Model(manifest, found.scorer(body, manifest.inputs), instead)
        # A service may be down, and may have learnt since: its golden rows would prove nothing.
        golden = [] if external else manifest.golden
        scores = model.scores_of([row for row, _ in golden]) if golden else np.zeros(0)
        expected = np.array([score for _, score in golden])
        apart = np.abs(scores - expected) / np.maximum(np.abs(expected), 1.0)
        difference = apart.max(initial=0.0)
    except EvergreenError:
        raise
    except Exception as error:  # neither runtime has a base class of its own
        raise manifest.unavailable(worded(error)) from error
    if not difference <= GOLDEN_TOLERANCE:
        away = f"its golden rows score {difference:.2g} away from what training recorded"
        raise manifest.unavailable(away)
    return model


def fetch(
    registry: Registry, manifest: Manifest, serving_runtime: str, *, to_serve: bool = True
) -> Model:
    """Load a version from the registry, after its bytes have been verified."""
    artifact = artifact_of(manifest.kind, serving_runtime)
    if artifact not in manifest.artifacts:
        raise manifest.unavailable(
            f"it has no {artifact}, as it was trained under another ServingRuntime: deploy with "
            f"that one, or train again under ServingRuntime={serving_runtime}"
        )
    body = registry.artifact(manifest, artifact)
    return load(manifest, body, serving_runtime, to_serve=to_serve)
