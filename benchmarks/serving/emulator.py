"""One function in AWS's runtime interface emulator, from its start to its end.

The emulator starts the runtime at the first request, so that request is a cold start. It answers
after the handler has returned and every extension is done; AWS answers after the former.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import IO, Any, NamedTuple

import samcli

from benchmarks.serving.contenders import ARCHITECTURE, PYTHON, Contender
from benchmarks.shown import BUILD, status_mb
from local.cloud import ports
from local.cloud.ports import HOST

EMULATOR = Path(samcli.__path__[0]) / "local" / "rapid" / f"aws-lambda-rie-{ARCHITECTURE}"
TIMES = BUILD / "times.txt"
START_SECONDS = 10
ANSWER_SECONDS = 60
INVOCATIONS = "/2015-03-31/functions/function/invocations"


class Asked(NamedTuple):
    """One request: when it was sent, in how many seconds it was answered, and the answer."""

    sent: float
    seconds: float
    answer: Any


class Function:
    """A function that can be asked."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection(HOST, port, timeout=ANSWER_SECONDS)

    def ask(self, event: bytes) -> Asked:
        """Send an event and return its answer."""
        sent, begun = time.time(), time.perf_counter()
        self._connection.request("POST", INVOCATIONS, event)
        body = self._connection.getresponse().read()
        seconds, answer = time.perf_counter() - begun, json.loads(body)
        if answer.get("statusCode") != 200:
            raise SystemExit(f"a function failed: {body[:2000].decode(errors='replace')}")
        return Asked(sent, seconds, answer)

    def returned(self) -> Iterator[tuple[float, float]]:
        """Yield of each invocation so far the handler's seconds, and when it returned."""
        for line in TIMES.read_text().splitlines()[1:]:
            seconds, at = line.split()
            yield float(seconds), float(at)

    def cpu_seconds(self) -> float:
        """Return the processor time that the function's process has taken so far."""
        fields = Path(f"/proc/{self._pid()}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """Return the most memory that the function's process has had so far."""
        return status_mb(self._pid(), "VmHWM") or sys.exit("the function's process is gone")

    def _pid(self) -> str:
        return TIMES.read_text().split(maxsplit=1)[0]


@contextmanager
def started(contender: Contender, log: IO[str]) -> Iterator[Function]:
    """Start an emulator, wait until it listens, and end it with all that it started."""
    TIMES.unlink(missing_ok=True)
    port, api = ports.free(2)
    command = [
        str(EMULATOR), "--log-level", "error",
        "--runtime-interface-emulator-address", f"{HOST}:{port}",
        "--runtime-api-address", f"{HOST}:{api}",
        # -S: nothing that this machine has installed for its Python
        str(PYTHON), "-S", "-m", "awslambdaric", "timed.handler",
    ]  # fmt: skip
    environment = {
        "PATH": os.environ["PATH"],
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONPATH": os.pathsep.join(map(str, contender.path)),
        "PYTHONDONTWRITEBYTECODE": "1",  # in Lambda both /opt and /var/task are read-only
        "BENCH_HANDLER": contender.handler,
        "BENCH_TIMES": str(TIMES),
        **contender.variables,
    }
    process = subprocess.Popen(
        command, env=environment, stdout=log, stderr=log, cwd=contender.path[0],
        start_new_session=True,
    )  # fmt: skip
    try:
        ports.wait_for("the emulator", process, port, START_SECONDS)
        yield Function(port)
    finally:
        children = descendants(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for child in children:  # and the runtime, to which it gave another group
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Return the ids of all processes below one."""
    found: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, tasks.read_text().split()):
                found += [child, *descendants(child)]
    return found
