"""Who answers a request beside, and in place of, the champion, through the API."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import time_machine

import bootstrap as clients
from evergreen.aws.s3 import Store
from evergreen.contract.problem import Problem
from evergreen.registry.registry import Registry
from evergreen.registry.state import Experiment
from evergreen.serving.model import ONNX, RULE, Model
from evergreen.training.train_version import Trained
from local.plane.plane import Plane
from local.plane.process import Process
from tests.handlers.requests.test_predict import PATH, ask, captures, refused, write
from tests.support import arms, given
from tests.support.given import NAME, NOW, Fault, injected, row, version
from tests.support.registries import registry_of
from tests.support.servers import Answered, Asked, listening

pytestmark = pytest.mark.slow

CHAMPION, OTHER, THIRD, RULED = version(1), version(2), version(3), version(9)
ROWS = [row(hour=7), row(hour=17)]
KEYS = [f"customer {number}" for number in range(40)]


@pytest.fixture
def registry(plane: Plane, artifacts: Store, trained: Trained) -> Registry:
    """Return the registry, with a champion and two versions more."""
    found = registry_of(artifacts)
    write(found, trained, CHAMPION, promoted=True)
    write(found, trained, OTHER)
    write(found, trained, THIRD)
    return found


@pytest.fixture
def rule(registry: Registry, trained: Trained) -> str:
    """Let the endpoint fall back to a rule."""
    arms.write_rule(registry, trained, RULED)
    arms.change(registry, fallback=RULED)
    return RULED


@pytest.fixture
def log(plane: Plane) -> io.StringIO:
    found = io.StringIO()
    plane.runtime = Process(found)
    return found


def experiment(registry: Registry, share: float, control: str = CHAMPION) -> None:
    found = Experiment(
        id="an experiment", control=control, treatment=OTHER, share=share, hypothesis="better",
        min_rows=1, start=NOW, end=NOW + timedelta(days=1),
    )  # fmt: skip
    arms.change(registry, experiment=found)


def answers(plane: Plane, keys: list[str] = KEYS) -> list[tuple[str, str]]:
    """Return version and variant of the answer to each key; every one of them is answered."""
    found = []
    for key in keys:
        answer = ask(plane, given.body(*ROWS, key=key))
        assert answer.status == 200, answer.body
        found.append((answer.json()["version"], answer.json()["variant"]))
    return found


def test_an_arm_that_may_answer_fewer_rows_leaves_a_larger_request_to_the_champion(
    registry: Registry, plane: Plane, trained: Trained
) -> None:
    problem = Problem(kind="multiclass", classes=[f"{n:064d}" for n in range(100)])
    wide = msgspec.structs.replace(trained.manifest, version=version(4), problem=problem)
    registry.write_version(wide, trained.artifacts)
    arms.canary(registry, version(4), 1.0)

    found = ask(plane, given.body(*[row()] * 1_000))

    assert found.status == 200
    assert (found.json()["version"], found.json()["variant"]) == (CHAMPION, "fallback")


def counts(log: io.StringIO, name: str) -> list[float]:
    return [value for line in given.metrics(log) for value in line.get(name, [])]


def damage(registry: Registry, name: str, artifact: str = ONNX) -> None:
    registry.store.put(f"models/{NAME}/{name}/{artifact}", b"damaged")


def captured(data: Store) -> set[tuple[str, str, str | None]]:
    return {(capture.version, capture.variant, capture.failed) for capture in captures(data)}


# Shares


def test_a_canary_answers_its_keys_and_the_champion_all_others(
    plane: Plane, registry: Registry, data: Store
) -> None:
    arms.canary(registry, OTHER)

    found = answers(plane)

    assert set(found) == {(CHAMPION, "champion"), (OTHER, "canary")}
    assert found == answers(plane), "and each key stays on its version"
    assert captured(data) == {(CHAMPION, "champion", None), (OTHER, "canary", None)}


def test_both_arms_of_an_experiment_are_named_so_unless_one_is_the_champion(
    plane: Plane, registry: Registry, clock: time_machine.Traveller
) -> None:
    experiment(registry, 0.5)
    assert set(answers(plane)) == {(CHAMPION, "champion"), (OTHER, "ab")}

    experiment(registry, 0.4, control=THIRD)
    clock.shift(61)

    assert set(answers(plane)) == {(CHAMPION, "champion"), (OTHER, "ab"), (THIRD, "ab")}


def test_a_request_without_a_key_is_split_by_its_own_id(plane: Plane, registry: Registry) -> None:
    arms.canary(registry, OTHER)

    found = Counter(ask(plane, given.body()).json()["version"] for _ in range(40))

    assert found[CHAMPION] > 5
    assert found[OTHER] > 5


def test_a_version_that_is_asked_for_is_not_split(plane: Plane, registry: Registry) -> None:
    arms.canary(registry, OTHER, 0.99)

    answer = ask(plane, given.body(key="me"), f"{PATH}?version={CHAMPION}").json()

    assert (answer["version"], answer["variant"]) == (CHAMPION, "requested")


# Failures


def test_no_request_fails_because_an_arm_cannot_be_loaded(
    plane: Plane, registry: Registry, data: Store, log: io.StringIO
) -> None:
    arms.canary(registry, OTHER)
    damage(registry, OTHER)

    found = Counter(answers(plane))

    assert set(found) == {(CHAMPION, "champion"), (CHAMPION, "fallback")}
    assert captured(data) == {(CHAMPION, "champion", None), (CHAMPION, "fallback", OTHER)}
    assert counts(log, "ArmFailed") == [1.0] * found[CHAMPION, "fallback"]
    assert "the champion answers for an arm" in log.getvalue()
    assert not counts(log, "FallbackAnswered")
    assert not counts(log, "RequestsFailed")


def test_an_arm_that_s3_does_not_give_for_a_moment_is_not_blamed_for_it(
    plane: Plane, registry: Registry, data: Store
) -> None:
    arms.canary(registry, OTHER)

    with injected(clients.s3(), "s3.GetObject", Fault(503, "SlowDown", key=OTHER, times=99)):
        found = Counter(answers(plane))

    assert set(found) == {(CHAMPION, "champion"), (CHAMPION, "fallback")}
    assert captured(data) == {(CHAMPION, "champion", None), (CHAMPION, "fallback", None)}


MIDNIGHT = given.body(row(hour=23))  # an hour that no golden row has


@pytest.fixture(params=["raises", "NaN"])
def failing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return a set of versions; those in it load, and cannot score MIDNIGHT."""
    found: set[str] = set()
    whole = Model.scores_of

    def scores_of(model: Model, rows: Any) -> Any:
        scores = whole(model, rows)
        if model.manifest.version not in found or all(row["hour"] != 23 for row in rows):
            return scores
        if request.param == "raises":
            raise RuntimeError("this model does not like midnight")
        return scores * float("nan")

    monkeypatch.setattr(Model, "scores_of", scores_of)
    return found


