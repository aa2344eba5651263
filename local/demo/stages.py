"""What became of each version: its stages, told from the decisions in an endpoint's history."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from evergreen.registry.state import Decision, Status

ANSWERING = ("canary", "ab", "champion")
Ending = Literal["serves", "retired", "refused", "rejected", "rolled back"]


@dataclass
class Stage:
    """A status that a version had, from one decision to another; end: None while it has it."""

    status: Status
    start: datetime
    end: datetime | None = None


@dataclass
class Story:
    """One version; how: it ended, at `end`, None while it serves or waits.

    rolled back: taken out after it had begun to answer requests, as a canary or as the champion.
    """

    version: str
    stages: list[Stage] = field(default_factory=list)
    how: Ending = "serves"
    end: datetime | None = None


def stories(decisions: Iterable[Decision]) -> list[Story]:
    """Return the story of each version in a history, in the order in which they appear."""
    told: dict[str, Story] = {}
    for decision in decisions:
        for version, status in decision.moves.items():
            story = told.setdefault(version, Story(version))
            if story.stages and story.stages[-1].end is None:
                story.stages[-1].end = decision.time
            if status in ("retired", "rejected"):
                story.how, story.end = _ending(decision, story, status), decision.time
            else:
                story.stages.append(Stage(status, decision.time))
                story.how, story.end = "serves", None
    return list(told.values())


def _ending(decision: Decision, story: Story, status: Status) -> Ending:
    if status == "retired":
        return "retired"
    if any(stage.status in ANSWERING for stage in story.stages):
        return "rolled back"
    return "refused" if decision.type == "candidate refused" else "rejected"
