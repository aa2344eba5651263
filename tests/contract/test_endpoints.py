"""Every file in endpoints/ is held to the contract, as scikit-learn's check_estimator does."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from evergreen.captures.examples import Examples, moment
from evergreen.contract import endpoint_files, problem, project_root
from evergreen.contract.decoding import RowDecoder
from evergreen.contract.endpoint_checks import check_endpoint
from evergreen.contract.problem import Kind, array
from evergreen.contract.rule import Rule
from evergreen.contract.schema import JsonSchema, columns_of, schema_of
from evergreen.serving import runtime_onnx, runtime_rule
from evergreen.serving.external import External
from evergreen.training.onnx import export

ROWS = 600
SAMCONFIG = project_root().parent / "samconfig.toml"
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small fits on many threads are slow fits."""
    with threadpool_limits(1):
        yield


@pytest.fixture(params=endpoint_files.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def value(spec: dict[str, Any], chance: random.Random) -> Any:
    """Return a value that a property's schema allows."""
    if "anyOf" in spec:
        some = next(option for option in spec["anyOf"] if option.get("type") != "null")
        return None if chance.random() < 0.2 else value(some, chance)
    if "enum" in spec:
        return chance.choice(spec["enum"])
    if spec["type"] == "boolean":
        return chance.random() < 0.5
    if spec["type"] == "string":
        length = max(spec.get("minLength", 0), min(3, spec.get("maxLength", 3)))
        return "".join(chance.choice("AB") for _ in range(length))
    low = spec.get("minimum", spec.get("exclusiveMinimum", -100) + 1)
    high = spec.get("maximum", spec.get("exclusiveMaximum", low + 100) - 1)
    return chance.randint(low, high) if spec["type"] == "integer" else chance.uniform(low, high)


def sample(schema: JsonSchema, kind: Kind, rows: int = ROWS) -> Examples:
    """Return rows that the schema allows, with labels that lean on the first feature."""
    chance = random.Random(0)
    found = [
        {field: value(spec, chance) for field, spec in schema["properties"].items()}
        for _ in range(rows)
    ]
    first = next(iter(schema["properties"]))
    middle = sorted(str(row[first]) for row in found)[rows // 2]
    lean = [0.3 * (str(row[first]) < middle) + 0.7 * chance.random() for row in found]
    labels: dict[Kind, list[Any]] = {
        "binary": [each > 0.5 for each in lean],
        "multiclass": ["abc"[int(each * 3)] for each in lean],
        "regression": lean,
    }
    times = [START + timedelta(minutes=n) for n in range(rows)]
    return Examples(
        columns_of(schema, found), array(kind, labels[kind]), np.array([*map(moment, times)])
    )


def test_it_keeps_the_contract(name: str) -> None:
    check_endpoint(name, endpoint_files.load(name))


def test_what_its_schema_allows_a_request_may_send(name: str) -> None:
    endpoint = endpoint_files.load(name)
    schema = schema_of(name, endpoint.row)
    chance = random.Random(1)
    rows = [
        {field: value(spec, chance) for field, spec in schema["properties"].items()}
        for _ in range(50)
    ]

    decoded = RowDecoder(schema).decode(msgspec.json.encode({"instances": rows}))

    assert decoded.instances == rows


def answers(fitted: Any, examples: Examples, found: problem.Problem) -> problem.Floats:
    """Return the scores of a fitted candidate."""
    if isinstance(fitted, Rule):
        return fitted.scores(examples.columns)
    return problem.outputs(fitted, examples.frame(), found)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_each_of_its_candidates_fits_and_has_a_twin_that_agrees(name: str) -> None:
    endpoint = endpoint_files.load(name)
    schema = schema_of(name, endpoint.row)
    examples, others = sample(schema, endpoint.problem), sample(schema, endpoint.problem, 300)
    found = problem.of(endpoint.problem, examples.labels)

    for candidate, pipeline in endpoint.candidates(0).items():
        if isinstance(pipeline, External):
            continue  # there is nobody to ask
        pipeline.fit(examples.frame(), examples.labels)
        if 'ServingRuntime="sklearn"' in SAMCONFIG.read_text():
            continue  # the pipeline itself is served, and needs no twin
        inputs = list(schema["properties"])
        if isinstance(pipeline, Rule):
            score = runtime_rule.scorer(pipeline.artifact(), inputs)
        else:
            score = runtime_onnx.scorer(export.convert(pipeline, schema, inputs), inputs)
        scores = score(others.columns)

        expected = answers(pipeline, others, found)
        assert np.abs(scores - expected).max() < 1e-5, candidate
        assert isinstance(pipeline, Rule) or scores.std() > 0, candidate


def test_the_same_seed_makes_candidates_that_score_the_same(name: str) -> None:
    endpoint = endpoint_files.load(name)
    examples = sample(schema_of(name, endpoint.row), endpoint.problem, 400)
    found = problem.of(endpoint.problem, examples.labels)

    for candidate in endpoint.candidates(0):
        fitted = [
            endpoint.candidates(7)[candidate].fit(examples.frame(), examples.labels)
            for _ in range(2)
        ]
        first, second = (answers(each, examples, found) for each in fitted)
        assert (first == second).all(), candidate
