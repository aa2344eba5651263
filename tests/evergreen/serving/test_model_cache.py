"""The versions of a warm function, and how it learns of a promotion without ever losing one."""

from collections import Counter
from typing import Any

import msgspec
import pytest
import time_machine
from botocore.exceptions import ClientError, EndpointConnectionError

from evergreen.contract.errors import (
    CorruptArtifactError,
    ModelUnavailableError,
    NoChampionError,
    UnknownEndpointError,
    UnknownVersionError,
)
from evergreen.contract.problem import Problem
from evergreen.registry.registry import Registry
from evergreen.serving import model, model_cache
from evergreen.serving.model import ONNX
from evergreen.serving.model_cache import KEPT_VERSIONS, Serving
from evergreen.training.train_version import Trained
from tests.support import arms, given
from tests.support.arms import canary, change
from tests.support.given import NAME, Fault, injected, version

TTL = 60.0


@pytest.fixture
def warm(clock: time_machine.Traveller, registry: Registry) -> Serving:
    return Serving(registry, ttl=TTL)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the versions whose bytes reached the loader."""
    loaded: list[str] = []

    load = model.load

    def recording(manifest: Any, body: bytes, runtime: str, **more: Any) -> model.Model:
        loaded.append(manifest.version)
        return load(manifest, body, runtime, **more)

    monkeypatch.setattr(model, "load", recording)
    return loaded


def write(registry: Registry, trained: Trained, name: str) -> None:
    manifest = msgspec.structs.replace(trained.manifest, version=name)
    registry.write_version(manifest, trained.artifacts)


def promote(registry: Registry, name: str) -> None:
    seen = registry.document(NAME)
    registry.write_document(given.document(name, seen.document if seen else None), seen)


@pytest.fixture
def first(registry: Registry, trained: Trained, clock: time_machine.Traveller) -> str:
    """Promote a first version and return its id."""
    write(registry, trained, version(1))
    promote(registry, version(1))
    return version(1)


def test_the_champion_answers(warm: Serving, first: str) -> None:
    served = warm.champion(NAME)

    assert served.version == first
    assert served.variant == "champion"
    assert served.served.decoder.decode(given.body()).instances == [given.whole()]
    assert warm.stale(NAME) is None


def test_a_champion_takes_as_many_rows_as_it_may_answer(
    warm: Serving, registry: Registry, trained: Trained
) -> None:
    problem = Problem(kind="multiclass", classes=[f"{n:064d}" for n in range(100)])
    wide = msgspec.structs.replace(trained.manifest, version=version(1), problem=problem)
    registry.write_version(wide, trained.artifacts)
    promote(registry, version(1))

    decoder = warm.champion(NAME).served.decoder

    assert decoder.most == wide.max_rows < 1_000


def test_the_champion_is_loaded_once(warm: Serving, first: str, loads: list[str]) -> None:
    for _ in range(3):
        warm.champion(NAME)

    assert loads == [first]


def test_an_endpoint_without_a_champion_says_how_to_train_one(warm: Serving) -> None:
    with pytest.raises(NoChampionError, match=f"training/{NAME}/"):
        warm.champion(NAME)


@pytest.mark.parametrize("name", ["other", "../x", "", "flight_delay", "Flight-Delay"])
def test_an_unknown_endpoint_is_unknown(warm: Serving, name: str) -> None:
    with pytest.raises(UnknownEndpointError):
        warm.champion(name)


def test_a_champion_may_come_after_the_first_question(
    warm: Serving, registry: Registry, trained: Trained
) -> None:
    with pytest.raises(NoChampionError):
        warm.champion(NAME)

    write(registry, trained, version(1))
    promote(registry, version(1))

    assert warm.champion(NAME).version == version(1)


def test_within_the_ttl_s3_is_not_asked(
    warm: Serving, first: str, registry: Registry, clock: time_machine.Traveller
) -> None:
    warm.champion(NAME)
    down = Fault(error=EndpointConnectionError(endpoint_url="s3"), times=99)
    clock.shift(TTL - 0.1)

    with injected(registry.store.s3, "s3.GetObject", down):
        assert warm.champion(NAME).version == first

    assert down.hit == 0


def test_after_the_ttl_a_new_champion_answers(
    warm: Serving, first: str, registry: Registry, trained: Trained, clock: time_machine.Traveller
) -> None:
    warm.champion(NAME)
    write(registry, trained, version(2))
    promote(registry, version(2))

    clock.shift(TTL - 0.1)
    assert warm.champion(NAME).version == first

    clock.shift(0.1)
    assert warm.champion(NAME).version == version(2)
    assert warm.stale(NAME) is None


def test_a_champion_that_has_not_changed_is_looked_at_with_one_conditional_request(
    warm: Serving, first: str, registry: Registry, loads: list[str], clock: time_machine.Traveller
) -> None:
    warm.champion(NAME)
    counter = Fault(first=99)
    clock.shift(TTL)

    with injected(registry.store.s3, "s3.GetObject", counter):
        warm.champion(NAME)
        warm.champion(NAME)

    assert counter.first == 98, "one request"
    assert loads == [first]


def _break_artifact(registry: Registry, name: str) -> None:
    key = f"models/{NAME}/{name}/{ONNX}"
    stored = registry.store.get(key)
    assert stored is not None
    registry.store.put(key, b"\x00" + stored.body[1:])


def _break_manifest(registry: Registry, name: str) -> None:
    registry.store.put(f"models/{NAME}/{name}/manifest.json", b'{"format": 1')


def _lose_manifest(registry: Registry, name: str) -> None:
    registry.store.s3.delete_object(Bucket="bucket", Key=f"models/{NAME}/{name}/manifest.json")


def _lose_artifact(registry: Registry, name: str) -> None:
    registry.store.s3.delete_object(Bucket="bucket", Key=f"models/{NAME}/{name}/{ONNX}")


def _break_document(registry: Registry, _: str) -> None:
    registry.store.put(f"endpoints/{NAME}.json", b'{"endpoint": ')


def _change_golden(registry: Registry, name: str) -> None:
    manifest = registry.manifest(NAME, name)
    assert manifest is not None
    odd = msgspec.structs.replace(manifest, golden=[(row, 0.123) for row, _ in manifest.golden])
    registry.store.put(f"models/{NAME}/{name}/manifest.json", msgspec.json.encode(odd))


@pytest.mark.parametrize(
    "damage",
    [
        _break_artifact,
        _break_manifest,
        _lose_manifest,
        _lose_artifact,
        _break_document,
        _change_golden,
    ],
    ids=lambda damage: damage.__name__.strip("_"),
)
def test_a_warm_function_keeps_its_champion_when_the_new_one_cannot_be_loaded(
    warm: Serving,
    first: str,
    registry: Registry,
    trained: Trained,
    clock: time_machine.Traveller,
    damage: Any,
) -> None:
    warm.champion(NAME)
    write(registry, trained, version(2))
    promote(registry, version(2))
    damage(registry, version(2))
    clock.shift(TTL)

    assert warm.champion(NAME).version == first

    assert warm.stale(NAME), "and it says so"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, times=99),
        Fault(503, "SlowDown", times=99),
        Fault(403, "AccessDenied", times=99),
        Fault(error=EndpointConnectionError(endpoint_url="s3"), times=99),
    ],
    ids=["500", "503", "403", "no connection"],
)
def test_a_warm_function_keeps_its_champion_while_s3_is_down_and_recovers(
    warm: Serving,
    first: str,
    registry: Registry,
    trained: Trained,
    clock: time_machine.Traveller,
    fault: Fault,
) -> None:
    warm.champion(NAME)
    write(registry, trained, version(2))
    promote(registry, version(2))
    clock.shift(TTL)

    with injected(registry.store.s3, "s3.GetObject", fault):
        assert warm.champion(NAME).version == first
        tries = fault.hit
        assert warm.champion(NAME).version == first
        assert fault.hit == tries, "a failed look is not repeated before the TTL"
        assert warm.stale(NAME)

    clock.shift(TTL)
    assert warm.champion(NAME).version == version(2)
    assert warm.stale(NAME) is None


def test_a_new_champion_is_tried_again_after_it_was_restored(
    warm: Serving, first: str, registry: Registry, trained: Trained, clock: time_machine.Traveller
) -> None:
    warm.champion(NAME)
    write(registry, trained, version(2))
    promote(registry, version(2))
    _break_artifact(registry, version(2))
    clock.shift(TTL)
    warm.champion(NAME)
    registry.store.put(f"models/{NAME}/{version(2)}/{ONNX}", trained.artifacts[ONNX])

    clock.shift(TTL)

    assert warm.champion(NAME).version == version(2)


def test_a_cold_function_fails_when_s3_is_down_and_answers_when_it_is_back(
    warm: Serving, first: str, registry: Registry
) -> None:
    with (
        injected(registry.store.s3, "s3.GetObject", Fault(500, times=99)),
        pytest.raises(ClientError),
    ):
        warm.champion(NAME)

    assert warm.champion(NAME).version == first


@pytest.mark.parametrize("place", [0, 1, 7, 100, -100, -2, -1])
def test_no_flipped_byte_of_an_artifact_reaches_the_loader(
    warm: Serving, first: str, registry: Registry, trained: Trained, loads: list[str], place: int
) -> None:
    damaged = bytearray(trained.artifacts[ONNX])
    damaged[place] ^= 0xFF
    registry.store.put(f"models/{NAME}/{first}/{ONNX}", bytes(damaged))

    with pytest.raises(CorruptArtifactError):
        warm.champion(NAME)

    assert loads == []


def test_one_version_can_be_asked_for(
    warm: Serving, first: str, registry: Registry, trained: Trained
) -> None:
    write(registry, trained, version(2))

    assert warm.version(NAME, version(2)).version == version(2)
    assert warm.champion(NAME).version == first


@pytest.mark.parametrize("name", [given.version(9), "latest", "../../x", "", "a/b"])
def test_an_unknown_version_is_unknown(warm: Serving, first: str, name: str) -> None:
    with pytest.raises(UnknownVersionError):
        warm.version(NAME, name)


def test_a_version_of_an_unknown_endpoint_is_an_unknown_endpoint(warm: Serving) -> None:
    with pytest.raises(UnknownEndpointError):
        warm.version("other", version(1))


def test_a_version_that_cannot_be_loaded_does_not_touch_the_champion(
    warm: Serving, first: str, registry: Registry, trained: Trained
) -> None:
    warm.champion(NAME)
    write(registry, trained, version(2))
    _lose_artifact(registry, version(2))

    with pytest.raises(ModelUnavailableError):
        warm.version(NAME, version(2))

    assert warm.champion(NAME).version == first


def test_versions_that_were_asked_for_do_not_fill_the_memory(
    warm: Serving, first: str, registry: Registry, trained: Trained, loads: list[str]
) -> None:
    warm.champion(NAME)
    for number in range(2, KEPT_VERSIONS + 3):
        write(registry, trained, version(number))
        warm.version(NAME, version(number))
    newest = version(KEPT_VERSIONS + 2)
    before = len(loads)

    warm.version(NAME, newest)
    assert len(loads) == before, "the newest is still there"

    warm.version(NAME, version(2))
    assert len(loads) == before + 1, "the oldest is not"
    assert warm.champion(NAME).version == first
    assert len(loads) == before + 1, "and the champion always is"


def several(registry: Registry, trained: Trained, count: int) -> list[str]:
    """Return the names of so many endpoints, each with a champion."""
    names = [f"{NAME}-{number}" for number in range(count)]
    for name in names:
        manifest = msgspec.structs.replace(trained.manifest, endpoint=name, version=version(1))
        registry.write_version(manifest, trained.artifacts)
        document = msgspec.structs.replace(given.document(version(1)), endpoint=name)
        registry.write_document(document, None)
    return names


def test_of_more_endpoints_than_are_kept_the_one_asked_for_longest_ago_is_forgotten(
    registry: Registry,
    trained: Trained,
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two, three = several(registry, trained, 3)
    forgotten: list[Any] = []
    monkeypatch.setattr(
        model_cache, "measure", lambda *of, **counts: forgotten.append((*of, counts))
    )
    warm = Serving(registry, ttl=TTL, kept=2)
    asked = Fault(first=99)

    for name in (one, two, one, three):
        warm.champion(name)
    with injected(registry.store.s3, "s3.GetObject", asked):
        warm.champion(one)
        warm.champion(three)

    assert forgotten == [(two, {"ChampionsForgotten": 1})]
    assert asked.first == 99, "both were warm"
    assert warm.champion(two).version == version(1), "and the other is loaded again"


def test_no_more_champions_are_preloaded_than_are_kept(
    registry: Registry, trained: Trained, clock: time_machine.Traveller, loads: list[str]
) -> None:
    several(registry, trained, 3)

    Serving(registry, ttl=TTL, kept=2).preload()

    assert len(loads) == 2


# Snapshots


def another_endpoint(registry: Registry, trained: Trained) -> str:
    """Return the name of an endpoint with a champion, which is loaded after the first one's."""
    name = f"{NAME}-2"
    manifest = msgspec.structs.replace(trained.manifest, endpoint=name, version=version(3))
    registry.write_version(manifest, trained.artifacts)
    document = msgspec.structs.replace(given.document(version(3)), endpoint=name)
    registry.write_document(document, None)
    assert registry.endpoints() == [NAME, name]
    return name


