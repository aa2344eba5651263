"""Runs the template's functions in this process, each with its own environment and permissions."""

import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol, cast
from unittest.mock import patch

from local.plane.limits import LimitError
from local.template import ACCOUNT, REGION, ROOT, TemplateError, physical_name

CODE = ROOT / "functions"


class Runtime(Protocol):
    """What runs the functions of a template."""

    def invoke(self, function: str, properties: dict[str, Any], event: Any, request_id: str) -> Any:
        """Return what a function answers an event; raise what it raises."""


Handler = Callable[[dict[str, Any], Any], Any]


@dataclass(frozen=True)
class Context:
    """What Lambda tells a handler about its invocation."""

    function_name: str
    memory_limit_in_mb: int
    aws_request_id: str
    function_version: str = "$LATEST"
    timeout: int = 10
    began: float = field(default_factory=time.perf_counter)

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.began + self.timeout - time.perf_counter()) * 1000))


class _Output:
    """Where everything that functions print goes; loggers keep the stream they were made with.

    shown: gets what does not look like a log's line, and so comes from an endpoint's own file.
    """

    def __init__(self) -> None:
        self.target: IO[str] | None = None
        self.shown: IO[str] | None = None
        self._line = ""

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if self.shown and not line.startswith('{"'):
                print(line, file=self.shown, flush=True)
        return self.target.write(text) if self.target else len(text)

    def flush(self) -> None:
        if self.target:
            self.target.flush()


_OUTPUT = _Output()


@dataclass
class Process:
    """Imports handlers and calls them; log gets all that they print, shown what is no log."""

    log: IO[str] | None = None
    shown: IO[str] | None = None
    code: Path = CODE
    _handlers: dict[str, Handler] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def invoke(self, function: str, properties: dict[str, Any], event: Any, request_id: str) -> Any:
        """Call a function's handler; what its role does not allow, AWS refuses."""
        name = physical_name(function)
        memory, timeout = int(properties["MemorySize"]), int(properties["Timeout"])
        variables = properties.get("Environment", {}).get("Variables", {})
        environment = {key: str(value) for key, value in variables.items()}
        environment["AWS_LAMBDA_FUNCTION_NAME"] = name
        with (
            self._lock,
            # Not patch.dict, which changes the process's own: threads of DuckDB read that at will.
            patch.object(os, "environ", {**os.environ, **environment}),
            redirect_stdout(cast(IO[str], _OUTPUT)),
            properties["Role"].assumed(),
        ):
            _OUTPUT.target, _OUTPUT.shown = self.log, self.shown
            if function not in self._handlers:
                self._handlers[function] = self._import(properties)
            context = Context(name, memory, request_id, timeout=timeout)
            answer = self._handlers[function](json.loads(json.dumps(event)), context)
        if context.get_remaining_time_in_millis() == 0:
            raise LimitError(f"{request_id} Task timed out after {timeout}.00 seconds")
        return answer

    def _import(self, properties: dict[str, Any]) -> Handler:
        """Import a handler as a cold start does: its module is this deployment's own."""
        named = properties.get("Handler") or properties["ImageConfig"]["Command"][0]
        module_name, attribute = named.rsplit(".", 1)
        if str(self.code) not in sys.path:
            sys.path.insert(0, str(self.code))
        spec = importlib.util.spec_from_file_location(module_name, self.code / f"{module_name}.py")
        if spec is None or spec.loader is None or not Path(str(spec.origin)).exists():
            raise TemplateError(f"{named} names no module in {self.code}")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return cast(Handler, getattr(module, attribute))
