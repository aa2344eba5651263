"""Serve the API of the template on this machine, with a champion trained here.

It is the same code as in Lambda, over moto. Nobody is asked to sign requests, so it listens on
127.0.0.1 alone. The first part of the data trains a champion, and all of it a candidate beside it.
The clock begins just after the newest row and goes on from there; schedules fire and events are
delivered meanwhile, and `evergreen clock +7d` moves it. With FIRST= the rows after that are asked
for as the clock gets there, and their labels reported.
"""

import json
import multiprocessing
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import time_machine
from rich.console import Console

from cli.api import api_of
from cli.listening import Handler, Reply
from evergreen.captures.examples import utc
from evergreen.contract import endpoint_files
from evergreen.training.tables import table
from local import command_line, docs_page, sam_local, template
from local.console.door import Console as Pages
from local.demo import life
from local.demo.by_hand import ByHand
from local.demo.life import Step
from local.demo.replay import JSON, Replay
from local.demo.result import Event
from local.plane import stack, training_rows
from local.plane.gateway import joined
from local.plane.plane import Plane

HOST = "127.0.0.1"
MAX_BYTES = 10_000_000  # what API Gateway takes
BACKLOG = 1_024  # of clients that connect at once; with the usual 5, some of 32 were reset
TICK_SECONDS = 1.0
HOUR = timedelta(hours=1)
FIRST_SHARE = 0.8  # of the rows, that the champion has seen
PATIENCE_SECONDS = 3.0  # for what goes on as it is stopped; a training may take minutes
LOG = "see build/serve/lambda.log"
BUILD = template.ROOT / "build" / "serve"


def main() -> None:
    """Serve until interrupted."""
    arguments = _arguments()
    endpoint, port = arguments.endpoint, arguments.port
    BUILD.mkdir(parents=True, exist_ok=True)
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    with (
        listening(port) as server,
        (BUILD / "lambda.log").open("w", buffering=1) as log,
        tempfile.TemporaryDirectory() as folder,
    ):
        file = stack.training_file(endpoint, arguments.data, Path(folder))
        steps: Iterator[Step] = iter(())
        hiding: AbstractContextManager[object] = nullcontext()
        if arguments.first:
            later = life.of_file(endpoint, file, arguments.first, arguments.label_delay, None, 1)
            now, times = later.start, later.times[: later.first]
            steps, hiding = later.steps(), later.training()
        else:
            times = training_rows.read(endpoint, file).times
            now = utc(times[-1]) + HOUR
        parameters = {"MaturityLevel": arguments.level, "EndpointTtl": str(arguments.ttl)}
        parameters["ServingRuntime"] = arguments.runtime
        with (
            hiding,
            time_machine.travel(now) as clock,
            stack.deployed(stack.progress(log, console), console.file, **parameters) as plane,
        ):
            console.print(f"The clock stands at {now:%Y-%m-%d %H:%M} UTC and goes on from there.")
            console.print(f"Training a champion for {endpoint} …")
            train(plane, endpoint, file, times, console)
            replayed = Replay(plane, clock, endpoint, int(arguments.level))
            by_hand = ByHand(replayed, steps, lambda event: console.print(said(event)))
            server.RequestHandlerClass = handler_of(plane, by_hand, console_at(server.server_port))
            where = f"http://{HOST}:{server.server_port}"
            console.print(f"Serving on {where}; open it in a browser, or try\n")
            console.print(example(server.server_port, endpoint))
            until_stopped(by_hand, server, console, arguments.keep)


def _arguments() -> Any:
    parser = command_line.parser("local.serve", __doc__, "make serve PORT=8000 LEVEL=4")
    parser.add_argument("--port", type=int, default=8000, help="where the API listens")
    life.add_options(parser)
    parser.add_argument("--level", choices=("1", "2", "3", "4"), default="3", help="MaturityLevel")
    parser.add_argument("--runtime", choices=stack.RUNTIMES, default="onnx", help="ServingRuntime")
    parser.add_argument("--ttl", type=int, default=60, help="EndpointTtl, seconds")
    parser.add_argument("--keep", type=Path, help="a folder that gets the records at the end")
    arguments = parser.parse_args()
    if not 0 <= arguments.port <= 65_535:
        parser.error("--port must be from 0 to 65535")
    return arguments


def listening(port: int) -> "Server":
    """Return a server at a port, which waits for its handler; SystemExit where it cannot be had."""
    try:
        return Server((HOST, port), BaseHTTPRequestHandler)
    except OSError as error:
        sys.exit(f"port {port} cannot be used ({error.strerror}): make serve PORT={port + 1}")