def test_a_champion_that_was_preloaded_answers_while_s3_is_down(
    warm: Serving, first: str, registry: Registry, loads: list[str]
) -> None:
    warm.preload()

    with injected(registry.store.s3, "s3.GetObject", Fault(500, times=99)) as down:
        assert warm.champion(NAME).version == first

    assert (loads, down.hit) == ([first], 0)


def test_a_champion_that_cannot_be_preloaded_does_not_keep_the_others_from_it(
    warm: Serving, first: str, registry: Registry, trained: Trained, loads: list[str]
) -> None:
    _break_artifact(registry, first)
    sound = another_endpoint(registry, trained)

    warm.preload()

    assert loads == [version(3)]
    assert warm.champion(sound).version == version(3)
    with pytest.raises(CorruptArtifactError):
        warm.champion(NAME)


def test_a_champion_that_s3_does_not_give_does_not_keep_the_others_from_being_preloaded(
    warm: Serving, first: str, registry: Registry, trained: Trained, loads: list[str]
) -> None:
    another_endpoint(registry, trained)

    with injected(registry.store.s3, "s3.GetObject", Fault(500, key=f"/{first}/", times=99)):
        warm.preload()

    assert loads == [version(3)]
    assert warm.champion(NAME).version == first


def test_nothing_to_preload_is_no_error(warm: Serving) -> None:
    warm.preload()

    with pytest.raises(NoChampionError):
        warm.champion(NAME)


