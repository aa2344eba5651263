"""Run the handler that BENCH_HANDLER names, and note in the file BENCH_TIMES how long it took.

The first line is the id of this process. Then comes a line per invocation: the seconds from entry
to return, and the time of the return.
"""

import importlib
import os
import time
from typing import Any

_times = os.open(os.environ["BENCH_TIMES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(_times, b"%d\n" % os.getpid())
_module, _, _name = os.environ["BENCH_HANDLER"].rpartition(".")
_handler = getattr(importlib.import_module(_module), _name)


def handler(event: Any, context: Any) -> Any:
    """Answer as the real handler does."""
    begun = time.perf_counter()
    answer = _handler(event, context)
    elapsed = time.perf_counter() - begun
    os.write(_times, b"%.7f %.7f\n" % (elapsed, time.time()))
    return answer
