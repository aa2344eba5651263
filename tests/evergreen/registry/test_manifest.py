"""Names and times of versions, and what a manifest knows of categories."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.contract.decoding import payload_bytes
from evergreen.contract.identifiers import is_endpoint, is_version
from evergreen.contract.problem import Problem
from evergreen.registry.manifest import FeatureProfile, Manifest, version_id, version_time
from evergreen.training.train_version import Trained

TIMES = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@hypothesis_given(times=st.lists(TIMES, min_size=2), parts=st.lists(st.text()))
def test_versions_sort_by_time_to_the_second(times: list[datetime], parts: list[str]) -> None:
    by_time = [version_id(time, *parts) for time in sorted(set(times))]

    assert sorted(by_time) == by_time


@hypothesis_given(time=TIMES, parts=st.lists(st.text()))
def test_every_version_id_is_recognised_as_one(time: datetime, parts: list[str]) -> None:
    assert is_version(version_id(time, *parts))


@hypothesis_given(time=TIMES, parts=st.lists(st.text()))
def test_the_time_of_a_version_can_be_read_from_its_id(time: datetime, parts: list[str]) -> None:
    assert version_time(version_id(time, *parts)) == time


def test_a_version_id_does_not_depend_on_the_zone_of_its_time() -> None:
    time = datetime(2013, 2, 1, 3, tzinfo=UTC)

    assert version_id(time.astimezone(timezone(timedelta(hours=5))), "x") == version_id(time, "x")


def test_a_version_of_other_content_has_another_id() -> None:
    time = datetime(2013, 2, 1, tzinfo=UTC)

    assert len({version_id(time, *parts) for parts in (("a", "b"), ("ab",), ("b", "a"), ())}) == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        "20130201T000000Z",
        "20130201T000000Z-ABCDEF01",
        "20130201T000000Z-abcdef01\n",
        "20130201T000000Z-abcdef01/../x",
        "../20130201T000000Z-abcdef01",
        "２０130201T000000Z-abcdef01",
    ],
)
def test_a_text_that_is_not_a_version_is_not_taken_for_one(text: str) -> None:
    assert not is_version(text)


@pytest.mark.parametrize("text", ["flight-delay", "a", "a1", "x-2-y", "a" * 63])
def test_a_name_of_an_endpoint_is_recognised(text: str) -> None:
    assert is_endpoint(text)


@pytest.mark.parametrize(
    "text",
    ["", "A", "1a", "a_b", "-a", "a-", "a--b", "a/b", "../a", "a\n", "é", "a" * 64, "a.json"],
)
def test_a_text_that_is_not_a_name_is_not_taken_for_one(text: str) -> None:
    assert not is_endpoint(text)


def test_a_manifest_survives_json(trained: Trained) -> None:
    body = msgspec.json.encode(trained.manifest)

    assert msgspec.json.decode(body, type=Manifest) == trained.manifest


def test_categories_are_known_only_where_the_profile_has_all_of_them(trained: Trained) -> None:
    profiles = {
        "whole": FeatureProfile(counts=[5, 3, 0, 0], categories=["a", "b"]),
        "gaps": FeatureProfile(counts=[5, 3, 0, 1], categories=["a", "b"]),
        "cut": FeatureProfile(counts=[5, 3, 2, 0], categories=["a", "b"]),
        "number": FeatureProfile(counts=[5, 3, 0], edges=[1.0]),
    }
    manifest = msgspec.structs.replace(trained.manifest, reference=profiles)

    assert manifest.categories == {"whole": {"a", "b"}, "gaps": {"a", "b", ""}}


def test_a_manifest_of_before_there_were_expectations_can_be_read(trained: Trained) -> None:
    plain = msgspec.to_builtins(trained.manifest)
    del plain["expected"]
    for profile in plain["reference"].values():
        profile.pop("missing", None)
        profile.pop("unseen", None)

    found = msgspec.convert(plain, Manifest, strict=False)

    assert found.expected is None
    assert {profile.missing for profile in found.reference.values()} == {0.0}


LAMBDA = 6_291_456  # bytes of an answer that it hands on


@hypothesis_given(
    texts=st.lists(st.text(min_size=1, max_size=60), min_size=3, unique=True),
    score=st.floats(allow_nan=False, allow_infinity=False),
)
def test_the_largest_answer_of_a_version_is_one_that_lambda_hands_on(
    trained: Trained, texts: list[str], score: float
) -> None:
    classes = [f"{text}{number}" for number in range(100 // len(texts)) for text in texts]
    problem = Problem(kind="multiclass", classes=classes)
    manifest = msgspec.structs.replace(trained.manifest, problem=problem)
    (found,) = problem.answers(np.full((1, len(classes)), score))
    row = {"id": "f" * 36, **found, "unseen": list(manifest.categories)}

    def answer(rows: int) -> int:
        body = {"predictions": [row] * rows, "endpoint": "e" * 63, "version": "v" * 25}
        return payload_bytes({"statusCode": 200, "body": msgspec.json.encode(body).decode()})

    ten, eleven = answer(10), answer(11)
    assert ten + (manifest.max_rows - 10) * (eleven - ten) < LAMBDA


def test_as_many_rows_are_taken_as_fit_and_never_more_than_a_thousand(trained: Trained) -> None:
    names = [f"{number:040d}" for number in range(100)]
    wide = msgspec.structs.replace(
        trained.manifest, problem=Problem(kind="multiclass", classes=names)
    )

    assert 800 < wide.max_rows < 900
    assert trained.manifest.max_rows == 1_000
