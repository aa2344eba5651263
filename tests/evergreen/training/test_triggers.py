"""What keeps a training from starting, and who may start one all the same."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from evergreen.contract.endpoint import Policy
from evergreen.registry.manifest import Manifest
from evergreen.training.train_version import Trained
from evergreen.training.triggers import State, by_hand, enough, reason_to_skip
from tests.support import given

AUTOMATIC = ["schedule", "drift", "performance", "labels"]
POLICY = Policy(cooldown_days=7)
LATER = given.NOW + timedelta(days=10)


@pytest.fixture
def last(trained: Trained) -> Manifest:
    """A version that was trained at given.NOW on 900 rows."""
    return trained.manifest


def state(last: Manifest | None = None, **more: Any) -> State:
    return State(now=LATER, last=last, **more)


@pytest.mark.parametrize("trigger", [*AUTOMATIC, "upload", "manual"])
def test_where_nothing_stands_in_the_way_every_trigger_trains(trigger: str, last: Manifest) -> None:
    document = given.document()

    assert reason_to_skip(trigger, LATER, POLICY, state()) is None
    assert reason_to_skip(trigger, LATER, POLICY, state(last, document=document)) is None


@pytest.mark.parametrize("trigger", [*AUTOMATIC, "upload"])
def test_a_paused_endpoint_trains_for_a_person_only(trigger: str, last: Manifest) -> None:
    paused = msgspec.structs.replace(given.document(), paused="audit")

    assert "audit" in str(reason_to_skip(trigger, LATER, POLICY, state(last, document=paused)))
    assert reason_to_skip("manual", LATER, POLICY, state(last, document=paused)) is None


@pytest.mark.parametrize("trigger", AUTOMATIC)
def test_what_starts_by_itself_waits_for_the_version_that_is_under_way(trigger: str) -> None:
    waiting = state(in_flight="v2 waits")

    assert reason_to_skip(trigger, LATER, POLICY, waiting) == "v2 waits"
    assert reason_to_skip("manual", LATER, POLICY, waiting) is None
    assert reason_to_skip("upload", LATER, POLICY, waiting) is None


@pytest.mark.parametrize("trigger", AUTOMATIC)
def test_a_schema_violation_stops_what_starts_by_itself(trigger: str) -> None:
    violated = state(violated=("visib",))

    assert "schema violated (visib)" in str(reason_to_skip(trigger, LATER, POLICY, violated))
    assert reason_to_skip("manual", LATER, POLICY, violated) is None
    assert reason_to_skip("upload", LATER, POLICY, violated) is None


@pytest.mark.parametrize(
    ("trigger", "waits"),
    [("drift", True), ("performance", True), ("labels", True), ("schedule", False),
     ("upload", False), ("manual", False)],
)  # fmt: skip
def test_the_cooldown_holds_for_what_may_come_at_any_time(
    trigger: str, waits: bool, last: Manifest
) -> None:
    for at, within in ((given.NOW + timedelta(days=7), False), (given.NOW + timedelta(6.9), True)):
        found = reason_to_skip(trigger, at, POLICY, state(last))

        assert ("cooldown" in str(found)) is (waits and within)


@pytest.mark.parametrize("trigger", [*AUTOMATIC, "upload", "manual"])
def test_nothing_trains_for_a_time_before_the_last_training_or_in_the_future(
    trigger: str, last: Manifest
) -> None:
    before, after = given.NOW - timedelta(seconds=1), LATER + timedelta(seconds=1)

    assert "older than" in str(reason_to_skip(trigger, before, POLICY, state(last)))
    assert "in the future" in str(reason_to_skip(trigger, after, POLICY, state(last)))


@pytest.mark.parametrize(
    ("labels", "share", "rows", "worth"),
    [(999, 0.2, 900, False), (1_000, 0.2, 900, True), (1_999, 0.2, 10_000, False),
     (2_000, 0.2, 10_000, True), (10**9, None, 900, False)],
)  # fmt: skip
def test_so_many_labels_are_worth_a_training_as_a_share_of_the_last_and_a_thousand(
    labels: int, share: float | None, rows: int, worth: bool, last: Manifest
) -> None:
    lineage = msgspec.structs.replace(last.lineage, data_rows=rows)
    before = msgspec.structs.replace(last, lineage=lineage)

    assert enough(labels, before, Policy(new_labels=share)) is worth


def test_an_unknown_word_is_a_person_who_asked() -> None:
    assert by_hand("person")
    assert not by_hand("upload")
