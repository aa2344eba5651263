"""What the rollout does next, in each situation."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from evergreen.contract.endpoint import Policy
from evergreen.registry import transitions
from evergreen.registry.state import Document, Experiment
from evergreen.registry.transitions import Change
from evergreen.rollout import status
from evergreen.rollout.decide import BY, decide
from evergreen.rollout.evidence import ArmDay, Evidence, Guard, PairedDay, Waiting
from tests.support import given
from tests.support.given import NOW

DAY = timedelta(days=1)
FIRST = date(2013, 2, 1)
POLICY = Policy(
    promotion="superior", margin=0.005, shadow_days=14, max_shadow_days=45, label_days=7,
    canary=(0.05, 0.25, 0.5), canary_days=1.0, canary_rows=100, watch_days=14, watch_min_days=3,
)  # fmt: skip
EASY = replace(POLICY, promotion="not worse")
REGRET = replace(POLICY, promotion="expected regret", margin=0.01)
AUTOPILOT, APPROVAL = 4, 3


def after(document: Document, kind: Any, version: str, **more: Any) -> Document:
    time = more.pop("time", NOW)
    change = Change(type=kind, version=version, by="a person", reason="so", **more)
    return transitions.apply(document, change, time, document.generation)


ONE = given.document("v1")
WAITING = after(ONE, "candidate entered", "v2")
SHADOW = after(WAITING, "shadow started", "v2")
CANARY = after(SHADOW, "canary started", "v2", share=0.05)
WIDEST = after(CANARY, "canary widened", "v2", share=0.5)
PROMOTED = after(WAITING, "promoted", "v2")
ASKED = Experiment(
    id="e1", control="v1", treatment="v2", share=0.2, hypothesis="", min_rows=200, start=NOW,
    end=NOW + 60 * DAY, promote=True,
)  # fmt: skip
TESTED = after(WAITING, "experiment started", "v2", experiment=ASKED)


def days(mean: float, count: int = 20, spread: float = 0.01, rows: int = 300) -> list[PairedDay]:
    """Return days whose gains have exactly this mean, and about this spread."""
    noise = np.random.default_rng(count).normal(0, 1, count)
    noise = (noise - noise.mean()) * spread
    return [
        PairedDay(day=FIRST + n * DAY, rows=rows, gain=float(mean + each))
        for n, each in enumerate(noise)
    ]


def arm(loss: float, count: int = 20, labelled: int = 80, rows: int = 100) -> list[ArmDay]:
    return [
        ArmDay(day=FIRST + n * DAY, rows=rows, labelled=labelled, loss=loss + 0.01 * (n % 2) * loss)
        for n in range(count)
    ]


def evidence(at: datetime = NOW + 5 * DAY, **more: Any) -> Evidence:
    return Evidence(at=at, **more)


GOOD = Guard(requests=2_000, rows=2_000)


def decided(
    document: Document, found: Evidence, policy: Policy = POLICY, level: int = AUTOPILOT
) -> Change | None:
    """Return what is decided, after checking that the document allows it."""
    change = decide(document, found, policy, level)
    if change:
        transitions.apply(document, change, found.at, document.generation)
    return change


def kind(
    document: Document, found: Evidence, policy: Policy = POLICY, level: int = AUTOPILOT
) -> str | None:
    change = decided(document, found, policy, level)
    return change.type if change else None


# Nothing to do


@pytest.mark.parametrize("document", [ONE, WAITING, SHADOW, CANARY, PROMOTED, TESTED])
@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_no_evidence_changes_nothing(document: Document, level: int) -> None:
    assert kind(document, evidence(), level=level) is None


EVERYTHING = evidence(
    waiting=Waiting("v2", "v1"),
    paired=days(0.05),
    watched=days(0.05),
    canary=Guard(requests=1_000, failed=500),
    champion=Guard(requests=1_000, failed=500),
    alarms=["performance degraded"],
    control=arm(0.6),
    treatment=arm(0.4),
    keys=(4_000, 1_000),
)


@pytest.mark.parametrize("document", [WAITING, SHADOW, CANARY, PROMOTED, TESTED])
def test_a_paused_endpoint_stands_still_whatever_the_evidence(document: Document) -> None:
    paused = after(document, "paused", "v1")

    assert kind(document, EVERYTHING) is not None
    assert kind(paused, EVERYTHING) is None
    assert kind(after(paused, "resumed", "v1"), EVERYTHING) is not None


@pytest.mark.parametrize("document", [WAITING, SHADOW, CANARY, PROMOTED, TESTED])
def test_evidence_older_than_the_last_decision_decides_nothing(document: Document) -> None:
    assert kind(document, replace(EVERYTHING, at=NOW - timedelta(seconds=1))) is None


@pytest.mark.parametrize("document", [WAITING, SHADOW, CANARY, PROMOTED])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_below_autopilot_a_person_decides_on_challengers(document: Document, level: int) -> None:
    assert kind(document, EVERYTHING, level=level) is None


def test_the_same_state_and_evidence_lead_to_the_same_decision() -> None:
    assert decided(SHADOW, EVERYTHING) == decided(SHADOW, EVERYTHING)


# A candidate


def test_a_candidate_that_passed_its_gate_against_the_champion_goes_to_shadow() -> None:
    assert kind(WAITING, evidence(waiting=Waiting("v2", "v1"))) == "shadow started"


@pytest.mark.parametrize("alone", [None, "its schema has no `temp`"])
def test_a_candidate_compared_with_another_champion_is_stale(alone: str | None) -> None:
    change = decided(WAITING, evidence(waiting=Waiting("v2", "v0", alone)))

    assert change is not None
    assert change.type == "challenger rejected"
    assert change.reason.startswith("stale: its gate compared it with v0, and v1 is the champion")


def test_a_candidate_that_cannot_read_the_champions_requests_waits_for_a_person() -> None:
    assert kind(WAITING, evidence(waiting=Waiting("v2", "v1", "it has no `temp`"))) is None


def test_a_candidate_that_cannot_be_loaded_is_rejected() -> None:
    change = decided(WAITING, evidence(broken={"v2": "model.onnx is missing"}))

    assert change is not None
    assert (change.type, change.reason) == ("challenger rejected", "model.onnx is missing")


def test_what_waited_in_another_generation_is_not_what_waits_now() -> None:
    assert kind(WAITING, evidence(waiting=Waiting("v7", "v1"))) is None


def test_a_candidate_waits_until_the_challenger_is_decided_on() -> None:
    both = after(SHADOW, "candidate entered", "v3")

    assert kind(both, evidence(waiting=Waiting("v3", "v1"), paired=days(0.0))) is None
    assert kind(WAITING, evidence(waiting=Waiting("v2", "v1"))) == "shadow started"


# A challenger in shadow


@pytest.mark.parametrize(
    ("policy", "mean", "expected"),
    [
        (POLICY, 0.02, "canary started"),
        (POLICY, 0.002, None),
        (POLICY, -0.002, None),
        (POLICY, -0.02, "challenger rejected"),
        (EASY, 0.02, "canary started"),
        (EASY, 0.005, "canary started"),
        (EASY, -0.002, None),
        (EASY, -0.02, "challenger rejected"),
        (REGRET, 0.02, "canary started"),
        (REGRET, 0.002, None),
        (REGRET, -0.002, None),
        (REGRET, -0.02, "challenger rejected"),
    ],
)
def test_what_a_challenger_has_to_show(policy: Policy, mean: float, expected: str | None) -> None:
    assert kind(SHADOW, evidence(paired=days(mean)), policy) == expected


@pytest.mark.parametrize("paired", [[], days(0.0, count=3), days(-0.002)])
def test_the_champions_own_recipe_on_newer_data_needs_no_days_in_shadow(
    paired: list[PairedDay],
) -> None:
    change = decided(SHADOW, evidence(paired=paired, refreshed=True))

    assert change is not None
    assert (change.type, change.share) == ("canary started", 0.05)
    assert change.reason.startswith("refreshed: ")
    assert kind(SHADOW, evidence(paired=paired)) is None
    assert kind(CANARY, evidence(paired=paired, refreshed=True)) is None, "it has not waited"


def test_the_champions_own_recipe_goes_back_where_it_is_surely_worse() -> None:
    assert kind(SHADOW, evidence(paired=days(-0.02), refreshed=True)) == "challenger rejected"
    assert kind(SHADOW, evidence(paired=days(-0.02, count=8), refreshed=True)) is None


@pytest.mark.parametrize("mean", [0.05, -0.05])
def test_a_difference_on_fewer_days_than_the_policy_asks_for_is_no_reason(mean: float) -> None:
    assert kind(SHADOW, evidence(paired=days(mean, count=13))) is None
    assert kind(SHADOW, evidence(paired=days(mean, count=14))) is not None


def test_a_flood_of_labels_on_few_days_is_no_reason() -> None:
    assert kind(SHADOW, evidence(paired=days(0.05, count=5, rows=10_000_000))) is None


@pytest.mark.parametrize("policy", [POLICY, EASY])
@pytest.mark.parametrize("count", [2, 14, 44, 45, 300])
def test_a_twin_of_the_champion_is_never_promoted_and_ends_inconclusive(
    policy: Policy, count: int
) -> None:
    twins = [PairedDay(day=FIRST + n * DAY, rows=100, gain=0.0) for n in range(count)]

    change = decided(SHADOW, evidence(paired=twins), policy)

    assert (change is None) == (count < 45)
    if change:
        assert change.type == "challenger rejected"
        assert change.reason.startswith("inconclusive: gain +0.0000")


@pytest.mark.parametrize("policy", [POLICY, EASY])
def test_a_challenger_that_ties_on_average_leaves_the_champion_in_place(policy: Policy) -> None:
    assert kind(SHADOW, evidence(paired=days(0.0, spread=0.001)), policy) is None


def test_a_gain_that_is_the_same_each_day_is_certain_only_after_the_days_asked_for() -> None:
    few = replace(POLICY, shadow_days=2)
    alike = [PairedDay(day=FIRST + n * DAY, rows=100, gain=0.01) for n in range(20)]

    assert kind(SHADOW, evidence(paired=alike[:4]), few) is None
    assert kind(SHADOW, evidence(paired=alike)) == "canary started"


@pytest.mark.parametrize("document", [SHADOW, CANARY])
@pytest.mark.parametrize(
    ("found", "longest"), [([], 45), (days(0.05, count=1), 45), (days(0.001, count=6), 52)]
)
def test_a_challenger_whose_labels_stopped_coming_is_not_in_the_way_for_ever(
    document: Document, found: list[PairedDay], longest: int
) -> None:
    assert kind(document, evidence(NOW + longest * DAY, paired=found)) is None

    change = decided(document, evidence(NOW + (longest + 1) * DAY, paired=found))

    assert change is not None
    assert change.type == "challenger rejected"
    assert change.reason.startswith("inconclusive: ")


@pytest.mark.parametrize("gain", [float("nan"), 1e308])
def test_figures_that_are_no_numbers_promote_nothing(gain: float) -> None:
    days = [PairedDay(day=FIRST + n * DAY, rows=1, gain=gain * (-1) ** n) for n in range(2)]

    with np.errstate(all="ignore"):
        assert kind(SHADOW, evidence(paired=days * 10), EASY) is None


@pytest.mark.parametrize("document", [SHADOW, CANARY])
def test_a_challenger_that_cannot_be_loaded_is_rejected(document: Document) -> None:
    found = evidence(paired=days(0.05), canary=GOOD, broken={"v2": "golden rows differ"})

    change = decided(document, found)

    assert change is not None
    assert (change.type, change.reason) == ("challenger rejected", "golden rows differ")


def test_a_challenger_that_has_won_waits_for_an_experiment_that_has_the_traffic() -> None:
    old = after(after(PROMOTED, "candidate entered", "v3"), "shadow started", "v3")
    asked = Experiment(
        id="e2", control="v2", treatment="v1", share=0.2, hypothesis="", min_rows=200, start=NOW,
        end=NOW + 99 * DAY,
    )  # fmt: skip
    tested = after(old, "experiment started", "v1", experiment=asked)
    found = evidence(paired=days(0.05, count=50))

    assert kind(old, found) == "canary started"
    assert kind(tested, found) is None
    assert kind(tested, replace(found, paired=days(-0.05))) == "challenger rejected"


# A canary


def canary(at: datetime = NOW + 5 * DAY, **more: Any) -> Evidence:
    return evidence(at, **({"paired": days(0.02), "canary": GOOD} | more))


@pytest.mark.parametrize("policy", [POLICY, EASY])
def test_a_canary_is_widened_step_by_step_and_then_promoted(policy: Policy) -> None:
    document, at, steps = SHADOW, NOW, []
    while document.champion == "v1":
        at += DAY
        change = decided(document, canary(at), policy)
        assert change is not None
        steps.append((change.type, change.share))
        document = transitions.apply(document, change, at, document.generation)

    assert steps == [
        ("canary started", 0.05),
        ("canary widened", 0.25),
        ("canary widened", 0.5),
        ("promoted", 0.0),
    ]


@pytest.mark.parametrize(
    "found",
    [canary(NOW + 0.99 * DAY), canary(canary=Guard(requests=99, rows=99))],
    ids=["too short", "too few rows"],
)
def test_a_canary_that_has_not_answered_for_long_enough_stays(found: Evidence) -> None:
    assert kind(CANARY, found) is None
    assert kind(WIDEST, found) is None


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        (Guard(requests=1_000, rows=1_000, failed=50), "it failed to answer 50 of 1,000"),
        (Guard(requests=1_000, rows=1_000, slow=50), "took over 500 ms"),
        (Guard(requests=1_000, rows=1_000, psi=0.5, drifted=True), "answers drifted away"),
    ],
)
@pytest.mark.parametrize("document", [CANARY, WIDEST])
def test_a_canary_with_a_fault_is_rejected_however_much_it_gains(
    document: Document, guard: Guard, said: str
) -> None:
    change = decided(document, canary(NOW + timedelta(hours=1), canary=guard))

    assert change is not None
    assert change.type == "challenger rejected"
    assert said in change.reason
    assert change.figures["canary"]["requests"] == 1_000


@pytest.mark.parametrize("policy", [POLICY, EASY])
@pytest.mark.parametrize(
    ("mean", "spread", "expected"),
    [(-0.02, 0.01, "challenger rejected"), (-0.001, 0.01, None), (0.002, 0.02, None)],
)
def test_a_canary_goes_on_only_while_the_labels_still_speak_for_it(
    policy: Policy, mean: float, spread: float, expected: str | None
) -> None:
    assert kind(WIDEST, canary(paired=days(mean, spread=spread)), policy) == expected


def test_a_canary_that_is_not_better_after_its_longest_time_is_inconclusive() -> None:
    assert kind(WIDEST, canary(paired=days(0.0, count=45))) == "challenger rejected"
    assert kind(WIDEST, canary(paired=days(0.02, count=45))) == "promoted"


def test_a_canary_without_requests_is_not_in_the_way_for_ever() -> None:
    assert kind(WIDEST, canary(NOW + 52 * DAY, canary=Guard())) is None
    assert kind(WIDEST, canary(NOW + 53 * DAY, canary=Guard())) == "challenger rejected"


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((), ["promoted"]),
        ((1.0,), ["promoted"]),
        ((0.0, -1.0, float("nan"), 2.0), ["promoted"]),
        ((0.5, 0.1), ["canary started", "canary widened", "promoted"]),
        ((0.1, 0.1), ["canary started", "promoted"]),
    ],
)
def test_a_policy_with_any_shares_leads_to_an_end(
    shares: tuple[float, ...], expected: list[str]
) -> None:
    policy = replace(POLICY, canary=shares)
    document, at, steps = SHADOW, NOW, []
    while document.champion == "v1":
        at += DAY
        change = decided(document, canary(at), policy)
        assert change is not None
        steps.append(change.type)
        document = transitions.apply(document, change, at, document.generation)

    assert steps == expected


def test_steps_that_a_policy_no_longer_has_do_not_stop_a_canary() -> None:
    assert kind(WIDEST, canary(), replace(POLICY, canary=(0.01, 0.02))) == "promoted"


# The watch


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"watched": days(0.05, count=5)}, "v1 would have been better by 0.0500"),
        ({"alarms": ["performance degraded since 2013-02-03"]}, "performance degraded since"),
        ({"champion": Guard(requests=1_000, failed=60)}, "it failed to answer 60 of 1,000"),
        ({"broken": {"v2": "model.onnx is missing"}}, "model.onnx is missing"),
    ],
    ids=["worse", "an alarm", "failures", "broken"],
)
def test_a_young_champion_is_rolled_back_within_one_tick(
    found: Mapping[str, Any], said: str
) -> None:
    change = decided(PROMOTED, evidence(**found))

    assert change is not None
    assert (change.type, change.version) == ("rolled back", "v1")
    assert said in change.reason


@pytest.mark.parametrize(
    "watched",
    [days(0.0), days(-0.05), days(0.05, count=2), days(0.003, count=6)],
    ids=["equal", "better", "two days", "within chance"],
)
def test_a_young_champion_that_may_be_as_good_stays(watched: list[PairedDay]) -> None:
    assert kind(PROMOTED, evidence(watched=watched)) is None


def test_four_days_that_happen_to_be_alike_roll_nothing_back() -> None:
    alike = [PairedDay(day=FIRST + n * DAY, rows=100, gain=0.01) for n in range(4)]

    assert kind(PROMOTED, evidence(watched=alike)) is None


def test_the_watch_ends_after_its_days() -> None:
    last = NOW + 14 * DAY

    assert kind(PROMOTED, evidence(last, watched=days(0.05))) == "rolled back"
    assert kind(PROMOTED, evidence(last + timedelta(seconds=1), watched=days(0.05))) is None


def test_after_a_rollback_there_is_nothing_to_return_to() -> None:
    back = after(PROMOTED, "rolled back", "v1")

    assert kind(back, replace(EVERYTHING, waiting=None)) is None


def test_a_champion_is_not_rolled_back_to_one_that_cannot_be_loaded() -> None:
    broken = {"v1": "model.onnx is missing"}

    assert kind(PROMOTED, evidence(alarms=["worse"], broken=broken)) is None
    assert kind(PROMOTED, evidence(alarms=["worse"])) == "rolled back"


def test_a_champion_is_not_rolled_back_to_one_that_turns_callers_away() -> None:
    failing = Guard(requests=1_000, failed=60)

    assert kind(PROMOTED, evidence(champion=failing, one_way="it needs a field")) is None


def test_an_alarm_does_not_bring_back_a_champion_that_is_surely_worse_yet() -> None:
    alarms = ["performance degraded"]

    assert kind(PROMOTED, evidence(alarms=alarms, watched=days(-0.05))) is None
    assert kind(PROMOTED, evidence(alarms=alarms, watched=days(-0.05, count=2))) == "rolled back"
    failing = Guard(requests=1_000, failed=60)
    assert kind(PROMOTED, evidence(champion=failing, watched=days(-0.05))) == "rolled back"


def test_a_rollback_comes_before_a_challenger_and_before_an_experiment() -> None:
    canary = after(after(PROMOTED, "candidate entered", "v3"), "shadow started", "v3")
    canary = after(canary, "canary started", "v3", share=0.5)
    asked = Experiment(
        id="e3", control="v2", treatment="v1", share=0.2, hypothesis="", min_rows=1, start=NOW,
        end=NOW + DAY,
    )  # fmt: skip
    tested = after(PROMOTED, "experiment started", "v1", experiment=asked)

    assert kind(canary, EVERYTHING) == "rolled back"
    assert kind(tested, EVERYTHING) == "rolled back"


# An experiment


def compared(loss: float, at: datetime = NOW + 30 * DAY, **more: Any) -> Evidence:
    found = {"control": arm(0.5), "treatment": arm(loss), "keys": (4_000, 1_000)}
    return Evidence(at=at, **(found | more))


def verdict(document: Document, found: Evidence, level: int = 2) -> tuple[str, str | None] | None:
    change = decided(document, found, level=level)
    return (change.type, change.verdict) if change else None


@pytest.mark.parametrize("level", [2, 3, 4])
def test_a_treatment_that_wins_is_promoted_where_a_person_asked_for_that(level: int) -> None:
    plain = after(
        WAITING, "experiment started", "v2",
        experiment=Experiment(
            id="e1", control="v1", treatment="v2", share=0.2, hypothesis="", min_rows=200,
            start=NOW, end=NOW + 60 * DAY,
        ),
    )  # fmt: skip

    assert verdict(TESTED, compared(0.4), level) == ("promoted", "challenger wins")
    assert verdict(plain, compared(0.4), level) == ("experiment ended", "challenger wins")


def test_a_treatment_that_loses_leaves_the_champion() -> None:
    assert verdict(TESTED, compared(0.6)) == ("experiment ended", "champion stays")


@pytest.mark.parametrize(
    "found",
    [
        compared(0.5),
        compared(0.4, control=arm(0.5, count=13), treatment=arm(0.4, count=13)),
        compared(0.4, treatment=arm(0.4, labelled=8), control=arm(0.5, labelled=8)),
        compared(0.4, control=[], treatment=[], keys=(0, 0)),
        compared(0.4, keys=(1_000, 1_000)),
        compared(0.4, control=arm(0.5, labelled=99), treatment=arm(0.4, labelled=50)),
    ],
    ids=["a tie", "few days", "few labels", "no traffic", "another split", "labels missing"],
)
def test_what_does_not_decide_an_experiment_leaves_it_inconclusive_at_its_end(
    found: Evidence,
) -> None:
    assert verdict(TESTED, found) is None
    assert verdict(TESTED, replace(found, at=ASKED.end)) == ("experiment ended", "inconclusive")


def test_an_experiment_whose_arm_cannot_be_loaded_ends() -> None:
    found = compared(0.4, broken={"v2": "model.onnx is missing"})

    assert verdict(TESTED, found) == ("experiment ended", "inconclusive")


def test_the_one_labelled_request_of_an_arm_does_not_win() -> None:
    lucky = [ArmDay(day=FIRST, rows=1, labelled=1, loss=0.0)]

    found = compared(0.4, treatment=lucky)

    assert verdict(TESTED, found) is None
    assert verdict(TESTED, replace(found, at=ASKED.end)) == ("experiment ended", "inconclusive")


def test_two_other_arms_than_the_champion_were_to_get_the_same_share() -> None:
    three = after(PROMOTED, "candidate entered", "v3")
    asked = Experiment(
        id="e4", control="v1", treatment="v3", share=0.2, hypothesis="", min_rows=200, start=NOW,
        end=NOW + 60 * DAY,
    )  # fmt: skip
    document = after(three, "experiment started", "v3", experiment=asked)

    even, uneven = compared(0.4, keys=(900, 1_000)), compared(0.4, keys=(4_000, 1_000))

    assert verdict(document, even, 3) == ("experiment ended", "challenger wins")
    assert verdict(document, uneven, 3) is None


# What a decision says


def test_a_decision_says_by_which_rules_and_on_what_figures() -> None:
    change = decided(SHADOW, evidence(paired=days(0.02)))

    assert change is not None
    assert change.by == BY
    assert change.policy == POLICY.rules
    assert set(change.policy) <= set(Policy.__dataclass_fields__)
    assert {"days", "rows", "gain", "lower", "upper"} <= set(change.figures)
    assert change.reason.startswith("superior: gain +0.0200, from +0.0")


@pytest.mark.parametrize(
    ("rows", "said"),
    [(2, "(about 98.0 more days at this rate)"), (0, "so far; "), (100, "so far; ")],
)
def test_a_canary_says_how_long_its_rows_still_take(rows: int, said: str) -> None:
    found = evidence(NOW + 2 * DAY, canary=Guard(requests=rows, rows=rows))

    (text,) = status.waits(CANARY, found, POLICY, 4, None)

    assert said in text
