"""The commands that `make local` prints: each event with the function that it starts."""

import json
import shlex
from pathlib import Path

import msgspec
import pytest

from evergreen.contract.decoding import RowDecoder
from evergreen.contract.problem import Kind, Problem
from evergreen.training.train_version import Trained
from local import sam_local
from local.template import ROOT, Template
from tests.local.plane.test_events import STARTS

INVOCATIONS = [command for command in sam_local.commands() if " invoke " in command]


def test_every_event_is_printed_with_each_function_that_it_starts() -> None:
    printed = [(event, function) for function, names in sam_local.EVENTS.items() for event in names]

    assert sorted(printed) == sorted(STARTS)


def test_every_function_of_the_template_is_invoked(template: Template) -> None:
    assert set(sam_local.EVENTS) == set(template.of_type("AWS::Lambda::Function"))


@pytest.mark.parametrize("command", INVOCATIONS, ids=lambda command: shlex.split(command)[5])
def test_a_command_that_is_printed_names_files_that_there_are(
    command: str, template: Template
) -> None:
    sam, *words = shlex.split(command)
    function, event, environment = words[2], words[4], words[6]

    assert words == [*("local", "invoke", function), *("-e", event), *("--env-vars", environment)]
    assert function in template.of_type("AWS::Lambda::Function")
    assert (ROOT / event).parent == sam_local.BUILD / "events"
    assert ROOT / environment == sam_local.ENVIRONMENT
    assert sam == ".venv/bin/sam"


def test_each_invocation_is_printed_and_what_serves_them_all() -> None:
    rest = [command.split()[2] for command in sam_local.commands() if command not in INVOCATIONS]

    assert len(set(INVOCATIONS)) == len(STARTS)
    assert rest == ["start-api", "start-lambda"]


@pytest.mark.parametrize(
    ("kind", "label"), [("binary", False), ("multiclass", "late"), ("regression", 0.0)]
)
def test_the_events_are_written_with_the_name_the_rows_and_a_label_of_the_endpoint(
    trained: Trained, kind: Kind, label: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sam_local, "BUILD", tmp_path)
    problem = Problem(kind=kind, classes=["late", "soon", "never"] if kind == "multiclass" else [])
    manifest = msgspec.structs.replace(trained.manifest, endpoint="my-own", problem=problem)

    sam_local.render(manifest)

    written = {path.stem: path.read_text() for path in (tmp_path / "events").iterdir()}
    assert set(written) == {event for event, _ in STARTS}
    assert not [name for name, text in written.items() if sam_local.SAMPLE in text]
    decoded = RowDecoder(manifest.schema).decode(json.loads(written["predict"])["body"].encode())
    assert decoded.instances == [row for row, _ in manifest.golden[:2]]
    (sent,) = json.loads(json.loads(written["feedback"])["body"])["labels"]
    assert sent["label"] == label


def test_a_row_is_sent_with_the_types_of_its_schema() -> None:
    null = {"type": "null"}
    schema = {
        "properties": {
            "count": {"anyOf": [{"type": "integer"}, null]},
            "paid": {"type": "boolean"},
            "name": {"anyOf": [{"type": "string", "minLength": 1}, null]},
            "size": {"type": "number"},
        }
    }

    sent = sam_local.as_sent({"count": 5.0, "paid": 1.0, "name": "", "size": 2.0}, schema)

    assert json.dumps(sent) == '{"count": 5, "paid": true, "name": null, "size": 2.0}'
