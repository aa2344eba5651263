"""Which A/B experiments an endpoint allows, and what becomes of their arms."""

from datetime import datetime
from typing import Annotated

import msgspec

from evergreen.registry.state import Document, Experiment, Status

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An A/B test as a person plans it; control: the champion where it is not named."""

    treatment: Text
    control: Text | None = None
    share: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    min_rows: Annotated[int, msgspec.Meta(ge=1, le=10**9)]
    days: Annotated[float, msgspec.Meta(gt=0, le=365)]
    promote: bool = False
    hypothesis: Text


def why_not(document: Document, asked: Experiment, time: datetime) -> str | None:
    """Return why an experiment cannot start at a time, or None."""
    challenger, arms = document.challenger, len(arms_of(document, asked))
    if document.paused:
        return f"it is paused ({document.paused}), and nobody would end the experiment: resume it"
    if document.experiment:
        return f"experiment {document.experiment.id} is running: stop it first"
    if challenger and challenger.stage == "canary":
        return f"{challenger.version} is in canary: reject it or wait for it"
    if asked.control == asked.treatment:
        return "an experiment needs two different versions"
    if asked.treatment == document.champion:
        return f"{asked.treatment} is the champion: name it as the control"
    if asked.promote and asked.control != document.champion:
        return f"only what wins against the champion, {document.champion}, can be promoted"
    if not 0 < asked.share * arms < 1:
        return f"share {asked.share} is not over 0 and under {1 / arms:g} of the requests"
    if asked.min_rows < 1:
        return f"{asked.min_rows} rows for each arm are too few: at least 1"
    if asked.start.tzinfo is None or asked.end.tzinfo is None:
        return "a time has no zone: add one, such as Z for UTC"
    if not asked.end > max(asked.start, time):
        return "an experiment must end after it starts, and in the future"
    return None


def arms_of(document: Document, experiment: Experiment) -> list[str]:
    """Return the versions of an experiment that get requests from the champion."""
    both = experiment.control, experiment.treatment
    return [version for version in both if version != document.champion]


def status_before(document: Document, version: str) -> Status | None:
    """Return the status of a version, or that which it had before the experiment it is in."""
    before = document.experiment.before if document.experiment else {}
    return before.get(version, document.statuses.get(version))


def returned(document: Document) -> dict[str, Status]:
    """Return what the arms of the running experiment become when it ends."""
    experiment = document.experiment
    return {
        # one that waited as candidate has been overtaken where another waits by now
        arm: "rejected" if status == "candidate" and document.candidate else status
        for arm, status in (experiment.before if experiment else {}).items()
    }
