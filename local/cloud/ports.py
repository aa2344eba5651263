"""Ports of this machine, for programs that are started at one and then listen."""

import socket
import subprocess
import time
from contextlib import suppress

HOST = "127.0.0.1"


def free(count: int = 1) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(name: str, process: subprocess.Popen[bytes], port: int, seconds: float) -> None:
    """Return when a process listens on a port; SystemExit if it ends before, or takes too long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection((HOST, port), 1):
            return
        time.sleep(0.01)
    raise SystemExit(f"{name} did not start: see the log")
