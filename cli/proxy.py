"""Sign requests of clients that cannot: `evergreen proxy` takes them on this machine alone.

What decides (/control) is not handed on: who decides is asked, and a client's mistake is nobody.
"""

import re
import threading
from argparse import Namespace
from http.server import ThreadingHTTPServer
from urllib.parse import unquote

from botocore import exceptions

from cli.api import AddressError, Api
from cli.commands import Session
from cli.listening import Handler, Reply

HOST = "127.0.0.1"
MAX_BYTES = 6_000_000  # about what Lambda takes
SECONDS = 60.0  # for a client to send what it has begun
_OURS = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")
_HANDED_ON = re.compile(r"/(endpoints|v2|ping|version|openapi\.json)(?=[/?]|$)")
_ASKED = ("Content-Type", "Content-Encoding", "Accept", "Inference-Header-Content-Length")
_ANSWERED = ("content-type", "retry-after")


def proxy(session: Session, arguments: Namespace) -> bool:
    """Serve until interrupted."""
    try:
        server = ThreadingHTTPServer((HOST, arguments.port), handler_of(session.api))
    except OSError as error:
        said = f"port {arguments.port} cannot be used ({error.strerror}): name another with --port"
        raise AddressError(said) from error
    with server:
        here = f"http://{HOST}:{server.server_port}"
        session.out.print(f"{here} is {session.api.url}, {session.api.how}.")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        thread.join()
    return True


def handler_of(api: Api) -> type[Handler]:
    """Return a handler that signs each request and hands it on."""

    class Signing(Handler):
        timeout = SECONDS

        def most_bytes(self) -> int:
            return MAX_BYTES

        def reply(self, body: bytes | None) -> Reply:
            if not _OURS.fullmatch(self.headers.get("Host", "")) or "Origin" in self.headers:
                return 403, {}, b'{"message":"only programs on this machine may ask"}'
            if not _HANDED_ON.match(self.path) or ".." in unquote(self.path):
                return 404, {}, b'{"message":"this route is not handed on"}'
            headers = {name: self.headers[name] for name in _ASKED if name in self.headers}
            try:
                found = api.exchange(self.command, self.path, headers, body)
            except (exceptions.ConnectionError, exceptions.HTTPClientError):
                return 502, {}, b'{"message":"the API does not answer"}'
            kept = {name: found.headers[name] for name in _ANSWERED if name in found.headers}
            return found.status_code, kept, found.content

        do_GET = do_POST = Handler.handle_any  # noqa: N815 - its names

    return Signing
