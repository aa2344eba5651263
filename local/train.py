"""Train a model of an endpoint here, with the code that runs in Lambda, and show how it did."""

import json
import logging
import sys
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import bootstrap
from cli import api
from evergreen.contract import endpoint_files
from evergreen.registry.manifest import FALLBACK, Manifest
from local import command_line, template
from local.plane import imported, stack
from local.plane.plane import Plane
from local.plane.process import Process

BUILD = template.ROOT / "build" / "train"
# Of TrainFunction; a stack has each as an output or a parameter, ArtifactBucket and so on.
VARIABLES = "ARTIFACT_BUCKET", "DATA_BUCKET", "EVENT_BUS", "MANIFEST_KEY", "SERVING_RUNTIME", "SEED"
NAMED = {"POWERTOOLS_SERVICE_NAME": "import", "POWERTOOLS_METRICS_NAMESPACE": "Evergreen"}
OUTPUTS = "Outputs of the stack say where to enter it: make deploy this release if one is missing."
FAILED = "It did not end. docs/deploying.md has its permissions; build/train/lambda.log says more."


def main() -> None:
    """Train, show the figures and keep the version's files under build/train/."""
    parser = command_line.parser("local.train", __doc__, "make train ENDPOINT=flight-delay SEED=1")
    names = endpoint_files.names()
    parser.add_argument("--endpoint", required=True, choices=names, help="which one to train")
    parser.add_argument("--data", type=Path, help="training data, or a folder of its parts")
    parser.add_argument("--seed", type=int, default=0, help="of the models' random numbers")
    parser.add_argument("--runtime", choices=stack.RUNTIMES, help="ServingRuntime, onnx")
    parser.add_argument("--model", type=Path, help="a fitted pipeline, in place of the candidates")
    parser.add_argument("--enter", metavar="CONFIG_ENV", help="enter --model in this one's stack")
    parser.add_argument("--batch", type=Path, help="a file of rows that the version then scores")
    arguments = parser.parse_args()
    own = logging.getLogger("evergreen.contract.errors")  # the whole of each, which no stack logs
    own.addHandler(logging.StreamHandler())
    own.setLevel(logging.DEBUG)
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, (BUILD / "lambda.log").open("w") as log:
        if arguments.enter:
            sys.exit(enter(arguments, Console(), log))
        file = stack.training_file(arguments.endpoint, arguments.data, Path(folder))
        parameters = {"Seed": str(arguments.seed), "ServingRuntime": arguments.runtime or "onnx"}
        with _imported(arguments.endpoint, arguments.model):
            sys.exit(run(arguments.endpoint, file, parameters, Console(), log, arguments.batch))


def enter(arguments: Any, console: Console, log: Any) -> int:
    """Enter a pipeline of others in a stack: what trains there runs here, with your credentials.

    Returns 0 if it is entered. Raises SystemExit where the stack lacks something, or serves by
    another runtime, or the run failed.
    """
    name, given = arguments.endpoint, dict[str, Any](CONNECT_SECONDS=5.0, READ_SECONDS=60.0)
    try:
        found = api.stack(arguments.enter)
        variables = {each: found[each.title().replace("_", "")] for each in VARIABLES}
    except (api.AddressError, KeyError) as error:
        raise SystemExit(f"{error}\n{OUTPUTS}") from error
    if arguments.runtime not in (None, served := found["ServingRuntime"]):
        raise SystemExit(f"the stack serves by {served}, not by {arguments.runtime}")
    if arguments.data:  # in place of what the data bucket holds
        parts = stack.parts(name, stack.training_file(name, arguments.data, BUILD))
        given["data"] = lambda: stack.on_disk(parts)
    function = dict[str, Any](MemorySize=0, Timeout=900, Handler="train.handler")
    function["Environment"] = {"Variables": variables | NAMED}
    function["Role"] = SimpleNamespace(assumed=nullcontext)  # of whoever runs this
    event = {"endpoint": name, "id": f"import-{uuid.uuid4().hex}"}
    process = Process(stack.progress(log, console), console.file)
    with _imported(name, arguments.model), patch.multiple(bootstrap, **given):
        try:
            run = process.invoke("TrainFunction", function, event, event["id"])
        except Exception as error:  # what leaves a handler names no details
            raise SystemExit(f"{error.__context__ or error}\n{FAILED}") from error
    said = f"[bold]{run['outcome']}[/bold] {run['version'] or ''} {run['reason']}"
    console.print(said, highlight=False, soft_wrap=True)
    return 0 if run["outcome"] in ("promoted", "entered") else 1


