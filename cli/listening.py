"""What listens on this machine: it takes requests of a known size, and answers each once."""

import re
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler

Reply = tuple[int, Mapping[str, str], bytes]  # status, headers and body


class Handler(BaseHTTPRequestHandler):
    """Answers by `reply`, whatever the method; a subclass names the methods that it takes."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: a second one would wait for the first

    def most_bytes(self) -> int:
        """Return how large the body of this request may be."""
        raise NotImplementedError

    def reply(self, body: bytes | None) -> Reply:
        """Return the answer to this request."""
        raise NotImplementedError

    def handle_any(self) -> None:
        """Read one request, and answer it."""
        length = self.headers.get("Content-Length", "0")
        if not re.fullmatch("[0-9]{1,15}", length) or "Transfer-Encoding" in self.headers:
            self.send(411, {}, b'{"message":"Length Required"}')
        elif int(length) > self.most_bytes():
            self.send(413, {}, b'{"message":"Request Entity Too Large"}')
        else:
            self.send(*self.reply(self.rfile.read(int(length)) or None))

    def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if status in (411, 413):  # the body is still on its way, and nobody will read it
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Write no line for each request."""
