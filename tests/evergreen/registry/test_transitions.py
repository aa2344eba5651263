"""How a document changes: what each change does, and what is refused in which state."""

from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from evergreen.contract.errors import DocumentChangedError, ForbiddenChangeError
from evergreen.registry import events, transitions
from evergreen.registry.state import Document, Experiment
from evergreen.registry.transitions import MOVES, Change
from tests.support import given
from tests.support.given import NOW

DAY = timedelta(days=1)
LATER = NOW + DAY
NAIVE = LATER.replace(tzinfo=None)


def asked(kind: Any, version: str = "v1", **more: Any) -> Change:
    return Change(type=kind, version=version, by=more.pop("by", "a person"), reason="so", **more)


def after(document: Document, kind: Any, version: str = "v1", **more: Any) -> Document:
    time = more.pop("time", LATER)
    return transitions.apply(document, asked(kind, version, **more), time, document.generation)


def experiment(treatment: str = "v2", control: str = "v1", **more: Any) -> Experiment:
    fields: dict[str, Any] = {
        "id": "e1",
        "control": control,
        "treatment": treatment,
        "share": 0.2,
        "hypothesis": "it is better",
        "min_rows": 100,
        "start": LATER,
        "end": LATER + 30 * DAY,
    }
    return Experiment(**(fields | more))


def started(
    document: Document, treatment: str = "v2", control: str = "v1", **more: Any
) -> Document:
    found = experiment(treatment, control, **more)
    return after(document, "experiment started", treatment, experiment=found)


ONE = given.document("v1")
TWO = given.document("v2", given.document("v1"))  # v1 is retired
WAITING = after(ONE, "candidate entered", "v2")
SHADOW = after(WAITING, "shadow started", "v2")
CANARY = after(SHADOW, "canary started", "v2", share=0.05)
ROLLED_BACK = after(TWO, "rolled back", "v1")
TESTED = started(WAITING)
TESTED_OLD = started(TWO, "v1", "v2")  # the champion against the one before


def refused(document: Document, kind: Any, version: str, said: str, **more: Any) -> None:
    before = msgspec.json.encode(document)

    with pytest.raises(ForbiddenChangeError, match=said):
        after(document, kind, version, **more)

    assert msgspec.json.encode(document) == before


# From a candidate to the champion


def test_a_version_goes_from_candidate_through_shadow_and_canary_to_champion() -> None:
    wider = after(CANARY, "canary widened", "v2", share=0.5)
    promoted = after(wider, "promoted", "v2")

    assert [WAITING.statuses["v2"], SHADOW.statuses["v2"]] == ["candidate", "shadow"]
    assert (CANARY.statuses["v2"], CANARY.arms) == ("canary", {"v2": 0.05})
    assert wider.arms == {"v2": 0.5}
    assert promoted.statuses == {"v1": "retired", "v2": "champion"}
    assert (promoted.champion, promoted.previous) == ("v2", "v1")
    assert (promoted.challenger, promoted.arms, promoted.since) == (None, {}, LATER)
    assert promoted.generation == 6


def test_the_canary_knows_when_it_began_and_when_it_was_widened() -> None:
    wider = after(CANARY, "canary widened", "v2", share=0.5, time=LATER + DAY)

    assert wider.challenger is not None
    assert (wider.challenger.canary, wider.challenger.since) == (LATER, LATER + DAY)


def test_a_newer_candidate_takes_the_place_of_the_one_that_waits() -> None:
    newer = after(WAITING, "candidate entered", "v3")

    assert newer.candidate == "v3"
    assert newer.last.moves == {"v2": "rejected", "v3": "candidate"}


def test_a_candidate_waits_while_a_challenger_is_compared() -> None:
    both = after(SHADOW, "candidate entered", "v3")

    assert (both.statuses["v2"], both.candidate) == ("shadow", "v3")
    refused(both, "shadow started", "v3", "v2 is being compared already")


def test_a_person_may_promote_a_candidate_past_a_challenger_which_is_then_out() -> None:
    both = after(CANARY, "candidate entered", "v3")

    promoted = after(both, "promoted", "v3")

    assert promoted.statuses == {"v1": "retired", "v2": "rejected", "v3": "champion"}
    assert (promoted.challenger, promoted.arms) == (None, {})


def test_a_rejected_challenger_gets_no_more_requests() -> None:
    rejected = after(CANARY, "challenger rejected", "v2")

    assert (rejected.challenger, rejected.arms) == (None, {})
    assert rejected.statuses["v2"] == "rejected"