@pytest.mark.parametrize("operation", ["s3.GetObject", "s3.ListObjectsV2"])
@pytest.mark.parametrize(
    "failure",
    [
        {"status": 403, "code": "AccessDenied"},
        {"error": EndpointConnectionError(endpoint_url="s3")},
    ],
    ids=["403", "no connection"],
)
def test_a_version_can_be_published_while_s3_cannot_be_read(
    warm: Serving, first: str, registry: Registry, operation: str, failure: dict[str, Any]
) -> None:
    """As when its role is so new that not all of AWS knows it."""
    with injected(registry.store.s3, operation, Fault(times=99, **failure)) as fault:
        warm.preload()

    assert fault.hit
    assert warm.champion(NAME).version == first


def test_after_it_expired_a_promotion_is_seen_at_the_next_request_and_looked_for_once(
    warm: Serving, first: str, registry: Registry, trained: Trained
) -> None:
    warm.champion(NAME)
    write(registry, trained, version(2))
    promote(registry, version(2))
    assert warm.champion(NAME).version == first

    warm.expire()

    assert warm.champion(NAME).version == version(2)
    with injected(registry.store.s3, "s3.GetObject", Fault(first=99)) as counter:
        warm.champion(NAME)
    assert counter.first == 99, "the next look is again a TTL later"


