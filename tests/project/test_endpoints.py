"""Every file in endpoints/ is held to the contract, as scikit-learn's check_estimator does."""

import dataclasses
import random
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from endpoints import air_time, flight_delay, weather_tomorrow
from evergreen.captures.examples import Examples, from_table
from evergreen.contract import endpoint_files, problem
from evergreen.contract.decoding import RowDecoder
from evergreen.contract.endpoint import Policy, check_endpoint
from evergreen.contract.errors import EndpointFileError, UnknownEndpointError
from evergreen.contract.identifiers import endpoint_file
from evergreen.contract.problem import Kind
from evergreen.contract.rule import Rule
from evergreen.contract.schema import JsonSchema, is_text, schema_of
from evergreen.serving import runtime_onnx, runtime_rule
from evergreen.serving.external import External
from evergreen.training.onnx import export
from local.samples import packaged
from local.template import ROOT
from tests.support import given

ROWS = 600
PAGE = ROOT / "docs" / "endpoints.md"
KNOWN_ONLY_LATER = {
    "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum", "label", "late",
}  # fmt: skip


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
    times = [given.START + timedelta(minutes=n) for n in range(rows)]
    return given.from_rows(schema, found, labels[kind], times, kind)


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
        inputs = list(schema["properties"])
        if isinstance(pipeline, Rule):
            score = runtime_rule.scorer(pipeline.artifact(), inputs)
        else:
            score = runtime_onnx.scorer(export.convert(pipeline, schema, inputs), inputs)
        scores = score(others.columns)

        expected = problem.outputs(pipeline, others.frame(), found)
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
        first, second = (problem.outputs(each, examples.frame(), found) for each in fitted)
        assert (first == second).all(), candidate


def test_none_of_its_features_is_known_only_after_the_event(name: str) -> None:
    assert not set(endpoint_files.load(name).row.__struct_fields__) & KNOWN_ONLY_LATER


def test_the_hash_of_its_code_is_the_same_twice(name: str) -> None:
    assert endpoint_files.code(name) == endpoint_files.code(name)
    assert len(endpoint_files.code(name)) == 64


def test_the_hash_of_its_code_is_another_when_a_template_of_its_card_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_files, "FUNCTIONS", tmp_path)
    template = tmp_path / "evergreen" / "pages" / "templates" / "card.html.jinja"
    template.parent.mkdir(parents=True)
    hashes = []

    for text in ("<h1>one</h1>", "<h1>another</h1>"):
        template.write_text(text)
        hashes.append(endpoint_files.code(given.NAME))

    assert hashes[0] != hashes[1]


@pytest.mark.parametrize("odd", ["other", "", "../evergreen/aws", "__init__", "flight_delay"])
def test_a_name_without_a_file_is_unknown(odd: str) -> None:
    with pytest.raises(UnknownEndpointError):
        endpoint_files.load(odd)


# Those that are really here


def test_a_table_of_flights_becomes_rows_with_label_and_time(schema: JsonSchema) -> None:
    table = pd.DataFrame(given.table(4)).assign(arr_delay=[15.0, 15.5, -3.0, 400.0])

    rows = flight_delay.examples(table)

    assert set(rows) == {*flight_delay.Flight.__struct_fields__, "label", "time"}
    assert rows["label"].tolist() == [False, True, False, True]
    found = from_table(schema, rows)
    assert len(found) == 4
    assert found.columns["hour"].tolist() == table["hour"].tolist()


def test_a_flight_without_an_arrival_delay_has_no_label() -> None:
    table = given.table(3).assign(arr_delay=[1.0, np.nan, 20.0])

    assert flight_delay.examples(table)["label"].isna().tolist() == [False, True, False]


def test_a_flight_that_was_not_flown_has_no_air_time() -> None:
    table = given.table(3).assign(air_time=[100.0, np.nan, 90.0])

    assert air_time.examples(table)["label"].tolist() == [100.0, 90.0]


def test_a_day_is_labelled_with_the_weather_of_the_next_and_knows_its_week() -> None:
    table = pd.read_csv(packaged.folder("vega_datasets", "_data") / "seattle-weather.csv")[:10]

    rows = weather_tomorrow.examples(table[::-1])

    assert rows["label"].tolist() == table["weather"][8:].tolist()
    assert rows["weather"].tolist() == table["weather"][7:9].tolist()
    assert rows["time"].tolist() == [pd.Timestamp(f"2012-01-{day} 04:00") for day in ("09", "10")]
    weeks = [table[first : first + 7] for first in (1, 2)]
    sums = [week["precipitation"].sum() for week in weeks]
    assert rows["week_precipitation"].tolist() == pytest.approx(sums)
    assert rows["week_temp"].tolist() == pytest.approx([week["temp_max"].mean() for week in weeks])
    assert rows["warmer"].tolist() == pytest.approx(table["temp_max"].diff()[7:9].tolist())


def test_every_text_of_a_flight_is_a_category_and_everything_else_a_number(
    schema: JsonSchema,
) -> None:
    texts = [name for name, spec in schema["properties"].items() if is_text(spec)]

    assert texts == flight_delay.TEXT
    assert sorted([*flight_delay.TEXT, *flight_delay.NUMBERS]) == sorted(schema["properties"])


def test_the_file_of_the_user_can_be_read_in_a_minute(name: str) -> None:
    assert len(endpoint_file(name).read_text().splitlines()) < 100


def test_a_file_that_cannot_be_imported_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: str) -> None:
        raise SyntaxError("invalid syntax (flight_delay.py, line 3)")

    monkeypatch.setattr("importlib.import_module", broken)

    with pytest.raises(EndpointFileError, match=r"endpoints/flight_delay.py: SyntaxError"):
        endpoint_files.load("flight-delay")


@pytest.mark.parametrize(
    "candidate", [Rule(), External(url="https://vendor.example/score", rule=Rule())]
)
def test_a_rule_and_a_service_may_be_candidates(
    candidate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = dataclasses.replace(
        flight_delay.endpoint, candidates=lambda _: {"it": candidate}, search={}
    )
    monkeypatch.setattr(flight_delay, "endpoint", endpoint)

    test_each_of_its_candidates_fits_and_has_a_twin_that_agrees(given.NAME)


def test_the_page_on_endpoints_gives_the_defaults_of_the_policy() -> None:
    rows = (line.split("|")[1:3] for line in PAGE.read_text().splitlines() if line[:3] == "| `")
    said: dict[str, str] = {}
    for names, values in rows:
        found = re.findall(r"`(\w+)`", names)
        said |= dict(zip(found, [values] if len(found) == 1 else values.split(","), strict=True))

    for field in dataclasses.fields(Policy):
        shown = said[field.name].strip(" `").replace(",000", "000")
        default = "four times `margin" if field.default is None else field.default
        assert shown in (str(default), f"{default:g}" if isinstance(default, float) else ""), shown
