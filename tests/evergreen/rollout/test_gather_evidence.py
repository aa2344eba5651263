"""The evidence of the rollout: what is counted for and against a version, and what is not."""

from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from evergreen.contract.endpoint import Policy
from evergreen.contract.errors import ExternalError
from evergreen.contract.problem import Problem
from evergreen.monitoring import report
from evergreen.registry.state import Challenger, Document, Experiment
from evergreen.rollout import gather_evidence
from evergreen.rollout.evidence import Evidence
from evergreen.rollout.gathering import Gathering
from evergreen.serving import model
from evergreen.serving.model import ONNX, Model
from evergreen.training.train_version import Trained
from tests.support import given, rollouts
from tests.support.given import NOW, START
from tests.support.memory import Memory, compacted
from tests.support.rollouts import BAD, DAY, GOOD


@pytest.fixture(scope="module")
def models(trained: Trained) -> dict[str, Model]:
    manifests = [msgspec.structs.replace(trained.manifest, version=name) for name in (BAD, GOOD)]
    body = trained.artifacts[ONNX]
    return {manifest.version: model.load(manifest, body) for manifest in manifests}


def gathered(
    memory: Memory, models: dict[str, Model], document: Document, day: float, **policy: Any
) -> Evidence:
    rules = Policy(**({"label_days": 1} | policy))
    compacted(memory)
    sources = Gathering(memory, document, rules, models.__getitem__, NOW + day * DAY)
    return gather_evidence.gather(sources)


def young(**fields: Any) -> Document:
    """Return a document whose champion took another's place at NOW."""
    document = given.document(GOOD)
    return msgspec.structs.replace(document, since=NOW, **({"previous": BAD} | fields))


def manifest_of(found: Model, **fields: Any) -> Model:
    return Model(msgspec.structs.replace(found.manifest, **fields), found.scores)


def test_a_new_champion_is_not_watched_on_days_that_its_training_has_seen(
    models: dict[str, Model],
) -> None:
    lineage = msgspec.structs.replace(models[GOOD].manifest.lineage, data_end=NOW)
    models = models | {GOOD: manifest_of(models[GOOD], lineage=lineage)}
    memory = Memory()
    rollouts.days(memory, range(-20, 6), version=GOOD)

    early = gathered(memory, models, young(), 7, label_days=6)
    later = gathered(memory, models, young(), 11, label_days=6)

    assert early.watched == []
    assert [day.day for day in later.watched] == [(NOW + n * DAY).date() for n in (1, 2, 3, 4)]


def test_a_champion_is_not_watched_beside_one_of_another_problem(models: dict[str, Model]) -> None:
    problem = Problem(kind="regression", scale=10.0)
    models = models | {GOOD: manifest_of(models[GOOD], problem=problem)}
    memory = Memory()
    for day in range(6):
        captures = [given.capture(day * 100 + n, NOW + day * DAY) for n in range(20)]
        labels = [given.label(day * 100 + n, 30.0, NOW + day * DAY) for n in range(20)]
        given.deliver(memory, captures, NOW + day * DAY, f"{day}")
        given.deliver(memory, labels, NOW + day * DAY, f"{day}")

    found = gathered(memory, models, young(), 6)

    assert (found.watched, found.broken) == ([], {})


def test_what_callers_ask_of_a_version_by_name_does_not_count_against_it(
    models: dict[str, Model],
) -> None:
    memory = Memory()
    captures = [
        msgspec.structs.replace(
            given.capture(n, NOW + DAY / 24, variant=variant),
            id=f"{n:032x}-000", version=GOOD, failed=GOOD,
        )
        for n, variant in enumerate(["requested"] * 20 + ["champion"])
    ]  # fmt: skip
    given.deliver(memory, captures, NOW + DAY / 24)

    found = gathered(memory, models, young(), 1)

    assert (found.champion.requests, found.champion.failed) == (1, 1)


