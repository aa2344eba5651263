"""The vendor of the demo: good until it has a quarter of the requests, and asked three times."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import time_machine

from evergreen.contract import endpoint_files
from evergreen.contract.rule import columns_from
from evergreen.serving.external import External
from local.demo.flights import vendor
from local.demo.flights.vendor import AGAIN, CANDIDATE, DAY, FROM, Service, Trial
from local.demo.result import Event
from local.samples import flights

NAME = "flight-delay"
VERSION = "20130920T090500Z-0a1b2c3d"


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    found = flights.flights()
    return found[found["month"] == 1].iloc[:4_000].reset_index(drop=True)


@pytest.fixture
def service(table: pd.DataFrame) -> Iterator[Service]:
    running = Service(NAME, table, 0)
    yield running
    running.stop()


class Played:
    """A replay of which only the document matters; `comes` of a training: a candidate's kind."""

    def __init__(self, comes: str | None = CANDIDATE, challenger: str | None = None) -> None:
        self.endpoint, self.comes = NAME, comes
        self.document = SimpleNamespace(candidate=None, challenger=challenger)
        self.planned: list[datetime] = []
        self.asked: list[list[str]] = []
        self.events: list[Event] = []
        self.injected: list[Any] = []
        self.registry = SimpleNamespace(document=lambda _: SimpleNamespace(document=self.document))
        self.plane = SimpleNamespace(settle=self.settle)

    def plan(self, time: datetime, _: Any) -> None:
        self.planned.append(time)

    def post(self, path: str, body: dict[str, Any]) -> None:
        assert (path, body) == (f"/control/endpoints/{NAME}/retrain", {})

    def settle(self) -> None:
        self.asked.append(list(endpoint_files.load(NAME).candidates(0)))
        if self.comes:
            self.document.candidate = VERSION
            detail = {"version": VERSION, "candidate": self.comes}
            self.events.append(Event(datetime.now(UTC), "Model Trained", detail))


@pytest.fixture
def trial(table: pd.DataFrame) -> Iterator[Trial]:
    found = Trial(Played(), table, 0)  # type: ignore[arg-type]
    with time_machine.travel(FROM, tick=False):
        yield found
    found.close()


def played(trial: Trial, **changes: Any) -> Played:
    trial.replayed = Played(**changes)  # type: ignore[assignment]
    return trial.replayed  # type: ignore[return-value]


def started(share: float) -> Event:
    detail = {"version": VERSION, "share": share, "stage": "canary"}
    return Event(datetime.now(UTC), "Challenger Started", detail)


def usual() -> list[str]:
    return list(endpoint_files.load(NAME).candidates(0))


def test_the_service_scores_as_its_model_and_turns_round_with_its_update(
    service: Service, table: pd.DataFrame
) -> None:
    examples = endpoint_files.load(NAME).examples(table)
    rows = examples[list(endpoint_files.load(NAME).row.__struct_fields__)]
    late = examples["label"].to_numpy(dtype=bool)
    asked, another = (External(url=service.url).fit(rows, late) for _ in range(2))

    before = asked.scores(columns_from(rows))
    service.updated = True
    after = another.scores(columns_from(rows))  # while the first keeps its connection

    assert before[late].mean() > before[~late].mean() + 0.2
    np.testing.assert_allclose(after, 1 - before)


def test_the_vendor_is_tried_when_nothing_waits_and_the_version_is_named(trial: Trial) -> None:
    busy = played(trial, challenger="another")
    trial.look()
    assert (busy.planned, busy.asked) == ([FROM + DAY], [])

    free = played(trial)
    trial.look()

    assert free.asked == [[*usual()]]
    assert CANDIDATE in free.asked[0]
    assert [each.version for each in free.injected] == [VERSION]
    assert free.planned == []


def test_a_training_that_comes_to_another_candidate_is_repeated_twice_at_most(trial: Trial) -> None:
    seen = played(trial, comes="hist-gradient-boosting")

    for _ in range(3):
        seen.document.candidate = None
        trial.look()

    assert len(seen.asked) == vendor.TRIES
    assert seen.planned == [FROM + AGAIN] * 2
    assert seen.injected == []
    assert CANDIDATE not in usual()


def test_it_updates_at_a_quarter_and_is_gone_when_it_was_taken_out(trial: Trial) -> None:
    played(trial)
    trial.look()
    assert trial.service
    turned = []

    for share in (0.0, 0.05, 0.25, 0.5):
        trial.hear(started(share))
        turned.append(trial.service.updated)
    during = usual()
    gone = {"version": VERSION, "stage": "comparison", "reason": "it drifted"}
    trial.hear(Event(datetime.now(UTC), "Candidate Rejected", gone))

    assert turned == [False, False, True, True]
    assert CANDIDATE in during
    assert CANDIDATE not in usual()
