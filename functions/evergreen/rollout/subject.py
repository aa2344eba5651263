"""The endpoint that a tick or a person decides on, and what deciding works with."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from evergreen.aws.s3 import Store
from evergreen.captures.arrivals import ARRIVAL
from evergreen.contract.endpoint import Policy
from evergreen.contract.errors import CorruptDocumentError, NoChampionError
from evergreen.contract.identifiers import check_endpoint_file
from evergreen.contract.moments import midnight
from evergreen.registry import events
from evergreen.registry.registry import Registry, Seen
from evergreen.registry.state import Decision, Document
from evergreen.rollout import gather_evidence
from evergreen.rollout.evidence import Evidence
from evergreen.rollout.gathering import Gathering, Load


@dataclass(frozen=True)
class Subject:
    """One endpoint of this stack.

    read_policy: reads it from the endpoint's file; decisions that need no evidence do without.
    load: returns a version whose bytes are verified and whose golden rows came out the same.
    recalibration: whether this stack answers recalibrated scores where the policy allows it.
    """

    name: str
    read_policy: Callable[[], Policy]
    registry: Registry
    data: Store
    bus: "events.EventBridgeClient"
    load: Load
    level: int
    recalibration: bool

    @cached_property
    def policy(self) -> Policy:
        """Return the rules that its data scientist has set."""
        return self.read_policy()

    def seen(self) -> Seen:
        """Return its document; raises UnknownEndpointError, or NoChampionError for a new one."""
        seen = self.registry.document(self.name)
        if seen is None:
            check_endpoint_file(self.name)
            raise NoChampionError(self.name)
        return seen

    def evidence(self, document: Document, at: datetime, unmapped: Sequence[str] = ()) -> Evidence:
        """Return all that is known at a time of the versions that a document names; see gather."""
        return gather_evidence.gather(self.sources(document, at), unmapped)

    def sources(self, document: Document, at: datetime) -> Gathering:
        """Return where the evidence of a time comes from."""
        return Gathering(self.data, document, self.policy, self.load, at, self.recalibrates)

    @property
    def recalibrates(self) -> bool:
        """Say whether scores are answered, and compared, as what they mean by now."""
        return self.recalibration and self.policy.recalibrate

    def unmapped(self, document: Document, at: datetime) -> list[str]:
        """Return the versions that may answer today, and have no map of scores of today yet.

        None in the first hours, in which outcomes of the day before may still arrive.
        """
        if not (self.recalibrates and at >= midnight(at) + ARRIVAL):
            return []
        experiment, challenger = document.experiment, document.challenger
        named = [document.champion, document.candidate, document.previous]
        named += [challenger.version] if challenger else []
        named += [experiment.control, experiment.treatment] if experiment else []
        lacking = []
        for version in filter(None, dict.fromkeys(named)):
            with suppress(CorruptDocumentError):  # what stands there stays, and is not served
                if self.registry.recalibration(self.name, version, at.date()) is None:
                    lacking.append(version)
        return lacking

    def announce(self, decision: Decision) -> None:
        """Put the events of a decision on the bus."""
        events.announcer(self.bus, self.name)(decision)
