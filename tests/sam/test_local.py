"""Every command that `make local` prints works while it runs."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import IO

import pytest

from local import sam_local
from local.plane import containers
from local.template import ROOT
from tests.local.plane.test_events import REFUSED

START_SECONDS = 120
INVOKE_SECONDS = 300


@pytest.fixture(scope="module")
def started() -> Iterator[list[str]]:
    """Run `make local` as a person would, and return the commands that it prints."""
    process = subprocess.Popen(
        ["make", "local", "PORT=0"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    watchdog = threading.Timer(START_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    assert process.stdout is not None
    printed = []
    try:
        for line in process.stdout:
            printed.append(line.strip())
            if line.startswith("Stop with"):
                break
        watchdog.cancel()
        yield [line for line in printed if line.startswith(".venv/bin/sam local ")]
    finally:
        watchdog.cancel()
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)


def test_the_commands_are_those_of_every_event_that_starts_a_function(started: list[str]) -> None:
    assert started == sam_local.commands()


@pytest.mark.parametrize(
    "command", sam_local.commands()[:-2], ids=lambda command: command.split()[5]
)
def test_an_invocation_that_is_printed_answers(started: list[str], command: str) -> None:
    done = subprocess.run(
        command.split(), cwd=ROOT, capture_output=True, text=True, timeout=INVOKE_SECONDS,
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    assert "errorType" not in answer, answer
    refused = any(f"events/{name}.json" in command for name in REFUSED)
    codes = {409} if refused else {200, 202}
    if "ControlFunction" in command:  # trainings have moved the endpoint past an example, or to it
        codes |= {409} if "has moved on" in answer["body"] else set()
        codes |= {404} if "has no version" in answer["body"] else set()
    assert answer.get("statusCode", 200) in codes, answer


def test_the_lambda_that_is_printed_answers(started: list[str], log: IO[str]) -> None:
    event = json.loads((ROOT / "events" / "predict.json").read_text())

    with containers.listening(started[-1].split(), log) as url:
        answer = containers.Containers(url).invoke("PredictFunction", {}, event, "")

    assert answer["statusCode"] == 200


def test_the_api_that_is_printed_passes_the_smoke_test(started: list[str], log: IO[str]) -> None:
    with containers.listening(started[-2].split(), log) as url:
        done = subprocess.run(
            ["make", "smoke", f"URL={url}"], cwd=ROOT, capture_output=True, text=True
        )

    assert done.returncode == 0, done.stdout
