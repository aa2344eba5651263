"""Start what `sam local` needs: moto as a server, with the template's resources and a champion.

Prints the commands that work while it runs: each function with each event that is for it, the API,
and Lambda's own.
"""

import sys
import tempfile
import threading
from pathlib import Path

from rich.console import Console

from local import command_line, template
from local.plane import containers, stack

BUILD = template.ROOT / "build" / "local"
ENVIRONMENT = BUILD / "env.json"
PORT = 5555
ENDPOINT = "flight-delay"  # what events/ ask about
EVENTS = {  # who takes what; those that Evergreen announces start nothing
    "PredictFunction": ("predict", "endpoints", "endpoint"),
    "FeedbackFunction": ("feedback",),
    "TrainFunction": (
        "train-by-hand",
        "train-schedule",
        "retrain-requested",
        "drift-detected",
        "performance-degraded",
        "data-uploaded",
    ),
    "CheckFunction": ("check-schedule", "profile-schedule"),
    "RolloutFunction": ("rollout-tick", "performance-degraded"),
    "ControlFunction": ("status", "retrain", "approve", "experiment", "pause"),
}


def main() -> None:
    """Serve until interrupted."""
    parser = command_line.parser("local.sam_local", __doc__, "make local PORT=5555")
    parser.add_argument("--port", type=int, default=PORT, help="where moto listens")
    arguments = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    console = Console()
    with (
        (BUILD / "lambda.log").open("w", buffering=1) as log,
        containers.deployed(ENVIRONMENT, log, arguments.port) as plane,
        tempfile.TemporaryDirectory() as folder,
    ):
        console.print(f"Training a champion for {ENDPOINT} …", highlight=False)
        stack.upload(plane, ENDPOINT, stack.training_file(ENDPOINT, None, Path(folder)))
        if stack.registry().document(ENDPOINT) is None:
            sys.exit("the training failed: see build/local/lambda.log")
        console.print("moto has the stack and a champion. In another terminal:\n")
        for command in commands():
            console.print(command, highlight=False, soft_wrap=True)
        console.print("\nStop with Ctrl-C.")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            console.print("\nStopped.")


def commands() -> list[str]:
    """Return every command that works now."""
    sam = ".venv/bin/sam local"
    rest = f"--env-vars {ENVIRONMENT.relative_to(template.ROOT)}"
    invocations = [
        f"{sam} invoke {function} -e events/{event}.json {rest}"
        for function, events in EVENTS.items()
        for event in events
    ]
    return [*invocations, f"{sam} start-api {rest}", f"{sam} start-lambda {rest}"]


if __name__ == "__main__":
    main()
