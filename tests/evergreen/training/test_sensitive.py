"""What a version keeps of sensitive fields: nothing that could be shown."""

import gzip
import re
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from msgspec import Meta
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from evergreen.contract.endpoint import Endpoint, Policy
from evergreen.contract.endpoint_checks import check_endpoint
from evergreen.contract.schema import schema_of
from evergreen.serving import model
from evergreen.serving.model import ONNX, REFERENCE, REPORT
from evergreen.serving.replay import _features
from evergreen.training.fitting import Request
from evergreen.training.train_version import Trained
from tests.support import given

LONG = "y" * 30_000


class Person(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(description="who asks")]
    income: Annotated[float, Meta(description="a year's")]
    note: Annotated[str, Meta(description="what for")]
    x: Annotated[float, Meta(description="tells the label")]


@pytest.fixture(scope="module")
def trained() -> Trained:
    texts = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["name", "note"]),
        (StandardScaler(), ["income", "x"]),
    )
    endpoint = Endpoint(
        row=Person,
        examples=lambda table: table,
        candidates=lambda _: {"linear": make_pipeline(texts, LogisticRegression())},
        target="is paid back",
        policy=Policy(min_rows=100, windows_days=(None,)),
        sensitive={"name": "says who somebody is", "income": "is nobody else's business"},
    )
    check_endpoint("loan", endpoint)
    schema, random = schema_of("loan", Person), np.random.default_rng(0)
    rows: list[dict[str, Any]] = [
        {
            "name": f"ZqName{n % 40}",
            "income": 7_310_000.0 + n,
            "note": LONG + f"{n % 3}",
            "x": float(random.normal()),
        }
        for n in range(620)
    ]
    labels = [bool(random.uniform() < 1 / (1 + np.exp(-2 * row["x"]))) for row in rows]
    times = [given.START + timedelta(hours=n) for n in range(len(rows))]
    examples = given.from_rows(schema, rows, labels, times)
    request = Request("loan", "run 1", "manual", given.NOW, 0, "code")
    return given.train(request, endpoint, schema, examples, None)


def test_no_text_and_no_row_of_a_sensitive_field_is_kept_and_serving_is_verified(
    trained: Trained,
) -> None:
    kept = msgspec.json.encode(trained.manifest) + gzip.decompress(trained.artifacts[REFERENCE])

    assert trained.verdict.passed, trained.verdict.reason
    assert b"ZqName" not in kept
    incomes = {row["income"] for row, _ in trained.manifest.golden}
    assert len(incomes) == 1
    assert len({score for _, score in trained.manifest.golden}) > 10
    assert model.load(trained.manifest, trained.artifacts[ONNX])
    sample = msgspec.json.decode(gzip.decompress(trained.artifacts[REFERENCE]))
    assert {(row["name"], row["income"]) for row in sample} == {(None, None)}


def test_its_page_shows_no_value_of_a_sensitive_field(trained: Trained) -> None:
    page = trained.artifacts[REPORT].decode()

    assert "ZqName" not in page
    assert not re.search(r"7[,.]?31\d", page)
    assert page.count("<td>sensitive</td>") == 2


def test_of_a_long_text_a_version_keeps_little(trained: Trained) -> None:
    assert len(msgspec.json.encode(trained.manifest)) < 200_000
    assert len(gzip.decompress(trained.artifacts[REFERENCE])) < 300_000


def test_a_long_text_that_training_saw_is_not_unseen(trained: Trained) -> None:
    loaded = model.load(trained.manifest, trained.artifacts[ONNX])

    asked = [{"name": "new", "note": LONG + end} for end in ("1", "other")]

    assert loaded.unseen(asked) == [[], ["note"]]


def test_the_replay_of_a_prediction_shows_no_value_of_a_sensitive_field(trained: Trained) -> None:
    recorded = given.capture(1, features={"name": "ZqName1", "x": 0.5})

    step = _features(recorded, trained.manifest.hidden)

    assert step.text == "name=sensitive, x=0.5"
    assert step.figures == {"name": "sensitive", "x": 0.5}
