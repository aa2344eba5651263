"""Slow, failing and absent dependencies: who still answers, what, and how soon.

Real clients talk to AWS over a wire that fails (see outage); only the seconds are shorter.
"""

import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

import bootstrap as clients
import endpoints.flight_delay as flight_delay
import predict
from evergreen.aws.s3 import Store
from evergreen.serving.external import External
from evergreen.training.train_version import Trained
from http_api import dispatch
from local.plane.gateway import Answer
from local.plane.plane import Plane
from local.template import Template
from tests.faults.outages.outage import BUDGET, FAILURES, SERVICES, Outage, between
from tests.handlers.requests.test_predict import JSON, PATH, write
from tests.support import arms, given
from tests.support.given import NAME, version
from tests.support.registries import registry_of
from tests.support.servers import Answered, Asked, listening

SLACK = 2.0  # seconds of computing, on a machine that others use too
ADDRESSES = 8  # that S3's name has; each may cost the connect timeout
API_SECONDS = 30
BACKOFF_SECONDS = 1  # at most, between two attempts
LABELS = json.dumps({"labels": [{"id": given.prediction_id(1), "label": True}]}).encode()
NOBODY = "127.0.0.1:9"


@pytest.fixture
def outage(
    plane: Plane, artifacts: Store, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Outage]:
    """Return the wire to AWS of a deployment with a champion and its rule."""
    registry = registry_of(artifacts)
    write(registry, trained, version(1), promoted=True)
    arms.change(registry, fallback=arms.write_rule(registry, trained))
    plane.log = plane.runtime.log = io.StringIO()  # type: ignore[attr-defined]
    for made in (clients.s3, clients.firehose, clients.events, clients.kms, clients._seal):
        made.cache_clear()  # they reach AWS without the wire
    with between(plane, monkeypatch) as found:
        yield found


def ask(plane: Plane) -> tuple[Answer, float]:
    """Return the answer to a prediction, and after how many seconds it came."""
    return timed(plane, "POST", PATH, given.body())


def timed(plane: Plane, method: str, path: str, body: bytes | None) -> tuple[Answer, float]:
    start = time.monotonic()
    answer = plane.request(method, path, body, JSON)
    return answer, time.monotonic() - start


def counted(plane: Plane) -> Counter[str]:
    """Return how often each metric was written since the last look."""
    log = plane.runtime.log  # type: ignore[attr-defined]
    lines = given.metrics(log)
    log.truncate(0)
    log.seek(0)
    return Counter(name for line in lines for name in line if name[0].isupper())


# A warm predict


@pytest.mark.parametrize("lost", [*[(one,) for one in SERVICES], SERVICES], ids="+".join)
@pytest.mark.parametrize("how", [*FAILURES, "hanging", "dripping"])
def test_a_warm_predict_answers_from_the_champion_that_it_has(
    how: str,
    lost: tuple[str, ...],
    plane: Plane,
    outage: Outage,
    artifacts: Store,
    trained: Trained,
) -> None:
    ask(plane)
    write(registry_of(artifacts), trained, version(2), promoted=True)

    outage.fail(how, *lost)
    answer, seconds = ask(plane)

    assert answer.status == 200, answer.body
    body = answer.json()
    blind = {"s3", "kms"} & set(lost)
    assert (body["version"], body["variant"]) == (version(1 if blind else 2), "champion")
    counts = counted(plane)
    gone = how == "no such thing" and "s3" in lost  # a document that is gone has not changed
    assert counts["RefreshFailed"] == (bool(blind) and not gone)
    assert counts["CaptureFailed"] == ("firehose" in lost)
    assert seconds < BUDGET + clients.CONNECT_SECONDS + predict.CAPTURE_SECONDS + SLACK

    outage.failing.clear()
    later, _ = ask(plane)

    assert later.json()["version"] == version(2), "and it goes on by itself"


@pytest.mark.parametrize("lost", SERVICES)
def test_a_warm_predict_answers_where_nobody_listens(
    lost: str, plane: Plane, outage: Outage, artifacts: Store, trained: Trained
) -> None:
    ask(plane)
    write(registry_of(artifacts), trained, version(2), promoted=True)

    def refused(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url=lost)

    getattr(clients, lost)().meta.events.register("before-send", refused)
    answer, _ = ask(plane)

    assert answer.status == 200
    assert answer.json()["version"] == version(2 if lost == "firehose" else 1)
    counts = counted(plane)
    assert (counts["RefreshFailed"], counts["CaptureFailed"]) in ((1, 0), (0, 1))


