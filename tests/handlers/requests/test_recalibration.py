"""Scores that outcomes have recalibrated: answered, recorded beside the raw ones, and replayed."""

from datetime import date
from typing import Any

import msgspec
import numpy as np
import pytest

from evergreen.aws.s3 import Store
from evergreen.captures.records import Capture
from evergreen.registry.manifest import Manifest
from evergreen.registry.recalibration import Recalibration
from evergreen.registry.registry import Registry
from local.plane.plane import Plane
from tests.support import given
from tests.support.given import NAME, NOW
from tests.support.registries import registry_of

JSON = {"Content-Type": "application/json"}
CONTROL = f"/control/endpoints/{NAME}"


@pytest.fixture
def registry(artifacts: Store) -> Registry:
    return registry_of(artifacts)


@pytest.fixture
def learnt(champion: Manifest, registry: Registry) -> Recalibration:
    found = Recalibration(
        endpoint=NAME,
        version=champion.version,
        day=NOW.date(),
        lines=[(0.0, 1.0), (0.9, 0.5)],
        weights=[0.25, 0.75],
        rows=6_000,
    )
    registry.write_recalibration(found)
    return found


def ask(plane: Plane, query: str = "") -> dict[str, Any]:
    body = given.body(given.row(hour=7), given.row(hour=20))
    answer = plane.request("POST", f"/endpoints/{NAME}/predict{query}", body, JSON)
    assert answer.status == 200
    found: dict[str, Any] = answer.json()
    return found


def recorded(data: Store) -> list[Capture]:
    bodies = [data.get(key) for key in data.keys("captures/")]
    lines = b"\n".join(stored.body for stored in bodies if stored)
    return msgspec.json.Decoder(Capture).decode_lines(lines)


@pytest.mark.parametrize("named", [False, True])
def test_what_is_answered_is_what_the_map_of_the_day_makes_of_the_score(
    plane: Plane, learnt: Recalibration, data: Store, named: bool
) -> None:
    answer = ask(plane, f"?version={learnt.version}" if named else "")

    scores = [one["score"] for one in answer["predictions"]]
    captures = recorded(data)
    assert [each.score for each in captures] == scores
    assert [each.recalibration for each in captures] == [str(learnt.day)] * 2
    raw = np.array([each.raw for each in captures], dtype=np.float64)
    assert learnt.of(raw).tolist() == scores
    assert (raw != scores).all()
    assert [one["label"] for one in answer["predictions"]] == [score >= 0.5 for score in scores]


def test_without_a_map_scores_are_as_the_model_gives_them(
    plane: Plane, champion: Manifest, data: Store
) -> None:
    ask(plane)

    assert {(each.raw, each.recalibration) for each in recorded(data)} == {(None, None)}


def test_a_recalibrated_prediction_comes_out_again_bit_for_bit(
    plane: Plane, learnt: Recalibration
) -> None:
    for one in ask(plane)["predictions"]:
        answer = plane.request("GET", f"{CONTROL}/predictions/{one['id']}").json()

        assert answer["identical"] is True
        (step,) = (step for step in answer["steps"] if step["step"] == "recalibration")
        assert step["figures"]["raw"] == step["figures"]["then"]
        assert "learnt from 6,000 outcomes" in step["text"]


def test_a_prediction_whose_map_is_gone_cannot_be_replayed_and_says_why(
    plane: Plane, learnt: Recalibration, artifacts: Store
) -> None:
    wanted = ask(plane)["predictions"][0]["id"]
    key = f"recalibrations/{NAME}/{learnt.version}/{learnt.day}.json"
    artifacts.s3.delete_object(Bucket=artifacts.bucket, Key=key)

    answer = plane.request("GET", f"{CONTROL}/predictions/{wanted}").json()

    assert answer["identical"] is None
    assert answer["steps"][-1]["text"].endswith(f"the map of {learnt.day} is gone")


def test_explain_says_what_is_made_of_the_scores(plane: Plane, learnt: Recalibration) -> None:
    paragraphs = plane.request("GET", f"{CONTROL}/explain").json()["paragraphs"]

    assert any("learnt from 6,000 outcomes" in text for text in paragraphs)


def test_a_map_of_another_day_is_recorded_with_its_own(
    plane: Plane, champion: Manifest, registry: Registry, data: Store
) -> None:
    yesterday = date.fromordinal(NOW.toordinal() - 1)
    found = Recalibration(
        endpoint=NAME,
        version=champion.version,
        day=yesterday,
        lines=[(0.3, 1.0)],
        weights=[1.0],
        rows=900,
    )
    registry.write_recalibration(found)

    ask(plane)

    assert {each.recalibration for each in recorded(data)} == {str(yesterday)}
