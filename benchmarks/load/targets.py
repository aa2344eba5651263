"""What is put under load: `make serve`, and `sam local start-api` with warm containers.

Each is started here with a champion and a candidate beside it, and ended here; what it has recorded
is then in a folder.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import docker
import msgspec
import pandas as pd
from rich.console import Console

from benchmarks.serving.cloud import ENDPOINT
from benchmarks.serving.emulator import descendants
from benchmarks.shown import status_mb
from evergreen.captures import arrivals
from local import serve
from local.cloud import ports
from local.plane import containers, stack, training_rows

TTL_SECONDS = 1  # of the endpoint document in a warm function, so that decisions show in time
START_SECONDS = 60
STOP_SECONDS = 120
SAMPLE_SECONDS = 1.0
CONTAINERS = {"label": "sam.cli.container.type=lambda"}


class Target(NamedTuple):
    """A server under load; memory: MB by process."""

    port: int
    memory: Callable[[], dict[str, float]]


@contextmanager
def served(log: IO[str], kept: Path, level: str) -> Iterator[Target]:
    """Run what `make serve` runs, at a free port; it answers once it has trained."""
    (port,) = ports.free()
    command = [sys.executable, "-m", "local.serve", "--port", str(port), "--level", level]
    command += ["--ttl", str(TTL_SECONDS), "--keep", str(kept)]
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        ports.wait_for("make serve", process, port, START_SECONDS)
        yield Target(port, lambda: {"make serve": rss_mb(process.pid)})
        process.terminate()
        process.wait(STOP_SECONDS)
    finally:
        process.kill()
        process.wait()


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process and all below it; those that have ended have none."""
    return sum(status_mb(one, "VmRSS") for one in [pid, *descendants(pid)])


@contextmanager
def sam_local(log: IO[str], kept: Path) -> Iterator[Target]:
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
                yield Target(int(url.rpartition(":")[2]), lambda: _containers_mb(client, others))
            serve.keep(kept)


def _containers_mb(client: Any, others: Iterable[str]) -> dict[str, float]:
    """Return the memory of sam, and of our containers without what the kernel may take back."""
    found = {"sam": rss_mb(os.getpid()) - status_mb("self", "VmRSS")}
    for one in client.containers.list(filters=CONTAINERS):
        if one.id not in others:
            stats = client.api.stats(one.id, stream=False, one_shot=True)["memory_stats"]
            kept = stats["usage"] - stats["stats"].get("inactive_file", 0)
            found[one.labels["sam.cli.function.name"]] = kept / 1024**2
    return found


def sampled[Found](target: Target, work: Callable[[], Found]) -> tuple[Found, pd.DataFrame]:
    """Work, and return what comes of it and the memory every second: MB, by second and process."""
    stop, samples = threading.Event(), dict[float, dict[str, float]]()

    def sample() -> None:
        while True:
            samples[time.monotonic()] = target.memory()
            if stop.wait(SAMPLE_SECONDS):
                break

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        found = work()
    finally:
        stop.set()
        thread.join()
    samples[time.monotonic()] = target.memory()
    return found, pd.DataFrame.from_dict(samples, orient="index")


def recorded(kept: Path, kind: str) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the records of a kind that `serve.keep` wrote, and the sizes of their files."""
    records: list[dict[str, Any]] = []
    sizes = []
    for file in sorted(path for path in (kept / kind).rglob("*") if path.is_file()):
        body = file.read_bytes()
        lines = arrivals.decompressed(body)
        if lines is None:
            raise SystemExit(f"{file} is damaged")
        records.extend(msgspec.json.decode(line) for line in lines.splitlines())
        sizes.append(len(body))
    return records, sizes