def test_after_it_expired_a_champion_that_is_still_the_same_is_not_loaded_again(
    warm: Serving, first: str, registry: Registry, loads: list[str]
) -> None:
    warm.champion(NAME)

    warm.expire()

    with injected(registry.store.s3, "s3.GetObject", Fault(first=99)) as counter:
        assert [warm.champion(NAME).version for _ in range(2)] == [first] * 2
    assert (loads, counter.first) == ([first], 98)


def test_after_it_expired_the_old_champion_answers_where_the_new_one_cannot_be_loaded(
    warm: Serving, first: str, registry: Registry, trained: Trained
) -> None:
    warm.champion(NAME)
    write(registry, trained, version(2))
    promote(registry, version(2))
    _break_artifact(registry, version(2))

    warm.expire()

    assert warm.champion(NAME).version == first
    assert warm.stale(NAME)


# The rule


def with_rule(registry: Registry, trained: Trained) -> str:
    """Let the endpoint fall back to a rule, and return its version."""
    rule = arms.write_rule(registry, trained)
    change(registry, fallback=rule)
    return rule


@pytest.mark.parametrize(
    "damage",
    [_break_artifact, _break_manifest, _lose_manifest, _lose_artifact, _change_golden],
    ids=lambda damage: damage.__name__.strip("_"),
)
def test_where_no_champion_can_be_loaded_the_rule_answers_until_one_can(
    warm: Serving,
    first: str,
    registry: Registry,
    trained: Trained,
    clock: time_machine.Traveller,
    damage: Any,
) -> None:
    rule = with_rule(registry, trained)
    damage(registry, first)

    found = warm.champion(NAME)

    assert (found.version, found.variant, found.failed) == (rule, "fallback", first)
    assert first in found.reason
    write(registry, trained, version(2))
    promote(registry, version(2))
    assert warm.champion(NAME).version == rule
    clock.shift(TTL)
    assert warm.champion(NAME).version == version(2)
    assert warm.stale(NAME) is None