def test_what_arrived_again_and_the_rows_of_one_request_count_once(
    models: dict[str, Model],
) -> None:
    memory = Memory()
    captures = [
        msgspec.structs.replace(
            given.capture(n, NOW, ms=900.0), id=f"{n // 4:032x}-{n % 4:03d}", version=GOOD
        )
        for n in range(12)
    ]
    for hours in (0, 5, 24):
        given.deliver(memory, captures, NOW + timedelta(hours=hours))

    found = gathered(memory, models, young(), 3).champion

    assert (found.requests, found.rows) == (3, 12)


@pytest.mark.parametrize(("ms", "slow"), [(400.0, 0), (2_000.0, 0), (2_004.0, 3)])
def test_a_request_is_slow_by_the_time_for_each_of_its_rows(
    models: dict[str, Model], ms: float, slow: int
) -> None:
    memory = Memory()
    captures = [
        msgspec.structs.replace(
            given.capture(n, NOW, variant="canary", ms=ms),
            id=f"{n // 4:032x}-{n % 4:03d}", version=GOOD,
        )
        for n in range(12)
    ]  # fmt: skip
    given.deliver(memory, captures, NOW)

    found = gathered(memory, models, in_canary(), 1, max_latency_ms=500)

    assert (found.canary.requests, found.canary.slow) == (3, slow)


def test_a_canary_is_not_slow_where_the_champion_is_as_slow(models: dict[str, Model]) -> None:
    memory = Memory()
    captures = [
        msgspec.structs.replace(given.capture(n, NOW, ms=900.0, variant=variant), version=version)
        for n, (version, variant) in enumerate([(GOOD, "canary"), (BAD, "champion")] * 10)
    ]
    given.deliver(memory, captures, NOW)

    found = gathered(memory, models, in_canary(), 1, max_latency_ms=500)

    assert found.canary.slow == 0


@pytest.mark.parametrize(
    ("asked", "inverted", "drifted"),
    [
        ({"hour": 22, "carrier": "EV"}, (), False),
        ({}, (0, 1, 2), True),
        ({}, (1, 2), True),
        ({}, (0, 1), False),
        ({}, (2,), False),
    ],
    ids=["late evenings alone", "other answers", "since a day", "until a day ago", "for a day"],
)
def test_a_canary_has_drifted_only_where_the_champion_would_not_have_for_days(
    models: dict[str, Model], asked: dict[str, Any], inverted: tuple[int, ...], drifted: bool
) -> None:
    memory = Memory()
    for day in range(3):
        table = given.table(300, seed=5 + day).assign(**asked)
        rows = given.features(table)
        captures = [
            msgspec.structs.replace(
                given.capture(1_000 * day + n, NOW + day * DAY, features=row, variant="canary"),
                version=GOOD,
                score=float(1 - score if day in inverted else score),
            )
            for n, (row, score) in enumerate(zip(rows, models[GOOD].scores_of(rows), strict=True))
        ]
        given.deliver(memory, captures, NOW + day * DAY)

    found = gathered(memory, models, in_canary(), 3).canary

    assert found.psi is not None
    assert found.psi > report.MAJOR or len(inverted) == 1
    assert found.drifted == drifted


def in_canary() -> Document:
    """Return a document in which GOOD is in canary beside BAD."""
    document = given.document(BAD)
    challenger = Challenger(
        version=GOOD, stage="canary", started=START, since=START, canary=START, share=0.05
    )
    return msgspec.structs.replace(document, challenger=challenger)


def test_a_champion_whose_callers_the_one_before_would_turn_away_stays(
    models: dict[str, Model],
) -> None:
    schema = models[BAD].manifest.schema
    fields = {name: spec for name, spec in schema["properties"].items() if name != "visib"}
    narrower = manifest_of(models[BAD], schema=schema | {"properties": fields})

    found = gathered(Memory(), models | {BAD: narrower}, young(), 1)

    assert "visib" in str(found.one_way)


