"""What is put under load: `make serve`, and `sam local start-api` with warm containers.

Each is started here with a champion and a candidate beside it, and ended here.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import docker
import msgspec
from rich.console import Console

from benchmarks.load.checks import Memory
from benchmarks.load.requests import ENDPOINT
from benchmarks.serving.emulator import descendants
from benchmarks.shown import status_mb
from evergreen.captures import arrivals
from local import serve, template
from local.plane import containers, stack, training_rows

TTL_SECONDS = 1  # of the endpoint document in a warm function, so that decisions show in time
START_SECONDS = 300  # two trainings take 20 s of processor time
STOP_SECONDS = 120
SAMPLE_SECONDS = 1.0
CONTAINERS = {"label": "sam.cli.container.type=lambda"}
MB = 1024 * 1024


@dataclass
class Target:
    """A server under load. memory: MB by process. recorded: filled when it has stopped."""

    port: int
    memory: Callable[[], dict[str, float]]
    recorded: "Recorded" = field(default_factory=lambda: Recorded())


@dataclass
class Recorded:
    """The captures and labels that a load left, as JSON values, and how much they take."""

    captures: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    objects: int = 0
    size: int = 0

    def read(self, kept: Path) -> None:
        """Read what `serve.keep` wrote into a folder."""
        for name, kind in {"captures": self.captures, "labels": self.labels}.items():
            for file in sorted(path for path in (kept / name).rglob("*") if path.is_file()):
                body = file.read_bytes()
                lines = arrivals.decompressed(body)
                if lines is None:
                    raise SystemExit(f"{file} is damaged")
                kind.extend(msgspec.json.decode(line) for line in lines.splitlines())
                self.objects += 1
                self.size += len(body)


@contextmanager
def served(log: IO[str], level: str = "3") -> Iterator[Target]:
    """Run what `make serve` runs, at a free port."""
    with tempfile.TemporaryDirectory() as kept:
        command = [sys.executable, "-m", "local.serve", "--port", "0", "--level", level]
        command += ["--ttl", str(TTL_SECONDS), "--keep", kept]
        path = os.pathsep.join([str(template.ROOT / "functions"), str(template.ROOT)])
        process = subprocess.Popen(
            command, cwd=template.ROOT, stdout=subprocess.PIPE, stderr=log, text=True,
            env=os.environ | {"PYTHONPATH": path}, start_new_session=True,
        )  # fmt: skip
        watchdog = threading.Timer(START_SECONDS, process.kill)
        watchdog.start()
        try:
            target = Target(_port(process), lambda: {"make serve": rss_mb(process.pid)})
            watchdog.cancel()
            yield target
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_SECONDS)
            target.recorded.read(Path(kept))
        finally:
            watchdog.cancel()
            process.kill()
            process.communicate()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout
    for line in process.stdout:
        if found := re.search(r"Serving on http://[^:]+:(\d+)", line):
            return int(found[1])
    raise SystemExit("make serve did not start: see build/load/load.log and build/serve/lambda.log")


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process and all below it; those that have ended have none."""
    return sum(_rss_mb(one) for one in [pid, *descendants(pid)])


def _rss_mb(pid: int) -> float:
    try:
        return status_mb(pid, "VmRSS")
    except FileNotFoundError:
        return 0.0


@contextmanager
def sam_local(log: IO[str]) -> Iterator[Target]:
    """Run `sam local start-api` over a moto of this process, with a container for each function.

    Raises SystemExit where Docker does not answer, or nothing is built from the sources of now.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "env.json"
        with containers.deployed(
            environment, log, MaturityLevel="3", EndpointTtl=str(TTL_SECONDS)
        ) as plane:
            file = stack.training_file(ENDPOINT, None, Path(folder))
            times = training_rows.read(ENDPOINT, file).times
            serve.train(plane, ENDPOINT, file, times, Console(quiet=True))
            client = docker.from_env()
            others = {one.id for one in client.containers.list(filters=CONTAINERS)}
            command = [str(containers.SAM), "local", "start-api", "--env-vars", str(environment)]
            command += ["--warm-containers", "LAZY"]  # else one for each request
            with containers.listening(command, log) as url:
                target = Target(int(url.rpartition(":")[2]), lambda: _containers_mb(client, others))
                yield target
            kept = Path(folder) / "kept"
            serve.keep(kept)
            target.recorded.read(kept)


def _containers_mb(client: Any, others: Iterable[str]) -> dict[str, float]:
    """Return the memory of sam, and of our containers without what the kernel may take back."""
    found = {"sam": sum(map(_rss_mb, descendants(os.getpid())))}
    for one in client.containers.list(filters=CONTAINERS):
        if one.id not in others:
            stats = client.api.stats(one.id, stream=False, one_shot=True)["memory_stats"]
            kept = stats["usage"] - stats["stats"].get("inactive_file", 0)
            found[one.labels["sam.cli.function.name"]] = kept / MB
    return found


@contextmanager
def sampled(target: Target, memory: Memory) -> Iterator[None]:
    """Note the memory every second, from the beginning to the end of the block."""
    stop = threading.Event()

    def sample() -> None:
        while True:
            memory.append((time.monotonic(), target.memory()))
            if stop.wait(SAMPLE_SECONDS):
                return

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    memory.append((time.monotonic(), target.memory()))
