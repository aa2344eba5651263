"""Ten defects of an ML service that many have copied, each reproduced there; none may be here."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import time_machine

from evergreen.aws.s3 import Store
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry
from evergreen.serving.model import ONNX
from evergreen.training.train_version import Trained
from local.plane.gateway import Answer
from local.plane.plane import Plane
from tests.handlers.requests.test_predict import JSON, ask, captures, refused
from tests.support import given
from tests.support.candidates import ONE, THREE, TWO, document
from tests.support.given import NAME, NOW, row
from tests.support.memory import compacted
from tests.support.registries import registry_of

pytestmark = pytest.mark.slow

CONTROL = f"/control/endpoints/{NAME}"
KEYS = [f"customer {n}" for n in range(30)]
SHARE = {"share": 0.5, "hypothesis": "two is better", "min_rows": 10, "days": 60, "promote": True}


@pytest.fixture
def registry(artifacts: Store) -> Registry:
    return registry_of(artifacts)


def do(plane: Plane, registry: Registry, action: str, **body: Any) -> Answer:
    known = {"generation": document(registry).generation} | body
    return plane.request("POST", f"{CONTROL}/{action}", json.dumps(known).encode(), JSON)


def begin(plane: Plane, registry: Registry) -> None:
    answer = do(plane, registry, "experiments", treatment=TWO, **SHARE)
    assert answer.status == 200, answer.body


def stopped(plane: Plane, registry: Registry) -> str:
    """Stop the experiment and return its verdict."""
    answer = do(plane, registry, "experiments/stop", reason="enough")
    assert answer.status == 200, answer.body
    return str(document(registry).last.figures["verdict"])


def outcomes(data: Store, version: str, right: int, wrong: int, open_: int, days: int = 20) -> None:
    """Deliver requests that a version answered on each day: some labelled, some not (yet).

    Evening flights of EV are expected to be late by any model of these tests, morning ones not.
    """
    for day in range(1, days + 1):
        at = NOW + timedelta(days=day)
        made, labels = [], []
        for n in range(right + wrong + open_):
            number, late = int(version[-1]) * 1_000_000 + day * 1_000 + n, n % 2 == 0
            features = given.whole(hour=22, carrier="EV") if late else given.whole(hour=5)
            capture = given.capture(number, at, features=features, variant="ab")
            score = 0.9 if late else 0.1
            made.append(msgspec.structs.replace(capture, version=version, score=score))
            if n < right + wrong:
                labels.append(given.label(number, late == (n < right), at))
        given.deliver(data, made, at, f"{version}-{day}")
        given.deliver(data, labels, at + timedelta(hours=1), f"{version}-{day}")


def test_1_starting_an_experiment_takes_nothing_down(
    plane: Plane, candidate: Manifest, registry: Registry, clock: time_machine.Traveller
) -> None:
    before = [ask(plane, given.body(key=key)).status for key in KEYS]
    begin(plane, registry)
    clock.shift(timedelta(minutes=5))

    during = [ask(plane, given.body(key=key)) for key in KEYS]

    assert set(before) == {answer.status for answer in during} == {200}
    assert {answer.json()["version"] for answer in during} == {ONE, TWO}


@pytest.mark.usefixtures("shortcuts")
def test_2_a_missing_label_is_not_a_wrong_prediction(
    plane: Plane, candidate: Manifest, registry: Registry, data: Store,
    clock: time_machine.Traveller,
) -> None:  # fmt: skip
    begin(plane, registry)
    outcomes(data, ONE, right=10, wrong=10, open_=4)
    outcomes(data, TWO, right=19, wrong=1, open_=4)  # 80 of 480 without a label on either side
    clock.move_to(NOW + timedelta(days=29))
    compacted(data)

    assert stopped(plane, registry) == "challenger wins"
    assert document(registry).champion == TWO


def test_3_an_experiment_without_traffic_is_inconclusive_and_the_champion_stays(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    begin(plane, registry)

    assert stopped(plane, registry) == "inconclusive"
    assert document(registry).champion == ONE


def test_4_there_is_one_champion_and_a_promotion_retires_the_one_before(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    generation = document(registry).generation
    asked = {"version": TWO, "generation": generation, "reason": "better"}

    first = do(plane, registry, "promote", **asked)
    second = do(plane, registry, "promote", **asked)

    assert (first.status, second.status) == (200, 409)
    assert document(registry).statuses == {ONE: "retired", TWO: "champion"}
    assert ask(plane, given.body()).json()["version"] == TWO


def test_5_a_status_is_one_of_those_there_are_and_arms_are_of_one_endpoint(
    plane: Plane, candidate: Manifest, registry: Registry, trained: Trained
) -> None:
    manifest = msgspec.structs.replace(trained.manifest, endpoint="another", version=THREE)
    registry.write_version(manifest, trained.artifacts)

    unknown = ask(plane, given.body(), f"/endpoints/{NAME}/predict?status=productoin")
    foreign = do(plane, registry, "experiments", treatment=THREE, **SHARE)

    assert unknown.status == 400
    assert "champion" in unknown.body
    assert foreign.status == 404
    assert document(registry).experiment is None


def test_5_one_arm_alone_fails_no_request(
    plane: Plane, candidate: Manifest, registry: Registry, artifacts: Store,
    clock: time_machine.Traveller,
) -> None:  # fmt: skip
    begin(plane, registry)
    artifacts.put(f"models/{NAME}/{TWO}/{ONNX}", b"damaged")
    clock.shift(timedelta(minutes=5))

    answers = [ask(plane, given.body(key=key)) for key in KEYS]

    assert {answer.status for answer in answers} == {200}
    assert {answer.json()["version"] for answer in answers} == {ONE}


def test_6_what_could_not_be_predicted_is_an_error_and_no_recorded_answer(
    plane: Plane, champion: Manifest, data: Store
) -> None:
    answer = ask(plane, given.body(row(hour="soon")))
    plane.settle()

    assert answer.status == 400
    assert list(data.keys("captures/")) == []


def test_6_a_request_that_an_arm_could_not_answer_does_not_count_for_it(
    plane: Plane, candidate: Manifest, registry: Registry, artifacts: Store, data: Store,
    clock: time_machine.Traveller,
) -> None:  # fmt: skip
    begin(plane, registry)
    artifacts.put(f"models/{NAME}/{TWO}/{ONNX}", b"damaged")
    clock.shift(timedelta(minutes=5))

    for key in KEYS:
        ask(plane, given.body(key=key))
    plane.settle()

    found = {(each.version, each.variant, each.failed) for each in captures(data)}
    assert found == {(ONE, "champion", None), (ONE, "fallback", TWO)}


def test_7_missing_values_unseen_categories_and_the_order_of_fields_change_no_answer(
    plane: Plane, champion: Manifest
) -> None:
    known = row(temp=None, carrier="ZZ")

    straight = ask(plane, given.body(known))
    turned = ask(plane, given.body(dict(reversed(known.items()))))
    omitted = ask(plane, given.body(row(carrier="ZZ")))

    assert [answer.status for answer in (straight, turned, omitted)] == [200, 200, 200]
    scores = [answer.json()["predictions"][0]["score"] for answer in (straight, turned, omitted)]
    assert scores[0] == scores[1] == scores[2]


def test_7_a_number_in_a_text_is_refused_and_so_is_a_form(plane: Plane, champion: Manifest) -> None:
    text = ask(plane, given.body(row(hour="7")))
    form = ask(plane, b"hour=7", headers={"Content-Type": "application/x-www-form-urlencoded"})

    assert (text.status, set(refused(text))) == (400, {"$.instances[0].hour"})
    assert form.status == 415


def test_8_no_list_shows_what_was_asked_or_by_whom(plane: Plane, champion: Manifest) -> None:
    ask(plane, given.body(row(dest="ZZZ"), key="somebody@example.com"))
    plane.settle()

    for path in ("/endpoints", f"/endpoints/{NAME}", f"/endpoints/{NAME}/versions"):
        answer = plane.request("GET", path)
        assert answer.status == 200
        assert "somebody" not in answer.body
        assert "ZZZ" not in answer.body


def test_9_an_endpoint_that_cannot_be_read_is_an_error_and_not_absent(
    plane: Plane, champion: Manifest, artifacts: Store
) -> None:
    artifacts.put(f"endpoints/{NAME}.json", b"{")

    listed = plane.request("GET", "/endpoints")
    asked = ask(plane, given.body())

    assert NAME in listed.body
    assert "error" in listed.body
    assert asked.status >= 500
    assert "cannot be read" in asked.body


@pytest.mark.parametrize(
    ("days", "one", "two"), [(20, 10, 10), (3, 10, 18)], ids=["a tie", "a few lucky days"]
)
@pytest.mark.usefixtures("shortcuts")
def test_10_nothing_wins_by_a_tie_or_by_luck(
    plane: Plane, candidate: Manifest, registry: Registry, data: Store,
    clock: time_machine.Traveller, days: int, one: int, two: int,
) -> None:  # fmt: skip
    begin(plane, registry)
    outcomes(data, ONE, right=one, wrong=20 - one, open_=0, days=days)
    outcomes(data, TWO, right=two, wrong=20 - two, open_=0, days=days)
    clock.move_to(NOW + timedelta(days=29))

    assert stopped(plane, registry) == "inconclusive"
    assert document(registry).champion == ONE


def test_10_a_caller_stays_with_one_arm(
    plane: Plane, candidate: Manifest, registry: Registry, clock: time_machine.Traveller
) -> None:
    begin(plane, registry)
    clock.shift(timedelta(minutes=5))

    rounds = [[ask(plane, given.body(key=key)).json()["version"] for key in KEYS] for _ in range(3)]

    assert rounds[0] == rounds[1] == rounds[2]
    assert set(rounds[0]) == {ONE, TWO}
