"""What AWS may do to asynchronous events on their way, drawn from a seed: faults of a plane."""

import uuid
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal
from unittest.mock import patch

import numpy as np

from local.plane.limits import Invocation
from local.plane.plane import Plane


class CutOffError(Exception):
    """The function ended before it was done, as it does out of memory or out of time."""


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

    def ordered(self, waiting: list[Invocation]) -> list[Invocation]:
        """Return what waits in the order in which it is delivered."""
        if not self.reordered:
            return waiting
        return [waiting[place] for place in self._random.permutation(len(waiting))]

    def delays(self) -> bool:
        """Say whether an event is left for later."""
        return self._happens(self.delayed)

    def crash(self) -> Literal["before", "after"] | None:
        """Say when an attempt ends, where it is not at its own end."""
        if not self._happens(self.crashed):
            return None
        return "before" if self._happens(0.5) else "after"


@dataclass
class FaultyPlane(Plane):
    """A plane on which faults may happen to events on their way; its account says what was lost."""

    faults: Faults = field(default_factory=Faults)

    def _accept(self, function: str, event: dict[str, Any]) -> None:
        super()._accept(function, event)
        arriving = self.faults.arriving(self.waiting.pop())
        self.account["accepted"] += max(1, len(arriving)) - 1
        self.account["lost"] += not arriving
        self.waiting += arriving

    def _work(self) -> None:
        waiting = [(self.faults.delays(), each) for each in self.faults.ordered(self.waiting)]
        self.waiting = [each for delayed, each in waiting if not delayed]
        super()._work()
        self.waiting += [each for delayed, each in waiting if delayed]

    def _try(self, invocation: Invocation) -> bool:
        crash, invoke = self.faults.crash(), self.invoke

        def cut_off(*asked: Any) -> None:
            if crash != "before":
                invoke(*asked)
            if crash:
                raise CutOffError(f"{invocation.function} was cut off {crash} its work")

        with patch.object(self, "invoke", cut_off):
            return super()._try(invocation)