def test_rejecting_the_candidate_leaves_the_challenger() -> None:
    both = after(CANARY, "candidate entered", "v3")

    rejected = after(both, "challenger rejected", "v3")

    assert rejected.challenger == CANARY.challenger


@pytest.mark.parametrize("share", [0.0, 0.05, 0.01, 1.0, 2.0, -0.5, float("nan")])
def test_a_canary_only_grows_and_never_has_all_requests(share: float) -> None:
    refused(CANARY, "canary widened", "v2", "a canary of 5% cannot go to", share=share)


@pytest.mark.parametrize(
    ("document", "kind"),
    [(CANARY, "canary started"), (SHADOW, "canary widened"), (WAITING, "canary started")],
)
def test_a_canary_starts_once_and_is_widened_after_that(document: Document, kind: str) -> None:
    refused(document, kind, "v2", "is for a version that is", share=0.25)


# A rollback


def test_a_rollback_returns_to_the_champion_before_and_what_is_left_is_not_tried_again() -> None:
    assert ROLLED_BACK.statuses == {"v1": "champion", "v2": "rejected"}
    assert (ROLLED_BACK.champion, ROLLED_BACK.previous) == ("v1", None)
    for kind in ("candidate entered", "shadow started", "promoted", "rolled back"):
        refused(ROLLED_BACK, kind, "v2", "v2 is rejected")
    refused(ROLLED_BACK, "experiment started", "v2", "v2 is rejected", experiment=experiment())


def test_a_rollback_while_a_canary_runs_ends_the_canary() -> None:
    canary = after(TWO, "candidate entered", "v3")
    canary = after(canary, "shadow started", "v3")
    canary = after(canary, "canary started", "v3", share=0.25)

    back = after(canary, "rolled back", "v1")

    assert back.statuses == {"v1": "champion", "v2": "rejected", "v3": "rejected"}
    assert (back.challenger, back.arms) == (None, {})


@pytest.mark.parametrize("document", [TESTED_OLD, started(TWO, "v1", "v2", share=0.9)])
def test_a_rollback_may_go_to_a_version_that_is_in_an_experiment(document: Document) -> None:
    back = after(document, "rolled back", "v1")

    assert back.statuses == {"v1": "champion", "v2": "rejected"}
    assert (back.experiment, back.arms) == (None, {})


@pytest.mark.parametrize(
    ("document", "version"),
    [(ONE, "v9"), (ONE, "v1"), (WAITING, "v2"), (CANARY, "v2"), (TESTED, "v2")],
    ids=["unknown", "champion", "candidate", "canary", "a candidate in an experiment"],
)
def test_a_rollback_goes_only_to_a_version_that_was_champion(
    document: Document, version: str
) -> None:
    refused(document, "rolled back", version, "is for a version that is|was never champion")


def test_a_retired_version_is_not_promoted_but_rolled_back_to() -> None:
    refused(TWO, "promoted", "v1", "v1 is retired.*roll back to it")
    refused(TESTED_OLD, "promoted", "v1", "v1 is retired: roll back to it")


# Changes about the wrong version


@pytest.mark.parametrize(
    "kind", ["candidate entered", "candidate refused", "challenger rejected", "promoted"]
)
def test_the_champion_cannot_be_entered_refused_rejected_or_promoted_again(kind: str) -> None:
    refused(ONE, kind, "v1", "v1 is champion")


@pytest.mark.parametrize("kind", ["candidate entered", "candidate refused", "challenger rejected"])
def test_an_arm_of_an_experiment_stays_what_it_is_while_that_runs(kind: str) -> None:
    refused(TESTED, kind, "v2", "v2 is ab.*stop its experiment first")


@pytest.mark.parametrize("kind", ["candidate entered", "candidate refused"])
def test_a_retry_of_a_training_that_was_entered_changes_nothing(kind: str) -> None:
    refused(WAITING, kind, "v2", "v2 is candidate")
    refused(CANARY, kind, "v2", "v2 is canary")


def test_a_version_that_nobody_entered_cannot_be_rejected() -> None:
    refused(ONE, "challenger rejected", "v9", "v9 is unknown")


# An experiment


def test_an_experiment_gives_both_arms_their_share_and_the_champion_the_rest() -> None:
    both = started(after(TWO, "candidate entered", "v3"), "v3", "v1", share=0.3)

    assert TESTED.arms == {"v2": 0.2}
    assert both.arms == {"v1": 0.3, "v3": 0.3}
    assert both.statuses == {"v1": "ab", "v2": "champion", "v3": "ab"}


