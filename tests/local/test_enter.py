"""A pipeline of somebody else enters a stack from its owner's machine, as a training there would.

Who runs it may do what docs/deploying.md lists, and the stack is as its outputs say.
"""

import json
from argparse import Namespace
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import joblib
import pytest
import time_machine
from rich.console import Console

from cli import api
from evergreen.aws.s3 import Store
from evergreen.contract import endpoint_files
from evergreen.registry.registry import Registry
from evergreen.serving.model import JOBLIB, ONNX, REFERENCE, REPORT
from local import train
from local.cloud.permissions import Role, check_refused, grants, roles
from local.template import ACCOUNT, REGION, ROOT, Template
from tests.support import given
from tests.support.given import NAME
from tests.support.registries import registry_of

Enter = Callable[..., tuple[int, str]]


def policy(outputs: dict[str, Any]) -> dict[str, Any]:
    """Return the policy of docs/deploying.md for those who bring a pipeline."""
    text = (ROOT / "docs" / "deploying.md").read_text()
    text = text.partition("**People who bring data")[2].partition("```json")[2].partition("```")[0]
    for place, name in (("ARTIFACT_BUCKET", "ArtifactBucket"), ("DATA_BUCKET", "DataBucket")):
        text = text.replace(place, outputs[name])
    text = text.replace("EVENT_BUS", outputs["EventBus"]).replace(
        "MANIFEST_KEY", outputs["ManifestKey"]
    )
    found: dict[str, Any] = json.loads(text.replace("REGION", REGION).replace("ACCOUNT", ACCOUNT))
    return found


@pytest.fixture
def outputs(template: Template) -> dict[str, Any]:
    return template.outputs | {"ServingRuntime": "onnx", "Seed": "0"}


@pytest.fixture
def person(outputs: dict[str, Any]) -> Role:
    return Role("a person", tuple(grants(policy(outputs))))


@pytest.fixture
def model(quick: None, tmp_path: Path) -> Path:
    """Return a pipeline that was fitted elsewhere."""
    endpoint = endpoint_files.load(NAME)
    rows = endpoint.examples(given.table(seed=7))
    fields = rows.drop(columns=["label", "time"])
    pipeline = next(iter(endpoint.candidates(0).values())).fit(fields, rows["label"])
    joblib.dump(pipeline, tmp_path / "theirs.joblib")
    return tmp_path / "theirs.joblib"


@pytest.fixture
def enter(
    clock: time_machine.Traveller,
    aws: None,
    model: Path,
    outputs: dict[str, Any],
    person: Role,
    monkeypatch: pytest.MonkeyPatch,
) -> Enter:
    """Return what enters the pipeline with the permissions of a person."""
    monkeypatch.setattr(api, "stack", lambda _: outputs)

    def run(runtime: str | None = None, data: Path | None = None) -> tuple[int, str]:
        said, asked = StringIO(), Namespace(endpoint=NAME, model=model, enter="default")
        asked.runtime, asked.data = runtime, data
        with person.assumed():
            code = train.enter(asked, Console(file=said, width=200), StringIO())
        return code, said.getvalue()

    return run


@pytest.fixture
def registry(artifacts: Store) -> Registry:
    return registry_of(artifacts)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "sklearn"])
def test_it_enters_with_twin_gates_state_and_events_as_a_training_s_version_does(
    enter: Enter,
    outputs: dict[str, Any],
    person: Role,
    data: Store,
    registry: Registry,
    announced: Callable[[], list[tuple[str, dict[str, Any]]]],
    runtime: str,
) -> None:
    given.upload(data)
    outputs["ServingRuntime"] = runtime

    code, said = enter()

    seen = registry.document(NAME)
    assert code == 0
    assert seen is not None
    assert f"promoted {seen.document.champion}" in said
    manifest = registry.known(NAME, seen.document.champion)
    assert manifest.candidate == "theirs"
    twin = {ONNX} if runtime == "onnx" else set()
    assert set(manifest.artifacts) == {JOBLIB, REFERENCE, REPORT} | twin
    assert manifest.lineage.run.startswith("manual-import-")
    assert all(gate.passed for gate in manifest.metrics.gates)
    assert {"Model Trained", "Model Promoted"} <= {kind for kind, _ in announced()}
    assert enter()[0] == 1, "the same again is refused by a gate"
    check_refused({"person": person})


def test_it_can_be_judged_by_rows_that_the_stack_does_not_have(
    enter: Enter, data: Store, registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "newer.csv").write_bytes(given.csv(given.table(rows=700)))

    assert enter(data=tmp_path / "newer.csv")[0] == 0

    (version,) = [
        each for each in registry.versions(NAME) if registry.known(NAME, each).candidate == "theirs"
    ]
    assert registry.known(NAME, version).lineage.data_rows == 700
    assert list(data.keys("training/")) == []


def test_what_the_person_may_not_do_is_said_and_nothing_is_entered(
    enter: Enter, person: Role, data: Store, registry: Registry
) -> None:
    given.upload(data)
    object.__setattr__(
        person, "grants", tuple(g for g in person.grants if g.action != "kms:GenerateMac")
    )

    with pytest.raises(SystemExit, match=r"may not kms:GenerateMac on .*\n.*docs/deploying.md"):
        enter()

    assert registry.document(NAME) is None


def test_a_stack_that_serves_by_another_runtime_is_named(enter: Enter) -> None:
    with pytest.raises(SystemExit, match="the stack serves by onnx, not by sklearn"):
        enter(runtime="sklearn")


def test_a_stack_of_an_older_release_is_told_what_it_lacks(
    enter: Enter, outputs: dict[str, Any]
) -> None:
    del outputs["ManifestKey"]

    with pytest.raises(SystemExit, match=r"'ManifestKey'\nOutputs of the stack .* make deploy"):
        enter()


def test_its_permissions_are_those_of_the_function_that_trains(
    person: Role, outputs: dict[str, Any], template: Template
) -> None:
    function = {(grant.action, grant.resource) for grant in roles(template)["TrainFunction"].grants}
    own = {(grant.action, grant.resource) for grant in person.grants}

    drift = f"arn:aws:s3:::{outputs['DataBucket']}/drift/*"  # a training by hand is never held back
    queues = {need for need in function if need[0].startswith("sqs:")}  # which start a function
    assert function - own - queues == {("s3:GetObject", drift)}
    more = {action for action, _ in own - function}  # the last by `evergreen upload` and `files`
    assert more == {"cloudformation:DescribeStacks", "s3:PutObject", "s3:DeleteObject"}


def test_it_has_the_variables_of_the_function_that_trains(template: Template) -> None:
    function = template.of_type("AWS::Lambda::Function")["TrainFunction"]
    others = {  # of predict, of feedback, of layers, and of what plays AWS
        "CAPTURE_STREAM", "LABEL_STREAM", "ENDPOINT_TTL", "PUBLISHED_SHA256", "AWS_ENDPOINT_URL",
        "AWS_MAX_ATTEMPTS",
    }  # fmt: skip

    assert {*train.VARIABLES, *train.NAMED} | others == set(function["Environment"]["Variables"])
    assert function["Timeout"] == 900
