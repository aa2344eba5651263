"""Start what `sam local` needs: moto as a server, with the template's resources and a champion.

Prints the commands that work while it runs: each function with each event that is for it, the API,
and Lambda's own.
"""

import json
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from rich.console import Console

from evergreen.contract.schema import JsonSchema
from evergreen.registry.manifest import Manifest
from local import command_line, template
from local.plane import containers, stack

BUILD = template.ROOT / "build" / "local"
ENVIRONMENT = BUILD / "env.json"
PORT = 5555
SAMPLE = "flight-delay"  # what events/ ask about
EVENTS = {  # who takes what; those that Evergreen announces start nothing
    "PredictFunction": ("predict", "endpoints", "endpoint"),
    "FeedbackFunction": ("feedback",),
    "TrainFunction": (
        "train-by-hand", "train-schedule", "retrain-requested",
        "drift-detected", "performance-degraded", "data-uploaded",
    ),
    "CompactFunction": ("compact-schedule",),
    "BatchFunction": ("batch-file",),
    "CheckFunction": ("check-requested", "check-schedule"),
    "RolloutFunction": ("rollout-requested", "rollout-tick", "performance-degraded"),
    "ControlFunction": ("status", "retrain", "approve", "experiment", "pause"),
}  # fmt: skip


def main() -> None:
    """Serve until interrupted."""
    parser = command_line.parser("local.sam_local", __doc__, "make local PORT=5555")
    parser.add_argument("--port", type=int, default=PORT, help="where moto listens")
    parser.add_argument("--endpoint", required=True, help="which one the events ask about")
    parser.add_argument("--data", type=Path, help="training data, or a folder of its parts")
    arguments = parser.parse_args()
    endpoint = arguments.endpoint
    BUILD.mkdir(parents=True, exist_ok=True)
    console = Console()
    with (
        (BUILD / "lambda.log").open("w", buffering=1) as log,
        containers.deployed(ENVIRONMENT, log, arguments.port) as plane,
        tempfile.TemporaryDirectory() as folder,
    ):
        console.print(f"Training a champion for {endpoint} …", highlight=False)
        file = stack.training_file(endpoint, arguments.data, Path(folder))
        stack.upload(plane, endpoint, file)
        if (seen := stack.registry().document(endpoint)) is None:
            sys.exit("the training failed: see build/local/lambda.log")
        manifest = stack.registry().manifest(endpoint, seen.document.champion)
        assert manifest is not None
        render(manifest)
        console.print("moto has the stack and a champion. In another terminal:\n")
        for command in commands():
            console.print(command, highlight=False, soft_wrap=True)
        console.print("\nStop with Ctrl-C.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            console.print("\nStopped.")


def render(manifest: Manifest) -> None:
    """Write events/ into build/local/ as they are of a champion's endpoint: its name and rows."""
    problem = manifest.problem
    label = {"binary": False, "regression": 0.0}.get(problem.kind, "".join(problem.classes[:1]))
    asked = {
        "instances": [as_sent(row, manifest.schema) for row, _ in manifest.golden[:2]],
        "labels": [{"id": f"{0:032x}-000", "label": label}],
    }
    for name in {event for events in EVENTS.values() for event in events}:
        text = (template.ROOT / "events" / f"{name}.json").read_text()
        event = json.loads(text.replace(SAMPLE, manifest.endpoint))
        if part := {"predict": "instances", "feedback": "labels"}.get(name):
            event["body"] = json.dumps({part: asked[part]})
        (BUILD / "events").mkdir(exist_ok=True)
        (BUILD / "events" / f"{name}.json").write_text(json.dumps(event, indent=2))


def as_sent(row: dict[str, Any], schema: JsonSchema) -> dict[str, Any]:
    """Return a golden row as a caller sends it: models read 5 as 5.0, true as 1.0, null as ""."""
    sent, cast = dict[str, Any](), {"integer": int, "boolean": bool}
    for name, value in row.items():
        spec = schema["properties"][name]
        kinds = {part.get("type") for part in (spec, *spec.get("anyOf", ()))}
        if value is None or (value == "" and "null" in kinds):
            sent[name] = None
        else:
            sent[name] = next((cast[kind](value) for kind in kinds & cast.keys()), value)
    return sent


def commands() -> list[str]:
    """Return every command that works now."""
    sam = ".venv/bin/sam local"
    folder = BUILD.relative_to(template.ROOT)
    rest = f"--env-vars {folder}/{ENVIRONMENT.name}"
    pairs = [(function, event) for function, events in EVENTS.items() for event in events]
    invocations = [f"{sam} invoke {f} -e {folder}/events/{event}.json {rest}" for f, event in pairs]
    return [*invocations, f"{sam} start-api {rest}", f"{sam} start-lambda {rest}"]


if __name__ == "__main__":
    main()
