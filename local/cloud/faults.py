"""What AWS may do to asynchronous events on their way, drawn from a seed, for the event plane."""

import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np


class CutOffError(Exception):
    """The function ended before it was done, as it does out of memory or out of time."""


@dataclass(frozen=True)
class Invocation:
    """An event that waits for a function, or a queue of this ARN; attempts: those that failed."""

    function: str
    event: dict[str, Any]
    request_id: str
    attempts: int = 0
    receipt: dict[str, str] | None = None  # deletes its message, where it came from a queue
    accepted: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Faults:
    """How often something happens, as shares of all events, or of all attempts; never by default.

    lost: taken, and never delivered. duplicated: delivered twice, by the bus or by Lambda, where
    both have the same request id. delayed: left for the next time that anything is delivered.
    crashed: attempts that end before the function's work, or after it. reordered: whether events
    are delivered in any order.
    """

    seed: int = 0
    lost: float = 0
    duplicated: float = 0
    delayed: float = 0
    crashed: float = 0
    reordered: bool = False

    @cached_property
    def _random(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def arriving(self, invocation: Invocation) -> list[Invocation]:
        """Return an event as often as it will be delivered."""
        if self._happens(self.lost):
            return []
        if not self._happens(self.duplicated):
            return [invocation]
        again = invocation.request_id if self._happens(0.5) else str(uuid.uuid4())
        return [invocation, replace(invocation, request_id=again)]

    def next_of(self, waiting: int) -> int:
        """Return the place of the event that is delivered next."""
        return int(self._random.integers(waiting)) if self.reordered else 0

    def delays(self) -> bool:
        """Say whether the next event is left for later."""
        return self._happens(self.delayed)

    def crash(self) -> Literal["before", "after"] | None:
        """Say when an attempt ends, where it is not at its own end."""
        if not self._happens(self.crashed):
            return None
        return "before" if self._happens(0.5) else "after"
