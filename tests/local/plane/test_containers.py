"""What runs the functions in containers, as far as it goes without Docker."""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from local.cloud.resources import CREDENTIALS
from local.plane import containers
from local.plane.containers import Address, Containers, FunctionError
from local.template import load
from tests.support.servers import Answered, Asked, listening

BUILT_AT = 1_000


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with all that is built, and the build of it."""
    built = tmp_path / ".aws-sam" / "build" / "template.yaml"
    for file in (
        tmp_path / "template.yaml",
        tmp_path / "functions" / "evergreen" / "serving" / "model.py",
        tmp_path / "layers" / "serving" / "onnx.txt",
        built,
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for path in tmp_path.rglob("*"):
        os.utime(path, (BUILT_AT, BUILT_AT))
    monkeypatch.setattr(containers, "ROOT", tmp_path)
    monkeypatch.setattr(containers, "BUILT", built)
    return tmp_path


# What is built


def test_a_build_of_the_sources_of_now_is_taken(project: Path) -> None:
    containers.check_built()


def test_what_is_no_source_may_be_newer_than_the_build(project: Path) -> None:
    (project / "README.md").touch()
    (project / "functions" / "notes.txt").touch()

    containers.check_built()


def test_without_a_build_it_says_what_to_do(project: Path) -> None:
    containers.BUILT.unlink()

    with pytest.raises(SystemExit, match="nothing is built yet: run `make build`"):
        containers.check_built()


@pytest.mark.parametrize(
    "source", ["template.yaml", "functions/evergreen/serving/model.py", "layers/serving/onnx.txt"]
)
def test_a_source_that_is_newer_than_the_build_is_named(project: Path, source: str) -> None:
    os.utime(project / source, (BUILT_AT + 1, BUILT_AT + 1))

    with pytest.raises(SystemExit) as caught:
        containers.check_built()

    assert str(caught.value) == f"{source} has changed since the build: run `make build`"


# The environment


def test_every_function_gets_its_own_variables_and_the_address_of_aws(tmp_path: Path) -> None:
    template = load({"AwsEndpointUrl": "http://aws:5555", "Seed": "7"})
    file = tmp_path / "a folder" / "env.json"

    containers.write_environment(template, file)

    written = json.loads(file.read_bytes())
    functions = template.of_type("AWS::Lambda::Function")
    assert written == {name: f["Environment"]["Variables"] for name, f in functions.items()}
    assert {variables["AWS_ENDPOINT_URL"] for variables in written.values()} == {"http://aws:5555"}
    recording = {"PredictFunction", "BatchFunction"}
    assert {name for name in written if "CAPTURE" in written[name]} == recording
    assert written["TrainFunction"]["SEED"] == "7"
    values = [value for variables in written.values() for value in variables.values()]
    assert {type(value) for value in values} == {str}, "sam takes nothing else"


def test_a_deployment_is_reached_by_its_own_name_from_here_and_from_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "check_built", lambda: None)
    monkeypatch.setattr(containers, "address", lambda: Address("127.0.0.1", "a-name"))
    file = tmp_path / "env.json"

    with containers.deployed(file, Capture="off") as plane:
        here = os.environ["AWS_ENDPOINT_URL"]
        s3 = boto3.client("s3")
        buckets = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
        s3.close()

    assert here.startswith("http://127.0.0.1:")
    assert buckets == {"evergreen-databucket", "evergreen-artifactbucket"}
    properties = plane.template.of_type("AWS::Lambda::Function")["PredictFunction"]
    variables = json.loads(file.read_bytes())["PredictFunction"]
    assert properties["Environment"]["Variables"]["AWS_ENDPOINT_URL"] == here
    assert variables["AWS_ENDPOINT_URL"] == here.replace("127.0.0.1", "a-name")
    assert variables["CAPTURE"] == "off"


# Invocations

Invoke = Callable[[Answered | None], Any]


@pytest.fixture
def asked() -> list[Asked]:
    return []


@pytest.fixture
def invoke(asked: list[Asked], monkeypatch: pytest.MonkeyPatch) -> Iterator[Invoke]:
    """Return what invokes a function, whose runtime gives an answer."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    answers: list[Answered | None] = []

    def answer(request: Asked) -> Answered | None:
        asked.append(request)
        return answers[-1]

    with listening(answer) as address:
        functions = Containers(f"http://{address}")

        def invoked(answered: Answered | None) -> Any:
            answers.append(answered)
            return functions.invoke("TrainFunction", {}, {"endpoint": "é"}, "a request id")

        yield invoked
        functions._client.close()


def test_a_function_is_invoked_by_its_name_with_its_event(
    invoke: Invoke, asked: list[Asked]
) -> None:
    invoke(Answered(b"{}"))

    ((method, path, event),) = [(a.method, a.path, json.loads(a.body)) for a in asked]
    assert (method, path) == ("POST", "/2015-03-31/functions/TrainFunction/invocations")
    assert event == {"endpoint": "é"}


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"statusCode": 200, "body": "{}"}', {"statusCode": 200, "body": "{}"}),
        (b'{"errorMessage": "only"}', {"errorMessage": "only"}),
        (b"[1, 2]", [1, 2]),
        (b'"errorType errorMessage"', "errorType errorMessage"),
        (b"null", None),
        (b"", None),
    ],
)
def test_what_a_function_returns_is_returned(invoke: Invoke, body: bytes, value: Any) -> None:
    assert invoke(Answered(body)) == value


def test_what_a_function_raises_is_raised(invoke: Invoke) -> None:
    body = {"errorType": "DataError", "errorMessage": "no rows", "stackTrace": []}

    with pytest.raises(FunctionError, match=r"^DataError: no rows$"):
        invoke(Answered(json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("answered", "error"),
    [(Answered(b"{}", 500), ClientError), (None, ConnectionClosedError)],
    ids=["500", "no answer"],
)
def test_an_invocation_that_failed_is_not_repeated_behind_the_back_of_who_counts_them(
    invoke: Invoke, asked: list[Asked], answered: Answered | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        invoke(answered)

    assert len(asked) == 1


# sam local

SAM = """#!{python}
import json, signal, socket, sys
print(json.dumps(sys.argv[1:]), flush=True)
server = socket.create_server(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])))
signal.pause()
"""


def test_sam_gets_the_environment_and_the_parameters_and_ends_with_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sam = tmp_path / "sam"
    sam.write_text(SAM.format(python=sys.executable))
    sam.chmod(0o755)
    monkeypatch.setattr(containers, "SAM", sam)
    log = tmp_path / "log"

    with log.open("w") as file, containers.started(Path("env.json"), file, Seed="7") as functions:
        port = functions.url.rpartition(":")[2]

    assert json.loads(log.read_bytes()) == [
        *("local", "start-lambda", "--env-vars", "env.json"),
        *("--parameter-overrides", "Seed=7", "--host", "127.0.0.1", "--port", port),
    ]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))


def test_where_sam_does_not_start_the_log_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "SAM", Path(sys.executable))
    log = tmp_path / "log"

    with (
        log.open("w") as file,
        pytest.raises(SystemExit, match="sam local did not start: see the log"),
        containers.started(Path("env.json"), file),
    ):
        pass

    assert "local" in log.read_text()
