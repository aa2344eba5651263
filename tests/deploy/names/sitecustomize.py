"""Lets a command find what lies under `.localhost`, which Debian's resolver does not know."""

import socket
from typing import Any

_resolve = socket.getaddrinfo


def _found(host: Any, *arguments: Any, **options: Any) -> Any:
    here = isinstance(host, str) and host.endswith(".localhost")
    return _resolve("127.0.0.1" if here else host, *arguments, **options)


socket.getaddrinfo = _found
