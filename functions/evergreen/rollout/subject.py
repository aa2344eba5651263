"""The endpoint that a tick or a person decides on, and what deciding works with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from evergreen.aws.s3 import Store
from evergreen.contract.endpoint import Policy
from evergreen.contract.errors import NoChampionError
from evergreen.contract.identifiers import check_endpoint_file
from evergreen.registry import events
from evergreen.registry.registry import Registry, Seen
from evergreen.registry.state import Decision, Document
from evergreen.rollout import gather_evidence
from evergreen.rollout.evidence import Evidence
from evergreen.rollout.paired_comparison import Load

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


@dataclass(frozen=True)
class Subject:
    """One endpoint of this stack.

    read_policy: reads it from the endpoint's file; decisions that need no evidence do without.
    load: returns a version whose bytes are verified and whose golden rows came out the same.
    """

    name: str
    read_policy: Callable[[], Policy]
    registry: Registry
    data: Store
    bus: "EventBridgeClient"
    load: Load
    level: int

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

    def evidence(self, document: Document, at: datetime) -> Evidence:
        """Return all that is known at a time of the versions that a document names."""
        return gather_evidence.gather(self.data, document, self.policy, self.load, at)

    def announce(self, decision: Decision) -> None:
        """Put the events of a decision on the bus."""
        events.announcer(self.bus, self.name)(decision)
