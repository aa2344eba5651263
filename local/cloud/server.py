"""AWS as moto plays it, at an address where containers and other processes reach it."""

import errno
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from moto.moto_api._internal import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from local.cloud.resources import CREDENTIALS


@contextmanager
def answering(application: Any, host: str, port: int = 0) -> Iterator[str]:
    """Answer the requests to a WSGI application one by one, and yield its URL; port 0 is any free.

    Raises SystemExit where the address cannot be used.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for each request
    try:
        listener = socket.create_server((host, port))  # werkzeug would print, and exit with 1
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        other = f"try PORT={port + 1}" if used else "is it an address of this machine?"
        why = os.strerror(error.errno or 0)
        raise SystemExit(f"{host}:{port} cannot be used ({why}): {other}") from error
    with listener:
        server = make_server(host, port, application, fd=listener.fileno())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def served(host: str, port: int = 0) -> Iterator[str]:
    """Play AWS, let boto3 in this process find it, and yield its URL; port 0 is any free one.

    Requests are answered one by one: moto checks a condition and writes in two steps. Raises
    SystemExit where the address cannot be used.
    """
    with answering(DomainDispatcherApplication(create_backend_app), host, port) as url:
        moto_api_backend.reset()  # what an earlier one had in this process
        with patch.dict(os.environ, CREDENTIALS | {"AWS_ENDPOINT_URL": url}):
            yield url