def _imported(name: str, model: Path | None) -> AbstractContextManager[object]:
    """Put a pipeline that was fitted elsewhere in the place of an endpoint's candidates."""
    if model is None:
        return nullcontext()
    print(imported.WARNING.format(file=model))
    return stack.changed(name, imported.candidates(name, endpoint_files.load(name), model))


def run(
    endpoint: str,
    file: Path,
    parameters: Mapping[str, str],
    console: Console,
    log: Any,
    batch: Path | None = None,
) -> int:
    """Train once, under parameters of the template; return 0 if a champion came of it.

    batch: a file that it then scores; return 0 if each of its rows was scored, or refused.
    """
    events: list[dict[str, Any]] = []
    console.soft_wrap = True
    with stack.deployed(stack.progress(log, console), console.file, **parameters) as plane:
        plane.on_event = events.append
        stack.upload(plane, endpoint, file)
        for event in events:
            reason = event["detail"].get("reason", "")
            console.print(f"[bold]{event['detail-type']}[/bold] {reason}", highlight=False)
        for version in stack.registry().versions(endpoint):
            manifest = stack.registry().manifest(endpoint, version)
            assert manifest is not None
            if manifest.candidate == FALLBACK:
                continue  # a constant, for when no model can be loaded
            console.print(_table(manifest))
            for scores in manifest.metrics.candidates:
                for warning in scores.warnings:
                    console.print(f"warned: {scores.candidate}: {warning}", highlight=False)
            for candidate, reason in manifest.metrics.failed.items():
                console.print(f"left out: {candidate}: {reason}", highlight=False)
            folder = _keep(manifest)
            console.print(f"Written to {folder.relative_to(template.ROOT)}/")
        if not events:
            console.print("The training failed: see build/train/lambda.log")
        if batch and stack.registry().document(endpoint):
            return _scored(plane, f"batch/in/{endpoint}/{batch.name}", batch.read_bytes(), console)
        return 0 if stack.registry().document(endpoint) else 1


def _scored(plane: Plane, key: str, body: bytes, console: Console) -> int:
    """Put a file where it is scored, keep what comes of it under build/, and show its summary."""
    with Progress(console=console) as progress:
        task = progress.add_task("chunks", total=None)
        plane.on_chunk = lambda done, of: progress.update(task, completed=done, total=of)
        stack.data().put(key, body)
        plane.settle()
    status = "failed: see build/train/lambda.log"
    for name in stack.data().keys("batch/out/"):
        path, stored = template.ROOT / "build" / name, stack.data().get(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored.body if stored else b"")
        if path.name == "summary.json":
            status = json.loads(path.read_text())["status"]
            console.print(path.read_text(), highlight=False, soft_wrap=True)
            console.print(f"Written to {path.parent.relative_to(template.ROOT)}/", soft_wrap=True)
    console.print(f"The batch is {status}", highlight=False)
    return int(status != "complete")


def _table(manifest: Manifest) -> Table:
    table = Table(title=f"{manifest.endpoint} {manifest.version}", title_justify="left")
    for name in ("candidate", "history", "rows", f"{manifest.problem.metric} on the holdout"):
        table.add_column(name, justify="left" if name == "candidate" else "right")
    for scores in manifest.metrics.candidates:
        window = f"{scores.window_days} days" if scores.window_days else "all"
        table.add_row(scores.candidate, window, f"{scores.rows:,}", f"{scores.loss:.4f}")
    table.add_row("a constant", "", "", f"{manifest.metrics.baseline:.4f}")
    made = f"data {manifest.lineage.data_sha256[:12]}, seed {manifest.lineage.seed}"
    table.caption = f"{manifest.metrics.gates[0].said}; {made}"  # of the data, and the holdout
    return table


def _keep(manifest: Manifest) -> Path:
    folder = BUILD / manifest.endpoint / manifest.version
    folder.mkdir(parents=True, exist_ok=True)
    for name in manifest.artifacts:
        (folder / name).write_bytes(stack.registry().artifact(manifest, name))
    (folder / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return folder


if __name__ == "__main__":
    main()