def test_no_request_fails_because_an_arm_cannot_score_it(
    plane: Plane, registry: Registry, data: Store, log: io.StringIO, failing: set[str]
) -> None:
    arms.canary(registry, OTHER, 0.999)
    failing.add(OTHER)

    answer = ask(plane, MIDNIGHT)

    assert answer.status == 200
    assert (answer.json()["version"], answer.json()["variant"]) == (CHAMPION, "fallback")
    assert captured(data) == {(CHAMPION, "fallback", OTHER)}
    assert counts(log, "ArmFailed") == [1.0]
    assert ask(plane, given.body()).json()["version"] == OTHER, "and what it can score it does"


def test_no_request_fails_because_an_arm_of_an_experiment_cannot_score_it(
    plane: Plane, registry: Registry, failing: set[str]
) -> None:
    experiment(registry, 0.999)
    failing.add(OTHER)

    answer = ask(plane, MIDNIGHT)

    assert answer.status == 200
    assert (answer.json()["version"], answer.json()["variant"]) == (CHAMPION, "fallback")


def test_where_the_champion_cannot_score_the_rule_does(
    plane: Plane, registry: Registry, rule: str, log: io.StringIO, failing: set[str]
) -> None:
    failing.add(CHAMPION)

    answer = ask(plane, MIDNIGHT).json()

    assert (answer["version"], answer["variant"]) == (rule, "fallback")
    assert answer["predictions"][0]["score"] == 0.75
    assert counts(log, "FallbackAnswered") == [1.0]
    assert not counts(log, "ArmFailed")


