"""A logged prediction can be reproduced: each kind, variant and runtime, bit for bit.

Each is asked through predict, recorded by the stream, and replayed through control's route, after a
promotion, a rollback, and whatever became of the version since.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import time_machine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from evergreen.aws.s3 import Store
from evergreen.captures.examples import from_table
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.rule import Rule
from evergreen.contract.schema import JsonSchema
from evergreen.registry import transitions
from evergreen.registry.manifest import Manifest
from evergreen.serving.external import External
from evergreen.serving.model import ONNX
from evergreen.training import train_version
from evergreen.training.fitting import Request
from evergreen.training.train_version import Trained
from local.plane import stack
from local.plane.plane import Plane
from local.template import load
from tests.lives.test_kinds import STORIES, asked_of
from tests.support import candidates
from tests.support import given as start
from tests.support.candidates import ONE, THREE, TWO
from tests.support.given import NAME, NOW
from tests.support.registries import registry_of
from tests.support.rollouts import trained_on
from tests.support.servers import Answered, Asked, listening
from tests.support.traffic import promoted

JSON = {"Content-Type": "application/json"}


def ask(plane: Plane, *rows: Mapping[str, Any], query: str = "", name: str = NAME) -> Any:
    body = json.dumps({"instances": rows}).encode()
    answer = plane.request("POST", f"/endpoints/{name}/predict{query}", body, JSON)
    assert answer.status == 200, answer.body
    return answer.json()


def replay(plane: Plane, prediction: str, name: str = NAME) -> Any:
    answer = plane.request("GET", f"/control/endpoints/{name}/predictions/{prediction}")
    assert answer.status == 200, answer.body
    return answer.json()


def check_identical(plane: Plane, asked: Any, name: str = NAME) -> None:
    """Replay every row of an answer, and compare with what the caller got."""
    for prediction in asked["predictions"]:
        found = replay(plane, prediction["id"], name)
        said = {step["step"]: step for step in found["steps"]}
        assert found["identical"] is True, said.get("stopped") or said["replayed"]
        assert found["version"] == asked["version"]
        for part in ("score", "label", "scores"):
            assert said["replayed"]["figures"].get(part) == prediction.get(part)


# Every kind of problem, in each runtime


@pytest.mark.parametrize("runtime", ["onnx", "sklearn"])
@pytest.mark.parametrize("name", STORIES)
def test_each_kind_of_problem_in_each_runtime(
    name: str, runtime: str, clock: time_machine.Traveller, aws: None, data: Store, tmp_path: Path
) -> None:
    clock.move_to(STORIES[name][0])
    plane = Plane(load({"ServingRuntime": runtime}))
    file = stack.training_file(name, None, tmp_path)
    data.put(f"training/{name}/{file.name}", file.read_bytes())
    plane.settle()
    rows, _ = asked_of(name, file)

    one, many = ask(plane, rows[0], name=name), ask(plane, *rows[:7], name=name)

    check_identical(plane, one, name)
    check_identical(plane, many, name)


# Every way in which a version comes to answer


def rule(schema: JsonSchema, candidate: Any, artifact: str) -> Trained:
    """Return a version that is no model."""
    endpoint: Endpoint = dataclasses.replace(
        start.quick(), candidates=lambda _: {"it": candidate}, rule=None
    )
    examples = from_table(schema, endpoint.examples(start.table()))
    found: Trained = train_version.train(
        Request(NAME, "a run", "manual", NOW, 0, "code"), endpoint, schema, examples, None
    )
    assert artifact in found.artifacts
    return found


def test_a_champion_that_was_promoted_rolled_back_and_retired_since(
    plane: Plane, champion: Manifest, artifacts: Store
) -> None:
    """Its successor says the opposite, so that no other version could have given its scores."""
    registry = registry_of(artifacts)
    candidates.entered(registry, trained_on(lie=True), TWO)
    first = ask(plane, start.row())
    candidates.move(registry, "promoted", TWO)
    second = ask(plane, start.row(), query=f"?version={TWO}")
    candidates.move(registry, "rolled back", ONE)
    third = ask(plane, start.row(hour=20), query=f"?version={TWO}")

    assert candidates.document(registry).statuses[TWO] in ("rejected", "retired")
    assert first["predictions"][0]["score"] != second["predictions"][0]["score"]
    assert [first["version"], second["version"], third["version"]] == [ONE, TWO, TWO]
    for asked in (first, second, third):
        check_identical(plane, asked)


def test_an_arm_that_was_rejected_since(plane: Plane, champion: Manifest, artifacts: Store) -> None:
    registry = registry_of(artifacts)
    candidates.entered(registry, trained_on(lie=True), TWO)  # whose scores are others
    candidates.move(registry, "shadow started", TWO)
    candidates.move(registry, "canary started", TWO, share=0.5)
    asked = [ask(plane, start.row(hour=5 + n)) for n in range(12)]
    candidates.move(registry, "challenger rejected", TWO)

    assert {one["variant"] for one in asked} == {"champion", "canary"}
    for one in asked:
        check_identical(plane, one)


@pytest.mark.parametrize("query", [f"?version={TWO}", "?status=candidate"])
def test_a_version_that_was_asked_for(plane: Plane, candidate: Manifest, query: str) -> None:
    asked = ask(plane, start.row(), query=query)

    assert (asked["variant"], asked["version"]) == ("requested", TWO)
    check_identical(plane, asked)


def test_a_rule_as_champion(plane: Plane, artifacts: Store, schema: JsonSchema) -> None:
    promoted(artifacts, rule(schema, Rule(), "rule.json"), ONE)

    asked = ask(plane, start.row(), start.row(carrier="EV"))

    assert asked["variant"] == "champion"
    check_identical(plane, asked)


def test_the_fallback_that_answered_for_a_champion_that_could_not(
    plane: Plane, artifacts: Store, trained: Trained, schema: JsonSchema
) -> None:
    registry = registry_of(artifacts)
    candidates.written(registry, rule(schema, Rule(), "rule.json"), THREE)
    manifest = msgspec.structs.replace(trained.manifest, version=ONE, fallback=THREE)
    registry.write_version(manifest, trained.artifacts)
    changed = transitions.Change(
        type="promoted", version=ONE, by="a test", reason="given", fallback=THREE
    )
    registry.write_document(transitions.first(NAME, changed, NOW), None)
    artifacts.put(f"models/{NAME}/{ONE}/{ONNX}", b"damaged")

    asked = ask(plane, start.row())

    assert (asked["variant"], asked["version"]) == ("fallback", THREE)
    check_identical(plane, asked)


def test_the_rule_of_a_service_that_was_away_and_not_what_the_service_said(
    plane: Plane, artifacts: Store, schema: JsonSchema
) -> None:
    away = False

    def service(asked: Asked) -> Answered | None:
        rows = len(json.loads(asked.body)["instances"])
        return None if away else Answered(json.dumps({"scores": [0.25] * rows}).encode())

    with listening(service) as host:
        external = External(url=f"http://{host}/s", timeout_seconds=0.5)
        promoted(artifacts, rule(schema, external, "external.json"), ONE)
        there = ask(plane, start.row())
        away = True
        gone = ask(plane, start.row(), start.row(hour=21))

    assert there["predictions"][0]["score"] == 0.25
    found = replay(plane, there["predictions"][0]["id"])
    assert found["identical"] is None
    assert "another service answered" in found["steps"][-1]["text"]
    check_identical(plane, gone)


def test_a_service_that_answered_for_an_arm_that_could_not_is_not_its_rule(
    plane: Plane, artifacts: Store, schema: JsonSchema, trained: Trained
) -> None:
    def service(asked: Asked) -> Answered:
        rows = len(json.loads(asked.body)["instances"])
        return Answered(json.dumps({"scores": [0.25] * rows}).encode())

    with listening(service) as host:
        external = External(url=f"http://{host}/s", timeout_seconds=0.5)
        promoted(artifacts, rule(schema, external, "external.json"), ONE)
        registry = registry_of(artifacts)
        candidates.entered(registry, trained, TWO)
        candidates.move(registry, "shadow started", TWO)
        candidates.move(registry, "canary started", TWO, share=0.9)
        artifacts.put(f"models/{NAME}/{TWO}/{ONNX}", b"damaged")
        found = [ask(plane, start.row()) for _ in range(20)]

    instead = next(one for one in found if one["variant"] == "fallback")
    assert instead["version"] == ONE
    assert replay(plane, instead["predictions"][0]["id"])["identical"] is None


# Every row that a request can have


def plain(schema: JsonSchema) -> st.SearchStrategy[dict[str, Any]]:
    """Return rows that a request may have: missing and unseen values, bounds, and -0.0."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, spec in schema["properties"].items():
        nullable = "anyOf" in spec
        own = next(one for one in spec["anyOf"] if one["type"] != "null") if nullable else spec
        if "enum" in own:
            values: st.SearchStrategy[Any] = st.sampled_from(own["enum"])
        elif own["type"] == "string":
            letters = st.characters(exclude_categories=["Cs"])
            values = st.text(letters, min_size=own.get("minLength", 0), max_size=own["maxLength"])
        elif own["type"] == "integer":
            values = st.integers(own["minimum"], own["maximum"])
        else:
            low, high = own["minimum"], own["maximum"]
            zero = [-0.0, 5e-324] if low <= 0 <= high else []
            values = st.floats(low, high) | st.sampled_from([low, high, *zero])
        (optional if nullable else fields)[name] = st.none() | values if nullable else values
    return st.fixed_dictionaries(fields, optional=optional)


def test_any_row_of_any_request(
    plane: Plane, champion: Manifest, schema: JsonSchema, data: Store
) -> None:
    kept: list[Any] = []

    @settings(max_examples=40, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(st.lists(plain(schema), min_size=1, max_size=4))
    def property_(rows: list[dict[str, Any]]) -> None:
        kept.append(ask(plane, *rows))
        check_identical(plane, kept[-1])

    property_()

    assert len(kept) >= 40


def test_numbers_and_texts_survive_their_record() -> None:
    """Features come back from JSON as they went in, the sign of a zero and every digit included."""
    odd = [
        -0.0,
        5e-324,
        1.7976931348623157e308,
        2**63 - 1,
        -(2**63),
        0.1 + 0.2,
        "é\u0000\U0001f600",
    ]

    back = msgspec.json.decode(msgspec.json.encode(odd))

    assert back == odd
    assert math.copysign(1, back[0]) == -1
    assert [type(one) for one in back] == [type(one) for one in odd]
