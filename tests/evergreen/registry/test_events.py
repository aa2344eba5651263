"""Events on the bus: all of them, or an error that makes the caller try again."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

import bootstrap as clients
from evergreen.contract.errors import DeliveryError
from evergreen.registry import events
from local.template import physical_name
from tests.support import given
from tests.support.given import NAME, Fault, injected

Announced = Callable[[], list[tuple[str, dict[str, Any]]]]

EXAMPLES = [
    events.RetrainRequested(endpoint=NAME, time=given.NOW, trigger="schedule"),
    events.TrainingSkipped(endpoint=NAME, run="r", trigger="drift", reason="too soon"),
    events.ModelTrained(
        endpoint=NAME,
        run="r",
        trigger="drift",
        version="v",
        candidate="c",
        metric="log-loss",
        loss=0.5,
    ),
    events.CandidateRejected(
        endpoint=NAME, stage="training", run="r", trigger="drift", reason="worse"
    ),
    events.ModelPromoted(endpoint=NAME, version="v2", previous=None, generation=1, reason="first"),
    events.ModelRolledBack(
        endpoint=NAME, version="v1", previous="v2", generation=2, reason="it was better"
    ),
    events.ChallengerStarted(
        endpoint=NAME, version="v3", stage="canary", share=0.05, reason="not worse"
    ),
    events.ExperimentStarted(
        endpoint=NAME, experiment="e", control="v1", treatment="v3", share=0.5, hypothesis="h"
    ),
    events.ExperimentEnded(endpoint=NAME, experiment="e", verdict="inconclusive", reason="over"),
    events.EndpointPaused(endpoint=NAME, reason="a holiday"),
    events.EndpointResumed(endpoint=NAME, reason="it is over"),
    *(
        kind(
            endpoint=NAME,
            version="v",
            time=given.NOW,
            since=given.START,
            features=[kind.__name__],
            report="drift/x.json",
        )
        for kind in (events.DriftDetected, events.SchemaViolated, events.PerformanceDegraded)
    ),
]


@pytest.fixture(autouse=True)
def bus(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENT_BUS", physical_name("EventBus"))


def test_every_event_arrives_under_its_name_in_words(announced: Announced) -> None:
    events.emit(clients.events(), *EXAMPLES)

    found = dict(announced())
    assert set(found) == set(events.TYPES) - {"Check Requested", "Rollout Requested"}  # no news
    for name, detail in found.items():
        assert msgspec.convert(detail, events.TYPES[name]) in EXAMPLES


def test_no_events_are_no_call(announced: Announced) -> None:
    events.emit(clients.events())

    assert announced() == []


def test_more_events_than_one_call_may_have_all_arrive(announced: Announced) -> None:
    """PutEvents takes ten; eleven endpoints may be due on the first of a month."""
    many = [
        events.RetrainRequested(endpoint=f"e{n}", time=given.NOW, trigger="schedule")
        for n in range(11)
    ]

    events.emit(clients.events(), *many)

    assert {detail["endpoint"] for _, detail in announced()} == {f"e{n}" for n in range(11)}


class RefusingBus:
    """A bus that answers 200 and takes only the first event."""

    def put_events(self, **request: Any) -> Any:
        failed = len(request["Entries"]) - 1
        failure = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
        return {"FailedEntryCount": failed, "Entries": [{"EventId": "1"}, *[failure] * failed]}


def test_a_bus_that_takes_only_some_is_an_error_that_counts_them() -> None:
    client: Any = RefusingBus()

    with pytest.raises(DeliveryError, match=r"refused 2 of 3 .*slow down"):
        events.emit(client, *EXAMPLES[:3])


def test_a_bus_that_is_down_raises() -> None:
    with (
        injected(clients.events(), "eventbridge.PutEvents", Fault(500, times=9)),
        pytest.raises(ClientError),
    ):
        events.emit(clients.events(), EXAMPLES[0])


def test_every_detail_type_has_a_schema_that_names_what_it_requires() -> None:
    schemas = events.schemas()

    assert set(schemas) == set(events.TYPES)
    for name, schema in schemas.items():
        (definition,) = schema["$defs"].values()
        assert "endpoint" in definition["required"], name
