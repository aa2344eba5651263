"""A model's bytes become something that runs, if it answers as it did in training."""

from typing import cast

import msgspec
import numpy as np
import pytest

from evergreen.contract.errors import ModelUnavailableError
from evergreen.serving import model
from evergreen.serving.model import ONNX
from evergreen.training.train_version import Trained
from tests.support import given


def test_a_loaded_version_repeats_its_golden_rows(trained: Trained) -> None:
    loaded = model.load(trained.manifest, trained.artifacts[ONNX])

    rows = [row for row, _ in trained.manifest.golden]
    assert len(rows) == 50
    assert loaded.scores_of(rows) == pytest.approx([score for _, score in trained.manifest.golden])


def test_a_score_is_a_probability_for_each_row(trained: Trained) -> None:
    loaded = model.load(trained.manifest, trained.artifacts[ONNX])

    scores = loaded.scores_of([given.whole(hour=hour) for hour in range(24)])

    assert scores.shape == (24,)
    assert scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[22] > scores[5], "the late ones are those of the evening"


def test_a_row_scores_the_same_alone_and_among_others(trained: Trained) -> None:
    loaded = model.load(trained.manifest, trained.artifacts[ONNX])
    rows = [given.whole(hour=hour, temp=hour * 1.0) for hour in range(24)]

    together = loaded.scores_of(rows)

    alone = [float(loaded.scores_of([row])[0]) for row in rows]
    assert alone == pytest.approx(together.tolist(), abs=1e-6)


def test_missing_values_are_scored_and_never_nan(trained: Trained) -> None:
    loaded = model.load(trained.manifest, trained.artifacts[ONNX])

    assert np.isfinite(loaded.scores_of([given.whole()])).all()


def test_unseen_categories_are_named_row_by_row(trained: Trained) -> None:
    loaded = model.load(trained.manifest, trained.artifacts[ONNX])

    unseen = loaded.unseen(
        [given.whole(), given.whole(carrier="ZZ"), given.whole(carrier="ZZ", dest="XXX")]
    )

    assert unseen == [[], ["carrier"], ["carrier", "dest"]]


@pytest.mark.parametrize("body", [b"", b"not a model", b"\x08\x08" * 50])
def test_bytes_that_are_no_model_cannot_be_loaded(trained: Trained, body: bytes) -> None:
    with pytest.raises(ModelUnavailableError):
        model.load(trained.manifest, body)


@pytest.mark.parametrize("shift", [1e-3, -0.5, float("nan")])
def test_a_model_that_scores_its_golden_rows_differently_cannot_be_loaded(
    trained: Trained, shift: float
) -> None:
    golden = [(row, cast(float, score) + shift) for row, score in trained.manifest.golden]
    manifest = msgspec.structs.replace(trained.manifest, golden=golden)

    with pytest.raises(ModelUnavailableError, match="golden rows"):
        model.load(manifest, trained.artifacts[ONNX])


def test_rounding_of_another_processor_is_not_a_difference(trained: Trained) -> None:
    golden = [(row, cast(float, score) + 1e-6) for row, score in trained.manifest.golden]
    manifest = msgspec.structs.replace(trained.manifest, golden=golden)

    assert model.load(manifest, trained.artifacts[ONNX])


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": ["carrier"]},
        {"inputs": ["carrier", "no-such-field"]},
        {"golden": [({"carrier": "UA"}, 0.5)]},
    ],
    ids=["too few inputs", "an input that is no field", "a golden row without its fields"],
)
def test_a_manifest_that_does_not_fit_its_model_is_an_error_of_ours(
    trained: Trained, changes: dict[str, object]
) -> None:
    """A warm function keeps its champion for errors of ours, and only for these."""
    manifest = msgspec.structs.replace(trained.manifest, **changes)

    with pytest.raises(ModelUnavailableError):
        model.load(manifest, trained.artifacts[ONNX])


@pytest.mark.parametrize(("made_with", "loads"), [("1.2.0", True), ("999.0.0", False)])
def test_a_version_of_a_newer_runtime_is_refused_before_its_bytes_are_read(
    trained: Trained, made_with: str, loads: bool
) -> None:
    libraries = trained.manifest.libraries | {"onnxruntime": made_with}
    manifest = msgspec.structs.replace(trained.manifest, libraries=libraries)

    if loads:
        model.load(manifest, trained.artifacts[ONNX])
    else:
        with pytest.raises(ModelUnavailableError, match=r"999.0.0 and this is"):
            model.load(manifest, b"not a model")
