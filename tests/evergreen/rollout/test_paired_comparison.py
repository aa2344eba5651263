"""Two versions on the same requests: only days that are over, only labels that came in time."""

from datetime import date, timedelta
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.captures.records import Capture, Label
from evergreen.contract.endpoint import Policy
from evergreen.contract.errors import ExternalError
from evergreen.contract.schema import Columns, columns_of
from evergreen.rollout.gathering import Gathering
from evergreen.rollout.paired_comparison import paired
from evergreen.serving import model
from evergreen.serving.model import ONNX, Model
from evergreen.training.train_version import Trained
from tests.support import given, rollouts
from tests.support.given import NOW
from tests.support.memory import Memory, compacted
from tests.support.rollouts import DAY

POLICY = Policy(label_days=1)
FIRST = (NOW + DAY).date()


@pytest.fixture(scope="module")
def champion(trained: Trained) -> Model:
    return loaded(trained, given.version(1))


@pytest.fixture(scope="module")
def other() -> Model:
    return loaded(rollouts.trained_on(lie=True), given.version(2))


def loaded(trained: Trained, version: str) -> Model:
    manifest = msgspec.structs.replace(trained.manifest, version=version)
    return model.load(manifest, trained.artifacts[ONNX])


def sources(memory: Memory, *, day: float = 30) -> Gathering:
    document = given.document()
    compacted(memory)
    return Gathering(memory, document, POLICY, lambda _: pytest.fail("loads"), NOW + day * DAY)


def records(days: range = range(1, 4), rows: int = 20) -> tuple[list[Capture], list[Label]]:
    captures = [
        given.capture(1_000 * day + n, NOW + day * DAY, features=given.whole(hour=n % 24))
        for day in days
        for n in range(rows)
    ]
    labels = [
        given.label(1_000 * day + n, n % 3 == 0, NOW + day * DAY + timedelta(hours=1))
        for day in days
        for n in range(rows)
    ]
    return captures, labels


def delivered(captures: list[Capture], labels: list[Label]) -> Memory:
    memory = Memory()
    for kind in (captures, labels):
        for day in sorted({record.time.date() for record in kind}):
            own = [record for record in kind if record.time.date() == day]
            given.deliver(memory, own, own[0].time)
    return memory


def test_the_gain_of_a_day_is_the_mean_difference_of_losses_on_its_labelled_rows(
    champion: Model, other: Model
) -> None:
    captures, labels = records()
    memory = delivered(captures, labels[:-5])

    found = paired(sources(memory), champion, other, FIRST)

    rows = [capture.features for capture in captures[:20]]
    truth = np.array([label.label for label in labels[:20]])
    losses = [
        each.manifest.problem.losses(truth, each.scores(columns_of(each.manifest.schema, rows)))
        for each in (champion, other)
    ]
    assert [day.rows for day in found] == [20, 20, 15]
    assert found[0].gain == pytest.approx((losses[0] - losses[1]).mean(), rel=1e-12)


def test_a_day_counts_when_its_labels_have_had_their_time(champion: Model, other: Model) -> None:
    memory = delivered(*records())

    found = {
        day: len(paired(sources(memory, day=day), champion, other, FIRST))
        for day in (1.0, 2.0, 2.5, 2.7, 3.7, 4.7)
    }

    # NOW is noon: day 1 ends 12 hours later, its labels have a day, and records two hours
    assert found == {1.0: 0, 2.0: 0, 2.5: 0, 2.7: 1, 3.7: 2, 4.7: 3}


def test_labels_that_came_late_or_contradict_each_other_teach_nothing(
    champion: Model, other: Model
) -> None:
    captures, labels = records(range(1, 2))
    late = msgspec.structs.replace(labels[0], time=NOW + 3 * DAY)
    contrary = msgspec.structs.replace(labels[1], label=not labels[1].label)
    memory = delivered(captures, [late, *labels[1:], contrary])

    found = paired(sources(memory), champion, other, FIRST)

    assert [day.rows for day in found] == [18]


def test_labels_of_predictions_that_were_never_served_change_nothing(
    champion: Model, other: Model
) -> None:
    captures, labels = records()
    flood = [given.label(9_000_000 + n, True, NOW + DAY) for n in range(500)]

    found = paired(sources(delivered(captures, [*labels, *flood])), champion, other, FIRST)

    assert found == paired(sources(delivered(captures, labels)), champion, other, FIRST)


