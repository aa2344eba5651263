"""The control function through its real routes: what people decide, and what they are shown."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import time_machine

import endpoints.flight_delay as flight_delay
from evergreen.aws import place
from evergreen.aws.s3 import Store
from evergreen.captures.records import Capture
from evergreen.registry.manifest import Manifest
from evergreen.registry.registry import Registry
from evergreen.serving.model import ONNX
from evergreen.training.train_version import Trained
from local.plane.gateway import Answer, Route, http_event
from local.plane.plane import Plane
from tests.support import given
from tests.support.candidates import FOUR, ONE, THREE, TWO, document, entered, move, written
from tests.support.given import NAME, NOW
from tests.support.memory import compacted
from tests.support.registries import registry_of
from tests.support.traffic import Announced, compact

pytestmark = pytest.mark.slow

PATH = f"/control/endpoints/{NAME}"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def registry(artifacts: Store) -> Registry:
    return registry_of(artifacts)


def post(plane: Plane, action: str, **body: Any) -> Answer:
    return plane.request("POST", f"{PATH}/{action}", json.dumps(body).encode(), JSON)


def decide(plane: Plane, registry: Registry, action: str, **body: Any) -> Answer:
    """Post a decision on the present generation, for a reason."""
    known = {"generation": document(registry).generation, "reason": "because", **body}
    return post(plane, action, **known)


def get(plane: Plane, path: str) -> Answer:
    return plane.request("GET", f"{PATH}/{path}")


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["error"]["code"]


def said(answer: Answer) -> str:
    return str(answer.json()["error"]["message"])


def faults(answer: Answer) -> set[str]:
    return {fault["path"] for fault in answer.json()["error"]["faults"]}


# Training


def test_a_person_may_ask_for_a_training_which_train_then_takes(
    plane: Plane, champion: Manifest, quick: None, data: Store
) -> None:
    given.upload(data)

    asked = post(plane, "retrain")
    before = get(plane, f"status?evidence=no&run={asked.json()['run']}")
    plane.settle()

    assert asked.status == 202
    assert before.json()["run"] is None
    run = get(plane, f"status?evidence=no&run={asked.json()['run']}").json()["run"]
    assert run["trigger"] == "manual"
    assert run["outcome"] in ("entered", "rejected", "promoted")


def test_the_run_of_an_upload_is_found_by_its_time_also_before_the_first_champion(
    plane: Plane, quick: None, data: Store
) -> None:
    data.put(f"training/{NAME}/bad.csv", b"a,b\n1,2\n")
    plane.settle()

    seen = get(plane, "status?evidence=no&uploaded=20130201T120000Z").json()
    later = get(plane, "status?uploaded=20130201T120001Z").json()

    assert seen["document"] is None
    assert (seen["run"]["trigger"], seen["run"]["outcome"]) == ("upload", "skipped")
    assert later == {"document": None, "run": None}
    assert get(plane, "status").status == 503


@pytest.mark.parametrize("name", ["no-such-endpoint", "No", "a--b"])
def test_a_training_of_an_endpoint_without_a_file_is_refused(plane: Plane, name: str) -> None:
    answer = plane.request("POST", f"/control/endpoints/{name}/retrain", b"{}", JSON)

    assert refused(answer) == (404, "unknown_endpoint")


# Approval, promotion, rejection


def test_an_approved_candidate_is_champion_and_the_decision_says_who_and_on_what(
    plane: Plane, candidate: Manifest, registry: Registry, announced: Announced
) -> None:
    answer = decide(plane, registry, "approve", version=TWO, reason="looks good")

    assert answer.status == 200
    found = document(registry)
    assert (found.champion, found.statuses) == (TWO, {ONE: "retired", TWO: "champion"})
    assert (found.last.by, found.last.reason) == ("local", "looks good")
    assert found.last.figures["loss"] == candidate.metrics.loss
    assert answer.json()["generation"] == found.generation == 3
    assert registry.decision(NAME, 3) == found.last
    assert [name for name, _ in announced()] == ["Model Promoted"]


def test_the_approval_of_a_candidate_that_has_become_stale_is_refused_with_the_reason(
    plane: Plane, candidate: Manifest, registry: Registry, trained: Trained
) -> None:
    move(registry, "candidate entered", written(registry, trained, THREE, ONE).version)
    move(registry, "promoted", written(registry, trained, FOUR, ONE).version)

    answer = decide(plane, registry, "approve", version=THREE)

    assert refused(answer) == (409, "forbidden")
    assert "stale: its gate compared it with " + ONE in said(answer)
    assert document(registry).champion == FOUR


@pytest.mark.parametrize("status", ["shadow started", "challenger rejected", "promoted"])
def test_only_a_candidate_can_be_approved(
    plane: Plane, candidate: Manifest, registry: Registry, status: str
) -> None:
    move(registry, status, TWO)

    assert refused(decide(plane, registry, "approve", version=TWO)) == (409, "forbidden")


@pytest.mark.parametrize("stage", [[], ["shadow started"], ["shadow started", "canary started"]])
def test_a_candidate_or_challenger_in_any_stage_can_be_promoted(
    plane: Plane, candidate: Manifest, registry: Registry, stage: list[str]
) -> None:
    for kind in stage:
        move(registry, kind, TWO, share=0.05 if kind == "canary started" else 0.0)

    assert decide(plane, registry, "promote", version=TWO).status == 200

    found = document(registry)
    assert (found.champion, found.previous, found.challenger) == (TWO, ONE, None)


@pytest.mark.parametrize("action", ["approve", "promote", "rollback"])
@pytest.mark.parametrize("name", [THREE, "../../x", "v1"])
def test_a_version_that_is_missing_cannot_become_champion(
    plane: Plane, candidate: Manifest, registry: Registry, action: str, name: str
) -> None:
    answer = decide(plane, registry, action, version=name)

    assert refused(answer) == (404, "unknown_version")
    assert document(registry).champion == ONE


@pytest.mark.parametrize("action", ["approve", "promote"])
def test_a_version_that_is_corrupt_cannot_become_champion(
    plane: Plane, candidate: Manifest, registry: Registry, artifacts: Store, action: str
) -> None:
    artifacts.put(f"models/{NAME}/{TWO}/{ONNX}", b"something else")

    answer = decide(plane, registry, action, version=TWO)

    assert refused(answer) == (409, "forbidden")
    assert "nothing was deserialized" in said(answer)
    assert document(registry).champion == ONE


def test_a_version_whose_golden_rows_score_otherwise_cannot_become_champion(
    plane: Plane, champion: Manifest, registry: Registry, trained: Trained
) -> None:
    row, score = trained.manifest.golden[0]
    entered(registry, trained, TWO, golden=[(row, 1 - score)])  # type: ignore[operator]

    answer = decide(plane, registry, "promote", version=TWO)

    assert refused(answer) == (409, "forbidden")
    assert "golden rows" in said(answer)


@pytest.mark.parametrize(("kind", "word"), [("promoted", "retired"), ("candidate refused", "reje")])
def test_a_retired_or_rejected_version_cannot_be_promoted(
    plane: Plane, champion: Manifest, registry: Registry, trained: Trained, kind: str, word: str
) -> None:
    move(registry, kind, written(registry, trained, TWO).version)
    name = ONE if kind == "promoted" else TWO

    answer = decide(plane, registry, "promote", version=name)

    assert refused(answer) == (409, "forbidden")
    assert word in said(answer)


def test_a_version_that_never_passed_a_gate_cannot_be_promoted(
    plane: Plane, champion: Manifest, registry: Registry, trained: Trained
) -> None:
    written(registry, trained, TWO)

    assert "not entered" in said(decide(plane, registry, "promote", version=TWO))


@pytest.mark.parametrize("stage", ["candidate", "shadow"])
def test_a_candidate_or_challenger_can_be_rejected_and_does_not_come_back(
    plane: Plane, candidate: Manifest, registry: Registry, announced: Announced, stage: str
) -> None:
    if stage == "shadow":
        move(registry, "shadow started", TWO)

    assert decide(plane, registry, "reject", version=TWO).status == 200

    assert document(registry).statuses[TWO] == "rejected"
    assert announced() == [
        (
            "Candidate Rejected",
            {"endpoint": NAME, "stage": stage, "reason": "because", "version": TWO},
        )
    ]
    assert refused(decide(plane, registry, "promote", version=TWO)) == (409, "forbidden")


def test_the_champion_cannot_be_rejected(
    plane: Plane, champion: Manifest, registry: Registry
) -> None:
    answer = decide(plane, registry, "reject", version=ONE)

    assert refused(answer) == (409, "forbidden")
    assert "roll back" in said(answer)


def test_a_decision_on_a_challenger_says_what_the_comparison_had_shown_and_by_which_rules(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    move(registry, "shadow started", TWO)

    decide(plane, registry, "promote", version=TWO)

    last = document(registry).last
    assert last.figures["comparison"] == {"days": 0, "rows": 0}
    assert last.figures["loss"] == candidate.metrics.loss
    assert last.policy["alpha"] == flight_delay.endpoint.policy.alpha


# Rollback


@pytest.mark.parametrize("named", [{}, {"version": ONE}])
def test_a_rollback_returns_to_the_champion_before_even_if_the_present_one_is_corrupt(
    plane: Plane, candidate: Manifest, registry: Registry, artifacts: Store, named: dict[str, str]
) -> None:
    decide(plane, registry, "approve", version=TWO)
    artifacts.put(f"models/{NAME}/{TWO}/{ONNX}", b"something else")

    assert decide(plane, registry, "rollback", **named).status == 200

    assert document(registry).statuses == {ONE: "champion", TWO: "rejected"}


def test_there_is_no_rollback_from_the_first_champion(
    plane: Plane, champion: Manifest, registry: Registry
) -> None:
    answer = decide(plane, registry, "rollback")

    assert refused(answer) == (409, "forbidden")
    assert "name a retired version" in said(answer)


@pytest.mark.parametrize("name", [ONE, TWO])
def test_a_rollback_goes_to_a_retired_version_only(
    plane: Plane, candidate: Manifest, registry: Registry, name: str
) -> None:
    assert refused(decide(plane, registry, "rollback", version=name)) == (409, "forbidden")


def test_a_rollback_to_a_corrupt_version_is_refused(
    plane: Plane, candidate: Manifest, registry: Registry, artifacts: Store
) -> None:
    decide(plane, registry, "approve", version=TWO)
    artifacts.put(f"models/{NAME}/{ONE}/{ONNX}", b"something else")

    assert refused(decide(plane, registry, "rollback")) == (409, "forbidden")
    assert document(registry).champion == TWO


# Pause


def test_a_paused_endpoint_can_be_resumed_and_neither_twice(
    plane: Plane, champion: Manifest, registry: Registry, announced: Announced
) -> None:
    assert decide(plane, registry, "pause", reason="holidays").status == 200
    assert document(registry).paused == "holidays"
    assert refused(decide(plane, registry, "pause")) == (409, "forbidden")
    assert decide(plane, registry, "resume").status == 200
    assert refused(decide(plane, registry, "resume")) == (409, "forbidden")

    assert document(registry).paused is None
    assert [name for name, _ in announced()] == ["Endpoint Paused", "Endpoint Resumed"]


def test_on_a_paused_endpoint_a_person_may_promote_and_roll_back(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    decide(plane, registry, "pause")

    assert decide(plane, registry, "promote", version=TWO).status == 200
    assert decide(plane, registry, "rollback").status == 200
    assert document(registry).paused


def test_a_paused_endpoint_waits_for_a_person(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    decide(plane, registry, "pause", reason="holidays")

    answer = get(plane, "status").json()

    assert answer["next"] is None
    assert answer["waits"] == ["paused (holidays): a person has to resume it"]


# Generations and bodies

ACTIONS: dict[str, dict[str, Any]] = {
    "approve": {"version": TWO},
    "reject": {"version": TWO},
    "promote": {"version": TWO},
    "rollback": {},
    "pause": {},
    "resume": {},
    "experiments/stop": {},
}
EXPERIMENT = {
    "treatment": TWO,
    "share": 0.5,
    "hypothesis": "two is better",
    "min_rows": 20,
    "days": 30,
}


@pytest.mark.parametrize("action", [*ACTIONS, "experiments"])
@pytest.mark.parametrize("generation", [1, 3, 2**40])
def test_a_decision_on_another_generation_is_refused_and_changes_nothing(
    plane: Plane, candidate: Manifest, registry: Registry, action: str, generation: int
) -> None:
    before = document(registry)
    body = EXPERIMENT if action == "experiments" else {"reason": "late", **ACTIONS[action]}

    answer = post(plane, action, generation=generation, **body)

    assert refused(answer) == (409, "changed")
    assert document(registry) == before


def test_of_two_decisions_on_one_generation_the_second_is_refused(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    assert post(plane, "promote", version=TWO, generation=2, reason="now").status == 200

    answer = post(plane, "reject", version=TWO, generation=2, reason="no")

    assert refused(answer) == (409, "changed")


@pytest.mark.parametrize("action", ACTIONS)
def test_a_body_that_lacks_or_misspells_something_is_refused_with_every_path(
    plane: Plane, champion: Manifest, action: str
) -> None:
    answer = post(plane, action, generation="1", reason="", versoin=TWO)

    assert refused(answer) == (400, "invalid_request")
    needed = {"$.version"} if ACTIONS[action].get("version") else set()
    assert faults(answer) == {"$.generation", "$.reason", "$.versoin", *needed}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"generation": NaN}'])
def test_a_body_that_is_no_object_is_refused(plane: Plane, champion: Manifest, body: bytes) -> None:
    answer = plane.request("POST", f"{PATH}/pause", body, JSON)

    assert refused(answer) == (400, "invalid_request")


def test_a_body_that_is_not_declared_as_json_is_refused(plane: Plane, champion: Manifest) -> None:
    answer = plane.request("POST", f"{PATH}/pause", b"{}", {"Content-Type": "text/plain"})

    assert refused(answer) == (415, "wrong_content_type")


@pytest.mark.parametrize("path", ["status", "decisions", "explain", "experiments"])
def test_an_endpoint_without_a_champion_has_nothing_to_show(plane: Plane, path: str) -> None:
    assert refused(get(plane, path)) == (503, "no_champion")
    other = plane.request("GET", f"/control/endpoints/no-such-endpoint/{path}")
    assert refused(other) == (404, "unknown_endpoint")


@pytest.mark.parametrize(
    ("authorizer", "by"),
    [
        (
            {"iam": {"userArn": "arn:aws:iam::1:user/ada", "userId": "A1"}},
            "arn:aws:iam::1:user/ada (A1)",
        ),
        ({"jwt": {"claims": {"sub": "ada", "iss": "https://x"}, "scopes": None}}, "ada"),
    ],
)
def test_the_caller_who_signed_stands_in_the_decision(
    plane: Plane, champion: Manifest, registry: Registry, authorizer: dict[str, Any], by: str
) -> None:
    route = Route("POST", "/control/endpoints/{endpoint}/pause", "ControlFunction")
    body = json.dumps({"generation": 1, "reason": "audit"}).encode()
    event = http_event(route, f"{PATH}/pause", "", {"endpoint": NAME}, body, JSON)
    event["requestContext"]["authorizer"] = authorizer

    plane.invoke("ControlFunction", event)

    assert document(registry).last.by == by


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_nobody_decides_or_looks_unsigned_in_an_account(
    plane: Plane, champion: Manifest, registry: Registry, monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(place, "in_an_account", lambda: True)

    answer = post(plane, "pause", generation=1, reason="audit") if method == "POST" else (
        get(plane, "decisions"))  # fmt: skip

    assert refused(answer) == (403, "unsigned")
    assert document(registry).generation == 1


# Experiments


def begin(plane: Plane, registry: Registry, **body: Any) -> Answer:
    known = EXPERIMENT | {"generation": document(registry).generation}
    return post(plane, "experiments", **known | body)


def test_an_experiment_gives_both_arms_their_share_and_shows_how_it_stands(
    plane: Plane, candidate: Manifest, registry: Registry, announced: Announced
) -> None:
    answer = begin(plane, registry)

    assert answer.status == 200
    found = document(registry)
    assert found.arms == {TWO: 0.5}
    assert found.statuses == {ONE: "champion", TWO: "ab"}
    running = get(plane, "experiments").json()["running"]
    assert running["experiment"]["hypothesis"] == "two is better"
    assert running["experiment"]["end"] == "2013-03-03T12:00:00Z"
    assert running["standing"]["rows"] == [0, 0]
    assert running["says"] == "no gain to tell from 0 and 0 labelled rows"
    assert [name for name, _ in announced()] == ["Experiment Started"]


@pytest.mark.parametrize("compacted", [False, True])
def test_an_experiment_shows_what_its_arms_answered_before_it_is_counted(
    plane: Plane, candidate: Manifest, registry: Registry, compacted: bool
) -> None:
    begin(plane, registry)
    for number in range(8):
        body = given.body(given.row(), given.row(), key=f"caller {number}")
        assert plane.request("POST", f"/endpoints/{NAME}/predict", body, JSON).status == 200
    if compacted:
        compact(plane)

    running = get(plane, "experiments").json()["running"]

    new = [running["uncounted"][arm] for arm in ("control", "treatment")]
    assert running["standing"]["rows"] == [0, 0]
    assert sum(arm["requests"] for arm in new) == 8
    assert all(arm["rows"] == 2 * arm["requests"] > 0 for arm in new)


def test_an_experiment_keeps_the_reason_beside_its_hypothesis(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    begin(plane, registry, reason="the team agreed")

    found = document(registry)
    assert found.last.reason == "the team agreed"
    assert found.experiment
    assert found.experiment.hypothesis == "two is better"


@pytest.mark.parametrize("share", [0, 1, 2, -0.5, "half", None])
def test_an_experiment_with_an_impossible_share_is_refused(
    plane: Plane, candidate: Manifest, registry: Registry, share: Any
) -> None:
    answer = begin(plane, registry, share=share)

    assert refused(answer) == (400, "invalid_request")
    assert faults(answer) == {"$.share"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("days", 0), ("days", 1e9), ("min_rows", 0), ("hypothesis", ""), ("treatment", 3)],
)
def test_an_experiment_that_can_have_no_end_or_sense_is_refused(
    plane: Plane, candidate: Manifest, registry: Registry, field: str, value: Any
) -> None:
    answer = begin(plane, registry, **{field: value})

    assert faults(answer) == {f"$.{field}"}


def test_an_experiment_with_itself_is_refused(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    for arms in ({"treatment": ONE}, {"treatment": TWO, "control": TWO}):
        answer = begin(plane, registry, **arms)

        assert refused(answer) == (409, "forbidden")
        assert "two different versions" in said(answer)


def test_an_experiment_on_a_version_of_another_endpoint_is_refused(
    plane: Plane, candidate: Manifest, registry: Registry, trained: Trained
) -> None:
    other = msgspec.structs.replace(trained.manifest, endpoint="another", version=THREE)
    registry.write_version(other, trained.artifacts)

    assert refused(begin(plane, registry, treatment=THREE)) == (404, "unknown_version")
    assert refused(begin(plane, registry, control=THREE)) == (404, "unknown_version")


def test_an_experiment_with_a_version_that_cannot_be_loaded_is_refused(
    plane: Plane, candidate: Manifest, registry: Registry, artifacts: Store
) -> None:
    artifacts.put(f"models/{NAME}/{TWO}/{ONNX}", b"something else")

    assert refused(begin(plane, registry)) == (409, "forbidden")


def test_an_experiment_with_a_version_that_reads_other_requests_is_refused(
    plane: Plane, champion: Manifest, registry: Registry, trained: Trained
) -> None:
    schema = json.loads(json.dumps(trained.manifest.schema))
    schema["properties"]["altitude"] = {"type": "number"}
    schema["required"].append("altitude")
    entered(registry, trained, TWO, schema=schema, golden=[])

    answer = begin(plane, registry)

    assert refused(answer) == (409, "forbidden")
    assert "altitude" in said(answer)


def test_an_experiment_with_a_rejected_version_is_refused(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    move(registry, "challenger rejected", TWO)

    assert refused(begin(plane, registry)) == (409, "forbidden")


def test_a_second_experiment_or_one_while_paused_is_refused(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    decide(plane, registry, "pause")
    assert "resume it" in said(begin(plane, registry))
    decide(plane, registry, "resume")
    begin(plane, registry)

    assert "stop it first" in said(begin(plane, registry))


def test_an_experiment_stopped_without_traffic_is_inconclusive_and_the_champion_stays(
    plane: Plane, candidate: Manifest, registry: Registry, announced: Announced
) -> None:
    begin(plane, registry, promote=True)
    announced()

    answer = decide(plane, registry, "experiments/stop", reason="changed my mind")

    assert answer.status == 200
    found = document(registry)
    assert (found.champion, found.experiment) == (ONE, None)
    assert found.statuses == {ONE: "champion", TWO: "candidate"}
    assert found.last.figures["verdict"] == "inconclusive"
    assert found.last.reason.startswith("changed my mind (no gain")
    assert [(name, event["verdict"]) for name, event in announced()] == [
        ("Experiment Ended", "inconclusive")
    ]
    past = get(plane, "experiments").json()
    assert past["running"] is None
    assert [(one["verdict"], one["by"]) for one in past["past"]] == [("inconclusive", "local")]
    assert past["past"][0]["experiment"]["hypothesis"] == "two is better"


def test_an_experiment_cannot_be_stopped_twice(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    begin(plane, registry)
    decide(plane, registry, "experiments/stop")

    answer = decide(plane, registry, "experiments/stop")

    assert refused(answer) == (409, "forbidden")
    assert "no experiment is running" in said(answer)


def ask_both(data: Store, days: int, better: str) -> None:
    """Deliver requests that both arms answered in turn, and outcomes that only one expects.

    The arms are the same model; what one of them is asked turns out otherwise.
    """
    for day in range(1, days + 1):
        at = NOW + timedelta(days=day)
        captures: list[Capture] = []
        labels = []
        for n, features in enumerate(given.features(given.table(40, seed=day))):
            arm, late = (ONE, TWO)[n % 2], n % 4 < 2
            row = features | ({"hour": 22, "carrier": "EV"} if late else {"hour": 5})
            capture = given.capture(day * 1_000 + n, at, features=row, variant="ab")
            score = 0.9 if late else 0.1
            captures.append(msgspec.structs.replace(capture, version=arm, score=score))
            labels.append(given.label(day * 1_000 + n, late == (arm == better), at))
        given.deliver(data, captures, at, f"{day}")
        given.deliver(data, labels, at + timedelta(hours=1), f"{day}")


@pytest.mark.parametrize(("better", "verdict"), [(TWO, "challenger wins"), (ONE, "champion stays")])
@pytest.mark.usefixtures("shortcuts")
def test_an_experiment_that_is_stopped_gets_the_verdict_that_its_figures_give(
    plane: Plane,
    candidate: Manifest,
    registry: Registry,
    data: Store,
    clock: time_machine.Traveller,
    better: str,
    verdict: str,
) -> None:
    begin(plane, registry)
    ask_both(data, 20, better)
    compacted(data)
    clock.move_to(NOW + timedelta(days=29))

    running = get(plane, "experiments").json()["running"]
    decide(plane, registry, "experiments/stop")

    assert running["standing"]["labelled"] == [400, 400]
    assert (running["standing"]["gain"]["lower"] > 0) == (better == TWO)
    assert document(registry).last.figures["verdict"] == verdict
    assert document(registry).champion == ONE  # nobody asked for its promotion


def test_a_challenger_whose_manifest_is_gone_can_be_rejected(
    plane: Plane, candidate: Manifest, registry: Registry, artifacts: Store
) -> None:
    move(registry, "shadow started", TWO)
    artifacts.s3.delete_object(Bucket=artifacts.bucket, Key=f"models/{NAME}/{TWO}/manifest.json")

    assert get(plane, "status").json()["evidence"]["broken"].keys() == {TWO}
    assert decide(plane, registry, "reject", version=TWO).status == 200


# Views


def test_the_status_shows_what_a_candidate_waits_for(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    answer = get(plane, "status").json()

    assert answer["document"]["champion"] == ONE
    assert answer["evidence"]["waiting"]["version"] == TWO
    assert [TWO in text for text in answer["waits"]] == [True]


def test_the_status_says_why_the_last_training_was_skipped(
    plane: Plane, champion: Manifest, data: Store, artifacts: Store
) -> None:
    artifacts.put(f"runs/{NAME}/manual-of-any-time.json", b"never read")
    data.put(f"training/{NAME}/bad.csv", b"a,b\n1,2\n")
    plane.settle()

    (waits,) = get(plane, "status").json()["waits"]

    assert "nothing: no version waits" in waits
    assert "; the last training was skipped: " in waits


def test_the_status_of_a_challenger_says_how_far_it_is(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    move(registry, "shadow started", TWO)

    answer = get(plane, "status").json()

    days = flight_delay.endpoint.policy.shadow_days
    assert f"0 labelled days of at least {days}" in answer["waits"][0]
    assert answer["evidence"]["comparison"]["days"] == 0


def test_the_status_without_evidence_is_the_document(plane: Plane, champion: Manifest) -> None:
    answer = get(plane, "status?evidence=no").json()

    assert set(answer) == {"document"}


def test_an_unknown_parameter_is_refused(plane: Plane, champion: Manifest) -> None:
    assert faults(get(plane, "status?evidnce=no")) == {"?evidnce"}


@pytest.mark.parametrize(
    "query",
    [
        "evidence=maybe",
        "evidence=",
        "evidence=no&evidence=no",
        "run=",
        "run=../x",
        "uploaded=now",
        "uploaded=20130201T120000Z/..",
    ],
)
def test_a_parameter_that_says_nothing_is_refused(
    plane: Plane, champion: Manifest, query: str
) -> None:
    assert faults(get(plane, f"status?{query}")) == {f"?{query.partition('=')[0]}"}


@pytest.mark.parametrize("name", ["generation", "min_rows"])
def test_a_number_that_other_readers_of_json_do_not_have_is_refused(
    plane: Plane, champion: Manifest, name: str
) -> None:
    answer = post(plane, "experiments", **{"generation": 1, **EXPERIMENT, name: 2**53 + 1})

    assert faults(answer) == {f"$.{name}"}


def test_decisions_are_listed_oldest_first_and_shown_one_by_one(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    decide(plane, registry, "approve", version=TWO)

    everything = get(plane, "decisions").json()["decisions"]
    newest = get(plane, "decisions?limit=1").json()["decisions"]

    assert [one["generation"] for one in everything] == [1, 2, 3]
    assert newest == everything[-1:]
    for one in everything:
        assert get(plane, f"decisions/{one['generation']}").json() == one


@pytest.mark.parametrize("limit", ["0", "501", "x", "-1", "²"])
def test_a_limit_that_is_none_is_refused(plane: Plane, champion: Manifest, limit: str) -> None:
    assert faults(get(plane, f"decisions?limit={limit}")) == {"?limit"}


def test_a_decision_that_was_not_made_is_unknown(plane: Plane, champion: Manifest) -> None:
    for generation in ("0", "2", "99999999999999"):
        found = get(plane, f"decisions/{generation}")
        assert refused(found) == (404, "unknown_decision")
    for generation in ("first", "9" * 5_000):
        assert refused(get(plane, f"decisions/{generation}")) == (400, "invalid_request")


# Why a version serves


def explained(plane: Plane, name: str = "") -> dict[str, Any]:
    return dict(get(plane, "explain" + (f"?version={name}" if name else "")).json())


def test_why_the_champion_serves_can_be_read_from_the_registry_alone(
    plane: Plane, candidate: Manifest, registry: Registry, data: Store
) -> None:
    decide(plane, registry, "approve", version=TWO, reason="looks good")
    for key in list(data.keys("")):
        data.s3.delete_object(Bucket=data.bucket, Key=key)

    found = explained(plane)

    text = "\n".join(found["paragraphs"])
    assert (found["version"], found["status"], found["serves"]) == (TWO, "champion", True)
    assert [one["type"] for one in found["decisions"]] == ["candidate entered", "promoted"]
    assert f"{TWO} is the champion of {NAME} since 2013-02-01 12:00 UTC" in text
    assert candidate.lineage.run in text
    assert f"{candidate.metrics.loss:.4f}" in text
    assert "by local: looks good." in text
    assert f"{ONE} became retired, {TWO} became champion" in text


def test_why_a_version_does_not_serve_can_be_read_too(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    decide(plane, registry, "reject", version=TWO, reason="too slow")

    found = explained(plane, TWO)

    text = "\n".join(found["paragraphs"])
    assert (found["status"], found["serves"]) == ("rejected", False)
    assert f"{TWO} does not serve: it was refused, and is not tried again" in text
    assert "too slow" in text


def test_a_champion_that_lost_its_place_names_the_decision_by_which_it_did(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    decide(plane, registry, "approve", version=TWO)

    found = explained(plane, ONE)

    assert [one["type"] for one in found["decisions"]] == ["promoted", "promoted"]
    assert f"{ONE} does not serve: another version took its place" in found["paragraphs"][0]


@pytest.mark.parametrize("name", [THREE, "x", "..%2F..%2Fx"])
def test_a_version_that_never_was_cannot_be_explained(
    plane: Plane, champion: Manifest, name: str
) -> None:
    assert refused(get(plane, f"explain?version={name}")) == (404, "unknown_version")


def test_a_version_whose_manifest_is_gone_is_explained_by_its_decisions(
    plane: Plane, candidate: Manifest, registry: Registry, artifacts: Store
) -> None:
    key = f"models/{NAME}/{TWO}/manifest.json"
    artifacts.s3.delete_object(Bucket=artifacts.bucket, Key=key)

    found = explained(plane, TWO)

    assert found["training"] is None
    assert "Its manifest is gone." in found["paragraphs"]
    assert [one["type"] for one in found["decisions"]] == ["candidate entered"]


# The replay of a prediction


def predicted(plane: Plane, rows: int, query: str = "") -> list[str]:
    """Ask for predictions and let their captures arrive; return their ids."""
    asked = [given.row(hour=5 + n, carrier=("UA", "EV")[n % 2]) for n in range(rows)]
    path = f"/endpoints/{NAME}/predict{query}"
    answer = plane.request("POST", path, given.body(*asked), JSON)
    assert answer.status == 200
    return [one["id"] for one in answer.json()["predictions"]]


def steps(answer: Answer) -> dict[str, dict[str, Any]]:
    return {step["step"]: step for step in answer.json()["steps"]}


@pytest.mark.parametrize("rows", [1, 7])
def test_a_recorded_score_comes_out_again_bit_for_bit_step_by_step(
    plane: Plane, champion: Manifest, registry: Registry, rows: int
) -> None:
    wanted = predicted(plane, rows)[-1]

    answer = get(plane, f"predictions/{wanted}")

    assert answer.status == 200
    assert (answer.json()["identical"], answer.json()["version"]) == (True, ONE)
    found = steps(answer)
    assert list(found) == [
        "capture", "answered by", "version", "artifact", "libraries", "features",
        "recorded", "replayed",
    ]  # fmt: skip
    assert found["capture"]["figures"]["rows"] == rows
    assert found["version"]["figures"]["manifest_sha256"] == registry.manifest_sha256(NAME, ONE)
    assert found["artifact"]["figures"]["sha256"] == champion.artifacts[ONNX].sha256
    assert found["libraries"]["text"] == "the same as in training"
    assert found["features"]["figures"]["hour"] == 4 + rows
    assert found["recorded"]["figures"]["score"] == found["replayed"]["figures"]["score"]


def test_every_row_of_a_request_can_be_replayed(plane: Plane, champion: Manifest) -> None:
    for wanted in predicted(plane, 3):
        assert get(plane, f"predictions/{wanted}").json()["identical"] is True


def test_a_score_that_was_tampered_with_is_found_out(
    plane: Plane, champion: Manifest, data: Store
) -> None:
    wanted = predicted(plane, 1)[0]
    key = next(data.keys("captures/"))
    stored = data.get(key)
    assert stored
    capture = msgspec.json.decode(stored.body, type=Capture)
    data.put(key, msgspec.json.encode(msgspec.structs.replace(capture, score=0.5)))

    answer = get(plane, f"predictions/{wanted}")

    assert answer.json()["identical"] is False
    assert "not identical: off by" in steps(answer)["replayed"]["text"]


def test_the_replay_is_of_the_version_that_answered_and_not_of_todays(
    plane: Plane, candidate: Manifest, registry: Registry
) -> None:
    old = predicted(plane, 1)[0]
    requested = predicted(plane, 1, f"?version={TWO}")[0]
    decide(plane, registry, "approve", version=TWO)

    assert get(plane, f"predictions/{old}").json()["version"] == ONE
    found = get(plane, f"predictions/{requested}")
    assert found.json()["version"] == TWO
    assert "as the caller named it" in steps(found)["answered by"]["text"]


def test_a_version_that_is_corrupt_by_now_is_not_replayed_and_the_reason_is_said(
    plane: Plane, champion: Manifest, artifacts: Store
) -> None:
    wanted = predicted(plane, 1)[0]
    artifacts.put(f"models/{NAME}/{ONE}/{ONNX}", b"something else")

    answer = get(plane, f"predictions/{wanted}")

    assert (answer.status, answer.json()["identical"]) == (200, None)
    assert "nothing was deserialized" in steps(answer)["stopped"]["text"]


def test_an_answer_of_another_service_is_explained_and_not_asked_again(
    plane: Plane, champion: Manifest, registry: Registry, trained: Trained, data: Store
) -> None:
    written(registry, trained, TWO, kind="external")
    capture = msgspec.structs.replace(given.capture(1), version=TWO, id=an_id(NOW), time=NOW)
    given.deliver(data, [capture], NOW)

    answer = get(plane, f"predictions/{capture.id}")

    assert answer.json()["identical"] is None
    assert "another service" in steps(answer)["stopped"]["text"]


def an_id(time: Any) -> str:
    return f"{int(time.timestamp() * 1000):012x}{'0' * 20}-000"


@pytest.mark.parametrize("days", [0, -1, -400])
def test_a_prediction_that_is_not_recorded_or_has_expired_is_unknown(
    plane: Plane, champion: Manifest, days: int
) -> None:
    wanted = an_id(NOW + timedelta(days=days))

    assert refused(get(plane, f"predictions/{wanted}")) == (404, "unknown_prediction")


@pytest.mark.parametrize(
    "wanted", ["x", "0" * 32, "G" * 32 + "-000", "f" * 32 + "-000", an_id(NOW + timedelta(days=1))]
)
def test_what_cannot_be_the_id_of_a_prediction_is_refused(
    plane: Plane, champion: Manifest, wanted: str
) -> None:
    answer = get(plane, f"predictions/{wanted}")

    assert refused(answer) == (400, "invalid_request")
    assert faults(answer) == {"id"}


def test_a_capture_that_was_written_a_day_late_is_found(
    plane: Plane, champion: Manifest, data: Store, clock: time_machine.Traveller
) -> None:
    wanted = predicted(plane, 1)[0]
    key = next(data.keys("captures/"))
    stored = data.get(key)
    assert stored
    data.s3.delete_object(Bucket=data.bucket, Key=key)
    clock.move_to(NOW + timedelta(hours=20))
    compact(plane)
    data.put(key, stored.body)

    assert get(plane, f"predictions/{wanted}").json()["identical"] is True
    compact(plane)
    assert get(plane, f"predictions/{wanted}").json()["identical"] is True
