"""Work that is done after the answer has gone out, and before Lambda freezes the environment.

Lambda sends an answer on when the handler returns, and freezes the environment when every extension
has asked for its next event. A thread that registers as an internal extension gets the time between
the two, within the function's timeout.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
"""

import json
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPMessage

from evergreen.contract.errors import worded

logger = logging.getLogger(__name__)

Job = Callable[[], None]

NAME = "evergreen-after-answer"
_PATH = "/2020-01-01/extension"


class AfterAnswer:
    """Jobs of one environment; make it while Lambda initializes, which is when it takes extensions.

    runtime_api: host and port of Lambda's API, or None elsewhere, where a job is done at once.
    """

    def __init__(self, runtime_api: str | None) -> None:
        self._jobs: deque[Job] = deque()
        self._returned = threading.Semaphore(0)
        self._registered = False
        if runtime_api and (wait := _register(runtime_api)):
            self._registered = True
            threading.Thread(target=self._work, args=(wait,), name=NAME, daemon=True).start()

    def do(self, job: Job) -> None:
        """Do a job after the answer of this invocation; it should deal with its own errors."""
        if self._registered:
            self._jobs.append(job)
        else:
            job()

    @contextmanager
    def invocation(self) -> Iterator[None]:
        """Wrap each invocation: when it returns, or raises, the jobs begin."""
        try:
            yield
        finally:
            self._returned.release()

    def _work(self, wait: Callable[[], object]) -> None:
        while True:
            _wait(wait)
            self._returned.acquire()
            while self._jobs:
                try:
                    self._jobs.popleft()()
                except Exception as error:
                    logger.error("a job after the answer failed: %s", worded(error))


def _wait(wait: Callable[[], object]) -> None:
    """Wait for an invocation, again if the connection did not outlive a snapshot."""
    try:
        wait()
    except (OSError, HTTPException):
        try:
            wait()
        except (OSError, HTTPException):
            os._exit(1)  # each invocation would wait for us in vain; Lambda starts anew


def _register(runtime_api: str) -> Callable[[], object] | None:
    """Return what tells Lambda that all is done and returns when the next invocation begins."""
    try:
        headers = _call(runtime_api, "POST", "/register", {"Name": NAME}, {"events": ["INVOKE"]})
    except (OSError, HTTPException) as error:
        logger.warning("jobs are done before the answer: %s", error)
        return None
    identifier = {"Identifier": headers["Lambda-Extension-Identifier"]}
    return partial(_call, runtime_api, "GET", "/event/next", identifier)


def _call(
    runtime_api: str, method: str, path: str, headers: dict[str, str], body: object = None
) -> HTTPMessage:
    """Call Lambda's API, however long it takes, and return the headers of its answer."""
    connection = HTTPConnection(runtime_api)
    named = {f"Lambda-Extension-{name}": value for name, value in headers.items()}
    try:
        connection.request(method, _PATH + path, json.dumps(body) if body else None, named)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise HTTPException(f"Lambda's API answered {method} {path} with {answer.status}")
    return answer.headers