def test_a_champion_that_was_restored_takes_over_at_the_next_look(
    warm: Serving, first: str, registry: Registry, trained: Trained, clock: time_machine.Traveller
) -> None:
    rule = with_rule(registry, trained)
    _break_artifact(registry, first)
    assert warm.champion(NAME).version == rule
    registry.store.put(f"models/{NAME}/{first}/{ONNX}", trained.artifacts[ONNX])

    clock.shift(TTL - 0.1)
    assert warm.champion(NAME).version == rule

    clock.shift(0.1)
    assert warm.champion(NAME).version == first


def test_a_corrupt_champion_is_not_deserialized_although_the_rule_answers(
    warm: Serving, first: str, registry: Registry, trained: Trained, loads: list[str]
) -> None:
    rule = with_rule(registry, trained)
    _break_artifact(registry, first)

    warm.champion(NAME)

    assert loads == [rule]


def test_where_the_rule_fails_too_the_champions_error_is_the_answer(
    warm: Serving, first: str, registry: Registry, trained: Trained
) -> None:
    rule = with_rule(registry, trained)
    registry.store.put(f"models/{NAME}/{rule}/{model.RULE}", b"damaged")
    _break_artifact(registry, first)

    with pytest.raises(CorruptArtifactError, match=first):
        warm.champion(NAME)


