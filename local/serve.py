"""Serve the API of the template on this machine, with a champion trained here.

It is the same code as in Lambda, over moto. Nobody is asked to sign requests, so it listens on
127.0.0.1 alone. Schedules fire and events are delivered as the clock goes on. The flights of
January are moved to the weeks before today, and the last of them come second: so there is a
champion, and a candidate beside it, to try everything on.
"""

import signal
import sys
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rich.console import Console

from evergreen.contract import endpoint_files
from local import command_line, template
from local.plane import stack
from local.plane.gateway import joined
from local.plane.plane import Plane
from local.samples import flights

HOST = "127.0.0.1"
MAX_BYTES = 10_000_000  # what API Gateway takes
BACKLOG = 1_024  # of clients that connect at once; with the usual 5, some of 32 were reset
TICK_SECONDS = 1.0
RECENT = timedelta(days=4)  # of the flights, that the champion has not seen
BUILD = template.ROOT / "build" / "serve"
EXAMPLE = (template.ROOT / "events" / "bodies" / "flight-delay.json").relative_to(template.ROOT)


def main() -> None:
    """Serve until interrupted."""
    parser = command_line.parser("local.serve", __doc__, "make serve PORT=8000 LEVEL=4")
    parser.add_argument("--port", type=int, default=8000, help="where the API listens")
    parser.add_argument(
        "--endpoint",
        default="flight-delay",
        choices=endpoint_files.names(),
        help="which one to serve",
    )
    parser.add_argument("--data", type=Path, help="training data, Parquet or CSV")
    parser.add_argument("--level", choices=("1", "2", "3", "4"), default="3", help="MaturityLevel")
    parser.add_argument("--runtime", choices=stack.RUNTIMES, default="onnx", help="ServingRuntime")
    parser.add_argument("--ttl", type=int, default=60, help="EndpointTtl, seconds")
    parser.add_argument("--keep", type=Path, help="a folder that gets the records at the end")
    arguments = parser.parse_args()
    endpoint, port = arguments.endpoint, arguments.port
    if not 0 <= port <= 65_535:
        parser.error("--port must be from 0 to 65535")
    BUILD.mkdir(parents=True, exist_ok=True)
    console = Console()
    with (
        (BUILD / "lambda.log").open("w", buffering=1) as log,
        stack.deployed(
            stack.progress(log, console),
            console.file,
            MaturityLevel=arguments.level,
            EndpointTtl=str(arguments.ttl),
            ServingRuntime=arguments.runtime,
        ) as plane,
    ):
        try:
            server = Server((HOST, port), handler_of(plane))
        except OSError as error:
            sys.exit(f"port {port} cannot be used ({error.strerror}): make serve PORT={port + 1}")
        console.print(f"Training a champion for {endpoint} …", highlight=False)
        with tempfile.TemporaryDirectory() as folder:
            train(plane, endpoint, arguments.data, Path(folder), console)
        console.print(f"Serving on http://{HOST}:{server.server_port}; try\n", highlight=False)
        console.print(example(server.server_port, endpoint), highlight=False, soft_wrap=True)
        stop = threading.Event()
        clock = threading.Thread(target=keep_ticking, args=(plane, stop))
        clock.start()
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # which ends it as Ctrl-C does
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print("\nStopped.")
        finally:
            stop.set()
            clock.join()
            server.server_close()
        if arguments.keep:
            keep(arguments.keep)


class Server(ThreadingHTTPServer):
    """One thread for each connection."""

    request_queue_size = BACKLOG


def train(plane: Plane, endpoint: str, data: Path | None, folder: Path, console: Console) -> None:
    """Train a champion; SystemExit with the reason where none comes of it.

    Of the flights a candidate too, from the days that the champion has not seen.
    """
    said: list[str] = []
    plane.on_event = lambda event: said.append(str(event["detail"].get("reason", "")))
    if data is None and endpoint == "flight-delay":
        table = flights.moved(flights.flights(), datetime.now(UTC))
        last = table["time_hour"].max()
        early = table["time_hour"] < f"{datetime.fromisoformat(last) - RECENT:%Y-%m-%dT%H:%M:%SZ}"
        files = [
            flights.written(table[early], folder / "first.parquet"),
            flights.written(table[~early], folder / "later.parquet"),
        ]
    else:
        files = [stack.training_file(endpoint, data, folder)]
    for file in files:
        stack.upload(plane, endpoint, file)
    plane.on_event = lambda _: None
    seen = stack.registry().document(endpoint)
    if seen is None:
        sys.exit(f"No model came of it: {said[-1] if said else 'see build/serve/lambda.log'}")
    if seen.document.candidate:
        console.print(f"A candidate waits beside it: {seen.document.candidate}", highlight=False)


def example(port: int, endpoint: str) -> str:
    """Return a command that asks for predictions, or for what to ask."""
    if endpoint != "flight-delay":
        return f"curl -s http://{HOST}:{port}/endpoints/{endpoint}"
    return (
        f"curl -s http://{HOST}:{port}/endpoints/flight-delay/predict "
        f"-H 'Content-Type: application/json' -d @{EXAMPLE}"
    )


def keep(folder: Path) -> None:
    """Write the captures and labels of the data bucket into a folder."""
    data = stack.data()
    for key in [*data.keys("captures/"), *data.keys("labels/")]:
        stored = data.get(key)
        assert stored  # nobody deletes them here
        file = folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(stored.body)


def keep_ticking(plane: Plane, stop: threading.Event) -> None:
    """Fire schedules and deliver events until told to stop."""
    while not stop.wait(TICK_SECONDS):
        plane.tick(datetime.now(UTC))
        plane.settle()


def handler_of(plane: Plane) -> type[BaseHTTPRequestHandler]:
    """Return a handler that hands every request to the plane, as API Gateway would."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet: a second one would wait for the first

        def handle_any(self) -> None:
            length = self.headers.get("Content-Length", "0")
            size = int(length) if length.isascii() and length.isdigit() else -1
            if size < 0 or "Transfer-Encoding" in self.headers:
                self.answer(411, {}, '{"message":"Length Required"}')
            elif size > MAX_BYTES:
                self.answer(413, {}, '{"message":"Request Entity Too Large"}')
            else:
                body = self.rfile.read(size) if size else None
                found = plane.request(self.command, self.path, body, joined(self.headers.items()))
                self.answer(found.status, found.headers, found.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_any  # noqa: N815 - its names

        def answer(self, status: int, headers: dict[str, str], body: str) -> None:
            payload = body.encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            if status in (411, 413):  # the body is still on its way, and nobody will read it
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(payload)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    return Handler


if __name__ == "__main__":
    main()