def until_stopped(life: ByHand, server: "Server", console: Console, kept: Path | None) -> None:
    """Answer requests, and let time pass, until a signal comes; then keep the records in a folder.

    The signal raises nothing: an exception in the midst of a destructor would be lost.
    """
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()  # whose `put` a handler may call
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, _: asked.put(number))

    def tick() -> None:
        while True:
            time.sleep(TICK_SECONDS)
            life.pass_by()

    for work in (server.serve_forever, tick):
        threading.Thread(target=work, daemon=True).start()
    asked.get()
    console.print("\nStopped.")
    server.shutdown()
    ended = life.halt(PATIENCE_SECONDS)
    if kept:
        keep(kept)
    if not ended:  # what goes on would soon ask AWS itself, and not what plays it
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(0)


def said(event: Event) -> str:
    """Return an event in a line."""
    return f"{event.time:%Y-%m-%d %H:%M} [bold]{event.type}[/bold] {event.about}"


class Server(ThreadingHTTPServer):
    """One thread for each connection."""

    request_queue_size = BACKLOG


def train(
    plane: Plane, endpoint: str, file: Path, times: npt.NDArray[np.datetime64], console: Console
) -> None:
    """Train a champion on the first part of a file, and a candidate on all of it.

    times: of the rows in the file that may be trained on. Raises SystemExit with the reason where
    not even all of it comes to a champion.
    """
    said: list[str] = []
    plane.on_event = lambda event: said.append(str(event["detail"].get("reason", "")))
    policy = endpoint_files.load(endpoint).policy
    first = training_rows.first_until(times, policy, None, FIRST_SHARE)
    with training_rows.hidden(endpoint, first):
        stack.upload(plane, endpoint, file)
    if stack.registry().document(endpoint) is None:
        console.print(f"The first part alone makes no model: {said[-1] if said else LOG}")
    plane.request("POST", f"/control/endpoints/{endpoint}/retrain", b"{}", JSON)
    plane.settle()
    plane.on_event = lambda _: None
    seen, why = stack.registry().document(endpoint), said[-1] if said else LOG
    if seen is None:
        sys.exit(f"No model came of it: {why}")
    waits = seen.document.candidate
    said_so = f"A candidate waits beside it: {waits}" if waits else f"No candidate waits: {why}"
    console.print(said_so, highlight=False, soft_wrap=True)


def example(port: int, endpoint: str) -> str:
    """Return a command that asks the champion for predictions of rows that it knows."""
    seen, body = stack.registry().document(endpoint), BUILD / "body.json"
    assert seen  # it has just been trained
    champion = stack.registry().known(endpoint, seen.document.champion)
    rows = [sam_local.as_sent(row, champion.schema) for row, _ in champion.golden[:2]]
    body.write_text(json.dumps({"instances": rows}))
    options = f"-H 'Content-Type: application/json' -d @{body.relative_to(template.ROOT)}"
    return f"curl -s http://{HOST}:{port}/endpoints/{endpoint}/predict {options}"


def keep(folder: Path) -> None:
    """Write the captures and labels of the data bucket into a folder."""
    data = stack.data()
    for key in [*data.keys("captures/"), *data.keys("labels/")]:
        stored = data.get(key)
        assert stored  # nobody deletes them here
        file = folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(stored.body)


def console_at(port: int) -> Pages:
    """Return the console of the API at a port of this machine."""
    api = api_of(f"http://{HOST}:{port}")
    hosts = frozenset(f"{name}:{port}" for name in (HOST, "localhost"))
    put = lambda name, file, body: api.put("local", "training", name, file, body=body)  # noqa: E731
    return Pages(api, hosts, "make serve on this machine", put)


def handler_of(
    plane: Plane, life: ByHand | None = None, console: Pages | None = None
) -> type[Handler]:
    """Return a handler that hands every request to the plane, as API Gateway would.

    life: answers the routes that only this machine has, and console the pages.
    """

    class Gateway(Handler):
        def most_bytes(self) -> int:
            file = self.command == "PUT" or self.path.endswith("/act/upload")
            return table.MAX_BYTES if file else MAX_BYTES

        def reply(self, body: bytes | None) -> Reply:
            asked = (self.command, self.path, joined(self.headers.items()), body)
            found = docs_page.page(self.path) if life and self.command == "GET" else None
            if found is None and life and self.path.startswith("/local/"):
                found = life.answer(*asked)
            elif found is None and console and console.has(self.path):
                found = console.answer(*asked)
            elif found is None:
                found = plane.request(self.command, self.path, body, asked[2])
            return found.status, found.headers, found.body.encode()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = Handler.handle_any  # noqa: N815 - its names

    return Gateway


if __name__ == "__main__":
    main()
