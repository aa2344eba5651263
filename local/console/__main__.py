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
from cli.listening import Handler, Reply
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


def handler_of(console: Console) -> type[Handler]:
    """Return a handler that hands every request to a console."""

    class Door(Handler):
        def most_bytes(self) -> int:
            return MOST_BYTES

        def reply(self, body: bytes | None) -> Reply:
            found = console.answer(self.command, self.path, dict(self.headers), body)
            return found.status, found.headers, found.body.encode()

        do_GET = do_POST = Handler.handle_any  # noqa: N815 - its names

    return Door


if __name__ == "__main__":
    main()