@pytest.mark.parametrize("document", [TESTED, TESTED_OLD])
def test_arms_become_again_what_they_were(document: Document) -> None:
    ended = after(document, "experiment ended", "v2", verdict="champion stays")

    before = WAITING if document is TESTED else TWO
    assert ended.statuses == before.statuses
    assert (ended.experiment, ended.arms, ended.champion) == (None, {}, before.champion)


def test_an_arm_that_was_candidate_is_overtaken_by_one_that_came_meanwhile() -> None:
    newer = after(TESTED, "candidate entered", "v3")

    ended = after(newer, "experiment ended", "v2")

    assert newer.statuses["v2"] == "ab"
    assert ended.statuses == {"v1": "champion", "v2": "rejected", "v3": "candidate"}


@pytest.mark.parametrize("document", [TESTED, TESTED_OLD])
def test_a_treatment_that_wins_may_become_champion_also_one_that_was_champion_before(
    document: Document,
) -> None:
    treatment = document.experiment.treatment if document.experiment else ""

    won = after(document, "promoted", treatment, verdict="challenger wins", figures={"id": "e1"})

    assert won.champion == treatment
    assert won.statuses[document.champion] == "retired"
    assert won.experiment is None


def test_the_control_returns_to_what_it_was_when_the_treatment_is_promoted() -> None:
    both = started(after(TWO, "candidate entered", "v3"), "v3", "v1")

    promoted = after(both, "promoted", "v3")

    assert promoted.statuses == {"v1": "retired", "v2": "retired", "v3": "champion"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"share": 0.0}, "share 0.0 is not over 0 and under 1 of"),
        ({"share": 1.0}, "share 1.0"),
        ({"share": 2.0}, "share 2.0"),
        ({"share": -0.1}, "share -0.1"),
        ({"share": float("nan")}, "share nan"),
        ({"treatment": "v1"}, "two different versions"),
        ({"treatment": "v1", "control": "v2"}, "v1 is the champion: name it as the control"),
        ({"treatment": "v9"}, "v9 is unknown and cannot become ab"),
        ({"control": "v9", "share": 0.5}, "share 0.5 is not over 0 and under 0.5 of"),
        ({"control": "v9"}, "v9 is unknown and cannot become ab"),
        ({"control": "v9", "promote": True}, "only what wins against the champion, v1"),
        ({"min_rows": 0}, "0 rows for each arm are too few"),
        ({"min_rows": -5}, "-5 rows for each arm are too few"),
        ({"end": LATER}, "must end after it starts"),
        ({"end": LATER - DAY}, "must end after it starts"),
        ({"start": NOW - 9 * DAY, "end": NOW - DAY}, "in the future"),
        ({"start": NAIVE}, "a time has no zone"),
        ({"end": NAIVE}, "a time has no zone"),
    ],
)  # fmt: skip
def test_an_experiment_that_cannot_be_is_refused_with_the_reason(
    wrong: dict[str, Any], said: str
) -> None:
    refused(WAITING, "experiment started", "v2", said, experiment=experiment(**wrong))


@pytest.mark.parametrize(
    ("document", "version", "said"),
    [
        (TESTED, "v2", "experiment e1 is running: stop it first"),
        (CANARY, "v2", "v2 is in canary: reject it or wait"),
        (SHADOW, "v2", "v2 is shadow and cannot become ab"),
        (after(WAITING, "paused"), "v2", "it is paused"),
    ],
    ids=["another runs", "in canary", "in shadow", "paused"],
)
def test_an_experiment_cannot_start_beside(document: Document, version: str, said: str) -> None:
    refused(document, "experiment started", version, said, experiment=experiment(version))


def test_a_canary_cannot_start_beside_an_experiment() -> None:
    both = started(after(after(TWO, "candidate entered", "v3"), "shadow started", "v3"), "v1", "v2")

    refused(both, "canary started", "v3", "experiment e1 has the traffic", share=0.05)


def test_an_experiment_is_not_stopped_twice() -> None:
    ended = after(TESTED, "experiment ended", "v2")

    refused(ended, "experiment ended", "v2", "no experiment is running")


def test_an_experiment_that_says_nothing_of_what_it_compares_is_refused() -> None:
    refused(WAITING, "experiment started", "v2", "must say what it compares")


