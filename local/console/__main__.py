"""Open the console of a stack: a door on this machine that signs with your own credentials.

It listens on 127.0.0.1 alone, at a port that the system picks, and is opened once by the address
that it prints. What you decide there is recorded with your identity, as by `evergreen approve`.
"""

import secrets
import signal
import sys
import threading
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cli.api import AddressError, address, api_of
from cli.training_data import put
from local import command_line
from local.console.door import Console

HOST = "127.0.0.1"
MOST_BYTES = 200_000_000  # of a training file


def main() -> None:
    """Serve the console until interrupted."""
    parser = command_line.parser("local.console", __doc__, "make console URL=https://…")
    parser.add_argument("--url", help="address of the API")
    parser.add_argument("--config-env", default="default", help="environment of samconfig.toml")
    parser.add_argument("--path", default="/", help="the first page")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    asked = parser.parse_args()
    try:
        api = api_of(address(asked.url, asked.config_env))
    except AddressError as error:
        sys.exit(str(error))
    server = ThreadingHTTPServer((HOST, 0), BaseHTTPRequestHandler)
    token, own = secrets.token_urlsafe(32), f"{HOST}:{server.server_port}"

    def upload(endpoint: str, file: str, body: bytes) -> object:
        return put(api, asked.config_env, f"training/{endpoint}/{file}", body)

    console = Console(api, frozenset([own]), f"{api.url}, {api.how}", upload, token, asked.path)
    server.RequestHandlerClass = handler_of(console)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    opened = f"http://{own}/?token={token}"
    print(f"The console of {api.url} is at\n\n  {opened}\n\nfor one use. Stop it with Ctrl-C.")
    sys.stdout.flush()
    if not asked.no_browser:
        webbrowser.open(opened)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("\nStopped.")


def handler_of(console: Console) -> type[BaseHTTPRequestHandler]:
    """Return a handler that hands every request to a console."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = self.headers.get("Content-Length", "0")
            size = int(length) if length.isascii() and length.isdigit() else -1
            if not 0 <= size <= MOST_BYTES or "Transfer-Encoding" in self.headers:
                self.send_error(413)
                return
            headers = dict(self.headers.items())
            found = console.answer(self.command, self.path, headers, self.rfile.read(size))
            body = found.body.encode()
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = handle_any  # noqa: N815 - its names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    return Handler


if __name__ == "__main__":
    main()
