"""The ONNX twin of a fitted scikit-learn pipeline: what predict runs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import skl2onnx
from skl2onnx.common._registration import get_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from evergreen.errors import CandidateError
from evergreen.schema import Columns, JsonSchema, Score, is_text

TOLERANCE = 1e-5
UNSEEN = "\x01unseen"  # a text that no data has
OPSET = {"": 21, "ai.onnx.ml": 3}  # what ONNX Runtime 1.18 and later read


def convert(pipeline: Any, schema: JsonSchema, inputs: list[str]) -> bytes:
    """Return a pipeline as an ONNX model whose inputs are its columns, each of shape (rows, 1).

    Raises CandidateError where skl2onnx has no converter for one of its steps.
    """
    types = [
        (
            name,
            StringTensorType([None, 1])
            if is_text(schema["properties"][name])
            else FloatTensorType([None, 1]),
        )
        for name in inputs
    ]
    try:
        model = skl2onnx.convert_sklearn(
            pipeline,
            name="model",  # the default is a random one, and the same data must give the same bytes
            initial_types=types,
            options={"zipmap": False},
            target_opset=OPSET,
            custom_conversion_functions=CONVERTERS,
        )
    except Exception as error:  # converters raise whatever they like
        raise CandidateError(
            f"there is no ONNX twin of this pipeline: {str(error)[:300]}"
        ) from error
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)  # skl2onnx orders them by hash, another in each process
    return bytes(model.SerializeToString())


def difference(scores: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> float:
    """Return the largest difference between a twin's scores and its pipeline's.

    Raises CandidateError over TOLERANCE, or for NaN: what is measured must be what serves.
    """
    difference = np.abs(scores - expected)
    apart = np.nonzero(~(difference <= TOLERANCE))[0]
    if len(apart):
        raise CandidateError(
            f"its ONNX twin differs from scikit-learn by up to {difference.max():.2g} "
            f"in {len(apart)} rows of the holdout, first {apart[:5].tolist()}; "
            "try it without a scaler before trees, or leave it out"
        )
    return float(difference.max())


def check_robust(score: Score, schema: JsonSchema, rows: Columns) -> None:
    """Raise CandidateError for a model that has no score for a missing value or a new category."""
    for name, spec in schema["properties"].items():
        odd: list[Any] = []
        if name not in schema.get("required", ()) or "anyOf" in spec:
            odd.append("" if is_text(spec) else np.nan)
        if is_text(spec) and "enum" not in spec:
            odd.append(UNSEEN)
        for value in odd:
            column = np.full(len(rows[name]), value, dtype=rows[name].dtype)
            try:
                finite = bool(np.isfinite(score(rows | {name: column})).all())
            except Exception:  # it is the user's pipeline, and may raise whatever it likes
                finite = False
            if not finite:
                what = "a category that training has not seen" if value == UNSEEN else "missing"
                raise CandidateError(
                    f"it has no score where {name} is {what}: see docs/endpoints.md, candidates"
                )


def _with_plain_attributes(kind: type) -> Callable[[Any, Any, Any], None]:
    """Return skl2onnx's converter of an estimator with node attributes made plain Python.

    The tree converter of skl2onnx 1.20 passes numpy booleans and np.uint32, which protobuf refuses
    under numpy 2.5; the values are right. Any other estimator is converted as it comes.
    """
    original = get_converter(f"Sklearn{kind.__name__}")

    def converter(scope: Any, operator: Any, container: Any) -> None:
        add_node = container.add_node

        def add_plain(*args: Any, **attributes: Any) -> None:
            add_node(*args, **{name: _plain(value) for name, value in attributes.items()})

        container.add_node = add_plain
        try:
            original(scope, operator, container)
        finally:
            container.add_node = add_node

    return converter


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return int(value) if isinstance(value, bool) else value


CONVERTERS = {
    kind: _with_plain_attributes(kind)
    for kind in (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
}
