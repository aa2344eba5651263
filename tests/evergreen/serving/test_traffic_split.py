"""Which version answers a key: shares hold, keys stay, and no two arms share one."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.registry.state import Challenger, Document, Experiment
from evergreen.serving.traffic_split import arm, fraction
from tests.support import given
from tests.support.given import NOW, version

CHAMPION, OTHER, THIRD = version(1), version(2), version(3)
KEYS = st.text(min_size=1, max_size=256)
SHARES = st.floats(0.01, 0.99)


def canary(share: float, challenger: str = OTHER, generation: int = 3) -> Document:
    found = Challenger(
        version=challenger,
        stage="canary",
        started=NOW,
        since=NOW,
        canary=NOW,
        share=share,
        generation=generation,
    )
    return replaced(challenger=found)


def experiment(share: float, control: str = CHAMPION, id: str = "an experiment") -> Document:  # noqa: A002
    found = Experiment(
        id=id, control=control, treatment=OTHER, share=share, hypothesis="better", min_rows=1,
        start=NOW, end=NOW + timedelta(days=1),
    )  # fmt: skip
    return replaced(experiment=found)


def replaced(**fields: object) -> Document:
    return msgspec.structs.replace(given.document(CHAMPION), **fields)


def shares(document: Document, keys: int = 20_000) -> dict[str | None, float]:
    found = [arm(document, f"customer {number}") for number in range(keys)]
    return {version: found.count(version) / keys for version in set(found)}


def test_without_a_canary_or_an_experiment_the_champion_answers_everybody() -> None:
    assert shares(given.document(CHAMPION), 100) == {None: 1.0}


def test_a_challenger_in_shadow_answers_nobody() -> None:
    assert shares(canary(0.0), 100) == {None: 1.0}


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_a_canary_gets_its_share_of_the_keys(share: float) -> None:
    assert shares(canary(share))[OTHER] == pytest.approx(share, abs=0.012)  # 3.5 sigma


def test_each_arm_of_an_experiment_gets_its_share_and_the_champion_the_rest() -> None:
    found = shares(experiment(0.3, control=THIRD))

    assert found == pytest.approx({OTHER: 0.3, THIRD: 0.3, None: 0.4}, abs=0.012)


def test_two_arms_of_one_half_leave_nothing_to_the_champion() -> None:
    assert set(shares(experiment(0.5, control=THIRD))) == {OTHER, THIRD}


@hypothesis_given(KEYS, SHARES)
def test_a_key_stays_on_its_version(key: str, share: float) -> None:
    assert arm(canary(share), key) == arm(canary(share), key)


@hypothesis_given(KEYS, SHARES, SHARES)
def test_a_canary_that_grows_keeps_the_keys_that_it_has(key: str, one: float, two: float) -> None:
    small, large = sorted([one, two])

    if arm(canary(small), key) == OTHER:
        assert arm(canary(large), key) == OTHER


@hypothesis_given(KEYS, st.floats(0.01, 0.5))
def test_no_key_belongs_to_two_arms(key: str, share: float) -> None:
    """It is in one of them, or the champion's: nobody is in both, whatever the other's share."""
    both = arm(experiment(share, control=THIRD), key)
    place = fraction("an experiment", key)

    assert both == (THIRD if place < share else OTHER if place < 2 * share else None)


@hypothesis_given(KEYS, st.text())
def test_a_fraction_is_at_least_zero_and_below_one(key: str, salt: str) -> None:
    assert 0 <= fraction(salt, key) < 1


def test_the_highest_hash_is_still_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Highest:
        def digest(self) -> bytes:
            return b"\xff" * 32

    monkeypatch.setattr("hashlib.sha256", lambda _: Highest())

    assert 0.999 < fraction("a", "b") < 1


@pytest.mark.parametrize(
    ("one", "other"),
    [(canary(0.5), canary(0.5, OTHER, 5)), (experiment(0.5), experiment(0.5, id="the next"))],
    ids=["canaries", "experiments"],
)
def test_the_next_comparison_does_not_meet_the_same_keys(one: Document, other: Document) -> None:
    keys = [f"customer {number}" for number in range(4_000)]

    both = sum(arm(one, key) is not None and arm(other, key) is not None for key in keys)

    assert both / len(keys) == pytest.approx(0.25, abs=0.03)


def test_the_bytes_of_a_version_do_not_decide_who_meets_it() -> None:
    keys = [f"customer {number}" for number in range(200)]
    one, other = canary(0.5), canary(0.5, THIRD)

    assert [arm(one, key) is None for key in keys] == [arm(other, key) is None for key in keys]


def test_a_canary_that_an_older_release_began_keeps_its_keys() -> None:
    for key in (f"customer {number}" for number in range(200)):
        expected = OTHER if fraction(OTHER, key) < 0.5 else None
        assert arm(canary(0.5, generation=0), key) == expected


def test_the_split_is_written_down_and_stays_what_it_is() -> None:
    """A release that split otherwise would move customers in the middle of a test."""
    assert fraction("salt", "key") == 0.781908867796513