@pytest.mark.parametrize("lost", ["s3", "firehose"])
def test_of_many_requests_one_waits_for_a_service_that_hangs(
    lost: str, plane: Plane, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(plane)
    monkeypatch.setattr(clients, "REST_SECONDS", 60.0)

    outage.fail("hanging", lost)
    found = [ask(plane) for _ in range(10)]

    assert [answer.status for answer, _ in found] == [200] * 10
    assert outage.asked[lost] == 2, "one call, and its retry"
    assert sum(seconds for _, seconds in found[1:]) < SLACK
    counts = counted(plane)
    assert counts["RefreshFailed" if lost == "s3" else "CaptureFailed"] == 10


def test_what_an_answer_waited_for_does_not_cost_its_capture(
    plane: Plane, outage: Outage, artifacts: Store, trained: Trained
) -> None:
    ask(plane)
    write(registry_of(artifacts), trained, version(2), promoted=True)

    outage.fail("dripping", "s3")  # until no time is left
    answer, _ = ask(plane)

    assert answer.status == 200
    assert counted(plane)["CaptureFailed"] == 0
    assert outage.asked["firehose"] == 1


# A cold function


COLD = {
    "predict": ("POST", PATH, given.body()),
    "feedback": ("POST", f"/endpoints/{NAME}/feedback", LABELS),
    "status": ("GET", f"/control/endpoints/{NAME}/status", None),
    "versions": ("GET", f"/endpoints/{NAME}/versions", None),
}


@pytest.mark.parametrize("name", COLD)
@pytest.mark.parametrize("how", ["hanging", "dripping", "late", "reset", "slow down", "denied"])
def test_without_a_model_the_answer_is_a_quick_503_that_says_when_to_ask_again(
    how: str, name: str, plane: Plane, outage: Outage
) -> None:
    outage.fail(how, *SERVICES)

    answer, seconds = timed(plane, *COLD[name])

    if how == "late" and answer.status < 300:
        assert name != "predict", "which needs five calls before it can answer"
    else:
        assert answer.status == 503
        assert answer.headers["retry-after"] == dispatch.RETRY_AFTER_SECONDS
        assert answer.json()["error"]["code"] == "unavailable"
        assert counted(plane)["RequestsFailed"] == 1
    assert seconds < BUDGET + clients.CONNECT_SECONDS + SLACK


@pytest.mark.parametrize("name", ["predict", "feedback", "versions"])
@pytest.mark.parametrize("how", ["garbage", "empty", "elsewhere"])
def test_what_is_no_answer_of_aws_is_a_503_too(
    how: str, name: str, plane: Plane, outage: Outage
) -> None:
    outage.fail(how, *SERVICES)

    answer, _ = timed(plane, *COLD[name])

    assert answer.status == 503, answer.body
    assert answer.headers["retry-after"] == dispatch.RETRY_AFTER_SECONDS


def test_a_throttled_s3_is_asked_again(plane: Plane, outage: Outage) -> None:
    outage.failing, outage.once = {"s3": "slow down"}, True

    answer, _ = ask(plane)

    assert answer.status == 200
    assert answer.json()["variant"] == "champion"


# Seconds


def test_every_function_that_a_caller_waits_for_answers_before_its_timeout_and_that_of_the_api(
    template: Template,
) -> None:
    """At worst all time for asking passes, and then the last attempt connects to each address."""
    functions = template.of_type("AWS::Lambda::Function")
    behind = {route.function for route in Plane(template).routes}
    timeouts = {name: functions[name]["Timeout"] for name in behind}

    assert set(timeouts) == {"PredictFunction", "FeedbackFunction", "ControlFunction"}
    for name, timeout in timeouts.items():
        asking = timeout - dispatch.RESERVE_SECONDS
        capture = predict.CAPTURE_SECONDS if name == "PredictFunction" else 0
        assert asking + capture + ADDRESSES * clients.CONNECT_SECONDS < timeout < API_SECONDS
        assert asking >= 2 * clients.READ_SECONDS + BACKOFF_SECONDS, "a call that hangs is retried"


def test_an_attempt_ends_long_before_its_function(aws: None) -> None:
    """Else a service that hangs once would leave no time to ask it again."""
    for made in (clients.s3, clients.kms, clients.firehose, clients.events):
        config: Any = made().meta.config
        assert config.connect_timeout == clients.CONNECT_SECONDS
        assert config.read_timeout == clients.READ_SECONDS
        assert config.retries == {"mode": "standard", "total_max_attempts": 2}


# A champion that is a service, away during a training


def test_a_training_compares_with_what_answers_while_the_champions_service_is_away(
    plane: Plane, quick: None, artifacts: Store, data: Store, trained: Trained
) -> None:
    registry = registry_of(artifacts)
    arms.write_external(registry, trained, NOBODY, version(1))
    registry.write_document(given.document(version(1)), None)
    given.upload(data)

    run = plane.invoke("TrainFunction", {"endpoint": NAME})

    assert run["outcome"] == "entered", run["reason"]
    (said,) = [gate["said"] for gate in run["gates"] if gate["name"] == "champion"]
    assert f"as it answers now: http://{NOBODY} gave no scores" in said
    seen = registry.document(NAME)
    assert seen is not None
    assert (seen.document.champion, seen.document.candidate) == (version(1), run["version"])


def test_a_candidate_whose_service_goes_away_after_the_holdout_is_rejected_with_the_reason(
    plane: Plane, data: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Asked] = []

    def answer(asked: Asked) -> Answered | None:
        calls.append(asked)
        rows = json.loads(asked.body)["instances"]
        late = [0.9 if row["hour"] >= 14 or row["carrier"] == "EV" else 0.1 for row in rows]
        return Answered(json.dumps({"scores": late}).encode()) if len(calls) == 1 else None

    given.upload(data)

    with listening(answer) as host:
        service = External(url=f"http://{host}")
        alone = replace(given.quick(), candidates=lambda _: {"a service": service})
        monkeypatch.setattr(flight_delay, "endpoint", alone)
        run = plane.invoke("TrainFunction", {"endpoint": NAME})

    assert run["outcome"] == "rejected"
    assert f"http://{host} gave no scores" in run["reason"]
    assert len(calls) == 2, "the holdout, and the golden rows"
