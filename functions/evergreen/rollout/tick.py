"""What a tick of the rollout does for one endpoint, in which order, and how a crash ends it.

settle the document   announce a decision that a crash left unannounced
is the tick late?     the decision is newer than the tick: what it would decide on is overtaken
gather the evidence   days that are closed are kept, and are not computed again
write maps of scores  once for each version and day; no generation comes of it
decide                with evergreen.rollout.decide, at most one change
load what will serve  anew: what it is in S3 by now may be damaged
write the document    by compare-and-set; then announce the change

Cut off anywhere, run twice or late, it changes nothing that the next tick would not decide again.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from evergreen.aws.telemetry import logger, measure
from evergreen.contract.errors import DocumentChangedError
from evergreen.registry.manifest import version_time
from evergreen.registry.state import Decision, Document
from evergreen.rollout.decide import AUTOPILOT, decide
from evergreen.rollout.evidence import Evidence
from evergreen.rollout.subject import Subject

DAY = timedelta(days=1)


def tick(subject: Subject, at: datetime, forget: Callable[[], None]) -> Decision | None:
    """Do the next thing that the evidence at a time asks for; return the decision, if any.

    forget: lets the subject load each version anew.
    """
    seen = subject.registry.document(subject.name)
    if seen is None:
        return None
    document = seen.document
    subject.registry.settle(document, subject.announce)
    if at < document.last.time:
        return None
    evidence = subject.evidence(document, at, subject.unmapped(document, at))
    for found in evidence.maps:
        subject.registry.write_recalibration(found)
    change = decide(document, evidence, subject.policy, subject.level)
    _measure(document, evidence, subject.level)
    if change is None:
        return None
    if change.type in ("promoted", "rolled back"):
        forget()
        subject.load(change.version)
    try:
        changed = subject.registry.change(seen, change, at, subject.announce)
    except DocumentChangedError:  # somebody else was faster: the next tick decides on what they did
        about = {"endpoint": subject.name, "decision": change.type}
        logger.warning("overtaken", extra=about)
        return None
    logger.info("decided", extra={"endpoint": subject.name, "decision": changed.last})
    if change.type == "rolled back":
        measure(subject.name, RolledBack=1)
    return changed.last


def _measure(document: Document, evidence: Evidence, level: int) -> None:
    """Write what alarms look at: how long a person is waited for, and a comparison goes on."""
    figures: dict[str, float] = {}
    if evidence.broken:
        figures["BrokenVersions"] = len(evidence.broken)
    waiting = evidence.waiting
    if waiting and (level < AUTOPILOT or waiting.alone):
        figures["CandidateWaitsDays"] = (evidence.at - version_time(waiting.version)) / DAY
    if document.challenger:
        figures["ChallengerDays"] = (evidence.at - document.challenger.started) / DAY
    if figures:  # each is billed for the hours in which it is written
        measure(document.endpoint, **figures)
