"""Run what may hang, crash or eat all memory in a process of its own, and only for so long.

Neither a signal nor a thread ends a loop in C, and no exception survives a segmentation fault. The
process is forked where that is safe (Linux, so Lambda): it begins with all rows in memory, and what
it is to do need not be picklable. Elsewhere it is spawned. Only a pipe connects it, as Lambda has
no shared memory for the queues of multiprocessing.
"""

import math
import multiprocessing
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from evergreen.contract.errors import CandidateError, worded

_CONTEXT: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
WAY_OUT = (
    "the invocation ends (Timeout in template.yaml), so lower policy.candidate_seconds for those "
    "before it"
)
HINTS = {  # for what scikit-learn says most often; the words themselves may quote a row
    "contains NaN": "put a SimpleImputer before it, or take trees that accept NaN",
    "could not convert string": "encode text with a OneHotEncoder or an OrdinalEncoder",
    "infinity or a value too large": "give the fields of `row` limits",
    "not columns of the dataframe": "it names a column that is no field of `row`",
    "unknown categories": 'set handle_unknown="ignore"',
    "pickle": "define each function and class at the top of the endpoint's file, without lambda",
    "Unknown label type": "it cannot learn labels of this kind of problem",
}


def run[T](work: Callable[[], T], seconds: float, until: float = math.inf) -> T:
    """Return what work returns, a value that can be pickled.

    until: the moment of time.monotonic() at which it ends anyway. Raises CandidateError for what it
    raises, if it ends its process, or has no answer in time.
    """
    left = until - time.monotonic()
    if left <= 0:
        raise CandidateError(f"no time was left to fit it: {WAY_OUT}")
    ours, its = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_answer, args=(its, work), daemon=True)
    with warnings.catch_warnings():  # that threads of others may hold locks: of ours none does
        warnings.simplefilter("ignore", DeprecationWarning)
        # OpenMP remembers the threads of a thread that has fitted, which a child does not have.
        fresh = threading.Thread(target=process.start)
        fresh.start()
        fresh.join()
    its.close()
    if process.pid is None:
        raise CandidateError("no process could be started to fit it: is memory left?")
    try:
        if not ours.poll(min(seconds, left)):
            said = f"the pipeline did not end within {min(seconds, left):,.1f} s"
            way_out = WAY_OUT if left < seconds else "raise policy.candidate_seconds"
            raise CandidateError(f"{said}: {way_out}, or fit fewer rows")
        answer: T | CandidateError = ours.recv()
    except EOFError:
        process.join()
        raise CandidateError(_ended(process.exitcode)) from None
    finally:
        process.kill()  # it may have threads or children of its own that go on
        process.join()
        ours.close()
    if isinstance(answer, CandidateError):
        raise answer
    return answer


def _answer(its: Any, work: Callable[[], Any]) -> None:
    try:
        answer = work()
    except Exception as error:  # it is the user's pipeline, and may raise whatever it likes
        answer = CandidateError(worded(error))
    except KeyboardInterrupt:
        return
    its.send(answer)


def _ended(code: int) -> str:
    if code >= 0:
        return f"the pipeline ended its process with exit code {code}"
    name = signal.Signals(-code).name
    hint = ": out of memory? Fit fewer rows, or raise TrainMemory" if name == "SIGKILL" else ""
    return f"the pipeline crashed its process ({name}){hint}"


@contextmanager
def blaming(what: str, candidate: str, way_out: str = "") -> Iterator[None]:
    """Turn whatever is raised into a CandidateError that says what is at fault and how to go on."""
    try:
        yield
    except CandidateError:
        raise
    except Exception as error:
        error.add_note(f"of the candidate {candidate}")
        hints = [hint for known, hint in HINTS.items() if known in str(error)]
        by = _estimator(reversed(list(traceback.walk_tb(error.__traceback__))))
        said = f"{what}: {worded(error)}{by and f', raised by {by}'}"
        raise CandidateError("; ".join(filter(None, [said, *hints[:1], way_out]))) from error


@contextmanager
def noting(found: dict[str, None]) -> Iterator[None]:
    """Note the kinds of warnings, and which estimator warned; their words may quote a row."""

    def note(_: Any, category: type[Warning], *__: Any) -> None:
        by = _estimator(traceback.walk_stack(sys._getframe()))
        hint = ": raise max_iter, or scale the numbers" if category is ConvergenceWarning else ""
        found[f"{category.__name__}{by and f' by {by}'}{hint}"] = None

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for old in (DeprecationWarning, PendingDeprecationWarning):  # as Python has it
            warnings.simplefilter("ignore", old)
        warnings.showwarning = note  # type: ignore[assignment]
        yield


def _estimator(frames: Iterator[tuple[FrameType, int]]) -> str:
    """Return the class of the first estimator that is at work in some frames, or nothing."""
    selves = (frame.f_locals.get("self") for frame, _ in frames)
    return next((type(each).__name__ for each in selves if isinstance(each, BaseEstimator)), "")