def test_a_warm_champion_comes_before_the_rule(
    warm: Serving, first: str, registry: Registry, trained: Trained, clock: time_machine.Traveller
) -> None:
    with_rule(registry, trained)
    warm.champion(NAME)
    write(registry, trained, version(2))
    promote(registry, version(2))
    _break_artifact(registry, version(2))
    clock.shift(TTL)

    assert (warm.champion(NAME).version, warm.champion(NAME).variant) == (first, "champion")


# Arms


CANARY = version(2)


def answers(warm: Serving, keys: int = 40) -> dict[str, int]:
    """Return how many keys each version answers."""
    return dict(Counter(warm.choose(NAME, f"key {number}").version for number in range(keys)))


def test_a_canary_answers_its_share_of_the_keys_and_is_loaded_once(
    warm: Serving, first: str, registry: Registry, trained: Trained, loads: list[str]
) -> None:
    write(registry, trained, CANARY)
    canary(registry, CANARY)

    found = answers(warm)

    assert set(found) == {first, CANARY}
    assert sorted(loads) == [first, CANARY]
    variants = {warm.choose(NAME, f"key {number}").variant for number in range(40)}
    assert variants == {"champion", "canary"}


def test_a_canary_is_not_crowded_out_by_versions_that_are_asked_for(
    warm: Serving, first: str, registry: Registry, trained: Trained, loads: list[str]
) -> None:
    write(registry, trained, CANARY)
    canary(registry, CANARY)
    answers(warm)
    for number in range(3, KEPT_VERSIONS + 4):
        write(registry, trained, version(number))
        warm.version(NAME, version(number))
    before = len(loads)

    answers(warm)

    assert len(loads) == before


def test_an_arm_that_is_over_is_not_kept(
    warm: Serving, first: str, registry: Registry, trained: Trained, clock: time_machine.Traveller
) -> None:
    write(registry, trained, CANARY)
    canary(registry, CANARY)
    assert CANARY in answers(warm)
    change(registry, challenger=None)

    clock.shift(TTL)

    assert set(answers(warm)) == {first}
    assert not warm._looks[NAME].arms


@pytest.mark.parametrize(
    "damage",
    [_break_artifact, _break_manifest, _lose_manifest, _lose_artifact, _change_golden],
    ids=lambda damage: damage.__name__.strip("_"),
)
def test_the_champion_answers_for_an_arm_that_cannot_be_loaded(
    warm: Serving, first: str, registry: Registry, trained: Trained, damage: Any
) -> None:
    write(registry, trained, CANARY)
    canary(registry, CANARY)
    damage(registry, CANARY)

    found = [warm.choose(NAME, f"key {number}") for number in range(40)]

    assert {chosen.version for chosen in found} == {first}
    assert {(c.variant, c.failed) for c in found} == {("champion", None), ("fallback", CANARY)}


def test_an_arm_that_cannot_be_loaded_is_tried_again_after_the_ttl_and_not_before(
    warm: Serving, first: str, registry: Registry, trained: Trained, clock: time_machine.Traveller
) -> None:
    write(registry, trained, CANARY)
    canary(registry, CANARY, 0.99)
    warm.champion(NAME)

    with injected(
        registry.store.s3, "s3.GetObject", Fault(503, "SlowDown", times=99, key=CANARY)
    ) as fault:
        answers(warm)
        tries = fault.hit
        answers(warm)
        assert tries
        assert fault.hit == tries

    assert set(answers(warm)) == {first}, "it works again, but is not looked at yet"
    clock.shift(TTL)
    assert CANARY in answers(warm)


def test_an_arm_that_cannot_be_loaded_is_tried_again_when_the_document_changes(
    warm: Serving, first: str, registry: Registry, trained: Trained, clock: time_machine.Traveller
) -> None:
    write(registry, trained, CANARY)
    canary(registry, CANARY)
    _break_artifact(registry, CANARY)
    answers(warm)
    write(registry, trained, version(3))
    canary(registry, version(3))

    clock.shift(TTL)

    assert set(answers(warm)) == {first, version(3)}


