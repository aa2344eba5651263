"""Conditional writes whose answer is true even when it was lost."""

from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import HealthCheck, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from evergreen.aws.s3 import Store, Stored
from local.cloud.shortcuts import taken
from tests.support.given import Fault, injected

RACES = count()  # every example gets a key of its own
LOST = [
    pytest.param(Fault(500, "InternalError", happens=True), id="500, then 412 to botocore's retry"),
    pytest.param(Fault(503, "SlowDown", happens=True), id="503, then 412 to botocore's retry"),
    pytest.param(Fault(409, "ConditionalRequestConflict", happens=True), id="409"),
    pytest.param(Fault(412, "PreconditionFailed", happens=True), id="412"),
    pytest.param(Fault(500, happens=True, times=9), id="500 to every attempt"),
    pytest.param(
        Fault(error=EndpointConnectionError(endpoint_url="s3"), happens=True, times=9),
        id="no answer to any attempt",
    ),
]


def fresh(fault: Fault) -> Fault:
    fault.hit = 0
    return fault


def etag_of(store: Store, key: str) -> str:
    found = store.get(key)
    assert found is not None
    return found.etag


def test_an_absent_object_is_none(bucket: Store) -> None:
    assert bucket.get("nothing") is None


def test_an_object_comes_back_byte_for_byte(bucket: Store) -> None:
    bucket.put("key", b"\x00\xffbody")

    found = bucket.get("key")

    assert isinstance(found, Stored)
    assert found.body == b"\x00\xffbody"


def test_a_missing_bucket_is_not_a_missing_object(bucket: Store) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        Store(bucket.s3, "another").get("key")


def test_creating_what_exists_with_other_content_loses_and_changes_nothing(bucket: Store) -> None:
    bucket.put("key", b"first")

    assert bucket.create("key", b"second") is False

    found = bucket.get("key")
    assert found is not None
    assert found.body == b"first"


def test_creating_the_same_content_twice_wins_twice(bucket: Store) -> None:
    assert bucket.create("key", b"body") is True
    assert bucket.create("key", b"body") is True


@pytest.mark.parametrize("fault", LOST)
def test_a_creation_whose_answer_was_lost_has_won(bucket: Store, fault: Fault) -> None:
    with injected(bucket.s3, "s3.PutObject", fresh(fault)):
        won = bucket.create("key", b"body")

    assert won is True
    assert fault.hit


@pytest.mark.parametrize("fault", LOST)
def test_a_replacement_whose_answer_was_lost_has_won(bucket: Store, fault: Fault) -> None:
    bucket.put("key", b"first")
    etag = etag_of(bucket, "key")

    with injected(bucket.s3, "s3.PutObject", fresh(fault)):
        won = bucket.replace("key", b"second", etag)

    assert won is True


def test_a_replacement_of_what_has_changed_since_loses_and_changes_nothing(bucket: Store) -> None:
    bucket.put("key", b"first")
    etag = etag_of(bucket, "key")
    bucket.put("key", b"second")

    assert bucket.replace("key", b"third", etag) is False

    found = bucket.get("key")
    assert found is not None
    assert found.body == b"second"


def test_a_race_that_another_writer_won_is_lost(bucket: Store) -> None:
    bucket.put("key", b"first")
    etag = etag_of(bucket, "key")
    race = Fault(409, "ConditionalRequestConflict", key="/key")

    def other_wins() -> None:
        race.times = 0
        bucket.put("key", b"theirs")

    race.meanwhile = other_wins

    with injected(bucket.s3, "s3.PutObject", race):
        won = bucket.replace("key", b"ours", etag)

    assert won is False


def test_a_conflict_with_a_deletion_is_neither_won_nor_lost(bucket: Store) -> None:
    conflict = Fault(409, "ConditionalRequestConflict")

    with (
        injected(bucket.s3, "s3.PutObject", conflict),
        pytest.raises(ClientError, match="Conflict"),
    ):
        bucket.create("key", b"body")