def test_where_an_arm_the_champion_and_the_rule_fail_the_first_reason_is_the_answer(
    plane: Plane, registry: Registry, rule: str, failing: set[str]
) -> None:
    arms.canary(registry, OTHER, 0.999)
    failing |= {OTHER, CHAMPION, rule}

    answer = ask(plane, MIDNIGHT)

    assert answer.status == 503
    assert answer.json()["error"]["code"] == "model_unavailable"
    assert OTHER in answer.json()["error"]["message"]


def test_without_a_rule_a_champion_that_cannot_score_is_unavailable(
    plane: Plane, registry: Registry, failing: set[str]
) -> None:
    failing.add(CHAMPION)

    assert ask(plane, MIDNIGHT).status == 503


def other_schema(registry: Registry, trained: Trained, name: str, **hour: Any) -> None:
    """Write a version whose schema differs in the field `hour`."""
    schema = json.loads(json.dumps(trained.manifest.schema))
    schema["properties"]["hour"] |= hour
    manifest = msgspec.structs.replace(trained.manifest, version=name, schema=schema)
    registry.write_version(manifest, trained.artifacts)


def test_what_a_request_may_be_is_said_by_the_champion_and_not_by_an_arm(
    plane: Plane, registry: Registry, trained: Trained
) -> None:
    other_schema(registry, trained, version(4), maximum=12, minimum=-1)
    arms.canary(registry, version(4), 0.999)

    assert answers(plane, ["a"]) == [(CHAMPION, "fallback")], "the canary knows no hour 17"
    early = ask(plane, given.body(row(hour=7)))
    assert early.json()["version"] == version(4)
    below = ask(plane, given.body(row(hour=-1)))
    assert list(refused(below)) == ["$.instances[0].hour"]


# The rule


def test_where_no_champion_can_be_loaded_the_rule_answers_and_says_so(
    plane: Plane, registry: Registry, rule: str, data: Store, log: io.StringIO
) -> None:
    damage(registry, CHAMPION)

    answer = ask(plane, given.body(*ROWS))

    assert answer.status == 200
    assert (answer.json()["version"], answer.json()["variant"]) == (rule, "fallback")
    assert [p["score"] for p in answer.json()["predictions"]] == [arms.ALWAYS, 0.75]
    assert [p["label"] for p in answer.json()["predictions"]] == [False, True]
    assert captured(data) == {(rule, "fallback", CHAMPION)}
    assert counts(log, "FallbackAnswered") == [1.0]
    assert "nothing was deserialized" in log.getvalue()


def test_the_champion_takes_over_from_the_rule_when_it_has_been_restored(
    plane: Plane, registry: Registry, rule: str, trained: Trained, clock: time_machine.Traveller
) -> None:
    damage(registry, CHAMPION)
    assert answers(plane, ["a"]) == [(rule, "fallback")]
    registry.store.put(f"models/{NAME}/{CHAMPION}/{ONNX}", trained.artifacts[ONNX])

    clock.shift(61)

    assert answers(plane, ["a"]) == [(CHAMPION, "champion")]


def test_where_the_rule_is_corrupt_too_the_answer_is_unavailable(
    plane: Plane, registry: Registry, rule: str
) -> None:
    damage(registry, CHAMPION)
    damage(registry, rule, RULE)

    answer = ask(plane, given.body())

    assert answer.status == 503
    assert answer.json()["error"]["code"] == "corrupt_artifact"
    assert CHAMPION in answer.json()["error"]["message"]


def test_an_arm_answers_its_share_also_while_the_champion_cannot_be_loaded(
    plane: Plane, registry: Registry, rule: str
) -> None:
    arms.canary(registry, OTHER)
    damage(registry, CHAMPION)

    assert set(answers(plane)) == {(rule, "fallback"), (OTHER, "canary")}


def test_a_rule_can_be_champion_and_then_answers_as_one(
    plane: Plane, registry: Registry, rule: str, log: io.StringIO
) -> None:
    arms.change(registry, champion=rule)

    assert answers(plane, ["a"]) == [(rule, "champion")]
    assert not counts(log, "FallbackAnswered")


# A service


@pytest.fixture
def service() -> Iterator[tuple[str, dict[str, int]]]:
    """Return a service that says 0.9 of every row, with the status that a test wants."""
    state = {"status": 200, "asked": 0}

    def answer(request: Asked) -> Answered:
        state["asked"] += 1
        rows = json.loads(request.body)["instances"]
        return Answered(json.dumps({"scores": [0.9] * len(rows)}).encode(), state["status"])

    with listening(answer) as host:
        yield host, state