def test_rows_for_which_a_caller_chose_the_version_are_left_out(
    champion: Model, other: Model
) -> None:
    captures, labels = records(range(1, 2))
    captures[0] = msgspec.structs.replace(captures[0], variant="requested")

    found = paired(sources(delivered(captures, labels)), champion, other, FIRST)

    assert [day.rows for day in found] == [19]


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@hypothesis_given(seed=st.integers(0, 1_000))
def test_duplicates_and_the_order_of_arrival_change_nothing(
    champion: Model, other: Model, seed: int
) -> None:
    captures, labels = records()
    random = Random(seed)
    again = [*captures, *random.sample(captures, 10)], [*labels, *random.sample(labels, 10)]
    for each in again:
        random.shuffle(each)

    found = paired(sources(delivered(*again)), champion, other, FIRST)

    assert found == paired(sources(delivered(captures, labels)), champion, other, FIRST)


def test_days_that_are_over_are_read_once(champion: Model, other: Model) -> None:
    memory = delivered(*records())
    first = paired(sources(memory), champion, other, FIRST)
    memory.forget()

    assert paired(sources(memory), champion, other, FIRST) == first

    assert not [key for key in memory.read if key.startswith(("rows/", "outcomes/"))]


def test_years_before_the_first_capture_are_not_looked_at(champion: Model, other: Model) -> None:
    memory = delivered(*records())

    found = paired(sources(memory), champion, other, date(1990, 1, 1))

    assert len(found) == 3
    assert len(memory.listed) < 200


def test_what_is_kept_is_a_cache(champion: Model, other: Model) -> None:
    memory = delivered(*records())
    first = paired(sources(memory), champion, other, FIRST)
    for key in memory.under("evidence/"):
        del memory.objects[key]

    assert paired(sources(memory), champion, other, FIRST) == first


def test_an_earlier_start_reads_only_the_days_that_are_not_kept(
    champion: Model, other: Model
) -> None:
    memory = delivered(*records())
    later = paired(sources(memory), champion, other, FIRST + DAY)

    both = paired(sources(memory), champion, other, FIRST)

    assert [day.day for day in later] == [date(2013, 2, 3), date(2013, 2, 4)]
    assert [day.day for day in both] == [date(2013, 2, 2), date(2013, 2, 3), date(2013, 2, 4)]


def test_a_version_without_a_score_for_what_was_asked_is_broken(
    champion: Model, other: Model
) -> None:
    mute = Model(other.manifest, lambda columns: np.full(len(columns["hour"]), np.nan))
    gathering = sources(delivered(*records()))

    assert paired(gathering, champion, mute, FIRST) == []

    assert "no finite score" in gathering.broken[given.version(2)]


def test_rows_for_which_the_champion_has_no_score_are_left_out(
    champion: Model, other: Model
) -> None:
    def partly(columns: Columns) -> np.ndarray[Any, Any]:
        return np.where(columns["hour"] < 15, champion.scores(columns), np.nan)

    gathering = sources(delivered(*records()))

    found = paired(gathering, Model(champion.manifest, partly), other, FIRST)

    assert [day.rows for day in found] == [15] * 3
    assert not gathering.broken


def test_what_was_kept_and_is_damaged_is_computed_again(champion: Model, other: Model) -> None:
    memory = delivered(*records())
    first = paired(sources(memory), champion, other, FIRST)
    for key in memory.under("evidence/"):
        memory.objects[key] = b'[{"day": "2013-02-02"}]'

    assert paired(sources(memory), champion, other, FIRST) == first


def test_a_day_is_the_same_whether_it_is_looked_at_at_once_or_with_later_ones(
    champion: Model, other: Model
) -> None:
    captures, labels = records()
    again = [msgspec.structs.replace(labels[0], label=not labels[0].label, time=NOW + 3.5 * DAY)]

    at_once = delivered(captures, labels + again)
    paired(sources(at_once, day=3), champion, other, FIRST)  # when the first day has closed

    late = delivered(captures, labels + again)
    assert paired(sources(late), champion, other, FIRST) == paired(
        sources(at_once), champion, other, FIRST
    )


def test_days_for_which_a_service_is_away_are_asked_for_again(
    champion: Model, other: Model
) -> None:
    def away(_: object) -> np.ndarray[Any, Any]:
        raise ExternalError("vendor", "it is away")

    gathering = sources(delivered(*records()))

    assert paired(gathering, champion, Model(other.manifest, away), FIRST) == []

    assert not gathering.broken
    assert len(paired(gathering, champion, other, FIRST)) == 3


def test_a_day_without_labels_is_no_evidence(champion: Model, other: Model) -> None:
    captures, _ = records()

    assert paired(sources(delivered(captures, [given.label(1)])), champion, other, FIRST) == []
