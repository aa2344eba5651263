"""ServingRuntime=onnx: what runs the ONNX twin of a model, without scikit-learn."""

from collections.abc import Sequence
from typing import Any

import onnxruntime

from evergreen.contract.problem import Floats, last_or_all
from evergreen.contract.schema import Columns, Score
from evergreen.registry.manifest import Manifest


def scorer(body: bytes, inputs: Sequence[str]) -> Score:
    """Return what scores columns with the model in `body`."""
    session = session_of(body)
    return lambda columns: run(session, columns, inputs)


def session_of(model: bytes) -> Any:
    """Return an ONNX Runtime session whose answers do not depend on the number of cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(session: Any, columns: Columns, inputs: Sequence[str]) -> Floats:
    """Score columns with a session; the inputs of an ONNX model have shape (rows, 1).

    Its last output holds the scores: a classifier's probabilities of all classes, after its labels,
    or all that a regression has, its values.
    """
    feed = {name: columns[name].reshape(-1, 1) for name in inputs}
    return last_or_all(session.run([session.get_outputs()[-1].name], feed)[0])


def check(manifest: Manifest) -> None:
    """Raise ModelUnavailableError where ONNX Runtime is older than the one that training used."""
    trained, here = manifest.libraries["onnxruntime"], onnxruntime.__version__
    then, now = (tuple(map(int, version.split(".")[:2])) for version in (trained, here))
    if now < then:
        raise manifest.unavailable(
            f"it was made with ONNX Runtime {trained} and this is {here}: deploy both functions "
            "from one lock file, or promote a version that was made before"
        )
