"""ServingRuntime=sklearn: what runs the pipeline itself, for those that have no ONNX twin.

Unpickling runs whatever the bytes say, so nothing gets here before registry.Registry.artifact has
checked their size and hash, and `check` the version.
"""

import io
from collections.abc import Sequence
from typing import Any

import joblib
import pandas as pd
import sklearn

from evergreen.contract.problem import Floats, last_or_all
from evergreen.contract.schema import Columns, Score
from evergreen.registry.manifest import Manifest


def pipeline_of(body: bytes) -> Any:
    """Return the pipeline that training has written."""
    return joblib.load(io.BytesIO(body))


def scorer(body: bytes, inputs: Sequence[str]) -> Score:
    """Return what scores columns with the pipeline in `body`, from a DataFrame as in training."""
    pipeline = pipeline_of(body)

    def score(columns: Columns) -> Floats:
        frame = pd.DataFrame({name: columns[name] for name in inputs})
        if hasattr(pipeline, "predict_proba"):
            return last_or_all(pipeline.predict_proba(frame))
        return last_or_all(pipeline.predict(frame).reshape(-1, 1))

    return score


def check(manifest: Manifest) -> None:
    """Raise ModelUnavailableError unless this is the scikit-learn that training used."""
    trained, here = manifest.libraries["scikit-learn"], sklearn.__version__
    if here != trained:
        raise manifest.unavailable(
            f"it was made with scikit-learn {trained} and this is {here}, which may answer "
            "otherwise: train again with this one, or deploy the lock file of then"
        )