def test_arms_are_loaded_before_a_snapshot(
    warm: Serving, first: str, registry: Registry, trained: Trained, loads: list[str]
) -> None:
    write(registry, trained, CANARY)
    canary(registry, CANARY)

    warm.preload()

    assert loads == [first, CANARY]
    answers(warm)
    assert loads == [first, CANARY]


def test_an_arm_that_cannot_be_preloaded_is_no_error(
    warm: Serving, first: str, registry: Registry
) -> None:
    canary(registry, CANARY)

    warm.preload()

    assert set(answers(warm)) == {first}


def test_in_place_of_an_arm_comes_the_champion_and_then_the_rule_and_then_nothing(
    warm: Serving, first: str, registry: Registry, trained: Trained
) -> None:
    write(registry, trained, CANARY)
    rule = with_rule(registry, trained)
    canary(registry, CANARY, 0.99)
    arm = warm.choose(NAME, "key 1")
    assert arm.version == CANARY

    champion = warm.instead(NAME, arm, "it has no score")
    assert champion
    assert (champion.version, champion.variant, champion.failed) == (first, "fallback", CANARY)
    last = warm.instead(NAME, champion, "nor has it")
    assert last
    assert (last.version, last.variant, last.failed) == (rule, "fallback", CANARY)
    assert warm.instead(NAME, last, "nor has it") is None


def test_a_rule_that_is_an_arm_itself_gives_way_to_the_champion(
    warm: Serving, first: str, registry: Registry, trained: Trained
) -> None:
    rule = with_rule(registry, trained)
    canary(registry, rule, 0.99)

    found = warm.instead(NAME, warm.choose(NAME, "key 1"), "it has no score")

    assert found
    assert (found.version, found.failed) == (first, rule)


def test_a_look_that_took_long_and_failed_is_not_repeated_at_once(
    warm: Serving, first: str, registry: Registry, clock: time_machine.Traveller
) -> None:
    warm.champion(NAME)
    clock.shift(TTL)
    error = EndpointConnectionError(endpoint_url="s3")
    slow = Fault(error=error, times=99, meanwhile=lambda: clock.shift(TTL))

    with injected(registry.store.s3, "s3.GetObject", slow):
        for _ in range(3):
            assert warm.champion(NAME).version == first

    assert slow.hit == 2, "one look, and its retry"


def test_a_rule_that_cannot_be_loaded_is_not_asked_for_at_each_request(
    warm: Serving, first: str, registry: Registry, trained: Trained
) -> None:
    arms.change(registry, fallback=arms.write_rule(registry, trained))
    champion = warm.champion(NAME)
    down = Fault(error=EndpointConnectionError(endpoint_url="s3"), times=99)

    with injected(registry.store.s3, "s3.GetObject", down):
        for _ in range(3):
            assert warm.instead(NAME, champion, "it fails") is None

    assert down.hit == 2, "one try, and its retry"


@pytest.mark.parametrize("warmed", [True, False])
def test_what_s3_should_never_answer_costs_no_answer_of_ours(
    warmed: bool,
    warm: Serving,
    first: str,
    registry: Registry,
    trained: Trained,
    clock: time_machine.Traveller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule = arms.write_rule(registry, trained)
    arms.change(registry, fallback=rule)
    if warmed:
        warm.champion(NAME)
    write(registry, trained, version(2))
    promote(registry, version(2))
    arms.change(registry, fallback=rule)
    clock.shift(TTL)
    load = model.load

    def odd(manifest: Any, *more: Any, **named: Any) -> model.Model:
        if manifest.version == version(2):
            raise KeyError("ETag")
        return load(manifest, *more, **named)

    monkeypatch.setattr(
        "evergreen.serving.model_cache.fetch",
        lambda registry, manifest, runtime: odd(
            manifest,
            registry.artifact(manifest, model.artifact_of(manifest.kind, runtime)),
            runtime,
        ),
    )

    assert warm.champion(NAME).version == (first if warmed else rule)
    assert "KeyError" in (warm.stale(NAME) or "")
