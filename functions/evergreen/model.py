"""A model version that is loaded, by the runtime that the stack serves with.

Nothing gets here before registry.Registry.artifact has checked its size and hash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from evergreen.errors import EvergreenError, ModelUnavailableError
from evergreen.manifest import Manifest
from evergreen.registry import Registry
from evergreen.schema import Score, columns_of

ONNX = "model.onnx"
JOBLIB = "model.joblib"
REFERENCE = "reference.json.gz"  # rows of the training data, for a drift check
ARTIFACTS = {"onnx": ONNX, "sklearn": JOBLIB}  # what each ServingRuntime serves
GOLDEN_TOLERANCE = 1e-5  # float32 arithmetic on another processor


@dataclass(frozen=True)
class Model:
    """A loaded version: scores columns of rows."""

    manifest: Manifest
    scores: Score

    def scores_of(self, rows: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float64]:
        """Return the same for plain rows."""
        return self.scores(columns_of(self.manifest.schema, rows))

    def unseen(self, rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
        """Return, for each row, the fields whose category the training data did not have."""
        known = self._known.items()
        return [[field for field, seen in known if (row[field] or "") not in seen] for row in rows]

    @cached_property
    def _known(self) -> dict[str, frozenset[str]]:
        return self.manifest.categories


def runtime(name: str) -> Any:
    """Return the module of a ServingRuntime: a deployment has the packages of one only."""
    return import_module(f"evergreen.runtime_{name}")


def load(
    manifest: Manifest, body: bytes, serving_runtime: str = "onnx", *, to_serve: bool = True
) -> Model:
    """Load a version from the bytes of its artifact and replay its golden rows.

    to_serve: whether it will answer callers; if not, it may be of other versions of the libraries
    as long as its golden rows score the same. Raises ModelUnavailableError where the runtime cannot
    read it or answers differently than in training.
    """
    found = runtime(serving_runtime)
    try:
        if to_serve:
            found.check(manifest)
        model = Model(manifest, found.scorer(body, manifest.inputs))
        rows = [row for row, _ in manifest.golden]
        scores = model.scores_of(rows) if rows else np.zeros(0)
        difference = np.abs(scores - [score for _, score in manifest.golden]).max(initial=0.0)
    except EvergreenError:
        raise
    except Exception as error:  # neither runtime has a base class of its own
        raise ModelUnavailableError(manifest.endpoint, manifest.version, str(error)) from error
    if not difference <= GOLDEN_TOLERANCE:
        raise ModelUnavailableError(
            manifest.endpoint,
            manifest.version,
            f"its golden rows score {difference:.2g} away from what training recorded",
        )
    return model


def fetch(
    registry: Registry, manifest: Manifest, serving_runtime: str, *, to_serve: bool = True
) -> Model:
    """Load a version from the registry, after its bytes have been verified."""
    artifact = ARTIFACTS[serving_runtime]
    if artifact not in manifest.artifacts:
        raise ModelUnavailableError(
            manifest.endpoint,
            manifest.version,
            f"it has no {artifact}, as it was trained under another ServingRuntime: deploy with "
            f"that one, or train again under ServingRuntime={serving_runtime}",
        )
    body = registry.artifact(manifest, artifact)
    return load(manifest, body, serving_runtime, to_serve=to_serve)