def test_a_verdict_needs_an_experiment() -> None:
    refused(WAITING, "promoted", "v2", "no experiment ends", verdict="challenger wins")


# Pause


def test_a_pause_says_why_and_is_not_repeated() -> None:
    paused = after(ONE, "paused")
    resumed = after(paused, "resumed")

    assert (paused.paused, resumed.paused) == ("so", None)
    refused(paused, "paused", "v1", "paused already: so")
    refused(resumed, "resumed", "v1", "it is not paused")


def test_a_pause_without_a_reason_is_a_pause() -> None:
    change = Change(type="paused", version="v1", by="a person", reason="")

    assert transitions.apply(ONE, change, LATER, 1).paused


def test_a_person_may_promote_and_roll_back_a_paused_endpoint() -> None:
    promoted = after(after(WAITING, "paused"), "promoted", "v2")
    back = after(promoted, "rolled back", "v1")

    assert (promoted.champion, back.champion) == ("v2", "v1")
    assert (promoted.paused, back.paused) == ("so", "so")


# What every change does


@pytest.mark.parametrize("seen", [0, 1, 3])
def test_a_change_decided_on_another_generation_is_refused(seen: int) -> None:
    with pytest.raises(DocumentChangedError, match="decide again"):
        transitions.apply(TWO, asked("rolled back", "v1"), LATER, seen)


@pytest.mark.parametrize("kind", ["candidate entered", "shadow started", "paused"])
def test_an_endpoint_begins_with_a_champion(kind: Any) -> None:
    with pytest.raises(ForbiddenChangeError, match="it has no champion"):
        transitions.first(given.NAME, asked(kind), NOW)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ForbiddenChangeError, match="has no zone"):
        transitions.first(given.NAME, asked("promoted"), NAIVE)
    refused(ONE, "paused", "v1", "has no zone", time=NAIVE)


def test_a_rule_to_fall_back_to_stays_until_another_comes() -> None:
    ruled = after(ONE, "candidate entered", "v2", fallback="rule 1")
    promoted = after(ruled, "promoted", "v2")
    changed = after(promoted, "candidate entered", "v3", fallback="rule 2")

    assert [ruled.fallback, promoted.fallback, changed.fallback] == ["rule 1", "rule 1", "rule 2"]


def test_a_decision_is_what_will_be_read_back() -> None:
    policy, figures = {"canary": (0.05, 0.25)}, {"rows": (1, 2), "lower": float("nan"), "at": NOW}

    decision = after(ONE, "paused", policy=policy, figures=figures).last

    assert decision == msgspec.json.decode(msgspec.json.encode(decision), type=type(decision))
    assert (decision.policy["canary"], decision.figures["lower"]) == ([0.05, 0.25], None)


def test_figures_that_cannot_be_written_stop_a_change_before_it_is_made() -> None:
    with pytest.raises(TypeError):
        after(ONE, "paused", figures={"gain": np.float32(0.1)})


@pytest.mark.parametrize(
    ("document", "kind", "version", "more", "verdict"),
    [
        (TESTED, "experiment ended", "v2", {}, "inconclusive"),
        (TESTED, "experiment ended", "v2", {"verdict": "champion stays"}, "champion stays"),
        (TESTED, "promoted", "v2", {"verdict": "challenger wins"}, "challenger wins"),
        (TESTED, "promoted", "v2", {}, "inconclusive"),
        (TESTED_OLD, "rolled back", "v1", {}, "inconclusive"),
    ],
)
def test_an_experiment_that_ends_is_announced_with_its_verdict_whatever_ended_it(
    document: Document, kind: str, version: str, more: dict[str, Any], verdict: str
) -> None:
    ended = after(document, kind, version, **more)

    announced = events.announcements(given.NAME, ended.last)
    found = [event for event in announced if isinstance(event, events.ExperimentEnded)]
    assert [(event.experiment, event.verdict) for event in found] == [("e1", verdict)]


@pytest.mark.parametrize(
    "document", [ONE, TWO, WAITING, SHADOW, CANARY, ROLLED_BACK, TESTED, TESTED_OLD]
)
def test_every_decision_can_be_announced(document: Document) -> None:
    assert isinstance(events.announcements(given.NAME, document.last), list)


def test_no_version_comes_back_from_being_rejected() -> None:
    assert MOVES["rejected"] == frozenset()
    assert all(None not in allowed for allowed in MOVES.values())