def test_closed_days_of_an_experiment_are_read_once(models: dict[str, Model]) -> None:
    experiment = Experiment(
        id="one", control=BAD, treatment=GOOD, share=0.5, hypothesis="it is better", min_rows=1,
        start=START, end=NOW + 30 * DAY,
    )  # fmt: skip
    document = msgspec.structs.replace(given.document(BAD), experiment=experiment)
    memory = Memory()
    rollouts.days(memory, range(3), version=BAD)
    rollouts.days(memory, range(3), version=GOOD, variant="ab", first=5_000)
    first = gathered(memory, models, document, 6)
    memory.forget()

    again = gathered(memory, models, document, 6)

    assert (again.control, again.treatment, again.keys) == (
        first.control, first.treatment, first.keys,
    )  # fmt: skip
    assert [day.labelled for day in again.treatment] == [rollouts.ROWS] * 3
    assert again.keys == (3 * rollouts.ROWS, 3 * rollouts.ROWS)
    assert not [key for key in memory.read if key.startswith(("rows/", "outcomes/"))]


def away(_: object) -> np.ndarray[Any, Any]:
    raise ExternalError("vendor", "it is away")


def mute(columns: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.full(len(columns["hour"]), np.nan)


@pytest.mark.parametrize("scores", [away, mute])
def test_the_arms_of_an_experiment_are_judged_by_what_they_answered_and_not_asked_again(
    models: dict[str, Model], scores: Any
) -> None:
    experiment = Experiment(
        id="one", control=BAD, treatment=GOOD, share=0.5, hypothesis="it is better", min_rows=1,
        start=START, end=NOW + 30 * DAY,
    )  # fmt: skip
    document = msgspec.structs.replace(given.document(BAD), experiment=experiment)
    models = models | {GOOD: Model(models[GOOD].manifest, scores)}
    memory = Memory()
    captures = [
        msgspec.structs.replace(
            given.capture(n, NOW, variant="ab"), version=(BAD, GOOD)[n % 2], score=(0.5, 0.9)[n % 2]
        )
        for n in range(20)
    ]
    given.deliver(memory, captures, NOW)
    labels = [given.label(n, True, NOW + timedelta(hours=1)) for n in range(20)]
    given.deliver(memory, labels, NOW + timedelta(hours=1))

    found = gathered(memory, models, document, 4)

    loss = [arm[0].loss for arm in (found.control, found.treatment)]
    assert loss == pytest.approx([-np.log(0.5), -np.log(0.9)])
    assert found.control[0].labelled == 10


@pytest.mark.parametrize(
    ("changed", "refreshed"),
    [
        ({}, True),
        ({"candidate": "another"}, False),
        ({"code_sha256": "0" * 64}, False),
        ({"data_end": START}, False),
        ({"parameters": {"C": 0.2}}, False),
        ({"kind": "rule"}, False),
    ],
)
def test_a_version_refreshes_another_by_the_same_recipe_and_newer_data(
    models: dict[str, Model], changed: dict[str, Any], refreshed: bool
) -> None:
    champion = models[GOOD].manifest
    own = msgspec.structs.replace(
        champion.metrics.candidates[0],
        candidate=changed.get("candidate", champion.candidate),
        parameters=changed.get("parameters", champion.metrics.candidates[0].parameters),
    )
    other = manifest_of(
        models[BAD],
        candidate=own.candidate,
        kind=changed.get("kind", "model"),
        metrics=msgspec.structs.replace(champion.metrics, candidates=[own]),
        lineage=msgspec.structs.replace(
            champion.lineage,
            data_end=changed.get("data_end", champion.lineage.data_end + DAY),
            code_sha256=changed.get("code_sha256", champion.lineage.code_sha256),
        ),
    )
    document = young(challenger=Challenger(version=BAD, stage="shadow", started=NOW, since=NOW))

    found = gathered(Memory(), models | {BAD: other}, document, 1)

    assert found.refreshed is refreshed