@pytest.mark.parametrize("operation", ["create", "replace"])
def test_a_write_that_failed_for_good_raises_and_does_not_say_that_it_lost(
    bucket: Store, operation: str
) -> None:
    bucket.put("key", b"first")
    etag = etag_of(bucket, "key")
    down = Fault(500, times=9)

    with injected(bucket.s3, "s3.PutObject", down), pytest.raises(ClientError):
        _ = (
            bucket.create("key", b"second")
            if operation == "create"
            else bucket.replace("key", b"second", etag)
        )

    assert down.hit == 2, "botocore tries twice"


def test_a_forbidden_write_raises_at_once_even_if_the_same_bytes_stand_there(bucket: Store) -> None:
    bucket.put("key", b"body")
    denied = Fault(403, "AccessDenied")

    with injected(bucket.s3, "s3.PutObject", denied), pytest.raises(ClientError, match="Denied"):
        bucket.create("key", b"body")


def test_an_unchanged_object_is_not_sent_again(bucket: Store) -> None:
    bucket.put("key", b"body")

    assert bucket.changed("key", etag_of(bucket, "key")) is None


def test_a_changed_object_comes_with_its_new_etag(bucket: Store) -> None:
    bucket.put("key", b"first")
    etag = etag_of(bucket, "key")
    bucket.put("key", b"second")

    found = bucket.changed("key", etag)

    assert found == Stored(b"second", etag_of(bucket, "key"))


def test_an_object_that_has_gone_counts_as_unchanged(bucket: Store) -> None:
    bucket.put("key", b"first")
    etag = etag_of(bucket, "key")
    bucket.s3.delete_object(Bucket="bucket", Key="key")

    assert bucket.changed("key", etag) is None


def test_names_are_what_is_directly_under_a_prefix(bucket: Store) -> None:
    for key in ("a/1", "a/2/x", "a/2/y", "b/3"):
        bucket.put(key, b"")

    assert sorted(bucket.names("a/")) == ["1", "2/"]
    assert list(bucket.keys("a/")) == ["a/1", "a/2/x", "a/2/y"]


def test_a_listing_from_the_beginning_names_no_key_to_start_after(bucket: Store) -> None:
    asked: list[dict[str, Any]] = []
    event = "before-parameter-build.s3.ListObjectsV2"
    bucket.s3.meta.events.register(event, lambda params, **_: asked.append(params))

    assert [list(bucket.keys("a/")), list(bucket.keys("a/", after="a/b"))] == [[], []]

    assert [one.get("StartAfter") for one in asked] == [None, "a/b"]


def test_a_listing_goes_on_after_a_thousand_keys(bucket: Store) -> None:
    with taken():  # short ways into moto, which know of no thousand
        for number in range(1_001):
            bucket.put(f"many/{number:04d}", b"")

    assert len(list(bucket.keys("many/"))) == 1_001
    assert len(list(bucket.names("many/"))) == 1_001


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@hypothesis_given(
    writes=st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), max_size=8)
)
def test_of_all_writers_that_saw_the_same_object_one_at_most_replaces_it(
    bucket: Store, writes: list[tuple[int, bool, bool]]
) -> None:
    """Each writer read the object at some point; answers are lost at will."""
    key = f"race-{next(RACES)}"
    bucket.put(key, b"start")
    stands = b"start"
    etags = [etag_of(bucket, key)]

    for number, (age, lost, conflict) in enumerate(writes):
        seen = max(0, len(etags) - 1 - age)
        body = f"write {number}".encode()
        fault = Fault(409 if conflict else 412, "Failed", happens=True, times=int(lost))
        with injected(bucket.s3, "s3.PutObject", fault):
            won = bucket.replace(key, body, etags[seen])

        assert won is (seen == len(etags) - 1)
        if won:
            stands = body
            etags.append(etag_of(bucket, key))

    found = bucket.get(key)
    assert found is not None
    assert found.body == stands