def test_a_version_that_asks_a_service_answers_and_its_cost_is_counted(
    plane: Plane,
    registry: Registry,
    trained: Trained,
    data: Store,
    log: io.StringIO,
    service: tuple[str, dict[str, int]],
) -> None:
    arms.write_external(registry, trained, service[0], version(5), cost_per_call=0.002)
    arms.change(registry, champion=version(5))

    answer = ask(plane, given.body(*ROWS)).json()

    assert [prediction["score"] for prediction in answer["predictions"]] == [0.9, 0.9]
    assert captured(data) == {(version(5), "champion", None)}
    assert counts(log, "ExternalCost") == [0.002]
    assert not counts(log, "ExternalFailed")
    assert service[1]["asked"] == 1, "one request for all rows"


def test_while_the_service_fails_its_rule_answers_and_the_capture_says_so(
    plane: Plane,
    registry: Registry,
    trained: Trained,
    data: Store,
    log: io.StringIO,
    service: tuple[str, dict[str, int]],
) -> None:
    host, state = service
    arms.write_external(registry, trained, host, version(5), cost_per_call=0.002)
    arms.canary(registry, version(5), 0.999)
    state["status"] = 500

    found = [ask(plane, given.body(*ROWS)) for _ in range(7)]

    assert {answer.status for answer in found} == {200}
    assert {answer.json()["variant"] for answer in found} == {"canary"}
    for answer in found:
        scores = [prediction["score"] for prediction in answer.json()["predictions"]]
        assert scores == [arms.ALWAYS, 0.75]
    assert captured(data) == {(version(5), "canary", version(5))}
    assert counts(log, "ExternalFailed") == [1.0] * 7
    assert counts(log, "ExternalCost") == [0.002] * 5, "after five failures it is not asked"
    assert state["asked"] == 5


def test_the_manifest_says_where_it_asks_and_what_that_costs(
    plane: Plane, registry: Registry, trained: Trained
) -> None:
    arms.write_external(registry, trained, "127.0.0.1:9", version(5), cost_per_call=0.002)

    shown = plane.request("GET", f"/endpoints/{NAME}/versions/{version(5)}").json()

    assert (shown["kind"], shown["external"]) == (
        "external",
        {"host": "127.0.0.1", "timeout_seconds": 1.0, "cost_per_call": 0.002, "currency": "USD"},
    )


# By status


def test_the_version_with_a_status_can_be_asked_for(
    plane: Plane, registry: Registry, data: Store
) -> None:
    statuses = {CHAMPION: "champion", OTHER: "candidate", THIRD: "candidate", version(4): "shadow"}
    arms.change(registry, statuses=statuses)

    assert _asked(plane, "champion") == (CHAMPION, "requested")
    assert _asked(plane, "candidate") == (THIRD, "requested"), "of several the newest"
    assert {variant for _, variant, _ in captured(data)} == {"requested"}


def _asked(plane: Plane, status: str) -> tuple[str, str]:
    answer = ask(plane, given.body(), f"{PATH}?status={status}")
    assert answer.status == 200, answer.body
    return answer.json()["version"], answer.json()["variant"]


def test_a_status_that_no_version_has_is_not_found(plane: Plane, registry: Registry) -> None:
    answer = ask(plane, given.body(), f"{PATH}?status=shadow")

    assert answer.status == 404
    assert answer.json()["error"]["code"] == "unknown_version"
    assert "no version that is shadow now" in answer.json()["error"]["message"]


@pytest.mark.parametrize("status", ["newest", "", "CHAMPION", "x" * 5_000])
def test_a_status_that_there_is_not_is_refused_with_those_that_there_are(
    plane: Plane, registry: Registry, status: str
) -> None:
    answer = ask(plane, given.body(), f"{PATH}?status={status}")

    assert answer.status == 400
    assert refused(answer) == {
        "?status": "is none of candidate, shadow, canary, ab, champion, retired, rejected"
    }


def test_a_version_and_a_status_together_are_refused(plane: Plane, registry: Registry) -> None:
    answer = ask(plane, given.body(), f"{PATH}?status=champion&version={OTHER}")

    assert answer.status == 400
    assert list(refused(answer)) == ["?status"]
