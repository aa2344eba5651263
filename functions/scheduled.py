"""What the functions share that a schedule starts: its time, and one endpoint after the other."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import bootstrap
from evergreen.aws.telemetry import logger
from evergreen.contract import endpoint_files
from evergreen.contract.errors import UnknownEventError, worded
from evergreen.contract.moments import time_of
from evergreen.registry import events


def slot_of(text: str, function: str) -> datetime:
    """Return the time that an event is for; raises UnknownEventError for one in the future."""
    time = time_of(text)
    if time > datetime.now(UTC) + events.CLOCK_SKEW:
        raise UnknownEventError(function, "a time that is not in the future")
    return time


def with_champion() -> list[str]:
    """Return the names of the endpoints that have a champion and a file."""
    return [name for name in bootstrap.registry().endpoints() if name in endpoint_files.names()]


def each[T](names: Iterable[str], what: Callable[[str], T], undone: str) -> dict[str, T]:
    """Do something for each endpoint; one that fails must not keep the others from it.

    undone: what is said of those that fail, such as "not checked". Raises all errors together.
    """
    done: dict[str, T] = {}
    failed = []
    for name in names:
        try:
            done[name] = what(name)
        except Exception as error:  # whatever it is, it is raised below
            logger.error(
                f"an endpoint was {undone}", extra={"endpoint": name, "reason": worded(error)}
            )
            failed.append(error)
    if failed:
        of = len(done) + len(failed)
        raise ExceptionGroup(f"{len(failed)} of {of} endpoints were {undone}", failed)
    return done
