"""The one place where a model's bytes become something that runs.

Nothing gets here before registry.Registry.artifact has checked its size and hash.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from evergreen.errors import ModelUnavailableError
from evergreen.manifest import Manifest
from evergreen.schema import Columns, columns_of

ONNX = "model.onnx"
JOBLIB = "model.joblib"
GOLDEN_TOLERANCE = 1e-5  # float32 arithmetic on another processor


@dataclass(frozen=True)
class Model:
    """A loaded version: scores columns of rows."""

    manifest: Manifest
    session: Any

    def scores(self, columns: Columns) -> npt.NDArray[np.float64]:
        """Return the probability of the label being true, shape (rows,)."""
        return run(self.session, columns, self.manifest.inputs)

    def scores_of(self, rows: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float64]:
        """Return the same for plain rows."""
        return self.scores(columns_of(self.manifest.schema, rows))

    def unseen(self, rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
        """Return, for each row, the fields whose category the training data did not have."""
        known = self.manifest.categories
        return [
            [field for field, seen in known.items() if (row[field] or "") not in seen]
            for row in rows
        ]


def session_of(model: bytes) -> Any:
    """Return an ONNX Runtime session whose answers do not depend on the number of cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(session: Any, columns: Columns, inputs: Sequence[str]) -> npt.NDArray[np.float64]:
    """Score columns with a session; the inputs of an ONNX model have shape (rows, 1)."""
    feed = {name: columns[name].reshape(-1, 1) for name in inputs}
    probabilities = session.run(["probabilities"], feed)[0]
    return np.asarray(probabilities[:, 1], dtype=np.float64)


def check_runtime(manifest: Manifest) -> None:
    """Raise ModelUnavailableError where ONNX Runtime is older than the one that training used."""
    trained, here = manifest.libraries["onnxruntime"], onnxruntime.__version__
    if _release(here) < _release(trained):
        raise ModelUnavailableError(
            manifest.endpoint,
            manifest.version,
            f"it was made with ONNX Runtime {trained} and this is {here}: deploy both functions "
            "from one lock file, or promote a version that was made before",
        )


def _release(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


def load(manifest: Manifest, body: bytes) -> Model:
    """Load a version from the bytes of its ONNX artifact and replay its golden rows.

    Raises ModelUnavailableError where the runtime cannot read it or answers differently than in
    training.
    """
    check_runtime(manifest)
    try:
        model = Model(manifest, session_of(body))
        rows = [row for row, _ in manifest.golden]
        scores = model.scores_of(rows) if rows else np.zeros(0)
        difference = np.abs(scores - [score for _, score in manifest.golden]).max(initial=0.0)
    except Exception as error:  # ONNX Runtime has no base class of its own
        raise ModelUnavailableError(manifest.endpoint, manifest.version, str(error)) from error
    if not difference <= GOLDEN_TOLERANCE:
        raise ModelUnavailableError(
            manifest.endpoint,
            manifest.version,
            f"its golden rows score {difference:.2g} away from what training recorded",
        )
    return model
